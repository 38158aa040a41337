import { suite } from "uvu";
import * as assert from "uvu/assert";
import { count, strike, type Counted } from "../../../runtime/supervision/restart-intensity.ts";

const test = suite("restart-intensity");
const limits = { intensity: 2, periodMs: 1_000 };

/** Whether each of the restarts at these times exceeds the intensity. */
function exceeds(times: readonly number[], plan = limits): boolean[] {
  let counted: readonly Counted[] = [];
  return times.map((at) => {
    const result = count(counted, { at, event: undefined }, plan);
    counted = result.counted;
    return result.exceeded;
  });
}

test("so many restarts as the intensity says are allowed, one more is not", () => {
  assert.equal(exceeds([0, 1, 2]), [false, false, true]);
});

test("exactly the period still counts, a millisecond more does not", () => {
  assert.equal(exceeds([0, 500, 1_000]), [false, false, true]);
  assert.equal(exceeds([0, 500, 1_001]), [false, false, false]);
});

test("the window slides: what was forgotten makes room", () => {
  assert.equal(exceeds([0, 900, 1_100, 1_901, 2_102, 2_103]), [false, false, false, false, false, true]);
});

test("intensity 0 allows none", () => {
  assert.equal(exceeds([0], { intensity: 0, periodMs: 1_000 }), [true]);
});

test("no more is kept than can matter", () => {
  let counted: readonly Counted[] = [];
  for (let at = 0; at < 100; at++) counted = count(counted, { at, event: undefined }, limits).counted;
  assert.is(counted.length, 3);
});

test("what one event causes counts once, and as of its newest try", () => {
  let counted: readonly Counted[] = [];
  const exceeded = ([[0, "a"], [1, "a"], [2, "a"], [3, "a"], [4, "b"], [5, undefined]] as const).map(([at, event]) => {
    const result = count(counted, { at, event }, limits);
    counted = result.counted;
    return result.exceeded;
  });
  assert.equal(exceeded, [false, false, false, false, false, true]);
  assert.equal(counted.map(({ at }) => at), [3, 4, 5]);
});

test("what an event cost that turned out to be poison is struck, what others cost stays", () => {
  const counted = [{ at: 0, event: "a" }, { at: 1, event: "b" }, { at: 2, event: "a" }, { at: 3, event: undefined }];
  assert.equal(strike(counted, "a"), [{ at: 1, event: "b" }, { at: 3, event: undefined }]);
});

test.run();
