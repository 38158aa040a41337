// The flows that are simulated, each with what a single thread would have computed.
import { aggregate, flatMap, map, stateful, tumbling } from "../../actors/index.ts";
import { type Context, defineFlow, defineSink, type Emits, RetryableError, type SourceOptions, TerminalError } from "../../runtime/index.ts";
import { type FlowPlan, planOf } from "../../runtime/flow/plan.ts";
import type { Chance } from "./chance.ts";
import { type Feed, feedOf, host, type Item, itemsOf, simulatedSource } from "./feed.ts";
import { bySequence, inOrderOf, type Observed } from "./reference.ts";

export interface SimulatedFlow {
  readonly name: string;
  readonly plan: FlowPlan;
  readonly feed: (chance: Chance, most: number) => Feed;
  /** What is wrong with what came out. `whole`: the flow has ended; else what is missing at the end is right. */
  readonly wrong: (observed: Observed, feed: Feed, whole: boolean) => string | undefined;
  /** Whether it gives dead letters: they need larger frames. */
  readonly letters?: boolean;
  /** Somebody takes them back: each is handled when that comes, or in its place of its key. */
  readonly takenBack?: "late" | "in order";
  /** Stages that may run with several actors. */
  readonly divisible: readonly string[];
}

/** Stands in the plan for the target that the world puts in its place. */
export const target = <T>() => defineSink<T, number>({ kind: "simulated", guarantee: "transactional", start: 0, open: () => Promise.reject(new Error("no target was put in")) });

interface Counted { readonly key: string; readonly n: number; readonly id: number; readonly from: string; readonly copy: number }
interface Copy extends Item { readonly copy: number }

/** An update for each event: the count of its key. */
const counting = () => aggregate({
  initial: () => ({ n: 0, id: 0, from: "", copy: 0 }),
  add: ({ n }, { id, from, copy }: Copy) => ({ n: n + 1, id, from, copy }),
  result: (value, { key }): Counted => ({ key: key as string, ...value }),
});

// No source is silent: what it waits for is the scheduler, which may let any time pass meanwhile (P27 would follow the wall clock).
export const time = (disorder: "any" | number): SourceOptions<Item> => ({ time: { of: (item) => item.time, outOfOrder: disorder, idleAfter: "never" } });
const copies = ({ id }: Item): number => (id % 5 === 4 ? 0 : id % 4 === 1 ? 2 : 1);
const copied = (item: Item): Copy[] => Array.from({ length: copies(item) }, (_, copy) => ({ ...item, copy }));
export const planned = (flow: unknown): FlowPlan => planOf(flow) as FlowPlan;

function counted(observed: Observed, expected: readonly Copy[], whole: boolean): string | undefined {
  return bySequence(observed.all as readonly Counted[], expected, ({ key }) => key, ({ key }) => key, whole)
    ?? inOrderOf(observed, (of) => (of as Counted).key, (of) => (of as Counted).n);
}

const chain: SimulatedFlow = {
  name: "chain",
  plan: planned(defineFlow("chain", (flow) => {
    const feed = flow.source("feed", simulatedSource("feed"), time(0));
    const felt = flow.processor("felt", feed, flatMap(copied));
    const count = flow.processor("count", felt.keyBy(({ key }) => key), { parallelism: 2 }, counting());
    flow.sink("report", count, target<Counted>());
  })),
  feed: (chance, most) => feedOf(chance, { sources: { feed: chance.between(1, 2) }, most, keys: 3, disorder: 2 }),
  wrong: (observed, feed, whole) => counted(observed, itemsOf(feed).flatMap(copied), whole),
  divisible: ["feed", "count", "report"],
};

const merge: SimulatedFlow = {
  name: "merge",
  plan: planned(defineFlow("merge", (flow) => {
    const left = flow.source("left", simulatedSource("left"), time("any")), right = flow.source("right", simulatedSource("right"), time(0));
    const both = flow.processor("both", left.merge(right), map((item: Item): Copy => ({ ...item, copy: 0 })));
    const count = flow.processor("count", both.keyBy(({ key }) => key), { parallelism: 2 }, counting());
    flow.sink("report", count, target<Counted>());
  })),
  feed: (chance, most) => feedOf(chance, { sources: { left: chance.between(0, 2), right: 1 }, most, keys: 3, disorder: 0 }),
  wrong: (observed, feed, whole) => counted(observed, itemsOf(feed).map((item) => ({ ...item, copy: 0 })), whole),
  divisible: ["left", "count", "report"],
};

