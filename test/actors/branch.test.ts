import { suite } from "uvu";
import * as assert from "uvu/assert";
import { branch, map, pipe } from "../../actors/index.ts";
import { stepsOf } from "../../runtime/index.ts";
import { OperatorTwin } from "../support/operator-twin.ts";
import { problemsOf } from "../support/problems.ts";

const test = suite("branch");
/** What the events are: a branch learns it from what comes before it. */
const numbers = map((n: number) => n);

test("an event leaves once, by the first output whose test it passes, the rest by the stage's own stream", () => {
  const twin = new OperatorTwin(pipe(numbers, branch({ large: (n) => n > 100, even: (n) => n % 2 === 0 })));
  for (const n of [102, 4, 101, 3]) assert.is(twin.send(n, { time: n, key: "k" }), undefined);
  assert.equal(twin.data, [3]);
  assert.equal(twin.further, {
    large: [{ data: 102, time: 102, key: "k", type: undefined }, { data: 101, time: 101, key: "k", type: undefined }],
    even: [{ data: 4, time: 4, key: "k", type: undefined }],
  });
});

test("its outputs are named, those that are undefined left out", () => {
  assert.equal(stepsOf(branch({ a: () => true, b: undefined }))?.[0]?.outputs, ["a"]);
});

test("an async test is told to be one: it would send everything its way", () => {
  const twin = new OperatorTwin(branch({ all: (async () => false) as never }));
  assert.throws(() => twin.send(1), /Test "all" of branch returned a promise \(RETURN_INVALID/);
  assert.equal(twin.further, {});
});

test("a test that throws sends the event nowhere", () => {
  const twin = new OperatorTwin(pipe(numbers, branch({ a: (n) => { if (n === 2) throw new Error("two"); return false; } })));
  twin.send(1);
  assert.throws(() => twin.send(2), "two");
  twin.send(3);
  assert.equal(twin.data, [1, 3]);
});

test("what is no test is a problem of the definition", () => {
  assert.equal(problemsOf(branch({ a: 1 } as never)), ['OPTION_INVALID branch has 1 as the test of "a": give a function, (data) => true or false']);
  assert.equal(problemsOf(branch({})), ["OPTION_INVALID branch got no test: give an object of outputs and tests, { large: (order) => order.total > 1000 }"]);
  assert.equal(problemsOf(branch(undefined as never)), ["OPTION_INVALID branch got undefined: give an object of outputs and tests, { large: (order) => order.total > 1000 }"]);
});

test.run();
