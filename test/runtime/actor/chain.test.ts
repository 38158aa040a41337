import { suite } from "uvu";
import * as assert from "uvu/assert";
import { filter, flatMap, map, pipe, stateful } from "../../../actors/index.ts";
import { Cancellations } from "../../../runtime/actor/cancellations.ts";
import { EventScope } from "../../../runtime/actor/chain.ts";
import { type Context, defineOperator, type Emits, type Operator, type OperatorSpec, type Scope, type StepEnvironment } from "../../../runtime/index.ts";
import { ActorBench } from "../../support/actor-bench.ts";

const test = suite("chain");

/** An operator of one step, as an author writes one. */
function operator(on: (data: unknown, scope: Scope, env: StepEnvironment) => void | Promise<void>, more: Partial<OperatorSpec> & { readonly onTimer?: (name: string, scope: Scope, env: StepEnvironment) => void } = {}): Operator<unknown, unknown> {
  const { onTimer, ...spec } = more;
  return defineOperator({ kind: "own", keyed: true, ...spec, open: (env) => ({ on: (data, scope) => on(data, scope, env), ...(onTimer === undefined ? {} : { onTimer: (name: string, scope: Scope) => onTimer(name, scope, env) }) }) });
}

async function given(its: ActorBench, events: Parameters<ActorBench["send"]>[0], count: number): Promise<readonly unknown[]> {
  await its.start();
  its.send(events);
  await its.until("all are there", () => its.data().length === count);
  return its.data();
}

test("operators of a pipe hand events on, one to none, one or many, in order", async () => {
  const its = new ActorBench(pipe(filter((n: number) => n % 2 === 1), flatMap((n: number) => [n, n * 10]), map((n: number) => ({ n }))));
  assert.equal(await given(its, [1, 2, 3].map((data) => ({ data })), 4), [{ n: 1 }, { n: 10 }, { n: 3 }, { n: 30 }]);
});

test("async and sync operators in a row keep the order of their events", async () => {
  const its = new ActorBench(pipe(map(async (n: number) => { if (n % 2 === 0) await null; return n; }), map((n: number) => n + 1), map((n: number) => (n % 3 === 0 ? Promise.resolve(n) : n))));
  assert.equal(await given(its, [1, 2, 3, 4, 5, 6].map((data) => ({ data })), 6), [2, 3, 4, 5, 6, 7]);
});

test("what a handler may know of an event: id, type, time, key, source; address, attempt, clock", async () => {
  const seen: unknown[] = [], its = new ActorBench(map((data: unknown, ctx: Context) => { seen.push({ ...ctx.event }, ctx.actor, ctx.attempt, ctx.now(), ctx.signal.aborted); return data; }));
  await given(its, [{ data: 1, key: "k", time: 77 }], 1);
  assert.equal(seen, [{ id: "f/feed/0@g-1.1.0", type: "f.feed", time: 77, key: "k", source: "f/feed/0" }, "f/work/0", 1, its.clock.now(), false]);
});

test("an event goes on with its time and key, unless a step gives it others", async () => {
  const its = new ActorBench(pipe(
    stateful({ initial: () => 0, on: (count: number, data: number, ctx: Emits<number>) => { ctx.emit(data); if (data === 2) ctx.emit(20, { time: 999, type: "f.other" }); return count + 1; } }),
    map((data: number) => data)));
  await given(its, [{ data: 1, key: "a", time: 5 }, { data: 2, key: "b", time: 6 }], 3);
  assert.equal(its.events().map(({ data, time, key, type }) => [data, time, key, type]), [[1, 5, "a", "f.work"], [2, 6, "b", "f.work"], [20, 999, "b", "f.other"]]);
});

test("further outputs, late events and dead letters go aside; what nobody reads is not sent", async () => {
  const its = new ActorBench(operator((data, scope, env) => {
    if (data === "late") { env.late(); env.output("late", data, scope); }
    else if (data === "dead") env.deadLetter("OWN", "given up", data, scope);
    else if (data === "unread") env.output("unread", data, scope);
    else void env.next(data, scope);
  }, { outputs: ["late", "unread"] }), { outputs: ["late"] });
  assert.equal(await given(its, [1, "late", "dead", "unread", 2].map((data) => ({ data })), 2), [1, 2]);
  await its.until("the letter is there", () => its.letters().length === 1);
  assert.equal(its.data("late"), ["late"]);
  assert.equal(its.letters().map(({ code, message, attempts, event: { data, id } }) => [code, message, attempts, data, id]), [["OWN", "given up", 1, "dead", "f/feed/0@g-1.1.2"]]);
  assert.equal(its.actor.counts, { in: 5, out: 3, late: 1, deadLetters: 1 });
});

test("an operator sees whether its output is read", async () => {
  const seen: boolean[] = [], its = new ActorBench(operator((data, scope, env) => { seen.push(env.isRead("late"), env.isRead("other")); return env.next(data, scope); }, { outputs: ["late", "other"] }), { outputs: ["late"] });
  await given(its, [{ data: 1 }], 1);
  assert.equal(seen, [true, false]);
});

