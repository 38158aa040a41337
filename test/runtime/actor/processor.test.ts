import { suite } from "uvu";
import * as assert from "uvu/assert";
import { map, stateful } from "../../../actors/index.ts";
import { type Context, type Emits, RetryableError, TerminalError, UnavailableError } from "../../../runtime/index.ts";
import { rangeOf } from "../../../runtime/journal/keys.ts";
import { snapshotEvery } from "../../../runtime/actor/snapshot.ts";
import { MemoryStores } from "../../../runtime/testing/memory-store.ts";
import { ActorBench, type Sent } from "../../support/actor-bench.ts";
import { gate } from "../../support/gate.ts";
import { rejection } from "../../support/rejection.ts";

const test = suite("processor");
const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);
const numbers = (from: number, to: number, key?: (n: number) => string): Sent[] => range(from, to).map((n) => ({ data: n, ...(key === undefined ? {} : { key: key(n) }) }));

/** Counts the events of each key, and tells each count. */
const counting = (before: (n: number, ctx: Context) => void | Promise<void> = () => {}) => stateful({
  initial: () => 0,
  on(count: number, n: number, ctx: Emits<unknown>) {
    const done = () => { ctx.emit([n, count + 1]); return count + 1; }, waits = before(n, ctx);
    return waits === undefined ? done() : waits.then(done);
  },
});

async function through(its: ActorBench, count: number): Promise<readonly unknown[]> {
  await its.until(`${count} events come out`, () => its.data().length >= count);
  return its.data();
}

// ── exactly once through lives

test("recovery runs no handler and commits nothing but its claim, from the journal and from the log alone (I7)", async () => {
  let calls = 0;
  const its = new ActorBench(counting(() => { calls++; }));
  await its.start();
  for (let n = 1; n <= 20; n++) { its.send(numbers(n, n, (i) => `k${i % 3}`)); await through(its, n); }
  for (const journal of [true, false]) {
    await its.stop();
    if (!journal) its.disk.stores.clear();
    const [records, events] = [its.log().length, its.events()];
    await its.start();
    await its.until("it has looked at what it had sent", () => its.actor.availability.checked);
    await its.clock.elapse(2_000);
    assert.equal([calls, its.log().slice(records).map(({ kind }) => kind)], [20, ["claim"]]);
    assert.equal(its.events(), events);
  }
  its.send(numbers(21, 21, () => "k0"));
  assert.equal([(await through(its, 21)).at(-1), calls], [[21, 7], 21]);
});

test("state goes on where it was after a kill, a stop and a crash: every event counts once", async () => {
  let boom = true;
  const its = new ActorBench(counting((n) => { if (n === 25 && boom) { boom = false; throw new Error("boom"); } }));
  await its.start();
  for (let at = 1; at <= 40; at += 5) {
    its.send(numbers(at, at + 4, () => "k"));
    if (at === 6) { await through(its, 7); its.kill(); await its.restart(); }
    if (at === 11) { await through(its, 12); await its.stop(); await its.start(); }
    if (at === 21) assert.is((await its.restart()).class, "crash");
  }
  assert.equal(await through(its, 40), range(1, 40).map((n) => [n, n]));
});

test("what a failed event had done is in no record: its emits, state and timers (R1)", async () => {
  let fails = true;
  const its = new ActorBench(stateful({
    initial: () => [] as number[],
    on(seen: readonly number[], n: number, ctx: Emits<unknown>) {
      ctx.emit(`before ${n}`);
      ctx.timer("t", { at: n });
      if (n === 2 && fails) { fails = false; throw new RetryableError("not now", { retryAfter: 100 }); }
      ctx.emit(`after ${n}, ${seen.join()}`);
      return [...seen, n];
    },
    onTimer: (seen: readonly number[], { time }, ctx) => { ctx.emit(`timer ${time}, ${seen.join()}`); return seen as number[]; },
  }));
  await its.start();
  its.send(numbers(1, 2, () => "k"));
  its.end();
  await its.ended();
  assert.equal(its.data(), ["before 1", "after 1, ", "before 2", "after 2, 1", "timer 2, 1,2"]);
});

