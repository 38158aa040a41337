// What a flow's handles say to tests and clients. Compiled, never run: types.test.ts holds it.
import type { Emits, Flow } from "millrace";
import { defineFlow } from "millrace";
import * as m from "millrace/actors";
import type { Answer, Arguments, KeyOf, NamesOf, QueriesOf, Queryable, Readable, StateOf, Stateful } from "../../runtime/flow/face.ts";
import type { DataOf, OutputsOf, Sink, Source } from "../../runtime/flow/stream.ts";

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
declare function is<A, B>(...proof: Equal<A, B> extends true ? [] : [{ expected: A; found: B }]): void;
type FaceOf<F> = F extends Flow<infer X> ? X : never;

interface Quake { mag: number; time: number; region: string }

const quakes = defineFlow("quakes", (flow) => {
  const feed = flow.source("feed", m.jsonl.source<Quake>("q.jsonl"));
  const felt = flow.processor("felt", feed, m.branch({ strong: (q) => q.mag > 6 }));
  const byRegion = flow.processor("by-region", felt.keyBy((q) => q.region), m.aggregate({
    window: m.tumbling("1h"), late: true, initial: () => ({ count: 0 }), add: ({ count }) => ({ count: count + 1 }),
  }));
  const seen = flow.processor("seen", felt.strong.keyBy((q) => q.time), m.stateful({
    initial: () => ({ count: 0 }),
    on(state, q, ctx: Emits<string>) { ctx.emit(q.region); return { count: state.count + 1 }; },
    queries: { count: (state) => state.count, above: (state, than: number) => state.count > than },
  }));
  const report = flow.sink("report", byRegion, m.stdout());
  return { feed, felt, byRegion, seen, report };
});

type X = FaceOf<typeof quakes>;
is<"byRegion" | "seen", Stateful<X>>();
is<"seen", Queryable<X>>();
is<"feed" | "felt" | "byRegion" | "seen" | "report", Readable<X>>();
is<"feed", NamesOf<X, Source<unknown>>>();
is<"report", NamesOf<X, Sink<unknown>>>();
is<string, KeyOf<X["byRegion"]>>();
is<number, KeyOf<X["seen"]>>();
is<{ count: number }, StateOf<X["seen"]>>();
is<{ count: number }, StateOf<X["byRegion"]>[number]["value"]>();
is<{ strong: Quake }, OutputsOf<X["felt"]>>();
is<{ late: Quake }, OutputsOf<X["byRegion"]>>();
is<[than: number], Arguments<QueriesOf<X["seen"]>["above"]>>();
is<boolean, Answer<QueriesOf<X["seen"]>["above"]>>();
is<Quake, DataOf<X["feed"]>>();
is<string, DataOf<X["seen"]>>();
