// The flow that chaos is let loose on, and what one thread would make of its input.
//
//   feed ─┬▶ tally ×4 ─▶ calls ×2 ─▶ rows      per key in order: state, timers; async calls with retries and dead letters
//         ├▶ windows ×2 ──┐
//         └▶ ordered ×2 ──┴─▶ report           in the order of time: the same bytes, always
import { type Context, defineFlow, type Emits, type Flow, RetryableError, type SourceOptions, type StageOptions, TerminalError } from "millrace";
import { aggregate, flatMap, generate, jsonl, map, stateful, tumbling } from "millrace/actors";
import { SeededRandom } from "../../runtime/testing/seeded-random.ts";
import type { Row } from "./matrix-kinds.ts";

export interface ChaosFlow {
  readonly name: string;
  readonly events: number;
  /** Events a second; 0: as fast as they are taken. */
  readonly rate: number;
  readonly seed: number;
  readonly keys: number;
  /** Of each mailbox. */
  readonly maxFrames: number;
  /** Folder of the results. */
  readonly folder: string;
  /** Which code it is, where there are several that do the same. Default: there is one. */
  readonly code?: ChaosCode;
}

export interface ChaosCode {
  /** From 1 on. Rows of "tally" name it. */
  readonly number: number;
  /** Version of that stage's state, from 1 on. Its state counts the versions that it was brought through. */
  readonly version: number;
}

interface Item { readonly n: number; readonly key: string; readonly amount: number; readonly at: number }
interface Tally { readonly key: string; readonly n: number; readonly seen: number; readonly sum: number }
/** State brought into a newer shape: it counts how often. */
export const raise = (old: unknown, from: number, to: number): State => ({ ...(old as State), raised: (old as State).raised + to - from });

interface State { readonly seen: number; readonly sum: number; readonly raised: number }

const begin = Date.UTC(2026, 0, 1), windowMs = 10_000, timerMs = 700, retryMs = 20;
const fails = (n: number): boolean => n % 331 === 3, never = (n: number): boolean => n % 907 === 5;
const sets = (n: number): boolean => n % 97 === 1, isReported = (n: number): boolean => n % 5 === 0;

export const chaosRows = ({ folder }: Pick<ChaosFlow, "folder">): string => `${folder}/rows.jsonl`;
export const chaosReport = ({ folder }: Pick<ChaosFlow, "folder">): string => `${folder}/report.jsonl`;

function itemOf({ seed, keys }: ChaosFlow, n: number): Item {
  const random = new SeededRandom(seed * 1_000_003 + n);
  return { n, key: `k${Math.floor(random.next() * keys)}`, amount: Math.floor(random.next() * 10_000), at: begin + n * 10 - Math.floor(random.next() * 500) };
}
const turns = async (many: number): Promise<void> => { for (let i = 0; i < many; i++) await new Promise(setImmediate); };

