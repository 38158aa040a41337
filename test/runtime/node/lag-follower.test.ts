// When a stage that follows its lag is scaled: time is given by hand.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { LagFollower, quietMs, risingMs } from "../../../runtime/node/lag-follower.ts";

const test = suite("lag-follower");
const target = 5_000, stepMs = 1_000;

class Stage {
  readonly #follower = new LagFollower({ min: 2, max: 12, targetLagMs: target });
  now = 0;
  count = 2;
  why = "";

  /** Looks once a second for so long; gives the numbers that were decided, each taken at once. */
  for(ms: number, lag: number | undefined | ((passed: number) => number), heldUpBy?: string): readonly number[] {
    const decided: number[] = [];
    for (let passed = 0; passed <= ms; passed += stepMs, this.now += stepMs) {
      const { to, why } = this.#follower.look({ now: this.now, lagMs: typeof lag === "function" ? lag(passed) : lag, heldUpBy, count: this.count });
      this.why = why;
      if (to !== undefined) decided.push((this.count = to));
    }
    return decided;
  }
}

test("above the target for a while it doubles, up to the most, and no further", () => {
  const stage = new Stage();
  assert.equal(stage.for(risingMs - stepMs, target + 1), []);
  assert.match(stage.why, /^lag 5\.0 s is above its target of 5\.0 s for 2\.0 s$/);
  assert.equal(stage.for(0, target + 1), [4]);
  assert.equal(stage.for(risingMs, (passed) => 10_000 + passed), [8]);
  assert.equal(stage.for(60_000, 20_000), [12]);
  assert.match(stage.why, /as many as may be/);
});

test("a peak that is over before that changes nothing, however often it comes", () => {
  const stage = new Stage();
  for (let i = 0; i < 20; i++) assert.equal([...stage.for(risingMs - stepMs, 3 * target), ...stage.for(0, 0)], []);
});

test("what is being caught up is waited for, as long as it is", () => {
  const stage = new Stage();
  assert.equal(stage.for(20_000, (passed) => 25_000 - passed), []);
  assert.match(stage.why, /within its target/);
  stage.for(0, 30_000);
  assert.equal(stage.for(risingMs, (passed) => 30_000 - passed / 100), [4], "it falls, but would take an hour");
});

test("where somebody else holds it up, more of it would not help", () => {
  const stage = new Stage();
  assert.equal(stage.for(120_000, 60_000, "out/0"), []);
  assert.match(stage.why, /out\/0 holds it up/);
  assert.equal(stage.for(risingMs, 60_000), [4]);
});

test("only after a long quiet time it is halved, down to the least", () => {
  const stage = new Stage();
  stage.count = 9;
  assert.equal(stage.for(quietMs.least - stepMs, 0), []);
  assert.equal(stage.for(0, 0), [5]);
  assert.equal(stage.for(quietMs.least, 0), [3]);
  assert.equal(stage.for(3 * quietMs.least, 0), [2]);
  assert.match(stage.why, /as few as may be/);
});

test("a lag near its target, or one that is not known, is no quiet time", () => {
  const stage = new Stage();
  stage.count = 8;
  assert.equal(stage.for(2 * quietMs.least, target * 0.6), []);
  for (let i = 0; i < 4; i++) assert.equal([...stage.for(quietMs.least - stepMs, 0), ...stage.for(0, undefined)], []);
});

test("where fewer were too few the next quiet time is twice as long: it does not swing to and fro", () => {
  const stage = new Stage();
  stage.count = 8;
  const decisions: number[] = [];
  // With four its lag grows, with eight it is nothing.
  for (let hours = 0; hours < 12; hours++) decisions.push(...stage.for(3_600_000 - stepMs, () => (stage.count < 8 ? 2 * target : 0)));
  const pairs = decisions.length / 2;
  assert.equal(decisions, Array.from({ length: pairs }, () => [4, 8]).flat());
  // 5, 10, 20, 40 minutes, then once an hour.
  assert.ok(pairs >= 12 && pairs <= 15, `${pairs} times in 12 hours`);
});

test("more than its most, by a person's order, it leaves alone", () => {
  const stage = new Stage();
  stage.count = 20;
  assert.equal(stage.for(2 * quietMs.least, 0), []);
  assert.equal(stage.for(60_000, 10 * target), []);
});

test.run();