test("after a snapshot and an empty disk everything goes on as it was", async () => {
  const { records } = snapshotEvery;
  snapshotEvery.records = 10;
  try {
    const its = new ActorBench(counting());
    await its.start();
    for (let n = 1; n <= 60; n++) { its.send(numbers(n, n, (i) => `k${i % 3}`)); await through(its, n); }
    await its.until("the log was purged", () => (its.log()[0]?.n ?? 0) > 20);
    its.kill();
    its.disk.stores.clear();
    await its.restart();
    its.send(numbers(61, 63, (n) => `k${n % 3}`));
    assert.equal((await through(its, 63)).slice(-3), [[61, 21], [62, 21], [63, 21]]);
  } finally {
    snapshotEvery.records = records;
  }
});

test("a folded value with a flipped bit is noticed: the journal is set aside and built anew from the log, the event is not blamed", async () => {
  const { records } = snapshotEvery;
  snapshotEvery.records = 10;
  try {
    const its = new ActorBench(counting());
    await its.start();
    for (let n = 1; n <= 30; n++) { its.send(numbers(n, n, () => "k")); await through(its, n); }
    its.kill();
    const store = await new MemoryStores(its.disk).open("f/work/g-1/0");
    for await (const [key, value] of store.range(...rangeOf("s"))) {
      value[5] = (value[5] as number) ^ 1;
      await store.write([{ type: "put", key, value }]);
    }
    await store.close();
    await its.restart();
    its.send(numbers(31, 31, () => "k"));
    for (let lives = 0; its.data().length < 31 && lives < 5; lives++) {
      await its.until("it goes on, or ends", () => its.data().length === 31 || its.exits.length > lives + 1);
      if (its.data().length < 31) await its.restart();
    }
    assert.equal([its.data().at(-1), its.letters()], [[31, 31], []]);
  } finally {
    snapshotEvery.records = records;
  }
});

for (const [what, letter] of [["timer", "t"], ["held event", "o"], ["waiting event", "w"]] as const) {
  test(`a folded ${what} with a flipped bit: the start fails once, the next one builds the journal anew`, async () => {
    const { records } = snapshotEvery;
    snapshotEvery.records = 1;
    try {
      const its = new ActorBench(stateful({
        initial: () => 0, onTimer: (count: number, { name }, ctx: Emits<unknown>) => { ctx.emit(name); return count; },
        on: (count: number, n: number, ctx: Emits<unknown>) => { if (n === 2 && ctx.attempt === 1) throw new RetryableError("later", { retryAfter: "5m" }); ctx.timer("t", { at: 500 }); ctx.emit(n); return count; },
      }), { order: "time" });
      await its.start();
      its.send([{ data: 1, key: "a", time: 10 }, { data: 2, key: "b", time: 10 }, { data: 3, key: "c", time: 90 }], { watermark: 50 });
      await its.until("all of it is in a snapshot", () => its.log().at(-1)?.kind === "snapshot" && its.log().some(({ body }) => body.waiting !== undefined));
      its.kill();
      await its.ended();
      const store = await new MemoryStores(its.disk).open("f/work/g-1/0");
      let found = 0;
      for await (const [key, value] of store.range(...rangeOf(letter))) {
        value[5] = (value[5] as number) ^ 1;
        found++;
        await store.write([{ type: "put", key, value }]);
      }
      await store.close();
      assert.is(found, 1);
      assert.is((await rejection(its.start())).code, "JOURNAL_BROKEN");
      await its.start();
      its.end();
      await its.ended();
      assert.equal([...its.data()].sort(), [1, 2, 3, "t", "t", "t"]);
    } finally {
      snapshotEvery.records = records;
    }
  });
}

