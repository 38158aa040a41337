import { suite } from "uvu";
import * as assert from "uvu/assert";
import { defineFlow, type FlowBuilder, type Stream } from "../../../runtime/index.ts";
import type { Outputs } from "../../../runtime/flow/stream.ts";
import type { EdgePlan, FlowPlan, ProcessorPlan, SinkPlan, SourcePlan } from "../../../runtime/flow/plan.ts";
import { plan, type Row, sink, source, step, steps } from "../../support/flow-parts.ts";

const test = suite("flow");

const stageOf = (of: FlowPlan, name: string) => of.stages.find((stage) => stage.name === name);
const edges = (of: readonly EdgePlan[] | undefined) => of?.map(({ from, output, to, input, index, eventTime, key }) =>
  `${from}${output && `.${output}`} -> ${to} #${index} in ${input}${key ? " by key" : ""}${eventTime ? " timed" : ""}`);
const byId = (row: Row) => row.id;

test("a flow is its name and a plan, and nothing of it runs", () => {
  const flow = defineFlow("quakes", { description: "counts" }, (builder) => { builder.source("feed", source()); });
  assert.is(flow.name, "quakes");
  assert.is(plan(flow).name, "quakes");
  assert.is(plan(flow).description, "counts");
  assert.equal(Object.keys(flow), ["name"]);
});

test("the plan of a chain has its stages in the order of the events' way, with an edge between each two", () => {
  const flow = defineFlow("quakes", (builder) => {
    const feed = builder.source("feed", source());
    const felt = builder.processor("felt", feed, step("flatMap"));
    const byRegion = builder.processor("by-region", felt.keyBy(byId), { parallelism: 4 }, step("aggregate", { keyed: true, state: "key", eventTime: true }));
    const report = builder.sink("report", byRegion, { order: "time" }, sink());
    return { feed, byRegion, report };
  });
  const { stages } = plan(flow);
  assert.equal(stages.map(({ name, kind, parallelism }) => [name, kind, parallelism]), [
    ["feed", "source", 1], ["felt", "processor", 1], ["by-region", "processor", 4], ["report", "sink", 1],
  ]);
  assert.equal(stages.map((stage) => edges(stage.inputs)), [
    [], ["feed -> felt #0 in 0 timed"], ["felt -> by-region #0 in 0 by key timed"], ["by-region -> report #0 in 0 timed"],
  ]);
  assert.equal(stages.map((stage) => edges(stage.readers)), [
    ["feed -> felt #0 in 0 timed"], ["felt -> by-region #0 in 0 by key timed"], ["by-region -> report #0 in 0 timed"], [],
  ]);
  const [edge] = stageOf(plan(flow), "by-region")?.inputs ?? [];
  assert.is(edge?.key?.({ id: "Alaska" }), "Alaska");
});

test("every default is filled in, durations in ms", () => {
  const flow = defineFlow("f", (builder) => {
    const feed = builder.source("feed", source());
    builder.sink("out", builder.processor("calm", feed, step("map")), sink());
  });
  const supervision = {
    strategy: "one_for_one", restart: "permanent", intensity: 5, periodMs: 60_000, shutdownMs: 30_000,
    backoff: { minMs: 100, maxMs: 30_000, factor: 2, jitter: 0.2 },
  };
  assert.equal(plan(flow).supervision, supervision);
  assert.is("description" in plan(flow), false);
  for (const stage of plan(flow).stages) {
    assert.is(stage.parallelism, 1);
    assert.equal(stage.supervision, supervision);
    assert.equal(stage.outputs, []);
    assert.equal(stage.place, { labels: [], spread: false, standby: 0 });
  }
  const feed = stageOf(plan(flow), "feed") as SourcePlan;
  assert.is(feed.outOfOrder, 0);
  assert.is(feed.idleAfterMs, 60_000);
  assert.is(feed.type, "f.feed");
  assert.is("time" in feed || "schema" in feed, false);
  assert.is((stageOf(plan(flow), "calm") as ProcessorPlan).type, "f.calm");
  for (const name of ["calm", "out"]) {
    const { order, maxFrames, poison } = stageOf(plan(flow), name) as SinkPlan;
    assert.equal({ order, maxFrames, poison }, { order: "arrival", maxFrames: 4_096, poison: { after: 3, deadlineMs: 60_000, park: "event" } });
  }
});

