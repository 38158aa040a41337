import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type Anything, anyhow, around, file, plan, refusal, refusals, sink, source, step, steps } from "../../support/flow-parts.ts";

const test = suite("stage check");
const refused = refusals(test);

// ── keys, state, outputs
const counter = { keyed: true, state: "key" } as const;
refused("KEY_MISSING: state without a key", () => around((flow, feed) => { flow.processor("velocity", feed, step("stateful", counter)); }),
  ["KEY_MISSING", "f/velocity", 'stage "velocity" keeps state per key and its input has none: call .keyBy(…) on the input']);
refused("KEY_MISSING: an operator by key, behind another in a pipe", () => around((flow, feed) => { flow.processor("once", feed, steps({ kind: "map" }, { kind: "dedupe", keyed: true, state: "own" })); }),
  ["KEY_MISSING", "f/once", 'stage "once" works by key (dedupe) and its input has none: call .keyBy(…) on the input']);
refused("KEY_MISSING: one of several merged inputs, named", () => around((flow, feed) => {
  const split = flow.processor("split", feed, step("branch", { outputs: ["big"] }));
  flow.processor("daily", feed.keyBy(() => 1).merge(split.big), step("aggregate", counter));
}),
  ["KEY_MISSING", "f/daily", 'stage "daily" keeps state per key and not all of its merged inputs have one: call .keyBy(…) on each of them ("split.big")']);
refused("KEY_MISSING: inputs with and without a key, also where none is needed", () => around((flow, feed) => { flow.sink("out", feed.keyBy(() => 1).merge(feed), sink()); }),
  ["KEY_MISSING", "f/out", 'sink "out" merges inputs with a key and inputs without one: call .keyBy(…) on each of them ("feed"), or on none']);
refused("STATE_TWICE: two operators with state", () => around((flow, feed) => { flow.processor("daily", feed.keyBy(() => 1), steps({ kind: "aggregate", ...counter }, { kind: "dedupe", keyed: true, state: "own" }, { kind: "stateful", ...counter })); }),
  ["STATE_TWICE", "f/daily", 'stage "daily" has two operators with state (aggregate, stateful): make two stages of it']);
refused("STATE_TWICE: three", () => around((flow, feed) => { flow.processor("daily", feed.keyBy(() => 1), steps({ kind: "reduce", ...counter }, { kind: "reduce", ...counter }, { kind: "stateful", ...counter })); }),
  ["STATE_TWICE", "f/daily", 'stage "daily" has 3 operators with state (reduce, reduce, stateful): make 3 stages of it']);
refused("OUTPUT_TAKEN: twice, or what every stream has", () => around((flow, feed) => { flow.processor("split", feed, steps({ kind: "branch", outputs: ["big", "keyBy", "merge"] }, { kind: "branch", outputs: ["big", "then", ""] })); }),
  ["OUTPUT_TAKEN", "f/split", 'stage "split" has an output named "keyBy", which every stream has: rename it'],
  ["OUTPUT_TAKEN", "f/split", 'stage "split" has an output named "merge", which every stream has: rename it'],
  ["OUTPUT_TAKEN", "f/split", 'stage "split" has two outputs named "big": rename one'],
  ["OUTPUT_TAKEN", "f/split", 'stage "split" has an output named "then", which every stream has: rename it'],
  ["OUTPUT_TAKEN", "f/split", 'stage "split" has an output with an empty name, which its own stream has: name it']);
refused("MIGRATE_MISSING: state of a later version", () => around((flow, feed) => {
  flow.processor("velocity", feed.keyBy(() => 1), step("stateful", { ...counter, version: 2 }));
  flow.processor("fine", feed.keyBy(() => 1), step("stateful", { ...counter, version: 2, migrate: (state) => state }));
}),
  ["MIGRATE_MISSING", "f/velocity", 'state of "velocity" has version 2 and no migrate: say how older state becomes the new one, migrate: (state, from) => …']);
