// What views of several nodes come to, and what scaling cost by them.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { collect, generate, map } from "../../../actors/index.ts";
import { type FlowPlan, planOf } from "../../../runtime/flow/plan.ts";
import { defineFlow } from "../../../runtime/index.ts";
import type { RunRecord } from "../../../runtime/node/run-record.ts";
import { ScaleCost } from "../../../runtime/node/scale-receipt.ts";
import { factsOf, type ScaleView } from "../../../runtime/node/scale-view.ts";
import { countsOf, givenTo, isLeft } from "../../../runtime/node/stage-generations.ts";

const test = suite("scale-view");
const plan = planOf(defineFlow("f", (flow) => {
  const feed = flow.processor("pass", flow.source("feed", generate({ count: 1, make: (n) => n })), { parallelism: 2 }, map((n: number) => n));
  flow.sink("out", flow.processor("sum", feed, { parallelism: 2 }, map((n: number) => n)), collect<number>([]));
})) as FlowPlan;
const stages = plan.stages.map(({ name, parallelism }) => ({ name, generation: "t-1", parallelism }));
const record = { token: "t", stages, change: { stage: "sum", generation: "t-2", parallelism: 1, takenBack: false } } as unknown as RunRecord;
const change = { stage: "sum", from: { generation: "t-1", count: 2 }, to: { generation: "t-2", count: 1 }, takenBack: false };
const view = (node: string, of: Partial<ScaleView>): ScaleView => ({ node, upstream: [], old: [], new: [], again: 0, sent: [], taken: [], ...of });

test("who is in no view is away; of two views of one actor the one that is further counts, whatever their order", () => {
  const stale = view("n1", { upstream: [{ actor: "f/pass/0", stance: "open" }, { actor: "f/pass/1", stance: "away" }], old: [{ p: 0, state: "runs" }, { p: 1, state: "runs" }] });
  const fresh = view("n2", { upstream: [{ actor: "f/pass/0", stance: "barrier" }], old: [{ p: 0, state: "sealed" }] });
  for (const views of [[stale, fresh], [fresh, stale]]) {
    assert.equal(factsOf(plan, record, change, views), {
      isSource: false, upstream: [{ actor: "f/pass/0", stance: "barrier" }, { actor: "f/pass/1", stance: "away" }], old: [{ actor: "sum/0", state: "sealed" }, { actor: "sum/1", state: "runs" }], new: [{ actor: "sum/0", state: "away" }],
    });
  }
  assert.equal(factsOf(plan, record, change, []).upstream.map(({ stance }) => stance), ["away", "away"]);
});

test("what it cost is put together from the nodes, on one clock; what was seen is kept when its node is gone", () => {
  const cost = new ScaleCost(1_000);
  cost.see([view("n1", { again: 5, sent: [["f/pass/0@t-1 0 0", 10]] }), view("n2", { again: 1 })], 1_000);
  cost.see([
    view("n1", { again: 7, sent: [["f/pass/0@t-1 0 0", 12]], old: [{ p: 0, state: "sealed", ageMs: 100, entries: 6, moved: 2 }], taken: [[0, [["f/pass/0@t-1 0 0", 12]]]] }),
    view("n2", { again: 1, old: [{ p: 1, state: "sealed", ageMs: 50, entries: 4, moved: 4 }], taken: [[1, []]] }),
  ], 1_400);
  cost.see([view("n2", { new: [{ p: 0, state: "runs", ageMs: 20 }] })], 1_600);
  assert.equal(cost.receipt(change, 1_700), { from: 2, to: 1, ms: 700, entries: 10, moved: 6, pauseMs: [280], sentAgain: 2, lost: 0 });
});

test("a frame that was sent and not taken is lost; where an old actor's node was ended before it told, that is not known", () => {
  const cost = new ScaleCost(0), sealed = (p: number, frames: number): ScaleView => view("n1", { taken: [[p, [[`f/pass/0@t-1 ${p} 0`, frames]]]] });
  cost.see([view("n2", { sent: [["f/pass/0@t-1 0 0", 10], ["f/pass/0@t-1 1 0", 3]] }), sealed(0, 8)], 1);
  assert.is(cost.receipt(change, 2).lost, null);
  cost.see([sealed(1, 3)], 3);
  assert.is(cost.receipt(change, 4).lost, 2);
});

test("what is left of a generation goes by any record that knows enough of it, and never while it may be in use", () => {
  const kept = { ...record, stages: stages.map((stage) => (stage.name === "sum" ? { ...stage, generation: "t-3", given: 6, withdrawn: ["t-6"] } : stage)), change: { ...record.change, generation: "t-5" } } as RunRecord;
  assert.is(givenTo(kept, "sum"), 6);
  assert.equal([1, 2, 3, 4, 5, 6, 7].filter((ordinal) => isLeft(kept, "sum", `t-${ordinal}`)), [1, 2, 4, 6]);
  assert.equal([isLeft(kept, "sum", "other-1"), isLeft(kept, "nowhere", "t-1"), isLeft(kept, "pass", "t-1")], [false, false, false]);
  // Given out last, and not planned yet: its streams may just be being made.
  assert.is(isLeft({ ...kept, stages: kept.stages.map((stage) => ({ ...stage, withdrawn: [] })) }, "sum", "t-6"), false);
});

test("places are for the next generation from when its actors may start", () => {
  assert.is(countsOf(record).get("sum"), 2);
  assert.is(countsOf({ ...record, change: { ...record.change, started: true } as NonNullable<RunRecord["change"]> }).get("sum"), 1);
});

test.run();
