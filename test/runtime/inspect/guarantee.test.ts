import { suite } from "uvu";
import * as assert from "uvu/assert";
import { guaranteesOf } from "../../../runtime/inspect/guarantee.ts";
import { defineFlow, defineSink, defineSource, type SinkActor, type SourceActor } from "../../../runtime/index.ts";
import { plan, sink, source, step } from "../../support/flow-parts.ts";

const test = suite("guarantee");

const pushed = (guarantee: "acknowledged" | "best-effort", more: { remember?: 0 } = {}): SourceActor<unknown> => defineSource<unknown, never>({ kind: "http", guarantee, listen: async () => {}, ...more });
const transactional = (): SinkActor<unknown> => defineSink<unknown, null>({ kind: "jsonl", guarantee: "transactional", start: null, open: () => { throw new Error("not opened"); } });
const promises = (from: SourceActor<unknown>, to: SinkActor<unknown>) => guaranteesOf(plan(defineFlow("f", (flow) => void flow.sink("to", flow.source("from", from), to)))).map(({ promise }) => promise);

for (const [from, to, promise] of [
  [source(), transactional(), "exactly once"], [source(), sink({ guarantee: "idempotent" }), "exactly once"], [source(), sink(), "at least once"],
  [pushed("acknowledged"), transactional(), "exactly once"], [pushed("acknowledged", { remember: 0 }), transactional(), "at least once"],
  [pushed("best-effort"), transactional(), "may lose"], [pushed("best-effort"), sink(), "may lose"],
] as const) {
  test(`the weaker end decides: ${promise}`, () => assert.equal(promises(from as SourceActor<unknown>, to), [promise]));
}

test("every way from a source to a sink is named, and no other", () => {
  const paths = guaranteesOf(plan(defineFlow("f", (flow) => {
    const [a, b] = [flow.source("a", source()), flow.source("b", source())], both = flow.processor("both", a.merge(b), step("map"));
    flow.sink("of-both", both, transactional());
    flow.sink("of-b", b, sink());
  })));
  assert.equal(paths.map(({ source: from, sink: to, because }) => [from, to, because]), [
    ["a", "of-both", undefined], ["b", "of-both", undefined], ["b", "of-b", "print may write a batch again after a crash"],
  ]);
});

test.run();