test("an actor whose inputs have ended, and that holds nothing, commits its end once all is settled", async () => {
  const its = new ActorBench(counting());
  await its.start();
  its.send(numbers(1, 3, () => "k"));
  its.end();
  assert.is((await its.ended()).class, "normal");
  assert.equal([its.frames().at(-1)?.note, its.frames().at(-1)?.watermark, its.log().at(-1)?.kind], [["end"], Infinity, "stop"]);
  await its.start();
  assert.is((await its.ended()).class, "normal", "a life after its end ends, too");
  assert.is(its.frames().filter(({ note }) => note?.[0] === "end").length, 1);
});

test("zero events: the end alone", async () => {
  const its = new ActorBench(counting());
  await its.start();
  its.end();
  assert.is((await its.ended()).class, "normal");
  assert.equal(its.frames().map(({ note, rows }) => [note, rows.length]), [[["end"], 0]]);
});

// ── what an author throws

test("a TerminalError: a dead letter at once, with what it says; the actor goes on", async () => {
  const its = new ActorBench(counting((n) => { if (n === 2) throw new TerminalError("no such order"); }));
  await its.start();
  its.send(numbers(1, 3, () => "k"));
  assert.equal(await through(its, 2), [[1, 1], [3, 2]]);
  await its.until("the letter is there", () => its.letters().length === 1);
  assert.equal(its.letters().map(({ code, message, attempts, actor, flow, error: { name }, event: { id, key, data } }) => [code, message, attempts, actor, flow, name, id, key, data]), [["TERMINAL", "no such order", 1, "f/work/0", "code", "TerminalError", "f/feed/0@g-1.1.1", "k", 2]]);
  assert.equal([its.exits, its.actor.counts], [[], { in: 3, out: 2, late: 0, deadLetters: 1 }]);
});

test("data that cannot be sent: a dead letter, nothing of the event goes on", async () => {
  const its = new ActorBench(map((n: number) => (n === 2 ? { n, call: () => 1 } : n)));
  await its.start();
  its.send(numbers(1, 3));
  assert.equal(await through(its, 2), [1, 3]);
  await its.until("the letter is there", () => its.letters().length === 1);
  assert.is(its.letters()[0]?.code, "UNSERIALIZABLE");
});

test("a RetryableError: the event waits with its deadline, its key behind it in order, others go on; through a restart, too", async () => {
  const attempts: number[] = [];
  const its = new ActorBench(counting((n, ctx) => { if (n !== 1) return; attempts.push(ctx.attempt); if (ctx.attempt < 3) throw new RetryableError("not now", { retryAfter: "10s" }); }));
  await its.start();
  its.send([{ data: 1, key: "a" }, { data: 2, key: "b" }, { data: 3, key: "a" }, { data: 4, key: "b" }]);
  assert.equal(await through(its, 2), [[2, 1], [4, 2]]);
  its.kill();
  await its.restart();
  its.send([{ data: 5, key: "a" }, { data: 6, key: "b" }]);
  assert.equal(await through(its, 6), [[2, 1], [4, 2], [6, 3], [1, 1], [3, 2], [5, 3]]);
  assert.equal(attempts, [1, 2, 3]);
  assert.ok(its.clock.monotonic() >= 30_000, "10 s, then 20 s");
});

for (const concurrency of [1, 4]) {
  test(`with 16 MiB that wait for a later try the actor takes nothing new, other keys neither, until they are past (concurrency ${concurrency})`, async () => {
    let down = true, begun = 0;
    const large = "x".repeat(1_000_000), its = new ActorBench(map(({ n }: { n: number; text: string }) => { begun++; if (n === 0 && down) throw new RetryableError("not now", { retryAfter: "1s" }); return n; }, concurrency === 1 ? {} : { concurrency }));
    await its.start();
    for (let n = 0; n < 30; n++) its.send([{ data: { n, text: large }, key: n === 29 ? "b" : "a" }]);
    await its.until("it holds as much as it may", () => its.actor.memory.waiting.full);
    await its.clock.elapse(3_000);
    const { size } = its.actor.memory.waiting;
    assert.ok(size >= 17 && size <= 16 + concurrency, `${size} wait`);
    assert.equal(its.data(), []);
    its.kill();
    await its.restart();
    await its.clock.elapse(100);
    assert.is(its.actor.memory.waiting.size, size);
    down = false;
    assert.equal([...(await through(its, 30))].sort((a, b) => (a as number) - (b as number)), range(0, 29));
    assert.ok(begun < 100, `${begun} were begun`);
  });
}