refused("what operators find wrong with themselves is told with the stage's name", () => around((flow, feed) => {
  const problem = (code: string, message: string) => ({ code, where: "", message, remedy: "give a window" });
  flow.processor("daily", feed, steps({ kind: "aggregate", problems: [problem("WINDOW_MISSING", "aggregate has late: true and no window"), problem("OPTION_INVALID", "lateness of aggregate is -1")] }));
}),
  ["WINDOW_MISSING", "f/daily", 'aggregate of "daily" has late: true and no window: give a window'],
  ["OPTION_INVALID", "f/daily", 'stage "daily": lateness of aggregate is -1: give a window']);

// ── what is handed over
refused("OPERATOR_INVALID: a function in place of an operator", () => around((flow, feed) => { flow.processor("felt", feed, (data: unknown) => data); }),
  ["OPERATOR_INVALID", "f/felt", 'stage "felt" got a function where an operator belongs: wrap it, map(fn)']);
for (const [body, sort] of [[undefined, "undefined"], [null, "null"], [{ parallelism: 2 }, "an object"], ["map", '"map"'], [source(), "a source"], [sink(), "a sink"], [Promise.resolve(step("map")), "a promise"]] as const) {
  refused(`OPERATOR_INVALID: ${sort} in place of an operator`, () => around((flow, feed) => { flow.processor("felt", feed, body); }),
    ["OPERATOR_INVALID", "f/felt", `stage "felt" got ${sort} where an operator belongs: give what map(…), aggregate(…) and the like return`]);
}
refused("OPERATOR_INVALID: a wrong source and a wrong sink", () => around((flow, feed) => { flow.source("more", "feed.jsonl"); flow.sink("out", feed, feed); flow.sink("run", feed, anyhow("g", (g: Anything) => { g.source("a", source()); })); }),
  ["OPERATOR_INVALID", "f/more", 'source "more" got "feed.jsonl" where a source belongs: give what jsonl.source(…), defineSource(…) and the like return'],
  ["OPERATOR_INVALID", "f/out", 'sink "out" got a stream where a sink belongs: give what jsonl.sink(…), defineSink(…) and the like return'],
  ["OPERATOR_INVALID", "f/run", 'sink "run" got a flow where a sink belongs: give what jsonl.sink(…), defineSink(…) and the like return']);
refused("OPERATOR_INVALID: options and what the stage does in the wrong order", () => around((flow, feed) => {
  flow.source("more", { parallelism: 1 }, source());
  flow.processor("felt", feed, step("map"), { parallelism: 2 });
  flow.sink("out", feed, sink(), {});
}),
  ["OPERATOR_INVALID", "f/more", 'source "more" got its options before the source: put them behind it'],
  ["OPERATOR_INVALID", "f/felt", 'stage "felt" got its options behind what it does: put them before the operator'],
  ["OPERATOR_INVALID", "f/out", 'sink "out" got its options behind what it does: put them before the sink']);
refused("OPERATOR_INVALID: two operators, sinks or sources where one belongs", () => around((flow, feed) => {
  flow.source("more", source(), source());
  flow.processor("felt", feed, step("filter"), step("map"));
  flow.sink("out", feed, sink(), sink());
}),
  ["OPERATOR_INVALID", "f/more", 'source "more" got a source where its options belong: leave it out'],
  ["OPERATOR_INVALID", "f/felt", 'stage "felt" got an operator where its options belong: make one operator of several, pipe(a, b)'],
  ["OPERATOR_INVALID", "f/out", 'sink "out" got a sink where its options belong: leave it out']);
