import { suite } from "uvu";
import * as assert from "uvu/assert";
import { map, pipe, stateful } from "../../actors/index.ts";
import { type Emits, stepsOf, type Timer } from "../../runtime/index.ts";
import { gate } from "../support/gate.ts";
import { OperatorTwin } from "../support/operator-twin.ts";
import { problemsOf } from "../support/problems.ts";
import { rejection } from "../support/rejection.ts";

const test = suite("stateful");
const counting = { initial: () => 0, on: (n: number, _: unknown, ctx: Emits<number>) => { ctx.emit(n + 1); return n + 1; } };

test("state is kept by key, from initial on", () => {
  const twin = new OperatorTwin(stateful({ initial: (key: string) => key, on: (state: string, data: string) => `${state}${data}` }));
  for (const [key, data] of [["a", "1"], ["b", "2"], ["a", "3"]] as const) assert.is(twin.send(data, { key }), undefined);
  assert.equal([twin.state("a"), twin.state("b"), twin.state("c")], ["a13", "b2", undefined]);
  assert.equal(twin.out, []);
});

test("null forgets the key: its next event begins with initial", () => {
  const twin = new OperatorTwin(stateful({ initial: () => 0, on: (n, data: string, ctx: Emits<number>) => { ctx.emit(n); return data === "stop" ? null : n + 1; } }));
  for (const data of ["x", "x", "stop", "x"]) twin.send(data, { key: "a" });
  assert.equal(twin.data, [0, 1, 2, 0]);
  assert.is(twin.state("a"), 1);
});

test("a handler that returns nothing is told so, and the state stays", () => {
  const twin = new OperatorTwin(stateful({ initial: () => 0, on: ((n: number, data: number) => (data === 0 ? undefined : n + data)) as (n: number, data: number) => number }));
  twin.send(5, { key: "a" });
  assert.throws(() => twin.send(0, { key: "a" }), /on of stateful returned undefined \(RETURN_INVALID, test\/stage\/0\)\. Return the new state, or null to forget the key\./);
  assert.is(twin.state("a"), 5);
});

test("a handler that throws leaves the state as it was, and the next event goes on from there", () => {
  const twin = new OperatorTwin(stateful({ initial: () => 0, on: (n, data: number) => { if (data < 0) throw new RangeError("negative"); return n + data; } }));
  for (const data of [1, -1, 2]) {
    if (data < 0) assert.throws(() => twin.send(data, { key: "a" }), "negative");
    else twin.send(data, { key: "a" });
  }
  assert.is(twin.state("a"), 3);
});

// ── emit

test("what is emitted has the event's time and key, or the time and type it is given", () => {
  const twin = new OperatorTwin(stateful({
    initial: () => 0,
    on(n, _: string, { emit }: Emits<number>) {
      emit(1);
      emit(2, { time: "1970-01-01T00:00:00.009Z" });
      emit(3, { type: "alert" });
      return n;
    },
  }));
  twin.send("x", { key: "a", time: 5 });
  assert.equal(twin.out, [
    { data: 1, time: 5, key: "a", type: undefined }, { data: 2, time: 9, key: "a", type: undefined }, { data: 3, time: 5, key: "a", type: "alert" },
  ]);
});