/** Keyless events, dealt over competing workers: all of them, each once. */
const dealt: SimulatedFlow = {
  name: "dealt",
  plan: planned(defineFlow("dealt", (flow) => {
    const feed = flow.source("feed", simulatedSource("feed"), time("any"));
    const work = flow.processor("work", feed, { parallelism: 2 }, flatMap(copied));
    flow.sink("report", work, { parallelism: 2 }, target<Copy>());
  })),
  feed: (chance, most) => feedOf(chance, { sources: { feed: chance.between(1, 2) }, most, keys: 3, disorder: 0 }),
  wrong({ all, lost }, feed, whole) {
    const name = ({ id, copy }: Copy) => `${id}.${copy}`, found = (all as readonly Copy[]).map(name).sort(), expected = itemsOf(feed).flatMap(copied).map(name).sort();
    // Who deals anew after a loss may deal to another one before the first one parks: twice is wrong, but not in silence.
    if (new Set(found).size !== found.length && (whole || !lost)) return `twice: ${found}`;
    return found.every((one) => expected.includes(one)) && (!whole || found.length === expected.length) ? undefined : `the target holds ${found}, expected ${expected}`;
  },
  divisible: ["feed", "work", "report"],
};

interface Step { readonly key: string; readonly what: string; readonly n: number }

const timed = (name: string, order: "time" | "arrival", disorder: "any" | number): SimulatedFlow => ({
  name,
  plan: planned(defineFlow(name, (flow) => {
    const feed = flow.source("feed", simulatedSource("feed"), time(disorder));
    const quiet = flow.processor("quiet", feed.keyBy(({ key }) => key), { parallelism: 2, order }, stateful({
      initial: () => ({ n: 0 }),
      on({ n }, { id, key }: Item, ctx: Emits<Step>) {
        ctx.emit({ key, what: `event ${id}`, n: n + 1 });
        ctx.timer(`one ${id}`, 1_500);
        ctx.timer("idle", 2_500);
        if (id % 3 === 0) ctx.cancelTimer(`one ${id - 3}`);
        return { n: n + 1 };
      },
      onTimer({ n }, timer, ctx: Emits<Step>) {
        ctx.emit({ key: ctx.key as string, what: `${timer.name} at ${timer.time}`, n: n + 1 });
        return { n: n + 1 };
      },
    }));
    flow.sink("report", quiet, target<Step>());
  })),
  feed: (chance, most) => feedOf(chance, { sources: { feed: 1 }, most, keys: 3, disorder: 3 }),
  wrong(observed, feed, whole) {
    const steps = [...(observed.all as readonly Step[])].sort((a, b) => a.n - b.n), items = itemsOf(feed);
    const wrongOrder = inOrderOf(observed, (of) => (of as Step).key, (of) => (of as Step).n);
    if (wrongOrder !== undefined) return wrongOrder;
    for (const key of "abc") {
      const found = steps.filter((step) => step.key === key).map(({ what }) => what), expected = stepsOf(items.filter((item) => item.key === key));
      if (order === "time") {
        const right = whole ? found.length === expected.length : true;
        if (!right || found.some((what, i) => what !== expected[i])) return `key ${key} gave ${found.join(", ")}; expected ${expected.join(", ")}`;
        continue;
      }
      // By arrival, when a timer fires depends on when time was told; that each event and each own timer is there once does not.
      const events = found.filter((what) => what.startsWith("event")), ids = items.filter((item) => item.key === key).map(({ id }) => `event ${id}`);
      if (events.some((what, i) => what !== ids[i]) || (whole && events.length !== ids.length)) return `key ${key} gave ${events.join(", ")}; expected ${ids.join(", ")}`;
      if (new Set(found).size !== found.length) return `key ${key} gave something twice: ${found.join(", ")}`;
      if (whole) for (const item of items) if (item.key === key && item.id % 3 !== 0 && !items.some(({ id, key: other }) => id === item.id + 3 && id % 3 === 0 && other === key) && !found.includes(`one ${item.id} at ${item.time + 1_500}`)) return `timer one ${item.id} of ${key} did not fire: ${found.join(", ")}`;
    }
    return undefined;
  },
  divisible: ["quiet", "report"],
});

/** What a key gives in the order of time: its events, and its timers before later events. */
function stepsOf(items: readonly Item[]): readonly string[] {
  const steps: string[] = [], timers = new Map<string, number>();
  const fire = (until: number) => {
    for (;;) {
      const [due] = [...timers].filter(([, at]) => at < until).sort(([a, at], [b, bt]) => at - bt || (a < b ? -1 : 1));
      if (due === undefined) return;
      timers.delete(due[0]);
      steps.push(`${due[0]} at ${due[1]}`);
    }
  };
  for (const { id, time: at } of [...items].sort((a, b) => a.time - b.time)) {
    fire(at);
    steps.push(`event ${id}`);
    timers.set(`one ${id}`, at + 1_500);
    timers.set("idle", at + 2_500);
    if (id % 3 === 0) timers.delete(`one ${id - 3}`);
  }
  fire(Infinity);
  return steps;
}