test("what is given takes the place of the defaults", () => {
  const schema = { "~standard": { version: 1, vendor: "test", validate: (value: unknown) => ({ value }) } } as const;
  const time = (row: Row) => row.time;
  const supervision = { strategy: "rest_for_one", restart: "transient", intensity: 0, period: "10s", shutdown: 5, backoff: { min: "1s", max: "1m", factor: 3, jitter: 0 } } as const;
  const flow = defineFlow("f", { supervision }, (builder) => {
    const feed = builder.source<Row, "by-itself", Row>("feed", source(), { time: { of: time, outOfOrder: "1m", idleAfter: "never" }, schema: schema as never, type: "row" });
    builder.sink("out", feed, { mailbox: { maxFrames: 8 }, poison: { after: 1, deadline: "2s", park: "key" }, order: "time", parallelism: 3, place: { label: ["a", "zone=b", "a"], spread: true, standby: 2 } }, sink());
  });
  assert.equal(plan(flow).supervision, { strategy: "rest_for_one", restart: "transient", intensity: 0, periodMs: 10_000, shutdownMs: 5, backoff: { minMs: 1_000, maxMs: 60_000, factor: 3, jitter: 0 } });
  const feed = stageOf(plan(flow), "feed") as SourcePlan;
  assert.is(feed.time, time);
  assert.is(feed.schema, schema);
  assert.is(feed.outOfOrder, 60_000);
  assert.is(feed.idleAfterMs, Infinity);
  assert.is(feed.type, "row");
  assert.equal(stageOf(plan(flow), "out")?.place, { labels: ["a", "zone=b"], spread: true, standby: 2 });
  const { order, maxFrames, poison, parallelism } = stageOf(plan(flow), "out") as SinkPlan;
  assert.equal({ order, maxFrames, poison, parallelism }, { order: "time", maxFrames: 8, poison: { after: 1, deadlineMs: 2_000, park: "key" }, parallelism: 3 });
});

test("of a backoff the bound that is left out gives way to the one that is given", () => {
  const backoffOf = (backoff: { min?: "1m"; max?: 50 }) => plan(defineFlow("f", { supervision: { backoff } }, (builder) => { builder.source("feed", source()); })).supervision.backoff;
  assert.equal(backoffOf({ min: "1m" }), { minMs: 60_000, maxMs: 60_000, factor: 2, jitter: 0.2 });
  assert.equal(backoffOf({ max: 50 }), { minMs: 50, maxMs: 50, factor: 2, jitter: 0.2 });
});

test("a source that ends waits for its end before time goes on, unless told otherwise", () => {
  const outOfOrder = (ends: boolean, time?: { outOfOrder: "5s" }) =>
    (plan(defineFlow("f", (builder) => { builder.source<Row, "by-itself", Row>("feed", source({ ends }), time ? { time } : {}); })).stages[0] as SourcePlan).outOfOrder;
  assert.is(outOfOrder(true), "any");
  assert.is(outOfOrder(false), 0);
  assert.is(outOfOrder(true, { outOfOrder: "5s" }), 5_000);
});

test("streams that are merged come in by one mailbox, each on an edge of its own with its own key", () => {
  const flow = defineFlow("f", (builder) => {
    const a = builder.source("a", source());
    const b = builder.source("b", source());
    const c = builder.source("c", source());
    builder.sink("keyless", a.merge(b, c), sink());
    builder.sink("keyed", a.keyBy((row) => row.id).merge(b.keyBy(() => "all"), c.keyBy(() => "c")), sink());
    builder.sink("one-key", a.merge(b).keyBy((row) => row.id), sink());
    builder.sink("twice", a.keyBy((row) => row.id).merge(a.keyBy(() => "all")), sink());
  });
  assert.equal(edges(stageOf(plan(flow), "keyless")?.inputs), ["a -> keyless #0 in 0", "b -> keyless #1 in 0", "c -> keyless #2 in 0"]);
  const keyed = stageOf(plan(flow), "keyed")?.inputs ?? [];
  assert.equal(keyed.map((edge) => edge.key?.({ id: "x" })), ["x", "all", "c"]);
  assert.equal(stageOf(plan(flow), "one-key")?.inputs.map((edge) => edge.key?.({ id: "x" })), ["x", "x"]);
  assert.equal(stageOf(plan(flow), "twice")?.inputs.map((edge) => [edge.from, edge.index, edge.key?.({ id: "x" })]), [["a", 0, "x"], ["a", 1, "all"]]);
  assert.equal(edges(stageOf(plan(flow), "a")?.readers), ["a -> keyless #0 in 0", "a -> keyed #0 in 0 by key", "a -> one-key #0 in 0 by key", "a -> twice #0 in 0 by key", "a -> twice #1 in 0 by key"]);
});

test("keyBy and merge leave the stream that they are called on as it was", () => {
  const flow = defineFlow("f", (builder) => {
    const a = builder.source("a", source());
    a.keyBy((row) => row.id);
    a.merge(builder.source("b", source()));
    builder.sink("out", a, sink());
  });
  assert.equal(edges(stageOf(plan(flow), "out")?.inputs), ["a -> out #0 in 0"]);
});

test("further outputs are streams on the stage's handle, and edges that name them", () => {
  const flow = defineFlow("f", (builder) => {
    const feed = builder.source("feed", source());
    const split = builder.processor("split", feed, step<Outputs<{ big: Row; small: Row }>>("branch", { outputs: ["big", "small"] }));
    assert.equal(Object.keys(split), ["big", "small"]);
    builder.sink("large", split.big, sink());
    builder.sink("again", split.merge(split.big, split.small.merge(feed)), sink());
    return { split };
  });
  assert.equal(stageOf(plan(flow), "split")?.outputs, ["big", "small"]);
  assert.equal(edges(stageOf(plan(flow), "large")?.inputs), ["split.big -> large #0 in 0"]);
  assert.equal(edges(stageOf(plan(flow), "again")?.inputs), ["split -> again #0 in 0", "split.big -> again #1 in 0", "split.small -> again #2 in 0", "feed -> again #3 in 0"]);
});

