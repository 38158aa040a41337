import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { MillraceError } from "../../../runtime/event/errors.ts";
import type { SupervisionPlan } from "../../../runtime/flow/plan.ts";
import { checkSpecs, problemsOf, type ChildSpec } from "../../../runtime/supervision/child-spec.ts";
import { rootSupervision } from "../../../runtime/supervision/escalation.ts";

const test = suite("child-spec");
const spec = (id: string, restart?: string): ChildSpec => ({ kind: "actor", child: { id, start: async () => {}, stop: async () => {}, kill() {} }, ...(restart === undefined ? {} : { restart: restart as "permanent" }) });

test("the root's own plan is fine", () => {
  assert.equal(problemsOf(rootSupervision, "root"), []);
});

for (const [field, value] of [
  ["strategy", "one_for_none"], ["restart", "always"], ["intensity", -1], ["intensity", 1.5], ["periodMs", 0], ["periodMs", NaN],
  ["shutdownMs", -1], ["shutdownMs", Infinity], ["backoff.minMs", -1], ["backoff.maxMs", 2 ** 31], ["backoff.minMs", 30_001], ["backoff.factor", 0.5], ["backoff.jitter", 1.1],
] as const) {
  test(`${field} ${value} is refused, and the value is named`, () => {
    const [outer, inner] = field.split(".") as [string, string | undefined];
    const plan = { ...rootSupervision, ...(inner === undefined ? { [outer]: value } : { backoff: { ...rootSupervision.backoff, [inner]: value } }) } as SupervisionPlan;
    const problems = problemsOf(plan, "f/s");
    assert.ok(problems.some((problem) => problem.where === `f/s.${field}` && problem.message.includes(String(value)) && problem.remedy.startsWith("Give ")));
  });
}

test("all problems are listed at once, and none is passed over", () => {
  try {
    checkSpecs("f/s", { ...rootSupervision, intensity: -1, periodMs: 0 }, [spec("f/s/0"), spec("f/s/0"), spec("f/s/1", "sometimes")]);
    assert.unreachable();
  } catch (thrown) {
    const { code, problems } = thrown as MillraceError;
    assert.is(code, "SPEC_INVALID");
    assert.equal(problems.map(({ where }) => where), ["f/s.intensity", "f/s.periodMs", "f/s/0", "f/s/1"]);
  }
});

test.run();
