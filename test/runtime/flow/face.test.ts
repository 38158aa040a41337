import { suite } from "uvu";
import * as assert from "uvu/assert";
import { stageNamed } from "../../../runtime/flow/face.ts";
import { defineFlow } from "../../../runtime/index.ts";
import { plan, sink, source, step } from "../../support/flow-parts.ts";

const test = suite("face");

const flow = plan(defineFlow("f", (builder) => {
  const feed = builder.source("feed", source());
  builder.processor("p-8", feed, step("map"));
  builder.sink("p8", feed, sink());
  builder.sink("by-region", feed, sink());
}));

test("a stage is found by its own name and by the one that its flow returns it as", () => {
  assert.is(stageNamed(flow, "feed")?.name, "feed");
  assert.is(stageNamed(flow, "by-region")?.name, "by-region");
  assert.is(stageNamed(flow, "byRegion")?.name, "by-region");
});

test("a stage's own name goes before another's in camel case", () => {
  assert.is(stageNamed(flow, "p8")?.name, "p8");
  assert.is(stageNamed(flow, "p-8")?.name, "p-8");
});

test("there is no stage by any other name", () => {
  for (const name of ["", "region", "ByRegion", "toString", "feed.late"]) assert.is(stageNamed(flow, name), undefined);
});

test.run();
