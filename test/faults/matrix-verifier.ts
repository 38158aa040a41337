// Judges a run of the crash matrix: its sink, its dead letters, and every actor's log and journal.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { deadStream } from "../../runtime/actor/environment.ts";
import { type DeadLetter, isLetter } from "../../runtime/actor/dead-letter.ts";
import type { Broker } from "../../runtime/broker/broker.ts";
import { systemClock, systemRandom } from "../../runtime/event/clock.ts";
import { decodeMessage, rowData } from "../../runtime/event/frame.ts";
import { LevelStores } from "../../runtime/journal/level-store.ts";
import { Journal } from "../../runtime/journal/journal.ts";
import { decodeRecord } from "../../runtime/journal/record.ts";
import { recover } from "../../runtime/journal/recovery.ts";
import { chainWrong, foldOf, type Logged, journalOf } from "../support/log-fold.ts";
import { type Item, type Kind, kindOf, type Row } from "./matrix-kinds.ts";
import { kept } from "./watched-parts.ts";

export interface Judged {
  readonly broker: Broker;
  readonly kind: string;
  /** Of the flow. */
  readonly name: string;
  readonly folder: string;
  /** Of the node that ended the flow. */
  readonly dataDir: string;
}

/** What is wrong, a line each. */
export async function wrongsOf(run: Judged): Promise<readonly string[]> {
  const kind = kindOf(run.kind);
  const text = await readFile(join(run.folder, "out.jsonl"), "utf8");
  const rows = text.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line) as Row);
  return [...rowsWrong(rows, kind), ...(await lettersWrong(run, kind)), ...(await actorsWrong(run))];
}

export function rowsWrong(rows: readonly Row[], { rows: expected, order }: Pick<Kind, "rows" | "order">): readonly string[] {
  const wrongs: string[] = [], counts = new Map<string, number>();
  for (const row of rows) counts.set(textOf(row), (counts.get(textOf(row)) ?? 0) + 1);
  for (const row of expected) counts.set(textOf(row), (counts.get(textOf(row)) ?? 0) - 1);
  for (const [row, count] of counts) if (count !== 0) wrongs.push(`${count > 0 ? `${count} too many` : `${-count} missing`} in the sink: ${row}`);
  if (wrongs.length > 0 || order === undefined) return wrongs;
  const keys = order === "all" ? [undefined] : [...new Set(expected.map(({ key }) => key))];
  for (const key of keys) {
    const of = (all: readonly Row[]) => (key === undefined ? all : all.filter((row) => row["key"] === key)).map(textOf), found = of(rows);
    const at = of(expected).findIndex((row, i) => row !== found[i]);
    if (at >= 0) wrongs.push(`out of order in the sink${key === undefined ? "" : `, key ${String(key)}`}: row ${at} is ${found[at]}`);
  }
  return wrongs;
}

const textOf = (row: Row): string => JSON.stringify(Object.entries(row).sort(([a], [b]) => (a < b ? -1 : 1)));

/** As a reader takes them: of each writer what is above its last number (P29). */
export async function lettersOf(broker: Broker, flow: string): Promise<readonly DeadLetter[]> {
  const stream = broker.stream(deadStream(flow), `mr.dead.${flow}.>`), { first, last } = await stream.bounds(), newest = new Map<string, number>(), letters: DeadLetter[] = [];
  for await (const { data } of stream.read(first, last)) {
    const { from, generation, seq, rows, shapes } = decodeMessage(data), writer = `${from}@${generation}`;
    if (seq <= (newest.get(writer) ?? 0)) continue;
    newest.set(writer, seq);
    letters.push(...rows.map((row) => rowData(row, shapes)).filter(isLetter));
  }
  return letters;
}

async function lettersWrong({ broker, name }: Judged, { letters = [] }: Kind): Promise<readonly string[]> {
  const found = (await lettersOf(broker, name)).map(({ event }) => (event.data as Item).n).sort((a, b) => a - b);
  return JSON.stringify(found) === JSON.stringify([...letters].sort((a, b) => a - b)) ? [] : [`dead letters are of ${found.join(", ")}, not of ${letters.join(", ")}`];
}

/** I1 and I4 of every actor: its whole log; the log's newest snapshot and tail in an empty folder; its journal. */
export async function actorsWrong({ broker, name, folder, dataDir }: Omit<Judged, "kind">): Promise<readonly string[]> {
  const wrongs: string[] = [], prefix = `mr_actor_${name}_`;
  const journals = new LevelStores(join(dataDir, "journals")), empty = new LevelStores(join(folder, "rebuilt"));
  for (const stream of (await broker.list(prefix)).filter((its) => its.endsWith("_log"))) {
    const subject = stream.replaceAll("_", "."), [stage, generation, partition] = stream.slice(prefix.length).split("_"), where = `${name}/${stage}/${partition}`, journal = `${name}/${stage}/${generation}/${partition}`;
    const logged = () => wholeLog(broker, stream, subject, folder), log = await logged(), chain = chainWrong(log);
    if (chain !== undefined) { wrongs.push(`the log of ${where}: ${chain}`); continue; }
    const store = await journals.open(journal);
    try {
      wrongs.push(...(await journalOf(new Journal(store, where), where)).differences(foldOf(log)).map((line) => `the journal of ${where}: ${line}`));
    } finally {
      await store.close();
    }
    const chunks = subject.replace(/\.log$/, ".snap");
    const rebuilt = await recover({
      where, log: broker.stream(stream, subject), chunks: broker.stream(chunks.replaceAll(".", "_"), chunks), stores: empty, store: journal, random: systemRandom, clock: systemClock,
      node: "verifier", code: "", signal: new AbortController().signal, onClaimed: () => {},
    });
    try {
      // Its claim is a record, too.
      wrongs.push(...(await journalOf(rebuilt.journal, where)).differences(foldOf(await logged())).map((line) => `${where} rebuilt from its log: ${line}`));
    } finally {
      await rebuilt.journal.store.close();
    }
  }
  return wrongs;
}

async function wholeLog(broker: Broker, stream: string, subject: string, folder: string): Promise<readonly Logged[]> {
  const purged = await readFile(join(folder, "purged", stream), "utf8").catch(() => ""), its = broker.stream(stream, subject), { first, last } = await its.bounds();
  const log = kept(purged).filter(({ seq }) => seq < first);
  for await (const stored of its.read(first, last)) log.push(stored);
  return log.map(({ seq, data }) => ({ seq, record: decodeRecord(data) }));
}
