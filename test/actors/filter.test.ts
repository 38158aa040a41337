import { suite } from "uvu";
import * as assert from "uvu/assert";
import { filter, map, pipe } from "../../actors/index.ts";
import { gate } from "../support/gate.ts";
import { OperatorTwin } from "../support/operator-twin.ts";
import { problemsOf } from "../support/problems.ts";

const test = suite("filter");

test("what passes goes on as it is, at once, and the rest is gone", () => {
  const twin = new OperatorTwin(filter((n: number) => n % 2 === 0));
  for (const n of [1, 2, 3, 4]) assert.is(twin.send(n, { time: n, key: "k" }), undefined);
  assert.equal(twin.out, [{ data: 2, time: 2, key: "k", type: undefined }, { data: 4, time: 4, key: "k", type: undefined }]);
});

test("an async test is waited for", async () => {
  const asked = gate<boolean>();
  const twin = new OperatorTwin(filter(() => asked.opened));
  const pending = twin.send("a");
  assert.equal(twin.data, []);
  asked.open(true);
  await pending;
  assert.equal(twin.data, ["a"]);
});

test("an event that was given up while its test was asked goes nowhere", async () => {
  const asked = gate<boolean>();
  const twin = new OperatorTwin(filter(() => asked.opened));
  const pending = Promise.resolve(twin.send("a")).catch((thrown: Error) => thrown.message);
  twin.stop();
  asked.open(true);
  assert.is(await pending, "stopped");
  assert.equal(twin.data, []);
});

test("it is told of the event", () => {
  const twin = new OperatorTwin(filter((_: string, ctx) => ctx.event.key === "k"));
  twin.send("a", { key: "k" });
  twin.send("b", { key: "l" });
  assert.equal(twin.data, ["a"]);
});

test("what the test throws is thrown on, and the next event is tested as usual", () => {
  const twin = new OperatorTwin(pipe(filter((n: number) => { if (n === 2) throw new RangeError("two"); return true; }), map((n) => n)));
  twin.send(1);
  assert.throws(() => twin.send(2), (thrown: unknown) => thrown instanceof RangeError && thrown.message === "two");
  twin.send(3);
  assert.equal(twin.data, [1, 3]);
});

test("something that is no function is a problem of the definition", () => {
  assert.equal(problemsOf(filter("big" as never)), ['OPTION_INVALID filter got "big" where a function belongs: give filter((data) => true or false)']);
});

test.run();