test("state and timers belong to the operator: the same key and name in another one is another", async () => {
  const count = (name: string): Operator<unknown, unknown> => operator((data, scope, env) => {
    const entry = env.entry(scope.key as string);
    env.set(entry, ((entry.value as number | undefined) ?? 0) + 1);
    env.setTimer(scope.key as string, "t", name === "one" ? 10 : 20);
    return env.next(`${data} ${name}${((entry.value as number | undefined) ?? 0)}`, scope);
  }, { state: name === "one" ? "own" : "key", eventTime: true, onTimer: (timer, scope, env) => { void env.next(`${timer} of ${name} at ${scope.time}, ${env.entry(scope.key as string).value}`, scope); } });
  const its = new ActorBench(pipe(count("one") as never, count("two") as never));
  await its.start();
  its.send([{ data: "a", key: "k" }]);
  its.end();
  assert.is((await its.ended()).class, "normal");
  // What the first one's timer gives passes the second one, which counts it, and whose timer it moves.
  assert.equal(its.data(), ["a one1 two1", "t of one at 10, 1 two2", "t of two at 20, 2"]);
});

test("forgetting the state of a key cancels its timers", async () => {
  const its = new ActorBench(stateful({
    initial: () => 0, on: (state: number, data: string, ctx: Emits<string>) => { if (data === "forget") return null; ctx.timer("t", { at: 50 }); ctx.emit(data); return state + 1; },
    onTimer: (state: number, timer, ctx) => { ctx.emit(`${timer.name} ${ctx.key}`); return state; },
  }));
  await its.start();
  its.send([{ data: "x", key: "a" }, { data: "x", key: "b" }, { data: "forget", key: "a" }]);
  its.end();
  await its.ended();
  assert.equal(its.data(), ["x", "x", "t b"]);
});

test("operators see event time as it is reached, not past what is still let go", async () => {
  const seen: unknown[] = [], its = new ActorBench(operator((data, _scope, env) => { seen.push([data, env.watermark()]); env.setTimer("k", `t${data}`, data as number); }, { state: "key", eventTime: true, onTimer: (name, _scope, env) => { seen.push([name, env.watermark()]); } }));
  await its.start();
  its.send([{ data: 10 }, { data: 20 }], { watermark: 15 });
  its.send([{ data: 30 }], { watermark: 100 });
  await its.until("all are through", () => seen.length === 6);
  assert.equal(seen, [[10, -Infinity], [20, -Infinity], ["t10", 10], [30, 15], ["t20", 20], ["t30", 30]]);
});

// ── what is handed to handlers

const scope = (over = new AbortController().signal): EventScope => new EventScope({ actor: "f/a/0", log: console as never, now: () => 5, cancellations: new Cancellations(over) });
const described = () => ({ id: "id", type: "t", time: 1, source: "s" });

test("a signal is made when it is asked for, aborts at the event's deadline, and is fresh for the next event", () => {
  const one = scope().reset(1, "k", 1, described), first = one.signal, reason = new Error("deadline");
  assert.not.ok(first.aborted);
  one.abort(reason);
  assert.ok(first.aborted);
  assert.is(first.reason, reason);
  one.reset(2, "k", 1, described);
  assert.not.ok(one.signal.aborted);
  one.reset(3, "k", 1, described);
  assert.is(one.signal, one.signal, "and is kept from event to event while it was not needed");
});

test("an actor keeps nothing of the signals of events that are done", () => {
  const its = new Cancellations(new AbortController().signal);
  for (let i = 0; i < 3; i++) {
    const one = new EventScope({ actor: "f/a/0", log: console as never, now: () => 5, cancellations: its });
    assert.not.ok(one.signal.aborted);
    assert.is(its.size, 1);
    if (i === 1) one.abort(new Error("deadline"));
    else one.close();
    assert.is(its.size, 0);
  }
});

test("a signal aborts when the actor is over, also one that is asked for after that", () => {
  const over = new AbortController(), one = scope(over.signal).reset(1, "k", 1, described), asked = one.signal;
  over.abort();
  assert.ok(asked.aborted);
  assert.ok(scope(over.signal).reset(1, "k", 1, described).signal.aborted);
});

test("a scope at another time or of another type shares the context, and leaves the event's own alone", () => {
  const one = scope().reset(1, "k", 3, described), other = one.at(9, "f.x"), third = other.at(10);
  assert.equal([one.time, one.type, other.time, other.type, third.time, third.type, other.key], [1, undefined, 9, "f.x", 10, "f.x", "k"]);
  assert.is(other.ctx, one.ctx);
  assert.is(third.ctx.attempt, 3);
});

test("outside of an event there is none to be described", () => assert.throws(() => scope().event, /no event at hand/));

test.run();
