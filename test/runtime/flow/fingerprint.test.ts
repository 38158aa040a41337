import { suite } from "uvu";
import * as assert from "uvu/assert";
import { changesBetween, fingerprintOf } from "../../../runtime/flow/fingerprint.ts";
import { defineFlow } from "../../../runtime/index.ts";
import type { Keyed, Outputs } from "../../../runtime/flow/stream.ts";
import { plan, type Row, sink, source, step, steps } from "../../support/flow-parts.ts";

const test = suite("fingerprint");

interface Shape { parallelism?: number; version?: number; order?: "time"; keyed?: boolean; steps?: readonly string[]; sink?: string; more?: boolean; merged?: readonly ("a" | "b")[]; felt?: string }

function flow({ parallelism = 4, version = 1, order, keyed = true, steps: kinds = ["filter"], sink: kind = "print", more = false, merged = ["a", "b"], felt = "felt" }: Shape = {}) {
  return fingerprintOf(plan(defineFlow("f", (builder) => {
    const from = { a: builder.source("a", source()), b: builder.source("b", source()) };
    const [first, ...others] = merged.map((name) => from[name]);
    const split = builder.processor(felt, (first ?? from.a).merge(...others), step<Outputs<{ big: Row }>>("branch", { outputs: ["big"] }));
    const input = (keyed ? split.big.keyBy((row) => row.id) : split.big) as Keyed<Row, string>;
    const counted = builder.processor("by-region", input, { parallelism }, steps(...kinds.map((of) => ({ kind: of })), { kind: "aggregate", state: "key", version, migrate: (state) => state }));
    builder.sink("report", counted, order ? { order } : {}, sink({ kind }));
    if (more) builder.sink("more", split, sink());
  })));
}

test("it is plain data: written as JSON and read back it is the same", () => {
  assert.equal(JSON.parse(JSON.stringify(flow())), flow());
  assert.equal(flow().stages[3], {
    name: "by-region", kind: "processor", parts: ["filter", "aggregate"], parallelism: 4, order: "arrival",
    inputs: ["felt.big by key"], state: [{ of: "aggregate", version: 1 }],
  });
});

test("a flow that is defined again is unchanged", () => {
  assert.equal(changesBetween(flow(), flow()), []);
});

for (const [what, before, after, said] of [
  ["parallelism", {}, { parallelism: 8 }, ["stage by-region: parallelism 4 -> 8"]],
  ["the version of state", {}, { version: 2 }, ["stage by-region: state aggregate version 1 -> aggregate version 2"]],
  ["order", {}, { order: "time" }, ["stage report: order arrival -> time"]],
  ["a key that is gone", {}, { keyed: false }, ["stage by-region: reads felt.big by key -> felt.big"]],
  ["operators", {}, { steps: ["map", "filter"] }, ["stage by-region: operators filter, aggregate -> map, filter, aggregate"]],
  ["what a sink is", {}, { sink: "csv" }, ["stage report: sink print -> csv"]],
  ["a stage more", {}, { more: true }, ["stage more was added"]],
  ["a stage less", { more: true }, {}, ["stage more was removed"]],
  ["an input less", {}, { merged: ["a"] }, ["stage felt: reads a, b -> a"]],
  ["the order of merged inputs, which numbers the edges", {}, { merged: ["b", "a"] }, ["stage felt: reads a, b -> b, a"]],
  ["a stage's name", {}, { felt: "strong" }, ["stage felt was removed", "stage strong was added", "stage by-region: reads felt.big by key -> strong.big by key"]],
  ["two things of one stage", {}, { parallelism: 1, keyed: false }, ["stage by-region: parallelism 4 -> 1", "stage by-region: reads felt.big by key -> felt.big"]],
] as const) {
  test(`a change of ${what} is told in words`, () => assert.equal(changesBetween(flow(before), flow(after)), said));
}

test("a stage that became another kind is told as that, and not by its parts", () => {
  const one = fingerprintOf(plan(defineFlow("f", (builder) => { builder.processor("x", builder.source("a", source()), step("map")); })));
  const other = fingerprintOf(plan(defineFlow("f", (builder) => { builder.sink("x", builder.source("a", source()), sink()); })));
  assert.equal(changesBetween(one, other), ["stage x: kind processor -> sink"]);
});

test("state that is new or gone is told", () => {
  const of = (state: object) => fingerprintOf(plan(defineFlow("f", (builder) => { builder.processor("x", builder.source("a", source()), step("own", state)); })));
  assert.equal(changesBetween(of({}), of({ state: "own" })), ["stage x: state nothing -> own version 1"]);
  assert.equal(changesBetween(of({ state: "own" }), of({})), ["stage x: state own version 1 -> nothing"]);
});

test.run();
