// What is next in scaling a stage, of every state that facts can be in.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type Facts, type NewActor, nextStep, type OldActor, type Step, type Upstream } from "../../../runtime/node/scale-step.ts";

const test = suite("scale-step");
const facts = (upstream: readonly Upstream["stance"][], old: readonly OldActor["state"][], its: readonly NewActor["state"][], isSource = false): Facts => ({
  isSource,   upstream: upstream.map((stance, p) => ({ actor: `a/${p}`, stance })), old: old.map((state, p) => ({ actor: `b/${p}`, state })), new: its.map((state, p) => ({ actor: `b/${p}`, state })),
});
const step = (of: Facts, takenBack = false, stands = false): string => {
  const its: Step = nextStep({ takenBack, stands }, of);
  return its.is === "wait" ? `wait ${its.why} ${its.for.join()}` : its.is;
};

for (const [says, of, takenBack, is] of [
  ["who feeds it is waited for", facts(["open", "barrier", "away"], ["runs"], ["away"]), false, "wait upstream a/0,a/2"],
  ["who has ended is not", facts(["ended", "barrier"], ["runs", "sealed"], ["away"]), false, "wait seal b/0"],
  ["new ones start when all old ones are sealed", facts(["barrier"], ["sealed", "sealed"], ["away", "away"]), false, "start"],
  ["those that do not run yet are waited for", facts(["barrier"], ["sealed"], ["runs", "away"]), false, "wait start b/1"],
  ["when all run the old one is over", facts(["barrier"], ["sealed"], ["runs", "ended"]), false, "finish"],
  ["where all who feed it have ended nobody goes over: the plan goes", facts(["ended", "ended"], ["runs"], ["away"]), false, "withdraw"],
  ["who refused while it was being taken back is waited for when it stands", facts(["refused", "barrier"], ["runs"], ["away"]), false, "wait upstream a/0"],
  ["taking back: all must say so", facts(["refused", "open"], ["runs"], ["away"]), true, "wait upstream a/1"],
  ["taking back: an end says it, too", facts(["refused", "ended"], ["runs"], ["away"]), true, "withdraw"],
  ["taking back: one barrier, and it stands", facts(["refused", "barrier", "open"], ["runs"], ["away"]), true, "stand"],
  ["an old one that has ended is never sealed: a barrier by now is of one who lost its log", facts(["barrier"], ["ended", "runs"], ["away"]), false, "withdraw"],
] as const) test(says, () => assert.is(step(of, takenBack), is));

for (const [says, of, stands, takenBack, is] of [
  ["its actors are waited for until all have promised", facts(["barrier", "open"], ["runs", "runs"], ["away"], true), false, false, "wait upstream a/1"],
  ["all have promised: it stands", facts(["barrier", "barrier"], ["runs", "runs"], ["away"], true), false, false, "stand"],
  ["one has ended: nobody has handed anything over, the plan goes", facts(["barrier", "ended"], ["runs", "ended"], ["away"], true), false, false, "withdraw"],
  ["taken back before it stands", facts(["barrier", "open"], ["runs", "runs"], ["away"], true), false, true, "withdraw"],
  ["from then on all are waited for", facts(["barrier", "barrier"], ["sealed", "runs"], ["away"], true), true, false, "wait seal b/1"],
  ["who cannot be asked any more has promised all the same", facts(["away", "away"], ["sealed", "sealed"], ["away"], true), true, false, "start"],
] as const) test(`a source: ${says}`, () => assert.is(step(of, takenBack, stands), is));

test("once it is on record that they may start, only the new ones are waited for, whatever became of who was before", () => {
  for (const old of ["runs", "ended", "away"] as const) {
    const step = (...its: readonly NewActor["state"][]) => nextStep({ takenBack: false, started: true }, facts(["away", "open"], [old], its)).is;
    assert.equal([step("away", "away"), step("runs", "away"), step("runs", "ended")], ["start", "wait", "finish"]);
  }
});

test("a plan is withdrawn only where no barrier was or will be committed, or an old one had all its ends before it, and new ones start only when all is sealed", () => {
  const stances = ["barrier", "refused", "ended", "open", "away"] as const, olds = ["runs", "sealed", "ended", "away"] as const, news = ["runs", "ended", "away"] as const;
  for (const takenBack of [true, false]) for (const a of stances) for (const b of stances) for (const c of olds) for (const d of olds) for (const e of news) for (const f of news) {
    const is = step(facts([a, b], [c, d], [e, f]), takenBack);
    if (is === "withdraw") assert.ok(c === "ended" || d === "ended" || [a, b].every((stance) => stance === "ended" || (takenBack && stance === "refused")));
    if (is === "start" || is === "finish") assert.ok(c === "sealed" && d === "sealed" && [a, b].includes("barrier") && !takenBack);
    if (is === "finish") assert.ok(e !== "away" && f !== "away");
  }
});

test.run();
