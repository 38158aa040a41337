// Types flow from stage to stage without annotations. Each `same<A>()(value)` compiles only if value has exactly type A.
// Compiled, never run: types.test.ts holds it.
import { defineFlow, defineSink, defineSource, type Accept, type Batch, type Context, type Emits, type Keyed, type Sink, type Stream } from "millrace";
import * as m from "millrace/actors";
import { z } from "zod";

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
declare function same<A>(): <B>(value: B, ...proof: Equal<A, B> extends true ? [] : [{ expected: A; found: B }]) => void;
declare function data<A>(): <B>(value: Stream<B>, ...proof: Equal<A, B> extends true ? [] : [{ expected: A; found: B }]) => void;

interface Quake { place: string; mag: number | null; time: number; region: string }
interface Bid { kind: "bid"; auction: number; price: number }
interface Person { kind: "person"; id: number; name: string }

defineFlow("inference", (flow) => {
  const quakes = flow.source("quakes", m.jsonl.source<Quake>("q.jsonl"), { time: (q) => { same<Quake>()(q); return q.time; } });
  const bids = flow.source("events", m.jsonl.source<Bid | Person>("e.jsonl"));
  data<Quake>()(quakes);

  // One operator to eight, and nested pipes.
  data<string>()(flow.processor("p1", quakes, m.map((q) => q.place)));
  data<number>()(flow.processor("p2", quakes, m.pipe(m.map((q) => q.place), m.map((p) => p.length))));
  const eight = flow.processor("p8", quakes, { parallelism: 2 }, m.pipe(
    m.filter((q) => q.mag !== null), m.map((q) => ({ mag: q.mag ?? 0, region: q.region })), m.filter((x) => x.mag > 2), m.map((x) => [x.region, x.mag] as const),
    m.flatMap((x) => [x, x]), m.map(([region, mag]) => ({ region, mag })), m.filter((x) => x.mag < 9), m.map(async (x) => x.mag.toFixed(1)),
  ));
  data<string>()(eight);
  data<number>()(flow.processor("nested", quakes, m.pipe(m.pipe(m.map((q) => q.place), m.filter((p) => p !== "")), m.map((p) => p.length))));

  // A chain kept for reuse needs one annotation, on its first step.
  const strong = m.pipe(m.filter((q: Quake) => (q.mag ?? 0) > 6), m.map((q) => ({ at: q.time })));
  data<{ at: number }>()(flow.processor("strong", quakes, strong));

  // Type guards narrow, also those that the compiler sees by itself.
  data<Bid>()(flow.processor("bids", bids, m.filter((e) => e.kind === "bid")));
  const sorted = flow.processor("sorted", bids, m.branch({ people: (e) => e.kind === "person", dear: (e) => e.kind === "bid" && e.price > 9 }));
  data<Person>()(sorted.people);
  data<Bid | Person>()(sorted.dear);
  data<Bid>()(sorted); // the rest: people are gone

  // Generators and async generators.
  data<number>()(flow.processor("g", bids, m.flatMap(function* (e) { if (e.kind === "bid") yield e.price; })));
  data<number>()(flow.processor("ag", bids, m.flatMap(async function* (e) { if (e.kind === "bid") yield e.price; })));
  data<string>()(flow.processor("af", bids, m.flatMap(async (e) => (e.kind === "bid" ? [String(e.price)] : []))));

  // merge and keyBy.
  data<Quake | Bid | Person>()(quakes.merge(bids));
  same<Keyed<Quake, string>>()(quakes.keyBy((q) => q.region));
  same<Keyed<Quake | Bid | Person, string>>()(quakes.keyBy((q) => q.region).merge(bids.keyBy((e): string => e.kind)));

  data<Quake | Bid | Person | string>()(quakes.merge(bids, flow.source("third", m.text.source("t.txt"))));
  const parts: Stream<string>[] = ["a", "b"].map((name) => flow.source(name, m.text.source(name)));
  data<string>()(parts.reduce((a, b) => a.merge(b)));
  // A key orders a stage that keeps no state, too.
  data<string>()(flow.processor("by-key", quakes.keyBy((q) => q.region), { parallelism: 8 }, m.map((q) => q.place)));
  // Operators of one's own are functions.
  const atLeast = <T extends { mag: number | null }>(mag: number) => m.filter((q: T) => (q.mag ?? 0) >= mag);
  data<Quake>()(flow.processor("at-least", quakes, atLeast(4)));
  const label = async (q: Quake, ctx: Context) => `${ctx.event.id} ${q.place}`;
  data<string>()(flow.processor("label", quakes, m.map(label, { concurrency: 8 })));

  // aggregate: value from `initial`, key from keyBy, window only with a window.
  const byRegion = flow.processor("by-region", quakes.keyBy((q) => q.region), m.aggregate({
    window: m.tumbling("6h"), late: true,
    initial: () => ({ count: 0 }),
    add: (sum, q) => { same<Quake>()(q); return { count: sum.count + 1 }; },
    result: (sum, { key, window, final }) => { same<string>()(key); same<number>()(window.start); same<boolean>()(final); return { key, ...sum }; },
  }));
  data<{ count: number; key: string }>()(byRegion);
  data<Quake>()(byRegion.late);
  const plain = flow.processor("plain", quakes.keyBy((q) => q.time), m.aggregate({ initial: () => 0, add: (n) => n + 1 }));
  data<{ readonly key: number; readonly value: number }>()(plain);

  // A late output of an aggregate inside a pipe, and a branch at its end: both are on the handle.
  const both = flow.processor("both", quakes.keyBy((q) => q.region), m.pipe(
    m.aggregate({ window: m.tumbling("5m"), late: true, initial: () => 0, add: (n) => n + 1, result: (n, { key }) => ({ region: key, n }) }),
    m.branch({ busy: (x) => x.n > 10 }),
  ));
  data<Quake>()(both.late);
  data<{ region: string; n: number }>()(both.busy);

  // reduce
  const strongest = flow.processor("strongest", quakes.keyBy((q) => q.region), m.reduce({ window: m.tumbling("1d"), combine: (a, b) => { same<Quake>()(b); return (a.mag ?? 0) > (b.mag ?? 0) ? a : b; } }));
  data<Quake>()(strongest);

  // summarize
  const summary = flow.processor("summary", bids.keyBy((e) => e.kind), m.summarize({ window: m.tumbling("10s"), of: { n: m.count(), top: m.max((e) => (e.kind === "bid" ? e.price : 0)), last: m.last() } }));
  data<number>()(flow.processor("x", summary, m.map((s) => { same<"bid" | "person">()(s.key); same<Bid | Person>()(s.last); same<number>()(s.window.end); return s.n + s.top; })));

  // stateful: one annotation says what is emitted; the rest is inferred.
  const velocity = flow.processor("velocity", quakes.keyBy((q) => q.region), { parallelism: 8 }, m.stateful({
    initial: (region) => { same<string>()(region); return { count: 0, last: null as Quake | null }; },
    async on(state, q, ctx: Emits<{ region: string }>) { same<Quake>()(q); if (state.count > 5) ctx.emit({ region: q.region }); ctx.timer("t", "10m"); return { count: state.count + 1, last: q }; },
    onTimer(state, timer, ctx) { same<string>()(timer.name); if (state.count > 1) ctx.emit({ region: String(ctx.key) }); return null; },
    queries: { count: (state) => state.count, more: (state, than: number) => state.count > than },
  }));
  data<{ region: string }>()(velocity);
  const silent = flow.processor("silent", quakes.keyBy((q) => q.region), m.stateful({ initial: () => [] as Quake[], on: (state, q) => [...state, q] }));
  data<never>()(silent);

  data<{ a: number }>()(flow.processor("valid", bids, m.validate(z.object({ a: z.number() }))));

  // A schema gives the source its type; `time` and all that follows see it.
  const paid = flow.source("paid", m.jsonl.source("paid.jsonl"), { schema: z.object({ id: z.string(), at: z.iso.datetime() }), time: (p) => p.at });
  data<{ id: string; at: string }>()(paid);
  data<Record<string, string>>()(flow.source("table", m.csv.source("t.csv")));
  data<Quake>()(flow.source("feed", m.json.source<Quake>("f.json", { at: "features" })));

  // A sub-flow is a function.
  const clean = (part: typeof flow, raw: Stream<string>) => part.processor("clean", raw, m.pipe(m.map((line) => line.trim()), m.filter((line) => line !== "")));
  data<string>()(clean(flow.subflow("eu"), flow.source("eu", m.text.source("eu.log"))));

  const out: Sink<Quake> = flow.sink("out", quakes, m.jsonl.sink("x.jsonl"));
  flow.sink("print", quakes.merge(bids), m.stdout());
  const kept: string[] = [];
  // Where a stage may run changes no type.
  const zones = ["zone=a", "disk"] as const;
  data<string>()(flow.processor("placed", flow.source("near", m.jsonl.source<Quake>("n.jsonl"), { place: { label: "zone=a" } }), { place: { label: zones, spread: true, standby: 2 } }, m.map((q) => q.place)));
  flow.sink("kept", eight.keyBy((text) => text), { parallelism: 2, order: "time", place: { standby: 1 } }, m.collect(kept));
  return { quakes, velocity, byRegion, out };
});