test("steps of a pipe are one stage, in their order, with the outputs of all of them", () => {
  const flow = defineFlow("f", (builder) => {
    const feed = builder.source("feed", source());
    builder.processor("p", feed, steps({ kind: "filter" }, { kind: "map", outputs: ["a"] }, { kind: "branch", outputs: ["b", "c"] }));
  });
  const stage = stageOf(plan(flow), "p") as ProcessorPlan;
  assert.equal(stage.steps.map((spec) => spec.kind), ["filter", "map", "branch"]);
  assert.equal(stage.outputs, ["a", "b", "c"]);
});

test("watermarks go along the edges that lead to something that needs event time, and along no other", () => {
  const flow = defineFlow("f", (builder) => {
    const feed = builder.source("feed", source());
    const shared = builder.processor("shared", feed, step("map"));
    const window = builder.processor("window", shared.keyBy(byId), step("aggregate", { keyed: true, eventTime: true }));
    builder.sink("results", window, sink());
    builder.sink("raw", shared, sink());
    const other = builder.source("other", source());
    builder.sink("ordered", builder.processor("copy", other, step("map")), { order: "time" }, sink());
    builder.sink("plain", other, sink());
  });
  const timed = plan(flow).stages.flatMap((stage) => stage.inputs).map((edge) => [`${edge.from} -> ${edge.to}`, edge.eventTime]);
  assert.equal(timed, [
    ["feed -> shared", true], ["shared -> window", true], ["window -> results", false], ["shared -> raw", false],
    ["other -> copy", true], ["copy -> ordered", true], ["other -> plain", false],
  ]);
});

test("a sub-flow puts its name before those of its stages, also within another, and shares the flow", () => {
  const clean = (part: FlowBuilder, raw: Stream<Row>) => part.processor("clean", raw, step("map"));
  const flow = defineFlow("jobs", (builder) => {
    const eu = builder.subflow("eu");
    const north = clean(eu.subflow("north"), eu.source("raw", source()));
    const us = clean(builder.subflow("us"), builder.source("us", source()));
    builder.sink("done", north.merge(us), sink());
    return { euNorthClean: north, "us-clean": us };
  });
  assert.equal(plan(flow).stages.map(({ name }) => name), ["eu-raw", "eu-north-clean", "us", "us-clean", "done"]);
  assert.equal(edges(stageOf(plan(flow), "done")?.inputs), ["eu-north-clean -> done #0 in 0", "us-clean -> done #1 in 0"]);
  assert.is((stageOf(plan(flow), "eu-raw") as SourcePlan).type, "jobs.eu-raw");
});

test("the builder may be taken apart", () => {
  const flow = defineFlow("f", (builder) => {
    const { source: from, sink: to, processor, subflow } = builder;
    to("out", processor("p", from("feed", source()), step("map")), sink());
    subflow("x").source("feed", source());
  });
  assert.equal(plan(flow).stages.map(({ name }) => name), ["feed", "p", "out", "x-feed"]);
});

test("what a builder throws by itself comes out as it is", () => {
  const own = new RangeError("mine");
  let caught: unknown;
  try {
    defineFlow("f", (builder) => { builder.source("feed", source()); throw own; });
  } catch (thrown) {
    caught = thrown;
  }
  assert.is(caught, own);
});

test("to define a flow formats no stack and touches no handler", () => {
  const before = Error.prepareStackTrace;
  const limit = Error.stackTraceLimit;
  let formatted = 0;
  Error.prepareStackTrace = (error) => { formatted++; return String(error); };
  try {
    defineFlow("f", (builder) => {
      const feed = builder.source("feed", source(), { time: () => { throw new Error("called"); } });
      builder.sink("out", feed.keyBy((): string => { throw new Error("called"); }), sink());
    });
  } finally {
    Error.prepareStackTrace = before as typeof Error.prepareStackTrace;
  }
  assert.is(formatted, 0);
  assert.is(Error.stackTraceLimit, limit);
});

test("a flow of 5,000 stages is defined in a second: the work grows with the stages, not faster", () => {
  const define = () => defineFlow("f", (builder) => {
    let stream: Stream<Row> = builder.source("feed", source());
    for (let i = 0; i < 5_000; i++) stream = builder.processor(`p-${i}`, stream, step("map", { eventTime: i === 4_999 }));
  });
  const start = performance.now();
  const { stages } = plan(define());
  const took = performance.now() - start;
  assert.is(stages.length, 5_001);
  assert.ok(stages.every((stage) => stage.inputs.every((edge) => edge.eventTime)));
  assert.ok(took < 1_000, `took ${Math.round(took)} ms`);
});

test.run();
