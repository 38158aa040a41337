import { suite } from "uvu";
import * as assert from "uvu/assert";
import { flatMap, map, pipe } from "../../actors/index.ts";
import { defineOperator, type Context, type Operator } from "../../runtime/index.ts";
import { gate } from "../support/gate.ts";
import { OperatorTwin } from "../support/operator-twin.ts";
import { problemsOf } from "../support/problems.ts";
import { rejection } from "../support/rejection.ts";

const test = suite("flatMap");

const sync = {
  "an array": (n: number) => Array.from({ length: n }, (_, i) => i),
  "a generator": function* (n: number) { for (let i = 0; i < n; i++) yield i; },
  "a set": (n: number) => new Set(Array.from({ length: n }, (_, i) => i)),
};
for (const [what, change] of Object.entries(sync)) {
  test(`all of ${what} goes on, in order, at once`, () => {
    const twin = new OperatorTwin(flatMap(change));
    for (const n of [0, 1, 3]) assert.is(twin.send(n, { time: n, key: "k" }), undefined);
    assert.equal(twin.out.map(({ data, time, key }) => [data, time, key]), [[0, 1, "k"], [0, 3, "k"], [1, 3, "k"], [2, 3, "k"]]);
  });
}

const later = {
  "a promise of an array": async (n: number) => Array.from({ length: n }, (_, i) => i),
  "an async generator": async function* (n: number) { for (let i = 0; i < n; i++) yield i; },
};
for (const [what, change] of Object.entries(later)) {
  test(`all of ${what} goes on, in order`, async () => {
    const twin = new OperatorTwin(flatMap(change));
    for (const n of [0, 1, 3]) await twin.send(n);
    assert.equal(twin.data, [0, 0, 1, 2]);
  });
}

test("an event waits until the next step is done with the one before it", async () => {
  const gates = [gate(), gate(), gate()];
  const begun: number[] = [];
  const twin = new OperatorTwin(pipe(flatMap((_: string) => [0, 1, 2]), map(async (n) => { begun.push(n); await gates[n]?.opened; return n; })));
  const pending = twin.send("a");
  assert.equal(begun, [0]);
  for (const each of gates.reverse()) each.open();
  await pending;
  assert.equal(begun, [0, 1, 2]);
  assert.equal(twin.data, [0, 1, 2]);
});

test("of an event that was given up nothing more goes on", async () => {
  const slow = gate();
  // A step that does not look whether its event was given up.
  const heedless: Operator<number, number> = defineOperator({ kind: "heedless", keyed: false, open: (env) => ({ on: async (data, scope) => { await slow.opened; await env.next(data, scope); } }) });
  const twin = new OperatorTwin(pipe(flatMap((_: string) => [0, 1, 2]), heedless));
  const pending = Promise.resolve(twin.send("a")).catch((thrown: Error) => thrown.message);
  twin.stop();
  slow.open();
  assert.is(await pending, "stopped");
  assert.equal(twin.data, [0]);
});

test("a next step that fails half way ends it with that error", async () => {
  const twin = new OperatorTwin(pipe(flatMap((_: string) => [0, 1, 2]), map(async (n) => { if (n === 1) throw new Error("one"); return n; })));
  assert.is(await Promise.resolve(twin.send("a")).catch((thrown: Error) => thrown.message), "one");
  assert.equal(twin.data, [0]);
});

test("a change that throws half way gives nothing", async () => {
  const twin = new OperatorTwin(flatMap(function* (n: number) { yield n; if (n === 1) throw new Error("half way"); }));
  twin.send(0);
  assert.throws(() => twin.send(1), "half way");
  twin.send(2);
  assert.equal(twin.data, [0, 2]);
});

test("a generator keeps its own context while another event's call is under way", async () => {
  const gates = new Map([["a", gate()], ["b", gate()]]);
  const twin = new OperatorTwin(flatMap(async function* (data: string, ctx: Context) { await gates.get(data)?.opened; yield ctx.event.key; }, { concurrency: 2 }));
  const pending = [twin.send("a", { key: 1 }), twin.send("b", { key: 2 })];
  gates.get("b")?.open();
  await pending[1];
  gates.get("a")?.open();
  await pending[0];
  assert.equal(twin.out.map(({ data, key }) => [data, key]), [[2, 2], [1, 1]]);
});

test("an endless async generator ends with its time-out", async () => {
  const closed = gate();
  const tick = () => new Promise((resolve) => setImmediate(resolve));
  const twin = new OperatorTwin(flatMap(async function* () { try { for (;;) { await tick(); yield 1; } } finally { closed.open(); } }, { timeout: 1 }));
  assert.is((await rejection(Promise.resolve(twin.send("a")))).code, "CALL_TIMEOUT");
  await closed.opened;
  assert.equal(twin.data, []);
});

test("a change that returns nothing is told so", () => {
  const twin = new OperatorTwin(flatMap((() => undefined) as never));
  assert.throws(() => twin.send("a"), /flatMap returned undefined \(RETURN_INVALID, test\/stage\/0\)/);
});

test("something that is no function is a problem of the definition", () => {
  assert.equal(problemsOf(flatMap([] as never)), ["OPTION_INVALID flatMap got an array where a function belongs: give flatMap((data) => […])"]);
});

test.run();