export function chaosFlow(of: ChaosFlow): Flow {
  const { name, events, rate, seed, maxFrames, code } = of, version = code?.version ?? 1, marks = ({ raised }: State) => (code === undefined ? {} : { code: code.number, raised }), mailbox: StageOptions = { mailbox: { maxFrames } };
  const time: SourceOptions<Item> = { time: { of: ({ at }) => at, outOfOrder: "1s" } };
  return defineFlow(name, (flow) => {
    const feed = flow.source("feed", generate<Item>({ count: events, seed, ...(rate > 0 ? { rate } : {}), batch: 256, make: (n) => itemOf(of, n) }), time);
    const tally = flow.processor("tally", feed.keyBy(({ key }) => key), { ...mailbox, parallelism: 4 }, stateful({
      initial: () => ({ seen: 0, sum: 0, raised: version - 1 }),
      on(state: State, { n, key, amount }: Item, ctx: Emits<Tally>) {
        const its = { seen: state.seen + 1, sum: (state.sum * 31 + amount) % 1_000_003 };
        ctx.emit({ key, n, ...its, ...marks(state) });
        if (sets(n)) ctx.timer(`t${n}`, timerMs);
        return { ...its, raised: state.raised };
      },
      onTimer(state: State, { name: timer, time: at }: { name: string; time: number }, ctx: Emits<Tally>) {
        ctx.emit({ key: `timer-${String(ctx.key)}`, n: Number(timer.slice(1)), seen: at - begin, sum: 0, ...marks(state) });
        return state;
      },
      version, migrate: (old, from) => raise(old, from, version),
    }));
    const calls = flow.processor("calls", tally, { ...mailbox, parallelism: 2 }, map(async (row: Tally, ctx: Context) => {
      if (row.n % 3 === 0) await turns(row.n % 4);
      if (never(row.n)) throw new TerminalError("never");
      if (fails(row.n) && ctx.attempt === 1) throw new RetryableError("not now", { retryAfter: retryMs });
      return row;
    }, { concurrency: 8 }));
    flow.sink("rows", calls, mailbox, jsonl.sink(chaosRows(of)));
    const windows = flow.processor("windows", feed.keyBy(({ key }) => key), { ...mailbox, parallelism: 2 }, aggregate({
      window: tumbling(windowMs), initial: () => ({ count: 0, sum: 0 }),
      add: (value: { count: number; sum: number }, { amount }: Item) => ({ count: value.count + 1, sum: value.sum + amount }),
      result: (value, { key, window }) => ({ key, start: window.start, ...value }),
    }));
    const ordered = flow.processor("ordered", feed.keyBy(({ key }) => key), { ...mailbox, parallelism: 2, order: "time" }, flatMap(({ n, key, at }: Item) => (isReported(n) ? [{ key: `at-${key}`, n, at }] : [])));
    flow.sink("report", windows.merge(ordered), { ...mailbox, order: "time" }, jsonl.sink(chaosReport(of)));
  });
}

export interface ChaosReference {
  /** Of the sink "rows": each key's own order counts. */
  readonly rows: readonly Row[];
  /** Of the sink "report": each key's own, and time only rises (timeOf). */
  readonly report: readonly Row[];
  /** Numbers of the events that are given up. */
  readonly letters: readonly number[];
}

/** Of a row of the sink "report": event time, ms. */
export function timeOf(row: Row): number {
  return "at" in row ? (row["at"] as number) : (row["start"] as number) + windowMs - 1;
}

/** A row of the sink "rows" without what tells the code that it came from, which is held against `versions`, by number of the code. */
export function withoutCode({ code, raised, ...row }: Row, versions: ReadonlyMap<unknown, number>): { readonly row: Row; readonly wrong?: string } {
  const version = versions.get(code);
  return version !== undefined && raised === version - 1 ? { row } : { row, wrong: `code ${String(code)} writes the state of version ${version}, and it was raised ${String(raised)} times` };
}

/** Of one thread. */
export function chaosReference(of: ChaosFlow): ChaosReference {
  const items = Array.from({ length: of.events }, (_, n) => itemOf(of, n)), rows: Row[] = [], letters: number[] = [], states = new Map<string, { seen: number; sum: number }>();
  const windows = new Map<string, { key: string; start: number; count: number; sum: number }>();
  for (const { n, key, amount, at } of items) {
    const state = states.get(key) ?? { seen: 0, sum: 0 }, its = { seen: state.seen + 1, sum: (state.sum * 31 + amount) % 1_000_003 };
    states.set(key, its);
    if (never(n)) letters.push(n);
    else rows.push({ key, n, ...its });
    const start = Math.floor(at / windowMs) * windowMs, window = windows.get(`${key} ${start}`) ?? { key, start, count: 0, sum: 0 };
    windows.set(`${key} ${start}`, { ...window, count: window.count + 1, sum: window.sum + amount });
  }
  const byTime = (a: Item, b: Item) => a.at - b.at;
  for (const { n, key, at } of items.filter(({ n }) => sets(n)).sort((a, b) => byTime(a, b) || (`t${a.n}` < `t${b.n}` ? -1 : 1))) {
    if (never(n)) letters.push(n);
    else rows.push({ key: `timer-${key}`, n, seen: at + timerMs - begin, sum: 0 });
  }
  const report: Row[] = [...windows.values()].sort((a, b) => a.start - b.start);
  // One by one: arguments of a call are limited, and an hour's items are many.
  for (const { n, key, at } of items.filter((its) => isReported(its.n)).sort(byTime)) report.push({ key: `at-${key}`, n, at });
  return { rows, report, letters };
}