// Authors' own sources and sinks.
const ticks = defineSource({
  kind: "ticks", guarantee: "replayable", start: 0,
  async *read(from, ctx) { same<number>()(from); for (let n = from; !ctx.signal.aborted; n++) yield { data: { n }, position: n + 1, time: n * 1000 }; },
});
const pages = defineSource({
  kind: "pages", guarantee: "replayable", start: { page: 0 }, splits: async () => ["a", "b"],
  async *read({ page }, { split }) { for (;;) { const rows: { id: string }[] = []; if (rows.length === 0) return; yield rows.map((row) => ({ data: { ...row, split }, position: { page: page + 1 } })); } },
});
const hook = defineSource({
  kind: "hook", guarantee: "acknowledged",
  async listen(accept: Accept<{ body: string }>, ctx) { await accept([{ data: { body: "x" }, id: "1" }]); ctx.log.info("done"); },
});
const rows = defineSink({
  kind: "rows", guarantee: "transactional", start: 0,
  async open(ctx) { same<number>()(ctx.last.mark); return { written: ctx.last, write: async (batch: Batch<{ n: number }>) => ctx.last.mark + batch.events.length }; },
});
defineFlow("own", (flow) => {
  const t = flow.source("ticks", ticks);
  data<{ n: number }>()(t);
  data<{ split: string; id: string }>()(flow.source("pages", pages));
  data<{ body: string }>()(flow.source("hook", hook));
  flow.sink("rows", t, rows);
});