test("any data waits as it is: through a restart a Map is a Map, a bigint a bigint", async () => {
  let down = true;
  const seen: unknown[] = [], its = new ActorBench(map((data: unknown) => { if (down) throw new RetryableError("not now", { retryAfter: "1s" }); seen.push(data); return 1; }));
  await its.start();
  its.send([{ data: { map: new Map([[1, new Set([2n])]]), big: 2n ** 70n, at: new Date(5) } }]);
  await its.until("it waits", () => its.log().some(({ body }) => body.waiting !== undefined));
  its.kill();
  down = false;
  await its.restart();
  await through(its, 1);
  assert.equal(seen, [{ map: new Map([[1, new Set([2n])]]), big: 2n ** 70n, at: new Date(5) }]);
});

test("the watermark stays below an event that waits", async () => {
  let tries = 0;
  const its = new ActorBench(map((n: number) => { if (n === 1 && tries++ < 1) throw new RetryableError("not now", { retryAfter: "10s" }); return n; }));
  await its.start();
  its.send([{ data: 1, time: 50 }, { data: 2, time: 60 }], { watermark: 100 });
  await its.until("the other one is out", () => its.data().length === 1);
  await its.clock.elapse(2_000);
  assert.is(its.watermark(), 49);
  await its.until("the watermark is passed on", () => its.watermark() === 100);
  assert.equal(its.data(), [2, 1]);
});

for (const handler of ["sync", "async"] as const) {
  test(`an UnavailableError: the actor suspends in place and tries again later each time, spends no restart, and says so (${handler})`, async () => {
    const times: number[] = [];
    let down = true;
    const its = new ActorBench(counting((n) => {
      if (n !== 2 || !down) return handler === "sync" ? undefined : Promise.resolve();
      times.push(its.clock.now());
      const error = new UnavailableError("no connection", { retryAfter: "5s" });
      if (handler === "sync") throw error;
      return Promise.reject(error);
    }));
    await its.start();
    its.send(numbers(1, 3, () => "k"));
    await its.until("it has tried four times", () => times.length === 4);
    assert.equal(times.slice(1).map((at, i) => at - (times[i] as number)), [5_000, 10_000, 20_000]);
    assert.is(its.states.at(-1), "unavailable.running");
    down = false;
    assert.equal(await through(its, 3), [[1, 1], [2, 2], [3, 3]]);
    assert.equal([its.exits, its.letters(), its.states.at(-1)], [[], [], "running.active"]);
    // The next outage begins with the first wait again.
    down = true;
    its.send([{ data: 2, key: "k" }]);
    await its.until("it has tried twice more", () => times.length === 6);
    assert.is((times[5] as number) - (times[4] as number), 5_000);
  });
}

test("an ordinary error: the actor crashes with the event's name; what came before it is committed", async () => {
  const its = new ActorBench(counting((n) => { if (n === 3) throw new RangeError("boom"); }));
  await its.start();
  its.send(numbers(1, 4, () => "k"));
  const exit = await its.ended();
  assert.equal([exit.class, exit.event, exit.error?.name], ["crash", "f/feed/0@g-1.1.2", "RangeError"]);
  assert.equal(its.log().at(-1)?.body.tries?.events, [["f/feed/0@g-1.1.2", 1]]);
  await its.start();
  await its.ended();
  assert.equal(its.data(), [[1, 1], [2, 2]]);
});

