// The kinds of stages that the crash matrix runs: each a small flow, and what one thread would have made of its input. A new kind is
// a line in `kinds`.
import { existsSync } from "node:fs";
import { aggregate, flatMap, generate, jsonl, map, stateful, tumbling } from "../../actors/index.ts";
import { type Context, defineFlow, type Emits, type Flow, type FlowBuilder, RetryableError, type SourceOptions, type StageOptions, type Stream, TerminalError } from "../../runtime/index.ts";
import { windowSums } from "../support/window-sums.ts";
import type { KillPoint } from "./kill-point.ts";
import { watchedSink, watchedSource } from "./watched-parts.ts";

export interface Item { readonly n: number; readonly key: string; readonly at: number }
export type Row = Readonly<Record<string, unknown>>;

export interface World {
  readonly name: string;
  readonly point: KillPoint;
  readonly input: string;
  readonly output: string;
}

export interface Kind {
  readonly flow: (world: World) => Flow;
  /** Rows of the sink. */
  readonly rows: readonly Row[];
  /** In what order they are: all of them, each key's own, or (default) any, each once. */
  readonly order?: "all" | "key";
  /** Numbers of the items that become dead letters. */
  readonly letters?: readonly number[];
}

const count = 60, begin = Date.UTC(2026, 0, 1), windowMs = 1_000;
const item = (n: number): Item => ({ n, key: `k${(n * 7) % 5}`, at: begin + n * 100 - ((n * 37) % 5) * 61 });
export const items: readonly Item[] = Array.from({ length: count }, (_, n) => item(n));
/** Small mailboxes: back-pressure, and trims all the time. */
const small: StageOptions = { mailbox: { maxFrames: 8 } }, two: StageOptions = { ...small, parallelism: 2 };
const time: SourceOptions<Item> = { time: { of: ({ at }) => at, outOfOrder: 400 } };
const odd = ({ n }: Item): boolean => n % 7 === 3;
const copies = ({ n, key }: Item): Row[] => Array.from({ length: n % 3 }, (_, copy) => ({ key, n, copy }));
const byTime = (a: Item, b: Item): number => a.at - b.at;

/** A handler that can be died in: before it does anything, in the middle, when it is done. */
function handled<A extends readonly unknown[], R>(point: KillPoint, handler: (...given: A) => R): (...given: A) => R {
  return (...given) => {
    point.at("handler-before");
    const result = handler(...given);
    point.at("handler-after");
    return result;
  };
}

const flow = (stage: (from: Stream<Item>, point: KillPoint, its: FlowBuilder) => Stream<unknown>, sink: StageOptions = small) =>
  ({ name, point, output }: World): Flow => defineFlow(name, (its) => {
    const feed = its.source("feed", watchedSource(generate<Item>({ count, batch: 3, make: item }), point), time);
    its.sink("out", stage(feed, point, its), sink, watchedSink(jsonl.sink(output), point));
  });

const turns = async (many: number): Promise<void> => { for (let i = 0; i < many; i++) await new Promise(setImmediate); };