interface Window { readonly key: string; readonly start: number; readonly ids: readonly number[] }
const size = 3_000;

const windows = (name: string, disorder: "any" | number): SimulatedFlow => ({
  name,
  plan: planned(defineFlow(name, (flow) => {
    const feed = flow.source("feed", simulatedSource("feed"), time(disorder));
    const felt = flow.processor("felt", feed, flatMap(copied));
    const count = flow.processor("count", felt.keyBy(({ key }) => key), { parallelism: 2 }, aggregate({
      window: tumbling(size),
      initial: (): number[] => [],
      add: (ids, { id, copy }: Copy) => [...ids, id + copy / 10],
      result: (ids, { key, window }): Window => ({ key: key as string, start: window.start, ids: [...ids].sort((a, b) => a - b) }),
    }));
    flow.sink("report", count, { order: "time" }, target<Window>());
  })),
  feed: (chance, most) => feedOf(chance, { sources: { feed: typeof disorder === "number" ? 1 : chance.between(1, 2) }, most, keys: 3, disorder: 3 }),
  wrong(observed, feed, whole) {
    const table = new Map<string, Window & { ids: number[] }>();
    for (const { key, time: at, id, copy } of itemsOf(feed).flatMap(copied).sort((a, b) => a.id - b.id || a.copy - b.copy)) {
      const start = Math.floor(at / size) * size, name = `${start} ${key}`, found = table.get(name) ?? { key, start, ids: [] };
      found.ids.push(id + copy / 10);
      table.set(name, found);
    }
    const expected = [...table.values()].sort((a, b) => a.start - b.start || (a.key < b.key ? -1 : 1));
    return exactly(observed, expected, whole, ({ start }) => start);
  },
  divisible: ["count", "report"],
});

/** Two sources in the order of time, twice: exactly one result. */
const ordered: SimulatedFlow = {
  name: "ordered",
  plan: planned(defineFlow("ordered", (flow) => {
    const left = flow.source("left", simulatedSource("left"), time(3_000)), right = flow.source("right", simulatedSource("right"), time("any"));
    const rank = flow.processor("rank", left.merge(right).keyBy(({ key }) => key), { parallelism: 2, order: "time" }, stateful({
      initial: () => 0,
      on(n, { id, key }: Item, ctx: Emits<{ key: string; n: number; id: number }>) {
        ctx.emit({ key, n: n + 1, id });
        return n + 1;
      },
    }));
    flow.sink("report", rank, { order: "time" }, target());
  })),
  feed: (chance, most) => feedOf(chance, { sources: { left: 1, right: chance.between(1, 2) }, most: Math.ceil(most / 2), keys: 3, disorder: 3 }),
  wrong(observed, feed, whole) {
    const counts = new Map<string, number>();
    const expected = [...itemsOf(feed)].sort((a, b) => a.time - b.time).map(({ key, id }) => {
      counts.set(key, (counts.get(key) ?? 0) + 1);
      return { key, n: counts.get(key), id };
    }), times = new Map(itemsOf(feed).map((item) => [item.id, item.time]));
    return exactly(observed, expected, whole, ({ id }) => times.get(id) as number);
  },
  divisible: ["rank", "report"],
};

/** The exact contents of a sink; of several actors, each one's share of it by key; where it was scaled, all of it, in each target in the order of time. */
function exactly<T extends { readonly key: string }>({ parts, partitionOf }: Observed, expected: readonly T[], whole: boolean, timeOf: (row: T) => number): string | undefined {
  const lines = (rows: readonly T[]): readonly string[] => rows.map((row) => JSON.stringify(row));
  if (partitionOf === undefined) {
    for (const [partition, data] of (parts as readonly T[][]).entries()) if (data.some((row, i) => i > 0 && timeOf(row) < timeOf(data[i - 1] as T))) return `target ${partition} is not in the order of time:\n  ${lines(data).join("\n  ")}`;
    const found = lines(parts.flat() as T[]), all = lines(expected);
    return new Set(found).size === found.length && found.every((line) => all.includes(line)) && (!whole || found.length === all.length) ? undefined : `the targets hold\n  ${found.join("\n  ")}\nexpected\n  ${all.join("\n  ")}`;
  }
  for (const [partition, data] of parts.entries()) {
    const mine = lines(expected.filter(({ key }) => partitionOf(key) === partition)), found = lines(data as readonly T[]);
    if (found.some((line, i) => line !== mine[i]) || (whole && found.length !== mine.length)) return `target ${partition} holds\n  ${found.join("\n  ")}\nexpected\n  ${mine.join("\n  ")}`;
  }
  return undefined;
}

