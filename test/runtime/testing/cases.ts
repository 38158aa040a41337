// Small flows of every kind of stage, for tests that run each of them in several ways and compare what comes out.
import { defineFlow, type Emits, type Flow, TerminalError } from "millrace";
import { aggregate, branch, flatMap, jsonl, map, pipe, stateful, tumbling } from "millrace/actors";
import { advance, at, end, testFlow, type TestFlowOptions, type Token } from "millrace/testing";

export interface Item {
  readonly key: string;
  readonly n: number;
  readonly time: number;
}

export interface Case {
  readonly name: string;
  readonly flow: Flow<unknown>;
  /** Stages that can be crashed, the source first. */
  readonly stages: readonly string[];
  /** What is compared: stages, and further outputs as "stage.output". */
  readonly outputs: readonly string[];
  /** How many events each gives in all, and how many dead letters there are: so that nothing is compared with nothing. */
  readonly counts: readonly number[];
}

/** Whatever its types are. */
export interface LooseTest extends AsyncDisposable {
  send(source: string, ...items: unknown[]): Promise<void>;
  end(): Promise<void>;
  advance(by: string): Promise<void>;
  crash(stage: string, point?: string): Promise<void>;
  output(stage: string, output?: string): readonly unknown[];
  events(stage: string): readonly { readonly id: string; readonly time: number; readonly data: unknown }[];
  state(stage: string, key: unknown): unknown;
  query(stage: string, key: unknown, query: string, ...args: unknown[]): unknown;
  deadLetters(stage?: string): readonly { readonly event: { readonly data: unknown }; readonly reason: string; readonly error: Error }[];
}

export const loose = async (flow: Flow<unknown>, options?: TestFlowOptions): Promise<LooseTest> => (await testFlow(flow, options)) as unknown as LooseTest;

const minute = 60_000;
/** Keys a to c in turn; time goes on by 20 s, and every fifth one is a minute behind. */
export const items: readonly Item[] = Array.from({ length: 12 }, (_, i) => ({ key: "abc"[i % 3] as string, n: i, time: 100 * minute + i * 20_000 - (i % 5 === 4 ? minute : 0) }));

const live = { time: { of: (item: Item) => item.time, outOfOrder: 0 } };

const stateless: Case = {
  name: "stateless", stages: ["items", "halves", "out", "odd"], outputs: ["items", "halves", "halves.odd", "out", "odd"], counts: [12, 10, 12, 10, 12, 1],
  flow: defineFlow("stateless", (flow) => {
    const source = flow.source("items", jsonl.source<Item>("x"));
    const halves = flow.processor("halves", source.keyBy((item) => item.key), { parallelism: 2 }, pipe(
      flatMap((item: Item) => {
        if (item.n === 4) throw new TerminalError("no four");
        return [{ ...item, half: 1 }, { ...item, half: 2 }];
      }),
      branch({ odd: (item: Item) => item.n % 2 === 1 }),
    ));
    flow.sink("out", halves, { parallelism: 2 }, jsonl.sink("x{partition}"));
    flow.sink("odd", halves.odd, jsonl.sink("x"));
  }),
};

const totals: Case = {
  name: "aggregate", stages: ["items", "totals", "out"], outputs: ["totals", "out"], counts: [12, 12, 0],
  flow: defineFlow("totals", (flow) => {
    const source = flow.source("items", jsonl.source<Item>("x"));
    const sums = flow.processor("totals", source.keyBy((item) => item.key), { parallelism: 2 }, aggregate({
      initial: () => ({ count: 0, sum: 0 }), add: ({ count, sum }, { n }) => ({ count: count + 1, sum: sum + n }), result: (value, { key }) => ({ key, ...value }),
    }));
    flow.sink("out", sums, jsonl.sink("x"));
  }),
};

