import { suite } from "uvu";
import * as assert from "uvu/assert";
import { escalated, whenExceeded } from "../../../runtime/supervision/escalation.ts";

const test = suite("escalation");
const plan = { intensity: 5, periodMs: 60_000 };

test("a stage and a flow hand up what they cannot manage, the root parks it", () => {
  assert.equal((["stage", "flow", "root"] as const).map(whenExceeded), ["escalate", "escalate", "park"]);
});

test("the exit says that the budget is spent and what the last failure was", () => {
  const last = new TypeError("x is undefined"), { class: of, error } = escalated("f/s/1", { class: "crash", error: last }, plan);
  assert.is(of, "escalated");
  assert.match(error?.message ?? "", /f\/s\/1 failed more than 5 times within 60000 ms; at last TypeError: x is undefined \(INTENSITY_EXCEEDED, f\/s\/1\)/);
  assert.is(error?.cause, last);
});

test("each level names its child and the first cause, not the levels between", () => {
  const last = new TypeError("x is undefined"), stage = escalated("f/s/1", { class: "crash", error: last }, plan), flow = escalated("f/s", stage, plan);
  assert.match(flow.error?.message ?? "", /^f\/s failed more than 5 times within 60000 ms; at last TypeError: x is undefined \(/);
  assert.is(flow.error?.cause, last);
});

test("an exit without an error is named by its class", () => {
  assert.match(escalated("f/s/1", { class: "shutdown" }, plan).error?.message ?? "", /at last shutdown/);
});

test.run();