const behave = ({ id, trouble }: Item, { attempt }: Context): void => {
  const times = host().times(`event ${id}`);
  if (host().fails("handler")) throw new Error(`event ${id} fails for once`);
  if (trouble === "retry" && attempt < 2) throw new RetryableError("not now", { retryAfter: 300 });
  if (trouble === "retry twice" && attempt < 3) throw new RetryableError("not now", { retryAfter: 200 });
  if (trouble === "terminal") throw new TerminalError("never");
  if (trouble === "poison" || (trouble === "crash once" && times === 1)) throw new Error(`event ${id} crashes`);
};

const lost = ({ trouble }: Item): boolean => trouble === "terminal" || trouble === "poison";

/** Retries, dead letters and crashes in the middle of what an event does. */
const trouble: SimulatedFlow = {
  name: "trouble",
  letters: true,
  plan: planned(defineFlow("trouble", (flow) => {
    const feed = flow.source("feed", simulatedSource("feed"), time("any"));
    const felt = flow.processor("felt", feed.keyBy(({ key }) => key), stateful({
      initial: () => 0,
      on(n, item: Item, ctx: Emits<Copy>) {
        ctx.emit({ ...item, copy: 0 });
        behave(item, ctx);
        ctx.emit({ ...item, copy: 1 });
        return n + 1;
      },
    }));
    const count = flow.processor("count", felt.keyBy(({ key }) => key), { parallelism: 2 }, counting());
    flow.sink("report", count, target<Counted>());
  })),
  feed: (chance, most) => feedOf(chance, { sources: { feed: 1 }, most, keys: 2, disorder: 0, trouble: ["retry", "retry twice", "terminal", "poison", "crash once"] }),
  wrong(observed, feed, whole) {
    const items = itemsOf(feed), good = items.filter((item) => !lost(item)).flatMap((item) => [{ ...item, copy: 0 }, { ...item, copy: 1 }]);
    return counted(observed, good, whole) ?? lettersWrong(observed, items, whole);
  },
  divisible: ["count", "report"],
};

function lettersWrong({ letters }: Observed, items: readonly Item[], whole: boolean): string | undefined {
  const found = letters.map(({ code, event }) => `${code} ${(event.data as Item).id}`).sort();
  const expected = items.filter(lost).map(({ id, trouble: what }) => `${what === "poison" ? "POISON" : "TERMINAL"} ${id}`).sort();
  const right = whole ? found.length === expected.length : new Set(found).size === found.length;
  if (!right || found.some((letter) => !expected.includes(letter)) || new Set(found).size !== found.length) return `dead letters are ${found.join(", ") || "none"}; expected ${expected.join(", ") || "none"}`;
  for (const { code, actor, event } of letters) {
    if (code !== "POISON") continue;
    // A try that is in the log counts, though its actor ended before the handler was called (PROTOCOL 9).
    const { id } = event.data as Item, ran = host().times(`event ${id}`) - 1, cutOff = host().times(`cut off ${actor}`) - 1;
    if (ran + cutOff < 3) return `event ${id} was given up after ${ran} tries`;
  }
  return undefined;
}

/** Handlers that are not done at once: several ahead, then one at a time with state. */
const slow: SimulatedFlow = {
  name: "slow",
  letters: true,
  plan: planned(defineFlow("slow", (flow) => {
    const feed = flow.source("feed", simulatedSource("feed"), time("any"));
    const felt = flow.processor("felt", feed, map(async (item: Item, ctx): Promise<Copy> => {
      await host().turn(ctx.log);
      if (item.trouble !== undefined) behave(item, ctx);
      return { ...item, copy: 0 };
    }, { concurrency: 3 }));
    const count = flow.processor("count", felt.keyBy(({ key }) => key), { parallelism: 2 }, stateful({
      initial: () => 0,
      async on(n, { id, from, key, copy }: Copy, ctx: Emits<Counted>) {
        if (id % 2 === 0) await host().turn(ctx.log);
        ctx.emit({ key, n: n + 1, id, from, copy });
        if (id % 3 === 0) await host().turn(ctx.log);
        return n + 1;
      },
    }));
    flow.sink("report", count, target<Counted>());
  })),
  feed: (chance, most) => feedOf(chance, { sources: { feed: chance.between(1, 2) }, most, keys: 2, disorder: 0, trouble: chance.hits(0.5) ? [] : ["crash once", "terminal", "poison"] }),
  wrong(observed, feed, whole) {
    const items = itemsOf(feed);
    return counted(observed, items.filter((item) => !lost(item)).map((item) => ({ ...item, copy: 0 })), whole) ?? lettersWrong(observed, items, whole);
  },
  divisible: ["count", "report"],
};

export const flows: readonly SimulatedFlow[] = [
  chain, merge, dealt, timed("timers", "time", "any"), timed("timers-live", "time", 2_000), timed("timers-late", "arrival", 2_000),
  windows("windows", "any"), windows("windows-live", 2_000), ordered, trouble, slow,
];
