import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Exit } from "../../../runtime/actor/exit.ts";
import { rootSupervision } from "../../../runtime/supervision/escalation.ts";
import { fresh, judge, type Circumstances, type Standing } from "../../../runtime/supervision/verdict.ts";

const test = suite("verdict");
const plan = { ...rootSupervision, intensity: 2, periodMs: 10_000, backoff: { minMs: 100, maxMs: 800, factor: 2, jitter: 0 } };
const circumstances: Circumstances = { kind: "stage", plan, restart: "permanent", now: 0, ranMs: 5, random: { next: () => 0.5, bytes: (count) => new Uint8Array(count) } };
const crash: Exit = { class: "crash", error: new Error("boom") };

/** What is decided about exits one after another, a second apart. */
function story(exits: readonly Exit[], more: Partial<Circumstances> = {}, everyMs = 1_000): { readonly told: readonly string[]; readonly standing: Standing } {
  let standing = fresh;
  const told = exits.map((exit, index) => {
    const verdict = judge(standing, exit, { ...circumstances, now: index * everyMs, ...more });
    standing = verdict.standing;
    return verdict.delayMs === undefined ? String(verdict.action) : `${verdict.action} ${verdict.delayMs}`;
  });
  return { told, standing };
}

test("crashes are restarted with a growing wait until the budget is spent, then handed up", () => {
  const { told, standing } = story([crash, crash, crash]);
  assert.equal(told, ["restart 100", "restart 200", "escalate"]);
  assert.is(standing.restarts, 2);
});

test("crashes that are further apart than the period are restarted for ever", () => {
  const { told } = story(Array(6).fill(crash) as Exit[], { ranMs: 10_000 }, 10_001);
  assert.equal(told, Array(6).fill("restart 100"));
});

test("the root parks what it may not restart", () => {
  assert.equal(story([{ class: "escalated" }], { kind: "root", plan: rootSupervision }).told, ["park"]);
});

test("outages spend no budget, however many, and their wait grows by itself", () => {
  const down: Exit = { class: "unavailable" };
  const { told, standing } = story([down, down, down, crash, down], { ranMs: undefined });
  assert.equal(told, ["suspend 1100", "suspend 2000", "suspend 4000", "restart 100", "suspend 8000"]);
  assert.is(standing.counted.length, 1);
  assert.is(standing.restarts, 1);
});

test("the author's retryAfter is kept, as far as a timer can", () => {
  assert.equal(story([{ class: "unavailable", retryAfterMs: 7_000 }, { class: "unavailable", retryAfterMs: 1e12 }]).told, ["suspend 7000", "suspend 2147483647"]);
});

test("poison spends no budget and gives back what its event had cost", () => {
  const hit: Exit = { ...crash, event: "x" }, poison: Exit = { class: "poison", event: "x" };
  const { told, standing } = story([hit, hit, poison, { ...crash, event: "y" }, { ...crash, event: "y" }]);
  assert.equal(told, ["restart 100", "restart 200", "dead-letter 400", "restart 800", "restart 800"]);
  assert.equal(standing.counted.map(({ event }) => event), ["y"]);
  assert.is(standing.restarts, 5);
});

test("what crashed without that event keeps its count", () => {
  const { told } = story([crash, { ...crash, event: "x" }, { class: "poison", event: "x" }, crash, crash]);
  assert.equal(told.map((one) => one.split(" ")[0]), ["restart", "restart", "dead-letter", "restart", "escalate"]);
});

for (const [exit, action] of [["normal", "undefined"], ["fenced", "yield"], ["parked", "park"]] as const) {
  test(`${exit} comes to ${action} and spends no budget`, () => {
    const { told, standing } = story([{ class: exit }]);
    assert.equal(told, [action]);
    assert.equal(standing, fresh);
  });
}

test("a temporary child is left stopped", () => {
  assert.equal(story([crash, { class: "shutdown" }, { class: "poison", event: "x" }], { restart: "temporary" }).told, ["leave", "leave", "leave"]);
});

test.run();
