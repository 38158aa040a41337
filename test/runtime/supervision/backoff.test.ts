import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Random } from "../../../runtime/event/clock.ts";
import { delayAfter, failuresWith } from "../../../runtime/supervision/backoff.ts";

const test = suite("backoff");
const always = (value: number): Random => ({ next: () => value, bytes: (count) => new Uint8Array(count) });
const backoff = { minMs: 100, maxMs: 1_000, factor: 2, jitter: 0.2 };
const [least, middle, most] = [always(0), always(0.5), always(1 - Number.EPSILON)];

test("the wait grows by the factor with each failure in a row, up to the longest", () => {
  assert.equal([1, 2, 3, 4, 5, 60, 5_000].map((failures) => delayAfter(failures, { ...backoff, jitter: 0 }, middle)), [100, 200, 400, 800, 1_000, 1_000, 1_000]);
});

test("jitter spreads the wait to both sides, and never beyond the bounds", () => {
  assert.equal([1, 3, 5].map((failures) => delayAfter(failures, backoff, least)), [100, 320, 800]);
  assert.equal([1, 3, 5].map((failures) => delayAfter(failures, backoff, most)), [120, 480, 1_000]);
});

test("for every share of jitter and every chance the wait stays within its bounds", () => {
  for (const jitter of [0, 0.5, 1]) for (const random of [least, middle, most]) for (let failures = 1; failures < 40; failures++) {
    const ms = delayAfter(failures, { ...backoff, jitter }, random);
    assert.ok(ms >= 100 && ms <= 1_000, `${ms} ms`);
  }
});

test("a shortest wait of 0 grows as well, from the second failure on", () => {
  assert.equal([1, 2, 3, 4, 50].map((failures) => delayAfter(failures, { minMs: 0, maxMs: 50, factor: 3, jitter: 0 }, middle)), [0, 3, 9, 27, 50]);
  assert.is(delayAfter(9, { minMs: 0, maxMs: 0, factor: 2, jitter: 1 }, most), 0);
});

test("a child that ran quietly for the whole period begins anew; one that did not get to run never does", () => {
  assert.is(failuresWith(4, 1_000, 1_000), 1);
  assert.is(failuresWith(4, 999, 1_000), 5);
  assert.is(failuresWith(4, undefined, 0), 5);
});

test.run();
