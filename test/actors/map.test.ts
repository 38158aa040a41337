import { suite } from "uvu";
import * as assert from "uvu/assert";
import { map, pipe } from "../../actors/index.ts";
import { type Context, stepsOf } from "../../runtime/index.ts";
import { gate } from "../support/gate.ts";
import { OperatorTwin } from "../support/operator-twin.ts";
import { problemsOf } from "../support/problems.ts";

const test = suite("map");

test("one event out for each event in, at once, with its time and key", () => {
  const twin = new OperatorTwin(map((n: number) => n * 10));
  assert.is(twin.send(1, { time: 5, key: 7 }), undefined);
  assert.equal(twin.out, [{ data: 10, time: 5, key: 7, type: undefined }]);
});

test("an async change is waited for before the next step", async () => {
  const answer = gate<string>();
  const twin = new OperatorTwin(pipe(map((_: string) => answer.opened), map((text) => text.toUpperCase())));
  const pending = twin.send("question");
  assert.equal(twin.data, []);
  answer.open("answer");
  await pending;
  assert.equal(twin.data, ["ANSWER"]);
});

test("calls that overlap each keep their own event and context", async () => {
  const gates = new Map([["a", gate()], ["b", gate()]]);
  const seen: string[] = [];
  const twin = new OperatorTwin(map((data: string, ctx: Context) => (data === "at once" ? data : slow(data, ctx)), { concurrency: 2 }));
  const slow = async (data: string, ctx: Context) => {
    await gates.get(data)?.opened;
    seen.push(`${data} ${ctx.event.key}`);
    return data;
  };
  twin.send("at once", { key: "zeroth" });
  const first = twin.send("a", { key: "first" }), second = twin.send("b", { key: "second" });
  gates.get("b")?.open();
  await second;
  gates.get("a")?.open();
  await first;
  assert.equal(seen, ["b second", "a first"]);
  assert.equal(twin.out.map(({ data, key }) => [data, key]), [["at once", "zeroth"], ["b", "second"], ["a", "first"]]);
});

test("the engine is told how many calls may overlap", () => {
  assert.equal(stepsOf(map((n: number) => n, { concurrency: 16 }))?.[0]?.calls, { concurrency: 16 });
  assert.is(stepsOf(map((n: number) => n))?.[0]?.calls, undefined);
});

test("what the change throws is thrown on, at once or later", async () => {
  const twin = new OperatorTwin(map((n: number) => {
    if (n === 1) throw new Error("at once");
    return Promise.reject(new Error("later"));
  }));
  assert.throws(() => twin.send(1), "at once");
  const thrown = await Promise.resolve(twin.send(2)).catch((error: Error) => error.message);
  assert.is(thrown, "later");
});

test("the parts of the context can be taken out of it", () => {
  const twin = new OperatorTwin(map((_: string, { actor, attempt, event, signal }) => `${actor} ${attempt} ${event.time} ${signal.aborted}`));
  twin.send("a", { time: 9 });
  assert.equal(twin.data, ["test/stage/0 1 9 false"]);
});

test("what is wrong with it and its calls is listed, with what was probably meant", () => {
  assert.equal(problemsOf(map(undefined as never, { concurency: 0, timeout: "1 hour", retry: {} } as never)), [
    "OPTION_INVALID map got undefined where a function belongs: give map((data) => …)",
    'OPTION_UNKNOWN map has no option "concurency": did you mean "concurrency"?',
    'OPTION_INVALID timeout of map is "1 hour": give a duration such as "10s", from 1ms to 24d',
    "OPTION_INVALID map has retry without attempts: say how many, retry: { attempts: 3 }",
  ]);
  assert.equal(problemsOf(map((n: number) => n, { concurrency: 0 })), ["OPTION_INVALID concurrency of map is 0: give a whole number from 1 to 1,024"]);
});

test.run();