test("a time that is none is refused", () => {
  const twin = new OperatorTwin(stateful({ initial: () => 0, on: (n, _: string, ctx: Emits<number>) => { ctx.emit(1, { time: "yesterday" }); return n; } }));
  assert.throws(() => twin.send("x", { key: "a" }), /emit was given "yesterday" as the time of an event \(TIME_INVALID/);
});

test("into a step that is not done at once it emits one after the other, and the event is done with the last", async () => {
  const gates = [gate(), gate()];
  const begun: number[] = [];
  const twin = new OperatorTwin(pipe(
    stateful({ initial: () => 0, on: (n, _: string, ctx: Emits<number>) => { ctx.emit(0); ctx.emit(1); return n + 1; } }),
    map(async (i) => { begun.push(i); await gates[i]?.opened; return i; }),
  ));
  const pending = twin.send("x", { key: "a" });
  assert.is(twin.state("a"), 1);
  assert.equal(begun, [0]);
  for (const each of gates.reverse()) each.open();
  await pending;
  assert.equal(twin.data, [0, 1]);
});

test("a handler that throws after it emitted is done when what it emitted is, and throws its own error", async () => {
  const slow = gate();
  const twin = new OperatorTwin(pipe(
    stateful({ initial: () => 0, on: (_: number, fail: string, ctx: Emits<string>) => { ctx.emit(fail); throw new Error("handler"); } }),
    map(async (fail) => { await slow.opened; if (fail === "both") throw new Error("step"); return fail; }),
  ));
  const thrown = ["one", "both"].map((fail) => Promise.resolve(twin.send(fail, { key: "a" })).catch((error: Error) => error.message));
  slow.open();
  assert.equal(await Promise.all(thrown), ["handler", "handler"]);
});

test("what was emitted and fails while the handler still works fails the event when the handler is done", async () => {
  const answer = gate(), failed = gate();
  const twin = new OperatorTwin(pipe(
    stateful({ initial: () => 0, async on(n, _: string, ctx: Emits<string>) { ctx.emit("bad"); await answer.opened; return n + 1; } }),
    map(async () => { failed.open(); throw new Error("step"); }),
  ));
  const pending = Promise.resolve(twin.send("x", { key: "a" })).catch((error: Error) => error.message);
  await failed.opened;
  await new Promise((resolve) => setImmediate(resolve));
  answer.open();
  assert.is(await pending, "step");
});

test("a context that is used after its handler says so", () => {
  const kept: Emits<number>[] = [];
  const twin = new OperatorTwin(stateful({ initial: () => 0, on: (n, _: string, ctx: Emits<number>) => { kept.push(ctx); return n; }, onTimer: () => null }));
  twin.send("x", { key: "a" });
  for (const use of [(ctx: Emits<number>) => ctx.emit(1), (ctx: Emits<number>) => ctx.timer("t", 1), (ctx: Emits<number>) => ctx.cancelTimer("t")]) {
    assert.throws(() => use(kept[0] as Emits<number>), /was called after its handler was done \(CONTEXT_OVER, test\/stage\/0\)/);
  }
  assert.equal(twin.out, []);
});

// ── async

test("an async handler is waited for, and its state is what it returns", async () => {
  const answer = gate<number>();
  const twin = new OperatorTwin(stateful({ initial: () => 1, async on(n, _: string, ctx: Emits<string>) { const more = await answer.opened; ctx.emit(`got ${more}`); return n + more; } }));
  const pending = twin.send("x", { key: "a" });
  assert.is(twin.state("a"), undefined);
  answer.open(4);
  await pending;
  assert.is(twin.state("a"), 5);
  assert.equal(twin.data, ["got 4"]);
});

test("an async handler's state is kept also where the engine has let go of the entry meanwhile", async () => {
  const answer = gate();
  const twin = new OperatorTwin(stateful({ initial: () => 0, on: async (n) => { await answer.opened; return n + 1; } }));
  const pending = twin.send("x", { key: "a" });
  twin.release();
  answer.open();
  await pending;
  assert.is(twin.state("a"), 1);
});

test("an async handler that fails leaves the state as it was", async () => {
  const twin = new OperatorTwin(stateful({ initial: () => 0, on: async (n, data: number) => { if (data < 0) throw new Error("negative"); return n + data; } }));
  await twin.send(1, { key: "a" });
  assert.is(await Promise.resolve(twin.send(-1, { key: "a" })).catch((error: Error) => error.message), "negative");
  assert.is(twin.state("a"), 1);
  const nothing = new OperatorTwin(stateful({ initial: () => 0, on: (async () => undefined) as never }));
  assert.is((await rejection(Promise.resolve(nothing.send(1, { key: "a" })))).code, "RETURN_INVALID");
});

test("a handler that goes on after its event was given up changes nothing any more", async () => {
  const answer = gate(), said: string[] = [];
  const twin = new OperatorTwin(stateful({
    initial: () => 0,
    async on(n, _: string, ctx: Emits<number>) {
      await answer.opened;
      for (const use of [() => ctx.emit(1), () => ctx.timer("t", 1), () => ctx.cancelTimer("t")]) {
        try { use(); } catch (thrown) { said.push((thrown as Error).message); }
      }
      return n + 1;
    },
    onTimer: () => null,
  }));
  const pending = Promise.resolve(twin.send("x", { key: "a" })).catch((error: Error) => error.message);
  twin.stop();
  answer.open();
  assert.is(await pending, "stopped");
  assert.equal(said, ["stopped", "stopped", "stopped"]);
  assert.equal([twin.out, twin.timers, twin.state("a")], [[], [], undefined]);
});

// ── timers

/** Emits `<name>@<time>` when a timer fires; an event is the name of a timer and when. */
const timing = () => new OperatorTwin(stateful({
  initial: () => 0,
  on(n, { name, when, clock }: { name: string; when: never; clock?: "event" | "wall" }, ctx: Emits<string>) { ctx.timer(name, when, clock === undefined ? {} : { clock }); return n + 1; },
  onTimer(n, { name, time }: Timer, ctx) { ctx.emit(`${name}@${time} ${ctx.key} ${n}`); return n; },
}));

test("a timer fires when event time has passed the event's time by so much, with the timer's time", () => {
  const twin = timing();
  twin.send({ name: "quiet", when: "10ms" }, { key: "a", time: 5 });
  twin.advance(14);
  assert.equal(twin.data, []);
  twin.advance(15);
  assert.equal(twin.out, [{ data: "quiet@15 a 1", time: 15, key: "a", type: undefined }]);
});

test("a timer of the same key and name is moved, of another key or name it is another", () => {
  const twin = timing();
  for (const [key, name, time] of [["a", "x", 0], ["a", "x", 5], ["a", "y", 0], ["b", "x", 0]] as const) twin.send({ name, when: 10 }, { key, time });
  twin.advance(100);
  assert.equal(twin.data, ["y@10 a 3", "x@10 b 1", "x@15 a 3"]);
});

test("a timer may be set to a point in time, and to the wall clock", () => {
  const twin = timing();
  twin.now = 1_000;
  twin.send({ name: "at", when: { at: new Date(7) } }, { key: "a", time: 0 });
  twin.send({ name: "wall", when: "1s", clock: "wall" }, { key: "a", time: 0 });
  twin.send({ name: "wall-at", when: { at: 1_500 }, clock: "wall" }, { key: "a", time: 0 });
  twin.advance(10_000);
  assert.equal(twin.data, ["at@7 a 3"]);
  twin.passTime(1_500);
  twin.passTime(2_000);
  assert.equal(twin.data, ["at@7 a 3", "wall-at@1500 a 3", "wall@2000 a 3"]);
});

test("a timer that a timer sets counts from the time of that one", () => {
  const twin = new OperatorTwin(stateful({
    initial: () => 0, on: (n, _: string, ctx: Emits<number>) => { ctx.timer("t", 10); return n; },
    onTimer: (n, { time }, ctx) => { ctx.emit(time); if (n < 2) ctx.timer("t", 10); return n + 1; },
  }));
  twin.send("x", { key: "a", time: 1 });
  twin.advance(1_000);
  assert.equal(twin.data, [11, 21, 31]);
});

test("a timer that is cancelled does not fire", () => {
  const twin = new OperatorTwin(stateful({
    initial: () => 0, on: (n, data: string, ctx: Emits<string>) => { if (data === "set") ctx.timer("t", 10); else ctx.cancelTimer("t"); return n; },
    onTimer: (n, _, ctx) => { ctx.emit("fired"); return n; },
  }));
  for (const data of ["set", "cancel"]) twin.send(data, { key: "a" });
  twin.advance(100);
  assert.equal(twin.data, []);
});

test("onTimer may forget the key, and be async", async () => {
  const twin = new OperatorTwin(stateful({ initial: () => 0, on: (n, _: string, ctx) => { ctx.timer("t", 10); return n; }, onTimer: async () => null }));
  twin.send("x", { key: "a" });
  assert.is(twin.state("a"), 0);
  await twin.advance(10);
  assert.is(twin.state("a"), undefined);
});

test("timers of a key that was forgotten do nothing", () => {
  const twin = new OperatorTwin(stateful({
    initial: () => 0, on: (n, data: string, ctx: Emits<string>) => { if (data === "end") return null; ctx.timer("offline", 10); return n; },
    onTimer: (n, _, ctx) => { ctx.emit("offline"); return n; },
  }));
  for (const data of ["begin", "end"]) twin.send(data, { key: "a" });
  twin.advance(100);
  assert.equal(twin.data, []);
  assert.is(twin.state("a"), undefined);
});

test("a timer without onTimer is refused when it is set", () => {
  const twin = new OperatorTwin(stateful({ initial: () => 0, on: (n, _: string, ctx) => { ctx.timer("t", 10); return n; } }));
  assert.throws(() => twin.send("x", { key: "a" }), /stateful sets timer "t" and has no onTimer \(TIMER_UNHANDLED, test\/stage\/0\)\. Give it onTimer/);
  assert.equal(twin.timers, []);
});

test("a timer that older code set fails with a clear error where there is no onTimer any more", () => {
  const older = timing(), newer = new OperatorTwin(stateful(counting));
  older.send({ name: "t", when: 10 }, { key: "a" });
  newer.adopt(older);
  assert.throws(() => newer.advance(100), /Timer "t" was set by older code, and stateful has no onTimer any more \(TIMER_UNHANDLED/);
});

for (const [name, when, clock, said] of [
  ["t", "soon", undefined, 'Timer "t" is set to "soon"'], ["t", -1, undefined, 'Timer "t" is set to -1'], ["t", { at: "soon" }, undefined, 'Timer "t" is set to { at: "soon" }'],
  [7, 10, undefined, "The name of a timer is 7"], ["t", 10, "sun", 'The clock of timer "t" is "sun"'],
] as const) {
  test(`a timer that is none is refused: ${said}`, () => {
    const twin = timing();
    assert.throws(() => twin.send({ name, when, clock }, { key: "a" }), (thrown: Error) => thrown.message.startsWith(`${said} (TIMER_INVALID`));
    assert.equal(twin.timers, []);
  });
}

// ── what is around it

test("queries answer from the state, with their arguments", () => {
  const twin = new OperatorTwin(stateful({ initial: () => ({ count: 0 }), on: ({ count }, _: string) => ({ count: count + 1 }), queries: { count: (state) => state.count, above: (state, least: number) => state.count > least } }));
  for (let i = 0; i < 3; i++) twin.send("x", { key: "a" });
  assert.is(twin.query("a", "count"), 3);
  assert.equal([twin.query("a", "above", 2), twin.query("a", "above", 3)], [true, false]);
});

test("the engine is told whether it waits for event time, and of its version", () => {
  const migrate = () => 0;
  const [spec] = stepsOf(stateful({ version: 3, migrate, ...counting, onTimer: () => null })) ?? [];
  assert.equal([spec?.keyed, spec?.state, spec?.eventTime, spec?.version, spec?.migrate], [true, "key", true, 3, migrate]);
  assert.is(stepsOf(stateful(counting))?.[0]?.eventTime, false);
});

test("what is wrong with its options is listed, with what was probably meant", () => {
  assert.equal(problemsOf(stateful({ inital: () => 0, on: 1, queries: { count: 2 } } as never)), [
    'OPTION_UNKNOWN stateful has no option "inital": did you mean "initial"?',
    "OPTION_INVALID on of stateful is 1: give a function, (state, data, ctx) => …",
    "OPTION_INVALID stateful has no initial: give a function, () => …",
    'OPTION_INVALID stateful has a query "count" that is no function: give a function, (state) => state.count',
  ]);
});

test.run();