test("OPERATOR_INVALID: a key that is no function, with the line of keyBy", () => {
  const [problem, ...more] = refusal(() => around((flow, feed) => {
    const byId = feed.keyBy("id");
    flow.processor("felt", byId, step("map"));
  })).problems;
  assert.equal(more, []);
  assert.is(problem?.code, "OPERATOR_INVALID");
  assert.match(problem?.message ?? "", /^keyBy on the input of "felt" \(test.runtime.flow.stage-check\.test\.ts:\d+\) got "id" where a function belongs$/);
  assert.is(Number(/:(\d+)\)/.exec(problem?.message ?? "")?.[1]) + 1, Number(problem?.at?.split(":")[1]));
});

for (const [from, sort] of [[undefined, "undefined"], ["feed", '"feed"'], [{}, "an object"], [source(), "a source"], [Promise.resolve(), "a promise"]] as const) {
  refused(`STAGE_UNREACHED: ${sort} in place of a stream`, () => around((flow) => { flow.processor("felt", from, step("map", { keyed: true })); }),
    ["STAGE_UNREACHED", "f/felt", `no source reaches stage "felt": it got ${sort} where a stream belongs: give what flow.source(…), flow.processor(…) or .keyBy(…) returned`]);
}
refused("STAGE_UNREACHED: a sink in place of a stream, streams in an array", () => around((flow, feed) => { flow.sink("more", flow.sink("out", feed, sink()), sink()); flow.sink("all", [feed], sink()); }),
  ["STAGE_UNREACHED", "f/more", 'no source reaches sink "more": it got the handle of a sink where a stream belongs: give what flow.source(…), flow.processor(…) or .keyBy(…) returned'],
  ["STAGE_UNREACHED", "f/all", 'no source reaches sink "all": it got an array where a stream belongs: merge them, a.merge(b)']);
test("STAGE_UNREACHED: one of several merged inputs, with the line of the merge", () => {
  const { problems } = refusal(() => around((flow, feed) => {
    flow.sink("out", feed.merge(undefined), sink());
    flow.sink("all", feed.merge([feed]), sink());
  }));
  assert.equal(problems.map(({ code, remedy }) => [code, remedy]), [
    ["STAGE_UNREACHED", "merge what flow.source(…) or flow.processor(…) returned"], ["STAGE_UNREACHED", "spread it, a.merge(...others)"],
  ]);
  assert.match(problems[0]?.message ?? "", /^no source reaches sink "out" by one of its merged inputs \(\S+:\d+\): it got undefined where a stream belongs$/);
});
refused("SPLIT_MISSING: a source that cannot be split", () => anyhow("f", (flow: Anything) => {
  flow.source("feed", source(), { parallelism: 4 });
  flow.source("parts", source({ splits: async () => ["a"] }), { parallelism: 4 });
}),
  ["SPLIT_MISSING", "f/feed", 'source "feed" has parallelism 4 and cannot be split: leave its parallelism at 1, or say what its parts are (splits)']);
refused("SPLIT_MISSING: a sink with one file for all its actors", () => around((flow, feed) => { flow.sink("report", feed, { parallelism: 4 }, file()); flow.sink("one", feed, file()); flow.sink("many", feed, { parallelism: 4 }, sink()); }),
  ["SPLIT_MISSING", "f/report", 'jsonl sink "report" has parallelism 4: put {partition} into its path, or leave its parallelism at 1']);
for (const schema of [{}, 3, () => true, { "~standard": { version: 2, validate() {} } }, { "~standard": { version: 1 } }]) {
  refused(`SCHEMA_INVALID: ${typeof schema === "function" ? "a function" : JSON.stringify(schema)}`, () => anyhow("f", (flow: Anything) => { flow.source("payments", source(), { schema }); }),
    ["SCHEMA_INVALID", "f/payments", 'schema of "payments" is no Standard Schema: give a schema of zod, valibot, arktype or another that has ~standard']);
}
test("a schema may be a function, as those of some makers are", () => {
  const schema = Object.assign(() => {}, { "~standard": { version: 1, vendor: "test", validate: () => ({}) } });
  assert.is(plan(anyhow("f", (flow: Anything) => { flow.source("feed", source(), { schema }); })).stages.length, 1);
});

test.run();
