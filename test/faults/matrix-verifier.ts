// Judges a run of the crash matrix: its sink, its dead letters, and every actor's log and journal.
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { deadStream } from "../../runtime/actor/environment.ts";
import { type DeadLetter, isLetter } from "../../runtime/actor/dead-letter.ts";
import type { Broker, Stored } from "../../runtime/broker/broker.ts";
import { systemClock, systemRandom } from "../../runtime/event/clock.ts";
import { decodeMessage, rowData } from "../../runtime/event/frame.ts";
import { LevelStores } from "../../runtime/journal/level-store.ts";
import { Journal } from "../../runtime/journal/journal.ts";
import { decodeRecord } from "../../runtime/journal/record.ts";
import { recover } from "../../runtime/journal/recovery.ts";
import { readRun } from "../../runtime/node/run-record.ts";
import { chainWrong, type Fields, foldOf, type Logged, journalOf, type Migrate } from "../support/log-fold.ts";
import { kept } from "./chaos-archive.ts";
import { type Item, type Kind, kindOf, type Row } from "./matrix-kinds.ts";

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
  return [...rowsWrong(rows, kind), ...(await lettersWrong(run, kind)), ...(await actorsWrong({ ...run, dataDirOf: () => run.dataDir }))];
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

export interface ActorsJudged extends Omit<Judged, "kind" | "dataDir"> {
  /** Data folder of the node of that name. */
  readonly dataDirOf: (node: string) => string;
  readonly migrate?: Migrate;
}

/** I1 and I4 of every actor: its whole log; the log's newest snapshot and tail in an empty folder; the journals of its owners. Of generations that are over: their logs. */
export async function actorsWrong({ broker, name, folder, dataDirOf, migrate }: ActorsJudged): Promise<readonly string[]> {
  const wrongs: string[] = [], prefix = `mr_actor_${name}_`, empty = new LevelStores(join(folder, "rebuilt")), streams = (await broker.list(prefix)).filter((its) => its.endsWith("_log"));
  const inForce = new Map((await readRun(broker.keys, name))?.record.stages.map(({ name: stage, generation }) => [stage, generation])), isRetired = (stage: string, generation: string) => inForce.has(stage) && inForce.get(stage) !== generation;
  const differ = (found: Fields, expected: Fields) => found.forgetRetired(isRetired).differences(expected.forgetRetired(isRetired), migrate);
  for (const stream of streams) {
    const subject = stream.replaceAll("_", "."), [stage, generation, partition] = stream.slice(prefix.length).split("_"), where = `${name}/${stage}/${partition}`, journal = `${name}/${stage}/${generation}/${partition}`;
    const logged = () => wholeLog(broker, stream, subject, folder), log = await logged(), chain = chainWrong(log), owner = log.findLast(({ record }) => record.kind === "claim")?.record.body.node, owners = log.flatMap(({ record: { body } }) => (body.node === undefined ? [] : [dataDirOf(body.node)]));
    if (chain !== undefined) { wrongs.push(`the log of ${where}: ${chain}`); continue; }
    if (owner === undefined) continue;
    const chunks = subject.replace(/\.log$/, ".snap"), inherited = await inheritedBy(log, broker, chunks, folder), store = await new LevelStores(join(dataDirOf(owner), "journals")).open(journal);
    try {
      wrongs.push(...differ(await journalOf(new Journal(store, where), where), foldOf(log, inherited)).map((line) => `the journal of ${where}: ${line}`));
    } finally {
      await store.close();
    }
    for (const dataDir of new Set(owners)) if (dataDir !== dataDirOf(owner)) wrongs.push(...(await goesBeyond(log, new LevelStores(join(dataDir, "journals")), journal)).map((line) => `a former journal of ${where}: ${line}`));
    const rebuilt = await recover({
      where, log: broker.stream(stream, subject), chunks: broker.stream(chunks.replaceAll(".", "_"), chunks), stores: empty, store: journal, random: systemRandom, clock: systemClock,
      node: "verifier", code: "", signal: new AbortController().signal, onClaimed: () => {},
    });
    try {
      // Its claim is a record, too.
      wrongs.push(...differ(await journalOf(rebuilt.journal, where), foldOf(await logged(), inherited)).map((line) => `${where} rebuilt from its log: ${line}`));
    } finally {
      await rebuilt.journal.store.close();
    }
  }
  for (const stream of (await readdir(join(folder, "purged")).catch(() => [])).filter((file) => file.startsWith(prefix) && file.endsWith("_log") && !streams.includes(file))) {
    const chain = chainWrong(decoded(await keptOf(folder, stream)));
    if (chain !== undefined) wrongs.push(`the log of ${stream}, which is over: ${chain}`);
  }
  return wrongs;
}

/** I1 and I4 of a node that an actor was on: what it has ends with a record of the log. */
async function goesBeyond(log: readonly Logged[], journals: LevelStores, name: string): Promise<readonly string[]> {
  if (!(await journals.exists(name))) return [];
  const store = await journals.open(name);
  try {
    const { head } = new Journal(store, name);
    return head === undefined || log[head.n - 1]?.seq === head.seq ? [] : [`it ends with record ${head.n} at ${head.seq}, the log has that at ${log[head.n - 1]?.seq ?? "no place"}`];
  } finally {
    await store.close();
  }
}

/** Chunks of the snapshot that an actor of a later generation begins with. */
async function inheritedBy(log: readonly Logged[], broker: Broker, subject: string, folder: string): Promise<(seq: number) => Uint8Array | undefined> {
  if (log.find(({ record }) => record.kind !== "claim")?.record.kind !== "snapshot") return () => undefined;
  const name = subject.replaceAll(".", "_"), stream = broker.stream(name, subject), found = new Map((await keptOf(folder, name)).map(({ seq, data }) => [seq, data]));
  // It has none where all of it is in the record.
  if ((await broker.describe(name)) === undefined) return (seq) => found.get(seq);
  const { first, last } = await stream.bounds();
  for await (const { seq, data } of stream.read(first, last)) found.set(seq, data);
  return (seq) => found.get(seq);
}

async function wholeLog(broker: Broker, stream: string, subject: string, folder: string): Promise<readonly Logged[]> {
  const its = broker.stream(stream, subject), { first, last } = await its.bounds(), log = (await keptOf(folder, stream)).filter(({ seq }) => seq < first);
  for await (const stored of its.read(first, last)) log.push(stored);
  return decoded(log);
}

const keptOf = async (folder: string, stream: string): Promise<Stored[]> => kept(await readFile(join(folder, "purged", stream), "utf8").catch(() => ""));
const decoded = (log: readonly Stored[]): readonly Logged[] => log.map(({ seq, data }) => ({ seq, record: decodeRecord(data) }));