test("an event that crashes its actor three times is a dead letter, in one record with the step past it, and the third time costs no life", async () => {
  const attempts: number[] = [], its = new ActorBench(counting((n, ctx) => { if (n === 2) { attempts.push(ctx.attempt); throw new Error("boom"); } }));
  await its.start();
  its.send(numbers(1, 3, () => "k"));
  for (let life = 0; life < 2; life++) assert.is((await its.restart()).class, "crash");
  assert.equal(await through(its, 2), [[1, 1], [3, 2]]);
  await its.until("the letter is there", () => its.letters().length === 1);
  assert.equal([attempts, its.exits.length, its.poisoned], [[1, 2, 3], 2, ["f/feed/0@g-1.1.1"]]);
  assert.equal(its.letters().map(({ code, attempts: tries, message }) => [code, tries, message]), [["POISON", 3, "boom"]]);
  const record = its.log().find(({ body }) => body.out?.some(([target]) => target === "mr.dead.f.work.g-1.0"));
  assert.ok(record?.body.cursors !== undefined && record.body.tries?.events.length === 0);
});

test("poison.after 1: given up at once, without a crash", async () => {
  const its = new ActorBench(counting((n) => { if (n === 2) throw new Error("boom"); }), { poison: { after: 1 } });
  await its.start();
  its.send(numbers(1, 3, () => "k"));
  assert.equal(await through(its, 2), [[1, 1], [3, 2]]);
  assert.equal([its.exits.length, its.poisoned.length], [0, 1]);
});

test("code that is older than the state parks the actor, as often as it is tried; the event is not blamed", async () => {
  const versioned = (version: number) => stateful({ version, migrate: (state: unknown) => state as number, initial: () => 0, on: (count: number, n: number, ctx: Emits<unknown>) => { ctx.emit([n, count + 1]); return count + 1; } } as never);
  const { records } = snapshotEvery;
  snapshotEvery.records = 1;
  try {
    const newer = new ActorBench(versioned(2));
    await newer.start();
    for (let n = 1; n <= 10; n++) { newer.send(numbers(n, n, () => "k")); await through(newer, n); }
    // All state is folded: it is read when the handler asks for it.
    await newer.until("the last turn is in a snapshot", () => newer.log().at(-1)?.kind === "snapshot" && newer.log().at(-1)?.body.counts?.in === 10);
    newer.kill();
    await newer.ended();
    const older = newer.as(versioned(1));
    older.send(numbers(11, 11, () => "k"));
    for (let life = 0; life < 4; life++) {
      let code: unknown;
      try { await older.start(); } catch (error) { code = (error as { code?: string }).code; }
      if (code === undefined) { const exit = await older.ended(); assert.is(exit.class, "parked"); code = (exit.error as { code?: string }).code; }
      assert.is(code, "STATE_OLDER");
    }
    assert.equal(older.letters(), []);
    const again = older.as(versioned(2));
    await again.start();
    assert.equal((await through(again, 11)).at(-1), [11, 11]);
  } finally {
    snapshotEvery.records = records;
  }
});

// ── deadlines

test("a handler beyond its deadline: its signal aborts, the actor crashes with DeadlineError; after three lives the event is given up", async () => {
  const reasons: unknown[] = [], its = new ActorBench(map((n: number, ctx: Context) => {
    if (n !== 2) return n;
    ctx.signal.addEventListener("abort", () => reasons.push((ctx.signal.reason as Error).name));
    return new Promise<number>(() => {});
  }, { timeout: "1h" }), { poison: { after: 3, deadline: "30s" } });
  await its.start();
  its.send(numbers(1, 3));
  for (let life = 1; life <= 3; life++) {
    const at = its.clock.monotonic(), exit = await its.restart();
    assert.equal([exit.class, exit.error?.name, exit.event], ["crash", "DeadlineError", "f/feed/0@g-1.1.1"]);
    assert.ok(its.clock.monotonic() - at >= 30_000);
  }
  assert.equal(await through(its, 2), [1, 3]);
  await its.until("the letter is there", () => its.letters().length === 1);
  assert.equal([reasons, its.letters().map(({ code, attempts }) => [code, attempts])], [["DeadlineError", "DeadlineError", "DeadlineError"], [["POISON", 3]]]);
});

