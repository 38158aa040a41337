// Judges a chaos run: its sinks against what one thread would have written, its dead letters, and every actor's log and journal.
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import type { Broker } from "../../runtime/broker/broker.ts";
import { untilReachable } from "../../runtime/broker/until-reachable.ts";
import { systemClock } from "../../runtime/event/clock.ts";
import { decodeRecord } from "../../runtime/journal/record.ts";
import { type ChaosFlow, chaosReference, chaosReport, chaosRows, raise, timeOf, withoutCode } from "./chaos-flow.ts";
import type { Row } from "./matrix-kinds.ts";
import { actorsWrong, lettersOf } from "./matrix-verifier.ts";

export interface ChaosVerdict {
  readonly rows: number;
  readonly missing: number;
  readonly duplicates: number;
  readonly letters: number;
  /** Of all logs: how often they were taken over, the first time not counted. */
  readonly takeovers: number;
  /** What is wrong, a line each; the first ones of each sort. */
  readonly wrongs: readonly string[];
}

export interface ChaosJudged {
  readonly broker: Broker;
  readonly flow: ChaosFlow;
  /** Holds `purged/`, what was purged from logs. */
  readonly folder: string;
  /** Data folder of the node of that name. */
  readonly dataDirOf: (node: string) => string;
  /** Of the state of each code that ran, by its number. Default: there is one code, which is not told. */
  readonly versions?: ReadonlyMap<unknown, number>;
  /** Nothing was kept of the logs. */
  readonly unkept?: boolean;
}

const shown = 5, answerMs = 120_000;

/** Begun anew where the servers, which were disturbed until now, or are beside much else, do not answer in time. */
export function chaosVerdict(judged: ChaosJudged): Promise<ChaosVerdict> {
  return untilReachable(() => verdictOf(judged), { clock: systemClock, forMs: answerMs });
}

async function verdictOf({ broker, flow, folder, dataDirOf, versions, unkept = false }: ChaosJudged): Promise<ChaosVerdict> {
  const { rows, report, letters } = chaosReference(flow);
  const first = await fileJudged(chaosRows(flow), rows, { ...(versions === undefined ? {} : { versions }) }), second = await fileJudged(chaosReport(flow), report, { timeOf });
  const found = (await lettersOf(broker, flow.name)).map(({ event }) => (event.data as { readonly n: number }).n);
  const given = counted(found.map(String), letters.map(String));
  const wrongs = [...first.wrongs, ...second.wrongs, ...given.wrongs.map((line) => `dead letters: ${line}`), ...(unkept ? [] : await actorsWrong({ broker, name: flow.name, folder, dataDirOf, migrate: raise }))];
  return {
    rows: first.rows + second.rows, letters: found.length, takeovers: await takeoversOf(broker, flow.name), wrongs,
    missing: first.missing + second.missing + given.missing, duplicates: first.duplicates + second.duplicates + given.duplicates,
  };
}

interface FileJudged { readonly rows: number; readonly missing: number; readonly duplicates: number; readonly wrongs: readonly string[] }

async function fileJudged(path: string, expected: readonly Row[], { timeOf, versions }: { readonly timeOf?: (row: Row) => number; readonly versions?: ReadonlyMap<unknown, number> }): Promise<FileJudged> {
  const lines: string[] = [], name = path.slice(path.lastIndexOf("/") + 1), mismarked: string[] = [];
  for await (const line of createInterface({ input: createReadStream(path), crlfDelay: Infinity })) {
    const { row, wrong } = versions === undefined ? {} : withoutCode(JSON.parse(line) as Row, versions);
    if (wrong !== undefined) mismarked.push(`${name}: ${wrong}: ${line}`);
    lines.push(row === undefined ? line : JSON.stringify(row));
  }
  const { missing, duplicates, wrongs: counts } = counted(lines, expected.map((row) => JSON.stringify(row))), wrongs = [...mismarked.slice(0, shown), ...counts.map((line) => `${name}: ${line}`)];
  if (wrongs.length === 0) wrongs.push(...orderWrong(lines, expected, timeOf).map((line) => `${name}: ${line}`));
  return { rows: lines.length, missing, duplicates, wrongs };
}

/** What there is too much of, and what too little. */
export function counted(found: readonly string[], expected: readonly string[]): { readonly missing: number; readonly duplicates: number; readonly wrongs: readonly string[] } {
  const counts = new Map<string, number>();
  for (const one of found) counts.set(one, (counts.get(one) ?? 0) + 1);
  for (const one of expected) counts.set(one, (counts.get(one) ?? 0) - 1);
  const more = [...counts].filter(([, count]) => count > 0), less = [...counts].filter(([, count]) => count < 0);
  const sum = (of: readonly (readonly [string, number])[]) => of.reduce((total, [, count]) => total + Math.abs(count), 0);
  return {
    missing: sum(less), duplicates: sum(more),
    wrongs: [...less.slice(0, shown).map(([one, count]) => `${-count} missing of ${one}`), ...more.slice(0, shown).map(([one, count]) => `${count} too many of ${one}`)],
  };
}

/** Of rows that are all there, once: each key's own order, and that of time where there is one. */
export function orderWrong(found: readonly string[], expected: readonly Row[], timeOf?: (row: Row) => number): readonly string[] {
  const queues = new Map<unknown, { readonly rows: string[]; at: number }>(), wrongs: string[] = [];
  for (const row of expected) {
    const key = row["key"], queue = queues.get(key) ?? { rows: [], at: 0 };
    queues.set(key, queue);
    queue.rows.push(JSON.stringify(row));
  }
  let time = -Infinity;
  for (const line of found) {
    const row = JSON.parse(line) as Row, queue = queues.get(row["key"]);
    if (queue === undefined || queue.rows[queue.at++] !== line) wrongs.push(`out of order within its key: ${line}`);
    const its = timeOf?.(row) ?? time;
    if (its < time) wrongs.push(`out of the order of time: ${line}`);
    time = its;
    if (wrongs.length >= shown) break;
  }
  return wrongs;
}

/** By the terms of the newest records: each claim is one more. The verifier's own, one each, is in them. */
async function takeoversOf(broker: Broker, flow: string): Promise<number> {
  let total = 0;
  for (const stream of (await broker.list(`mr_actor_${flow}_`)).filter((its) => its.endsWith("_log"))) {
    const last = await broker.stream(stream, stream.replaceAll("_", ".")).last();
    if (last !== undefined) total += Math.max(0, decodeRecord(last.data).term[0] - 2);
  }
  return total;
}
