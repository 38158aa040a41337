import { suite } from "uvu";
import * as assert from "uvu/assert";
import { overridden, parseOverride } from "../../../runtime/cli/override.ts";
import { MillraceError } from "../../../runtime/event/errors.ts";
import { defineFlow } from "../../../runtime/index.ts";
import { file, plan, sink, source, step } from "../../support/flow-parts.ts";

const test = suite("override");

const flow = plan(defineFlow("f", (builder) => {
  const feed = builder.source("feed", source()), each = builder.processor("each", feed, { parallelism: 2 }, step("map"));
  builder.sink("out", each, sink());
  builder.sink("file", each, file());
}));

function refusal(work: () => unknown): MillraceError {
  try {
    work();
  } catch (thrown) {
    if (thrown instanceof MillraceError) return thrown;
  }
  throw new Error("it was not refused");
}

test("a parallelism from the command line takes the place of the flow's; the last one counts", () => {
  const set = overridden(flow, [parseOverride("each.parallelism=4"), parseOverride("out.parallelism=3"), parseOverride("each.parallelism=8")]);
  assert.equal(set.stages.map(({ name, parallelism }) => [name, parallelism]), [["feed", 1], ["each", 8], ["out", 3], ["file", 1]]);
});

test("without overrides the plan is the same", () => assert.is(overridden(flow, []), flow));

for (const [text, says] of [
  ["each", /sets nothing/], ["each.parallelism", /sets nothing/], ["each.paralelism=4", /"paralelism" cannot be set/], ["each.parallelism=0", /parallelism of "each" is 0/],
  ["each.parallelism=1.5", /is 1\.5/], ["each.parallelism=x", /is x/], ["each.parallelism=1025", /is 1025/],
] as const) {
  test(`--set ${text} is refused`, () => {
    const error = refusal(() => parseOverride(text));
    assert.is(error.code, "OPTION_INVALID");
    assert.match(error.message, says);
  });
}

test("a stage that is not there is refused, with those that are", () => assert.match(refusal(() => overridden(flow, [parseOverride("eahc.parallelism=4")])).message, /no stage "eahc".*feed, each, out, file/));
test("a source that cannot be split is refused", () => assert.is(refusal(() => overridden(flow, [parseOverride("feed.parallelism=4")])).code, "SPLIT_MISSING"));
test("a sink into one file is refused", () => assert.is(refusal(() => overridden(flow, [parseOverride("file.parallelism=4")])).code, "SPLIT_MISSING"));

test.run();