test("a handler that goes on after its deadline has no effect: not in this life, not in the next", async () => {
  const held = gate<void>(), late: unknown[] = [];
  let first = true;
  const its = new ActorBench(stateful({
    initial: () => 0,
    async on(count: number, n: number, ctx: Emits<unknown>) {
      if (!first) { ctx.emit([n, count + 1]); return count + 1; }
      first = false;
      await held.opened;
      for (const call of [() => ctx.emit("late"), () => ctx.timer("late", { at: 1 })]) {
        try { call(); late.push("taken"); } catch (error) { late.push(error instanceof Error); }
      }
      return 999;
    },
    onTimer: (count: number, _timer, ctx) => { ctx.emit("late timer"); return count; },
  }), { poison: { deadline: "10s" } });
  await its.start();
  its.send(numbers(1, 2, () => "k"));
  await its.clock.elapse(10_000);
  held.open();
  assert.is((await its.restart()).class, "crash");
  assert.equal(await through(its, 2), [[1, 1], [2, 2]]);
  its.end();
  await its.ended();
  assert.equal(its.data(), [[1, 1], [2, 2]]);
  assert.equal(late, [true, true]);
});

test("a handler that is under way while the actor is killed has no effect, whatever it still does", async () => {
  const held = gate<void>();
  let first = true;
  const its = new ActorBench(map(async (n: number) => { if (first) { first = false; await held.opened; } return n; }));
  await its.start();
  its.send(numbers(1, 2));
  await its.clock.elapse(10);
  its.kill();
  held.open();
  await its.restart();
  assert.equal(await through(its, 2), [1, 2]);
});

// ── stopping

test("a stop lets the handler under way come to its end, commits it, and takes nothing more", async () => {
  const held = gate<void>(), its = new ActorBench(map(async (n: number) => { if (n === 2) await held.opened; return n; }));
  await its.start();
  its.send(numbers(1, 5));
  await its.until("the first one is out", () => its.data().length === 1);
  const stopped = its.actor.stop();
  await its.clock.elapse(100);
  assert.equal(its.exits, []);
  held.open();
  await stopped;
  assert.is((await its.ended()).class, "shutdown");
  assert.equal([its.log().at(-1)?.kind, its.log().findLast(({ body }) => body.cursors !== undefined)?.body.cursors?.[0]?.[5]], ["stop", 2]);
  await its.start();
  assert.equal(await through(its, 5), [1, 2, 3, 4, 5]);
});

test("ctx.signal aborts when the actor ends", async () => {
  let signal: AbortSignal | undefined;
  const its = new ActorBench(map((_n: number, ctx: Context) => { signal = ctx.signal; return new Promise<number>(() => {}); }, { timeout: "1h" }));
  await its.start();
  its.send(numbers(1, 1));
  await its.until("it is under way", () => signal !== undefined);
  its.kill();
  await its.ended();
  assert.ok(signal?.aborted);
});

// ── deaths of the process

test("an event that kills its process is found: after the second death event by event, after three tries given up", async () => {
  let tries = 0;
  const its = new ActorBench(counting((n) => { if (n === 7) { tries++; its.kill(); } }));
  await its.start();
  its.send(numbers(1, 10, () => "k"));
  for (let life = 0; life < 8 && its.letters().length === 0; life++) {
    await its.until("it dies, or gives it up", () => its.exits.length > life || its.letters().length > 0);
    if (its.exits.length > life) await its.restart();
  }
  assert.equal(await through(its, 9), range(1, 10).filter((n) => n !== 7).map((n, i) => [n, i + 1]));
  assert.equal(its.letters().map(({ code, attempts, event }) => [code, attempts, event.data]), [["POISON", 3, 7]]);
  assert.ok(tries <= 5, `${tries} tries`);
});

test("deaths that are no event's fault blame none: work goes on as usual after what was in flight", async () => {
  const its = new ActorBench(counting());
  await its.start();
  for (let life = 0; life < 4; life++) {
    its.send(numbers(life * 3 + 1, life * 3 + 3, () => "k"));
    its.kill();
    await its.restart();
  }
  assert.equal(await through(its, 12), range(1, 12).map((n) => [n, n]));
  assert.equal(its.letters(), []);
  its.send(numbers(13, 20, () => "k"));
  assert.is((await through(its, 20)).length, 20);
  await its.until("nothing is suspected any more", () => its.actor.memory.tries.k === 0);
});

