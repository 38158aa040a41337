import { suite } from "uvu";
import * as assert from "uvu/assert";
import { reduce, tumbling } from "../../actors/index.ts";
import { OperatorTwin } from "../support/operator-twin.ts";
import { problemsOf } from "../support/problems.ts";

const test = suite("reduce");
interface Reading { celsius: number }
const hottest = { combine: (a: Reading, b: Reading) => (b.celsius > a.celsius ? b : a) };

test("without a window each event gives what came of all so far", () => {
  const twin = new OperatorTwin(reduce(hottest));
  for (const celsius of [3, 5, 4]) twin.send({ celsius }, { key: "a", time: celsius });
  assert.equal(twin.out.map(({ data, time }) => [data, time]), [[{ celsius: 3 }, 3], [{ celsius: 5 }, 5], [{ celsius: 5 }, 4]]);
  assert.equal(twin.state("a"), { celsius: 5 });
});

test("the first event stands as it is, and combine gets the earlier one first", () => {
  const twin = new OperatorTwin(reduce({ window: tumbling(10), combine: (a: string, b: string) => `${a}${b}` }));
  for (const word of ["x", "y", "z"]) twin.send(word, { key: "a", time: 1 });
  twin.send("alone", { key: "b", time: 1 });
  twin.advance(9);
  assert.equal(twin.data, ["xyz", "alone"]);
});

test("result makes what goes on, and is told key, window and final", () => {
  const twin = new OperatorTwin(reduce({ window: tumbling(10), early: "each", ...hottest, result: ({ celsius }, of) => ({ celsius, ...of }) }));
  twin.send({ celsius: 1 }, { key: "a", time: 1 });
  twin.advance(9);
  assert.equal(twin.data, [
    { celsius: 1, key: "a", window: { start: 0, end: 10 }, final: false }, { celsius: 1, key: "a", window: { start: 0, end: 10 }, final: true },
  ]);
});

test("its state is the open windows with their events", () => {
  const twin = new OperatorTwin(reduce({ window: tumbling(10), ...hottest }));
  twin.send({ celsius: 1 }, { key: "a", time: 12 });
  assert.equal(twin.state("a"), [{ window: { start: 10, end: 20 }, value: { celsius: 1 } }]);
});

test("a combine that returns nothing is told so", () => {
  const twin = new OperatorTwin(reduce({ combine: (() => undefined) as never }));
  twin.send("x", { key: "a" });
  assert.throws(() => twin.send("y", { key: "a" }), /combine of reduce returned undefined \(RETURN_INVALID/);
  assert.is(twin.state("a"), "x");
});

test("what is wrong with its options is listed", () => {
  assert.equal(problemsOf(reduce({ combin: () => 1, late: true } as never)), [
    'OPTION_UNKNOWN reduce has no option "combin": did you mean "combine"?',
    "OPTION_INVALID reduce has no combine: give a function, (a, b) => …",
    'WINDOW_MISSING reduce has late: true and no window: give it one, window: tumbling("1h"), or leave late out',
  ]);
});

test.run();