export const kinds: Readonly<Record<string, Kind>> = {
  stateless: {
    flow: flow((feed, point, its) => its.processor("work", feed.keyBy(({ key }) => key), two, flatMap(handled(point, (given: Item) => { const made = copies(given); point.at("handler-middle"); return made; })))),
    rows: items.flatMap(copies), order: "key",
  },
  timers: {
    flow: flow((feed, point, its) => its.processor("work", feed.keyBy(({ key }) => key), two, stateful({
      initial: () => ({ seen: 0, fired: 0 }),
      on: handled(point, (state: { seen: number; fired: number }, { n, key }: Item, ctx: Emits<Row>) => {
        ctx.emit({ key, n, seen: state.seen + 1 });
        point.at("handler-middle");
        if (n % 4 === 1) ctx.timer(`t${n}`, 350);
        return { ...state, seen: state.seen + 1 };
      }),
      onTimer: handled(point, (state: { seen: number; fired: number }, { name, time: at }: { name: string; time: number }, ctx: Emits<Row>) => {
        ctx.emit({ key: `timer-${String(ctx.key)}`, name, at });
        return { ...state, fired: state.fired + 1 };
      }),
    }))),
    rows: [
      ...items.map(({ n, key }) => ({ key, n, seen: items.filter((other) => other.key === key && other.n <= n).length })),
      ...items.filter(({ n }) => n % 4 === 1).sort(byTime).map(({ n, key, at }) => ({ key: `timer-${key}`, name: `t${n}`, at: at + 350 })),
    ],
    order: "key",
  },
  windows: {
    flow: flow((feed, point, its) => its.processor("work", feed.keyBy(({ key }) => key), two, aggregate({
      window: tumbling(windowMs), initial: () => ({ count: 0, sum: 0 }),
      add: handled(point, (value: { count: number; sum: number }, { n }: Item) => { point.at("handler-middle"); return { count: value.count + 1, sum: value.sum + n }; }),
      result: (value, { key, window }) => ({ key, start: window.start, ...value }),
    }))),
    rows: windowSums(items, windowMs), order: "key",
  },
  time: {
    flow: flow((feed, point, its) => its.processor("work", feed.keyBy(({ key }) => key), { ...two, order: "time" }, map(handled(point, ({ n, key, at }: Item) => { point.at("handler-middle"); return { n, key, at }; }))), { ...small, order: "time" }),
    rows: [...items].sort(byTime).map(({ n, key, at }) => ({ n, key, at })), order: "all",
  },
  concurrency: {
    flow: flow((feed, point, its) => its.processor("work", feed.keyBy(({ key }) => key), two, map(async ({ n, key }: Item) => {
      point.at("handler-before");
      await turns((n * 5) % 7);
      point.at("handler-middle");
      await turns((n * 3) % 4);
      point.at("handler-after");
      return { n, key };
    }, { concurrency: 8 }))),
    rows: items.map(({ n, key }) => ({ n, key })), order: "key",
  },
  files: {
    flow: ({ name, point, input, output }) => defineFlow(name, (its) => {
      const lines = its.source("feed", watchedSource(jsonl.source<Item>(input), point), time);
      const work = its.processor("work", lines, small, flatMap(handled(point, (given: Item) => { const made = copies(given); point.at("handler-middle"); return made; })));
      its.sink("out", work, small, watchedSink(jsonl.sink(output), point));
    }),
    rows: items.flatMap(copies), order: "all",
  },
  retries: {
    flow: flow((feed, point, its) => its.processor("work", feed.keyBy(({ key }) => key), two, map(handled(point, (given: Item, ctx: Context) => {
      point.at("handler-middle");
      if (odd(given) && ctx.attempt === 1) throw new RetryableError("not now", { retryAfter: 30 });
      return { n: given.n, key: given.key };
    })))),
    rows: items.map(({ n, key }) => ({ n, key })), order: "key",
  },
  letters: {
    flow: flow((feed, point, its) => its.processor("work", feed.keyBy(({ key }) => key), two, map(handled(point, (given: Item) => {
      point.at("handler-middle");
      if (odd(given)) throw new TerminalError("never");
      return { n: given.n, key: given.key };
    })))),
    rows: items.filter((given) => !odd(given)).map(({ n, key }) => ({ n, key })), order: "key", letters: items.filter(odd).map(({ n }) => n),
  },
};

/** Of the events of one actor one does what no program survives; another actor reads the same events and is innocent. */
const poisoned = (harm: () => void): Kind => ({
  flow: flow((feed, point, its) => {
    const guilty = its.processor("guilty", feed.keyBy(({ key }) => key), two, map(handled(point, ({ n, key }: Item) => {
      if (n === poison) harm();
      return { key: `guilty-${key}`, n };
    })));
    const innocent = its.processor("innocent", feed.keyBy(({ key }) => key), two, map(({ n, key }: Item) => ({ key: `innocent-${key}`, n })));
    return guilty.merge(innocent);
  }),
  rows: ["guilty", "innocent"].flatMap((stage) => items.filter(({ n }) => stage === "innocent" || n !== poison).map(({ n, key }) => ({ key: `${stage}-${key}`, n }))),
  order: "key", letters: [poison],
});
const poison = 23;

/** Where this file is, handlers of the kind "parked" fail no more. */
export const mendedBy = ({ input }: { readonly input: string }): string => `${input}.mended`;

/** Kinds beside the matrix. */
const others: Readonly<Record<string, Kind>> = {
  // The first odd item of each key parks it, until somebody has mended the handler and has its letter replayed.
  parked: {
    flow: (world) => flow((feed, point, its) => its.processor("work", feed.keyBy(({ key }) => key), { ...two, poison: { after: 1, park: "key" } }, stateful({
      initial: () => 0,
      on: handled(point, (seen: number, given: Item, ctx: Emits<Row>) => {
        ctx.emit({ key: given.key, n: given.n, seen: seen + 1 });
        point.at("handler-middle");
        if (odd(given) && !existsSync(mendedBy(world))) throw new Error("poison");
        return seen + 1;
      }),
    })))(world),
    rows: items.map(({ n, key }) => ({ key, n, seen: items.filter((other) => other.key === key && other.n <= n).length })), order: "key",
    letters: [...new Map(items.filter(odd).toReversed().map(({ n, key }) => [key, n])).values()],
  },
  "killed by an event": poisoned(() => process.kill(process.pid, "SIGKILL")),
  "out of memory by an event": poisoned(() => { for (const held: string[][] = []; ; ) held.push(Array.from({ length: 100_000 }, (_, i) => `${i} ${held.length}`)); }),
};

export function kindOf(name: string): Kind {
  const kind = kinds[name] ?? others[name];
  if (kind === undefined) throw new Error(`there is no kind "${name}"`);
  return kind;
}
