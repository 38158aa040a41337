import { suite } from "uvu";
import * as assert from "uvu/assert";
import { aggregate, map, pipe, tumbling } from "../../actors/index.ts";
import { stepsOf } from "../../runtime/index.ts";
import { OperatorTwin } from "../support/operator-twin.ts";
import { problemsOf } from "../support/problems.ts";

const test = suite("aggregate");
const count = { initial: () => 0, add: (n: number) => n + 1 };

test("without a window each event gives a result, with its own time", () => {
  const twin = new OperatorTwin(aggregate(count));
  for (const [key, time] of [["a", 3], ["b", 2], ["a", 1]] as const) assert.is(twin.send("x", { key, time }), undefined);
  assert.equal(twin.out.map(({ data, time, key }) => [data, time, key]), [
    [{ key: "a", value: 1 }, 3, "a"], [{ key: "b", value: 1 }, 2, "b"], [{ key: "a", value: 2 }, 1, "a"],
  ]);
  assert.is(twin.state("a"), 2);
  assert.equal(twin.timers, []);
});

test('the keys 1 and "1" are two', () => {
  const twin = new OperatorTwin(aggregate(count));
  for (const key of [1, "1"]) twin.send("x", { key });
  assert.equal(twin.data, [{ key: 1, value: 1 }, { key: "1", value: 1 }]);
});

test("initial gets the key, add the event and its context, result the value and the key", () => {
  const twin = new OperatorTwin(aggregate({
    initial: (key: string) => [key],
    add: (seen, word: string, ctx) => [...seen, `${word}@${ctx.event.time}`],
    result: (seen, of) => ({ seen, of }),
  }));
  twin.send("x", { key: "a", time: 5 });
  assert.equal(twin.data, [{ seen: ["a", "x@5"], of: { key: "a" } }]);
});

test("with a window there is one result, when the watermark has passed its end", () => {
  const twin = new OperatorTwin(aggregate({ window: tumbling(10), ...count }));
  for (const time of [0, 9, 10]) twin.send("x", { key: "a", time });
  twin.advance(8);
  assert.equal(twin.data, []);
  twin.advance(9);
  assert.equal(twin.out, [{ data: { key: "a", window: { start: 0, end: 10 }, value: 2 }, time: 9, key: "a", type: undefined }]);
});

test("result is told the window and that it is final", () => {
  const twin = new OperatorTwin(aggregate({ window: tumbling(10), ...count, result: (n, of) => ({ n, ...of }) }));
  twin.send("x", { key: "a", time: 5 });
  twin.advance(9);
  assert.equal(twin.data, [{ n: 1, key: "a", window: { start: 0, end: 10 }, final: true }]);
});

test("its state is the list of open windows, oldest first", () => {
  const twin = new OperatorTwin(aggregate({ window: tumbling(10), ...count }));
  for (const time of [25, 7, -3, 8]) twin.send("x", { key: "a", time });
  assert.equal(twin.state("a"), [
    { window: { start: -10, end: 0 }, value: 1 }, { window: { start: 0, end: 10 }, value: 2 }, { window: { start: 20, end: 30 }, value: 1 },
  ]);
  twin.advance(9);
  assert.equal(twin.state("a"), [{ window: { start: 20, end: 30 }, value: 1 }]);
  assert.equal(twin.state("b"), []);
});

test("a value of null is a value", () => {
  const twin = new OperatorTwin(aggregate({ window: tumbling(10), initial: () => 7 as number | null, add: (n) => (n === null ? 1 : null) }));
  for (const time of [1, 2, 3]) twin.send("x", { key: "a", time });
  twin.advance(9);
  assert.equal(twin.data, [{ key: "a", window: { start: 0, end: 10 }, value: null }]);
});

test("an add that throws leaves the value as it was", () => {
  const twin = new OperatorTwin(aggregate({ initial: () => 0, add: (sum, n: number) => { if (n < 0) throw new RangeError("negative"); return sum + n; } }));
  twin.send(1, { key: "a" });
  assert.throws(() => twin.send(-1, { key: "a" }), "negative");
  assert.is(twin.state("a"), 1);
  twin.send(2, { key: "a" });
  assert.is(twin.state("a"), 3);
});

test("an add that returns nothing, or a promise, is told so", () => {
  const nothing = new OperatorTwin(aggregate({ initial: () => 0, add: (() => undefined) as never }));
  assert.throws(() => nothing.send("x", { key: "a" }), /add of aggregate returned undefined \(RETURN_INVALID, test\/stage\/0\)/);
  const later = new OperatorTwin(aggregate({ initial: () => 0, add: (async () => 1) as never }));
  assert.throws(() => later.send("x", { key: "a" }), /add of aggregate returned a promise/);
  assert.is(later.state("a"), undefined);
});

test("what comes after it in a pipe is waited for", async () => {
  const twin = new OperatorTwin(pipe(aggregate({ window: tumbling(10), ...count }), map(async ({ value }) => value)));
  twin.send("x", { key: "a", time: 1 });
  twin.send("x", { key: "b", time: 1 });
  const pending = twin.advance(9);
  assert.equal(twin.data, []);
  await pending;
  assert.equal(twin.data, [1, 1]);
});

test("the engine is told of its state, key, version and whether it waits for event time", () => {
  const migrate = () => 0;
  const spec = stepsOf(aggregate({ window: tumbling(10), late: true, version: 2, migrate, ...count }))?.[0];
  assert.equal([spec?.keyed, spec?.state, spec?.eventTime, spec?.outputs, spec?.version, spec?.migrate], [true, "key", true, ["late"], 2, migrate]);
  const running = stepsOf(aggregate(count))?.[0];
  assert.equal([running?.eventTime, running?.outputs, running?.version], [undefined, [], undefined]);
});

test("all that is wrong with its options is listed, with what was probably meant", () => {
  assert.equal(problemsOf(aggregate({ windows: tumbling("6h"), initial: 0, lateness: "1h", late: true, early: "each", version: 0 } as never)), [
    'OPTION_UNKNOWN aggregate has no option "windows": did you mean "window"?',
    "OPTION_INVALID initial of aggregate is 0: give a function, () => …",
    "OPTION_INVALID version of aggregate is 0: give a whole number from 1 to 1,000,000",
    "OPTION_INVALID aggregate has no add: give a function, (value, data) => …",
    'WINDOW_MISSING aggregate has early: "each" and no window: give it one, window: tumbling("1h"), or leave early out',
    'WINDOW_MISSING aggregate has lateness: "1h" and no window: give it one, window: tumbling("1h"), or leave lateness out',
    'WINDOW_MISSING aggregate has late: true and no window: give it one, window: tumbling("1h"), or leave late out',
  ]);
  assert.equal(problemsOf(aggregate(undefined as never)), ["OPTION_INVALID aggregate got undefined where its options belong: give an object with initial, add"]);
  assert.equal(problemsOf(aggregate({ window: tumbling(10), early: 0, lateness: "soon", late: 1, ...count } as never)), [
    'OPTION_INVALID early of aggregate is 0: give "each", or a duration such as "10s", 1ms or more',
    'OPTION_INVALID lateness of aggregate is "soon": give a duration such as "10s"',
    "OPTION_INVALID late of aggregate is 1: give true or false",
  ]);
});

test.run();