const windows: Case = {
  name: "windowed", stages: ["items", "windows", "out", "late"], outputs: ["windows", "windows.late", "out", "late"], counts: [10, 1, 10, 1, 0],
  flow: defineFlow("windows", (flow) => {
    const source = flow.source("items", jsonl.source<Item>("x"), live);
    const counts = flow.processor("windows", source.keyBy((item) => item.key), { parallelism: 2 }, aggregate({
      window: tumbling("1m"), late: true, initial: () => 0, add: (count) => count + 1, result: (count, { key, window }) => ({ key, start: window.start, count }),
    }));
    flow.sink("out", counts, jsonl.sink("x"));
    flow.sink("late", counts.late, jsonl.sink("x"));
  }),
};

const timers: Case = {
  name: "stateful with timers", stages: ["items", "visits", "named", "out"], outputs: ["visits", "named", "out"], counts: [8, 8, 8, 0],
  flow: defineFlow("timers", (flow) => {
    const source = flow.source("items", jsonl.source<Item>("x"), live);
    const visits = flow.processor("visits", source.keyBy((item) => item.key), { parallelism: 3 }, stateful({
      initial: () => ({ seen: [] as number[] }),
      on(state, { n }, ctx: Emits<{ key: string; what: string; seen: number[] }, string>) {
        const seen = [...state.seen, n];
        ctx.timer("quiet", "70s");
        if (n % 4 === 0) ctx.emit({ key: ctx.key, what: "event", seen });
        return { seen };
      },
      onTimer({ seen }, timer, ctx: Emits<{ key: string; what: string; seen: number[] }, string>) {
        ctx.emit({ key: ctx.key, what: timer.name, seen: [...seen] });
        return null;
      },
    }));
    const named = flow.processor("named", visits, map((visit) => ({ ...visit, name: visit.key.toUpperCase() })));
    flow.sink("out", named, { order: "time" }, jsonl.sink("x"));
  }),
};

const ordered: Case = {
  name: "order: time", stages: ["items", "ranked", "out"], outputs: ["ranked", "out"], counts: [12, 12, 0],
  flow: defineFlow("ordered", (flow) => {
    const source = flow.source("items", jsonl.source<Item>("x"), { time: (item) => item.time });
    const ranked = flow.processor("ranked", source.keyBy((item) => item.key), { parallelism: 2, order: "time" }, stateful({
      initial: () => 0,
      on(rank, { key, n }, ctx: Emits<{ key: string; n: number; rank: number }>) {
        ctx.emit({ key, n, rank: rank + 1 });
        return rank + 1;
      },
    }));
    flow.sink("out", ranked, { order: "time" }, jsonl.sink("x"));
  }),
};

export const cases: readonly Case[] = [stateless, totals, windows, timers, ordered];

export interface Way extends TestFlowOptions {
  /** What happens around item i. */
  readonly around?: (i: number) => { readonly before?: readonly Token[]; readonly after?: readonly Token[] };
}

/** What a case gives; of a stage with several actors in the order of each key. */
export async function outcome({ flow, outputs }: Case, { around = () => ({}), ...options }: Way = {}): Promise<Readonly<Record<string, readonly string[]>>> {
  await using t = await loose(flow, options);
  const sent = items.flatMap((item, i) => {
    const { before = [], after = [] } = around(i), time = i === 9 ? [advance("1m")] : [];
    return [...before, i === 8 ? at(item.time, item, { id: "eight" }) : item, ...after, ...time];
  });
  await t.send("items", ...sent, end);
  const lines = (rows: readonly unknown[]) => rows.map((row) => ({ key: String((row as { key?: string }).key), text: JSON.stringify(row) })).sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0)).map(({ text }) => text);
  const given = outputs.map((name) => { const [stage = "", output] = name.split("."); return [name, lines(output === undefined ? t.output(stage) : t.output(stage, output))] as const; });
  return { ...Object.fromEntries(given), "dead letters": lines(t.deadLetters().map(({ reason, event }) => ({ reason, ...(event.data as object) }))) };
}
