// Each statement after a `@ts-expect-error` holds one mistake and does not compile; behind => is a part of what the compiler says.
// Compiled, never run: types.test.ts holds it, the messages too, so that none is refused for another reason than its own.
import { defineFlow, defineSink, RetryableError, type Emits } from "millrace";
import { aggregate, branch, collect, filter, jsonl, map, pipe, reduce, stateful, summarize, sum, text, tumbling } from "millrace/actors";

interface Quake { place: string; mag: number | null; time: number; region: string }
interface Payment { account: string; amount: number }
interface Alert { account: string }

defineFlow("refused", (flow) => {
  const quakes = flow.source("quakes", jsonl.source<Quake>("q.jsonl"));
  const payments = flow.source("payments", jsonl.source<Payment>("p.jsonl"));
  const byRegion = quakes.keyBy((q) => q.region);

  // ── a wrong field
  // @ts-expect-error in an operator => 'magnitude' does not exist on type 'Quake'
  flow.processor("a", quakes, map((q) => q.magnitude));
  // @ts-expect-error in the middle of a chain => 'lenght' does not exist on type 'string'
  flow.processor("a", quakes, pipe(filter((q) => q.mag !== null), map((q) => q.place), map((place) => place.lenght)));
  // @ts-expect-error in a key => 'regoin' does not exist on type 'Quake'
  quakes.keyBy((q) => q.regoin);
  // @ts-expect-error in the time of a source => 'tiem' does not exist on type 'Quake'
  flow.source("a", jsonl.source<Quake>("q.jsonl"), { time: (q) => q.tiem });
  // @ts-expect-error in what an aggregate adds => 'magn' does not exist on type 'Quake'
  flow.processor("a", byRegion, aggregate({ initial: () => ({ n: 0 }), add: (s, q) => ({ n: s.n + q.magn }) }));
  // @ts-expect-error in what an aggregate gives to the next step => 'count' does not exist on type '{ key: string; n: number; }'
  flow.processor("a", byRegion, pipe(aggregate({ initial: () => 0, add: (n) => n + 1, result: (n, { key }) => ({ key, n }) }), map((row) => row.count)));
  // @ts-expect-error an aggregate without a window has no window => 'window' does not exist on type '{ readonly key: string; }'
  flow.processor("a", byRegion, aggregate({ initial: () => 0, add: (n) => n + 1, result: (n, { window }) => n }));
  // @ts-expect-error state of another shape than `initial` => 'string' is not assignable to type 'number'
  flow.processor("a", byRegion, stateful({ initial: () => ({ n: 0 }), on: (s) => ({ n: String(s.n) }) }));
  // @ts-expect-error state changed in place => Cannot assign to 'n' because it is a read-only property
  flow.processor("a", byRegion, stateful({ initial: () => ({ n: 0 }), on: (s) => { s.n++; return s; } }));
  // @ts-expect-error a reducer that forgets to return => Type 'void' is not assignable to type 'Awaitable<
  flow.processor("a", byRegion, stateful({ initial: () => ({ n: 0 }), on: (s) => { s.n; } }));

  // ── keys
  // @ts-expect-error no key before an aggregate => Type 'InputHasNoKey' is not assignable to type 'Key'
  flow.processor("a", quakes, aggregate({ initial: () => 0, add: (n) => n + 1 }));
  // @ts-expect-error no key, in a chain, with options => Type 'InputHasNoKey' is not assignable to type 'Key'
  flow.processor("a", quakes, { parallelism: 2 }, pipe(filter((q) => q.mag !== null), reduce({ combine: (a) => a })));
  // @ts-expect-error no key before own state => Type 'InputHasNoKey' is not assignable to type 'Key'
  flow.processor("a", quakes, stateful({ initial: () => 0, on: (n) => n + 1 }));
  // @ts-expect-error a key that is an object => Type '{ region: string; }' is not assignable to type 'Key'
  quakes.keyBy((q) => ({ region: q.region }));
  // @ts-expect-error a key that may be missing => Type 'undefined' is not assignable to type 'Key'
  quakes.keyBy((q) => q.place.split(", ")[1]);
  // @ts-expect-error merged streams have keys of different types => Type 'number' is not assignable to type 'string'
  flow.processor("a", byRegion.merge(payments.keyBy((p) => p.amount)), reduce({ combine: (a) => a }));
  // @ts-expect-error merged with a stream that has no key => '[key]' is missing in type 'Source<Payment>'
  flow.processor("a", byRegion.merge(payments), reduce({ combine: (a) => a }));

  // ── options
  // @ts-expect-error unknown option of a stage => Did you mean to write 'parallelism'?
  flow.processor("a", quakes, { paralelism: 2 }, map((q) => q.mag));
  // @ts-expect-error unknown option of an operator => Did you mean to write 'window'?
  flow.processor("a", byRegion, aggregate({ windows: tumbling("6h"), initial: () => 0, add: (n) => n + 1 }));
  // @ts-expect-error a duration without a known unit => not assignable to parameter of type 'Duration'
  tumbling("6 hours");
  // @ts-expect-error a strategy that OTP does not have => Did you mean '"one_for_one"'?
  flow.processor("a", quakes, { supervision: { strategy: "one-for-one" } }, map((q) => q.mag));
  // A range follows the lag.
  flow.processor("ranged", quakes, { parallelism: { min: 1, max: 8, targetLag: "10s" } }, map((q) => q.mag));
  // @ts-expect-error a range without an end => Property 'max' is missing in type
  flow.processor("a", quakes, { parallelism: { min: 1, targetLag: "10s" } }, map((q) => q.mag));
  // @ts-expect-error a lag without a unit => is not assignable to type 'Duration'
  flow.processor("a", quakes, { parallelism: { min: 1, max: 8, targetLag: "10" } }, map((q) => q.mag));
  // @ts-expect-error a range for a source, whose number its splits fix => is not assignable to type 'number'
  flow.source("a", jsonl.source<Quake>("q.jsonl"), { parallelism: { min: 1, max: 8, targetLag: "10s" } });
  // @ts-expect-error a range for a sink, whose number its targets fix => is not assignable to type 'number'
  flow.sink("a", quakes, { parallelism: { min: 1, max: 8, targetLag: "10s" } }, jsonl.sink("x"));
  // @ts-expect-error more warm copies than there may be => Type '3' is not assignable to type '0 | 1 | 2
  flow.processor("a", quakes, { place: { standby: 3 } }, map((q) => q.mag));
  // @ts-expect-error an unknown option of place => Did you mean to write 'label'?
  flow.source("a", jsonl.source<Quake>("q.jsonl"), { place: { labels: ["zone=a"] } });
  // @ts-expect-error a place that is a label => no properties in common with type 'Place'
  flow.processor("a", quakes, { place: "zone=a" }, map((q) => q.mag));
  // @ts-expect-error a mailbox that is a number => no properties in common with type '{ maxFrames?: number; }'
  flow.processor("a", quakes, { mailbox: 64 }, map((q) => q.mag));
  // @ts-expect-error a source has no mailbox => 'mailbox' does not exist in type 'SourceOptions<Quake>'
  flow.source("a", jsonl.source<Quake>("q.jsonl"), { mailbox: { maxFrames: 64 } });
  // @ts-expect-error unknown option of a flow => Did you mean to write 'supervision'?
  defineFlow("a", { suprvision: {} }, () => {});

  // A flow may show nothing.
  defineFlow("quiet", { description: "prints" }, (inner) => { inner.sink("print", inner.source("in", text.source("x")), jsonl.sink("x")); });

  // ── what fits where
  // @ts-expect-error an operator that takes something else => Type 'Payment' is missing the following properties from type 'Quake'
  flow.processor("a", payments, map((q: Quake) => q.place));
  // @ts-expect-error steps that do not fit each other => Type 'string' is not assignable to type 'number'
  flow.processor("a", quakes, pipe(map((q) => q.place), map((n: number) => n + 1)));
  // @ts-expect-error an operator that is not called => is not assignable to parameter of type 'Operator<Quake
  flow.processor("a", quakes, filter);
  // @ts-expect-error a plain function in place of an operator => is not assignable to parameter of type 'Operator<Quake
  flow.processor("a", quakes, (q: Quake) => q.place);
  // @ts-expect-error a sink that takes something else => Type 'Quake' is not assignable to type 'string'
  flow.sink("a", quakes, text.sink("q.txt"));
  // @ts-expect-error an array of something else => Type 'Quake' is not assignable to type 'string'
  flow.sink("a", quakes, collect<string>([]));
  // @ts-expect-error a sink in place of a source => '[gives]' is missing in type 'SinkActor<unknown>'
  flow.source("a", jsonl.sink("q.jsonl"));
  // @ts-expect-error a source in place of a sink => '[takes]' is missing in type 'SourceActor<unknown
  flow.sink("a", quakes, jsonl.source("q.jsonl"));
  // @ts-expect-error a sink is the end: it cannot be read => 'Sink<Quake>' is not assignable to parameter of type 'Input<
  flow.sink("b", flow.sink("a", quakes, jsonl.sink("q.jsonl")), jsonl.sink("r.jsonl"));
  // @ts-expect-error a sum of something that is no number => Type 'string' is not assignable to type 'number'
  flow.processor("a", byRegion, summarize({ of: { all: sum((q) => q.place) } }));
  // @ts-expect-error events that are combined into something else => Type 'string' is not assignable to type 'Quake'
  flow.processor("a", byRegion, reduce({ combine: (a) => a.place }));
  // @ts-expect-error data of unknown type, neither said nor checked => 'q' is of type 'unknown'
  flow.processor("a", flow.source("raw", jsonl.source("q.jsonl")), map((q) => q.place));
  // @ts-expect-error event time that is no time => Type 'null' is not assignable to type 'Time'
  flow.source("a", jsonl.source<Quake>("q.jsonl"), { time: (q) => q.mag });

  // @ts-expect-error nine steps in one pipe => Expected 1-8 arguments, but got 9
  pipe(map((n: number) => n), map((n) => n), map((n) => n), map((n) => n), map((n) => n), map((n) => n), map((n) => n), map((n) => n), map((n) => n));

  // ── outputs
  // @ts-expect-error a late output that was not asked for => Property 'late' does not exist on type 'Stage<
  flow.processor("a", byRegion, aggregate({ window: tumbling("1h"), initial: () => 0, add: (n) => n + 1 })).late;
  // @ts-expect-error a branch that does not exist => Property 'weak' does not exist on type 'Stage<Quake, Outputs<{ strong: Quake; }>>'
  flow.processor("a", quakes, branch({ strong: (q) => (q.mag ?? 0) > 6 })).weak;
  // @ts-expect-error a branch with the name of a method => is not assignable to type 'never'
  branch({ merge: (q: Quake) => q.mag !== null });
  // @ts-expect-error to emit without saying what => Type 'CtxIsNotAnnotatedWithEmits' has no call signatures
  flow.processor("a", byRegion, stateful({ initial: () => 0, on(n, q, ctx) { ctx.emit({ n }); return n + 1; } }));
  // @ts-expect-error to emit something else => 'acount' does not exist in type 'Alert'
  flow.processor("a", byRegion, stateful({ initial: () => 0, on(n, q, ctx: Emits<Alert>) { ctx.emit({ acount: q.region }); return n + 1; } }));
  // @ts-expect-error to emit from a map => Property 'emit' does not exist on type 'Context'
  flow.processor("a", quakes, map((q, ctx) => { ctx.emit(q); return q; }));
  // @ts-expect-error a flow that shows something that is no handle => Type 'number' is not assignable to type 'Sink<unknown> | Stream<unknown>'
  defineFlow("a", (inner) => ({ count: 1 }));

  // ── authors
  // @ts-expect-error a transactional sink that does not say what is written => Property 'written' is missing
  defineSink({ kind: "x", guarantee: "transactional", start: 0, open: async () => ({ write: async () => 1 }) });
  // @ts-expect-error a guarantee that does not exist => '"exactly-once"' is not assignable to type
  defineSink({ kind: "x", guarantee: "exactly-once", open: async () => ({ write: async () => {} }) });
  // @ts-expect-error an option that an error does not have => 'after' does not exist in type
  new RetryableError("busy", { after: "5s" });
});