/** Its process died twice with the events at hand: they are tried one by one. */
async function diedTwice(operator: unknown, after: number, events: readonly Sent[]): Promise<ActorBench> {
  const its = new ActorBench(operator, { poison: { after } });
  await its.start();
  its.send(events);
  for (let life = 0; life < 2; life++) { its.kill(); await its.restart(); }
  return its;
}

for (const when of ["the attempt is on its way", "the handler is under way"] as const) {
  test(`a stop is no death: an event that is tried alone while it comes is not counted (${when})`, async () => {
    const slow = map((n: number) => new Promise<number>((done) => { setImmediate(() => setImmediate(() => done(n))); }));
    const its = await diedTwice(slow, 1, numbers(1, 3)), { actor } = its, { attempt } = actor, stop = () => void actor.stop();
    actor.attempt = (event, then) => {
      attempt.call(actor, event, () => { then(); if (when === "the handler is under way") stop(); });
      if (when === "the attempt is on its way") stop();
    };
    await its.until("it is stopped", () => its.exits.length === 3);
    assert.is(its.log().at(-1)?.kind, "stop");
    await its.start();
    assert.equal([await through(its, 3), its.letters()], [[1, 2, 3], []]);
  });
}

for (const [what, failure] of [["a later try", () => new RetryableError("not now", { retryAfter: 0 })], ["what is down", () => new UnavailableError("down", { retryAfter: 30 })]] as const) {
  test(`a try alone that ends with a wait for ${what} is not counted, through a stop, too`, async () => {
    const failed = new Map<number, number>();
    const its = await diedTwice(map((n: number) => {
      const times = failed.get(n) ?? 0;
      if (times < 4 && its.actor.memory.tries.k >= 2) { failed.set(n, times + 1); throw failure(); }
      return n;
    }), 1, numbers(1, 3, (n) => `k${n}`));
    await its.until("some tries have failed", () => (failed.get(1) ?? 0) >= 2);
    await its.stop();
    await its.start();
    assert.equal([[...(await through(its, 3))].sort(), its.letters()], [[1, 2, 3], []]);
  });
}

// ── order "time"

test("in order of time events are handled by time, not by arrival, each behind the watermark; any data is held as it is", async () => {
  const seen: unknown[] = [], its = new ActorBench(map((data: { n: number }) => { seen.push(data); return data.n; }), { order: "time" });
  await its.start();
  its.send([{ data: { n: 3, set: new Set([1n]) }, time: 30 }, { data: { n: 1, map: new Map([[1, 2]]) }, time: 10 }]);
  its.send([{ data: { n: 2 }, time: 20 }], { watermark: 20 });
  assert.equal(await through(its, 2), [1, 2]);
  its.kill();
  await its.restart();
  its.send([{ data: { n: 4 }, time: 25 }], { watermark: 40 });
  assert.equal(await through(its, 4), [1, 2, 4, 3]);
  assert.equal(seen, [{ n: 1, map: new Map([[1, 2]]) }, { n: 2 }, { n: 4 }, { n: 3, set: new Set([1n]) }]);
});

test("timers and held events are let go in the order of time, before later events (R2)", async () => {
  const its = new ActorBench(stateful({
    initial: () => 0, on: (count: number, n: number, ctx: Emits<unknown>) => { ctx.emit(n); ctx.timer(`t${n}`, { at: n + 5 }); return count; }, onTimer: (count: number, { name }, ctx) => { ctx.emit(name); return count; },
  }), { order: "time" });
  await its.start();
  its.send([20, 10, 12].map((n) => ({ data: n, key: "k", time: n })), { watermark: 18 });
  its.send([{ data: 19, key: "k", time: 19 }], { watermark: 100 });
  assert.equal(await through(its, 8), [10, 12, "t10", "t12", 19, 20, "t19", "t20"]);
});

test.run();
