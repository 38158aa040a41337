import { suite } from "uvu";
import * as assert from "uvu/assert";
import { aggregate, branch, filter, flatMap, map, pipe, tumbling } from "../../actors/index.ts";
import { stepsOf } from "../../runtime/index.ts";
import { OperatorTwin } from "../support/operator-twin.ts";
import { problemsOf } from "../support/problems.ts";

const test = suite("pipe");
const kinds = (operator: unknown) => stepsOf(operator)?.map((spec) => spec.kind);

test("pipes nest, and come out as one row of steps", () => {
  const inner = pipe(map((n: number) => n + 1), pipe(filter((n) => n > 1), flatMap((n) => [n, n])));
  assert.equal(kinds(pipe(inner, map((n) => String(n)))), ["map", "filter", "flatMap", "map"]);
  const twin = new OperatorTwin(pipe(inner, map((n) => String(n))));
  for (const n of [0, 1]) twin.send(n);
  assert.equal(twin.data, ["2", "2"]);
});

test("an operator that is undefined is left out", () => {
  assert.equal(kinds(pipe(map((n: number) => n), undefined, filter((n: number) => n > 0))), ["map", "filter"]);
});

test("state, a late output and branches work within one pipe", () => {
  const twin = new OperatorTwin(pipe(
    filter((n: number) => n > 0),
    aggregate({ window: tumbling(10), late: true, initial: () => 0, add: (sum, n) => sum + n, result: (sum) => sum }),
    branch({ high: (sum) => sum >= 10 }),
  ), { read: ["late", "high"] });
  for (const [n, time] of [[4, 1], [-1, 2], [6, 9], [3, 12]] as const) twin.send(n, { time, key: "k" });
  twin.advance(19);
  twin.send(1, { time: 5, key: "k" });
  assert.equal(twin.data, [3]);
  assert.equal(twin.further["high"]?.map(({ data, time }) => [data, time]), [[10, 9]]);
  assert.equal(twin.further["late"]?.map(({ data }) => data), [1]);
});

test("what is no operator is a problem that names its place", () => {
  assert.equal(problemsOf(pipe(map((n: number) => n), ((n: number) => n) as never, filter as never, 3 as never)), [
    "OPERATOR_INVALID pipe got a function as its operator 2: wrap it, map(fn), or call it",
    "OPERATOR_INVALID pipe got a function as its operator 3: wrap it, map(fn), or call it",
    "OPERATOR_INVALID pipe got 3 as its operator 4: give what map(…), aggregate(…) and the like return",
  ]);
  assert.equal(problemsOf(pipe(undefined as never)), ["OPERATOR_INVALID pipe got undefined as its operator 1: give what map(…), aggregate(…) and the like return"]);
});

test.run();
