// Dead letters that are taken back, on a real actor and the twins.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { map, pipe, stateful, validate } from "../../../actors/index.ts";
import { isSettlement, type Settlement } from "../../../runtime/actor/dead-letter.ts";
import type { LetterOrder, LetterOutcome } from "../../../runtime/actor/letters.ts";
import { snapshotEvery } from "../../../runtime/actor/snapshot.ts";
import { type Context, type Emits, RetryableError, type StageOptions } from "../../../runtime/index.ts";
import { decodeMessage, encodeFrame, message } from "../../../runtime/event/frame.ts";
import { settle } from "../../../runtime/testing/manual-clock.ts";
import type { MemoryStream } from "../../../runtime/testing/memory-stream.ts";
import { ActorBench, type Sent } from "../../support/actor-bench.ts";
import { driven } from "../../support/driven.ts";

const test = suite("letters");
const once: StageOptions = { poison: { after: 1 } }, parking: StageOptions = { poison: { after: 1, park: "key" } };
const sent = (...events: readonly (readonly [key: string, n: number])[]): Sent[] => events.map(([key, n]) => ({ data: n, key }));
const replay = (seq: number, place = 0): LetterOrder => ({ seq, place, action: "replay" }), drop = (seq: number, place = 0): LetterOrder => ({ seq, place, action: "drop" });

/** Counts the events of each key, and tells each; numbers that are broken throw, after they have emitted. */
class Trouble {
  readonly broken = new Set<number>();
  fails: (n: number, ctx: Context) => Error | Promise<void> | undefined = (n) => (this.broken.has(n) ? new Error(`no use for ${n}`) : undefined);
  readonly operator = stateful({
    initial: () => 0,
    on: (count: number, n: number, ctx: Emits<unknown>) => {
      ctx.emit([ctx.key, n, count + 1]);
      const failure = this.fails(n, ctx);
      if (failure instanceof Promise) return failure.then(() => count + 1);
      if (failure !== undefined) throw failure;
      return count + 1;
    },
  });
}

const ask = (its: ActorBench, order: LetterOrder): Promise<LetterOutcome> => driven(its.clock, its.actor.letters.ask(order));
const settlements = (its: ActorBench): readonly Settlement[] => (its.letters() as readonly unknown[]).filter(isSettlement);
const lettersOf = (its: ActorBench) => its.letters().filter((letter) => !isSettlement(letter));

async function withOneLetter(options = once): Promise<{ readonly its: ActorBench; readonly trouble: Trouble }> {
  const trouble = new Trouble(), its = new ActorBench(trouble.operator, options);
  trouble.broken.add(2);
  await its.start();
  its.send(sent(["a", 1], ["a", 2], ["b", 3], ["a", 4]));
  await its.until("the letter is there", () => lettersOf(its).length === 1);
  return { its, trouble };
}

test("two letters that were stored, of which no record says so yet when the process is killed, stand there once each", async () => {
  const trouble = new Trouble(), its = new ActorBench(trouble.operator, parking), dead = () => its.server.streams.get("mr_dead_f")?.bounds().last;
  for (const n of [2, 3]) trouble.broken.add(n);
  await its.start();
  its.network.next("ack", ["held"], "mr.dead.f.work.g-1.0");
  its.send(sent(["a", 2]));
  await its.until("the first is stored", () => dead() === 1);
  its.send(sent(["b", 3]));
  await its.until("both are parked", () => its.actor.memory.waiting.parked.size === 2);
  await its.clock.elapse(1);
  its.network.release();
  await its.until("the second is stored", () => dead() === 2);
  for (let life = 0; life < 2; life++) { its.kill(); await its.restart(); await its.clock.elapse(1_000); }
  assert.is(dead(), 2);
  assert.equal(its.letters().map(({ event }) => event.data), [2, 3]);
});

test("a replayed event goes through once, as an event of its key; asked again, also by the next life, it is answered and not done again", async () => {
  const { its, trouble } = await withOneLetter();
  assert.equal(its.data(), [["a", 1, 1], ["b", 3, 1], ["a", 4, 2]]);
  trouble.broken.clear();
  assert.equal(await ask(its, replay(1)), { is: "replayed", before: false });
  assert.equal(await ask(its, replay(1)), { is: "replayed", before: true });
  assert.equal(await ask(its, drop(1)), { is: "replayed", before: true });
  its.kill();
  await its.restart();
  assert.equal(await ask(its, replay(1)), { is: "replayed", before: true });
  its.send(sent(["a", 5]));
  await its.until("the next one is there", () => its.data().length === 5);
  assert.equal(its.data().slice(3), [["a", 2, 3], ["a", 5, 4]]);
  assert.equal(its.events().find(({ data }) => (data as unknown[])[1] === 2)?.key, "a");
  assert.equal(settlements(its).map(({ settled, frame, place }) => [settled, frame, place]), [["replayed", 1, 0]]);
  assert.equal([its.actor.counts.deadLetters, its.actor.counts.settled], [1, 1]);
});

test("killed at any moment of a replay, and asked again, it goes through once", async () => {
  for (let turns = 0; turns < 24; turns++) {
    const { its, trouble } = await withOneLetter();
    trouble.broken.clear();
    void its.actor.letters.ask(replay(1));
    for (let i = 0; i < turns; i++) await Promise.resolve();
    if (turns > 12) await settle();
    its.kill();
    await its.restart();
    const outcome = await ask(its, replay(1));
    assert.is(outcome.is, "replayed", `after ${turns}`);
    await its.until("its settlement is told", () => settlements(its).length > 0);
    await its.until("it is there", () => its.data().length === 4);
    assert.equal(its.data()[3], ["a", 2, 3], `after ${turns}`);
    assert.is(settlements(its).length, 1);
  }
});

test("a replay that fails takes back what it did, costs no restart, and leaves the letter open", async () => {
  const { its, trouble } = await withOneLetter();
  const outcome = await ask(its, replay(1));
  assert.equal([outcome.is, (outcome as { message: string }).message], ["failed", "no use for 2"]);
  assert.equal([its.data().length, its.exits, settlements(its), lettersOf(its).length], [3, [], [], 1]);
  trouble.broken.clear();
  assert.is((await ask(its, replay(1))).is, "replayed");
});

test("a replay whose handler is not done in time ends this life without a cost, and is not tried again by itself", async () => {
  const { its, trouble } = await withOneLetter({ poison: { after: 1, deadline: "5s" } });
  let begun = 0;
  trouble.fails = () => { begun++; return new Promise<void>(() => {}); };
  assert.is((await ask(its, replay(1))).is, "failed");
  assert.is((await its.restart()).class, "poison");
  trouble.fails = () => undefined;
  its.send(sent(["b", 5]));
  await its.until("others go on", () => its.data().length === 4);
  assert.equal([begun, its.data()[3], settlements(its)], [1, ["b", 5, 2], []]);
});

test("a dropped letter is settled, and does nothing", async () => {
  const { its } = await withOneLetter();
  assert.equal(await ask(its, drop(1)), { is: "dropped", before: false });
  assert.equal(await ask(its, replay(1)), { is: "dropped", before: true });
  await its.until("its settlement is told", () => settlements(its).length === 1);
  assert.equal([settlements(its)[0]?.settled, its.data().length], ["dropped", 3]);
});

test("letters of two chains under one number that ask for a later try wait beside each other: both go through", async () => {
  const { its, trouble } = await withOneLetter(), dead = its.server.streams.get("mr_dead_f") as MemoryStream, frame = decodeMessage((dead.at(1) as { data: Uint8Array }).data);
  // Of an actor of the generation before, whose keys this one goes on with.
  dead.append("mr.dead.f.work.g-0.1", message(new Uint8Array(8), encodeFrame({ ...frame, from: "f/work/1", generation: "g-0" })), undefined);
  trouble.fails = (n, { attempt }) => (n === 2 && attempt < 3 ? new RetryableError("not yet", { retryAfter: 100 }) : undefined);
  const outcomes = await Promise.all([ask(its, replay(1)), ask(its, { ...replay(2), of: { generation: "g-0", partition: 1 } })]);
  assert.equal(outcomes, [{ is: "replayed", before: false }, { is: "replayed", before: false }]);
  await its.until("both are there", () => its.data().length === 5);
  assert.equal(its.data().slice(3), [["a", 2, 3], ["a", 2, 4]]);
});

test("what is no letter of the actor is refused", async () => {
  const { its } = await withOneLetter();
  for (const order of [replay(1, 1), replay(7), replay(0), drop(1, -1)]) assert.equal([(await ask(its, order)).is, (await ask(its, order) as { code: string }).code], ["failed", "NOT_FOUND"]);
});

test("an event that was given up half way goes in there: what came before is not done twice", async () => {
  let mended = false, mapped = 0;
  const schema = { "~standard": { version: 1, vendor: "test", validate: (value: unknown) => (mended || value !== 20 ? { value } : { issues: [{ message: "is 20" }] }) } } as const;
  const its = new ActorBench(pipe(map((n: number) => { mapped++; return n * 10; }), validate<number, number>(schema as never), map((n: number) => n + 1)));
  await its.start();
  its.send(sent(["a", 1], ["a", 2], ["a", 3]));
  await its.until("the letter is there", () => its.letters().length === 1);
  mended = true;
  assert.is((await ask(its, replay(1))).is, "replayed");
  await its.until("it is there", () => its.data().length === 3);
  assert.equal([its.data(), mapped], [[11, 31, 21], 3]);
});

test("settled letters are known after a snapshot and an empty disk", async () => {
  const { records } = snapshotEvery;
  snapshotEvery.records = 5;
  try {
    const { its, trouble } = await withOneLetter();
    trouble.broken.clear();
    assert.is((await ask(its, replay(1))).is, "replayed");
    for (let n = 10; n < 40; n++) { its.send(sent(["c", n])); await its.until("it is there", () => its.data().length === n - 5); }
    await its.until("the log was purged", () => (its.log()[0]?.n ?? 0) > 10);
    its.kill();
    its.disk.stores.clear();
    await its.restart();
    assert.equal(await ask(its, replay(1)), { is: "replayed", before: true });
  } finally {
    snapshotEvery.records = records;
  }
});

test("after the end nothing is replayed: nothing may be sent after it", async () => {
  const trouble = new Trouble(), its = new ActorBench(trouble.operator, once);
  trouble.broken.add(1);
  await its.start();
  its.send(sent(["a", 1]));
  its.end();
  await its.ended();
  assert.is((await its.actor.letters.ask(replay(1))).is, "pending");
});

// ── park: "key"

async function parked(): Promise<{ readonly its: ActorBench; readonly trouble: Trouble }> {
  const world = await withOneLetter(parking);
  await world.its.until("others are there", () => world.its.data().length === 2);
  assert.equal(world.its.data(), [["a", 1, 1], ["b", 3, 1]], "what comes after it of its key waits");
  assert.equal([...world.its.actor.memory.waiting.parked].map(({ key }) => key), ["a"]);
  return world;
}

for (const through of ["in one life", "after a kill"] as const) {
  test(`a key that is parked goes on in order once its letter is replayed, ${through}`, async () => {
    const { its, trouble } = await parked();
    its.send(sent(["a", 5], ["b", 6]));
    await its.until("the other key goes on", () => its.data().length === 3);
    if (through === "after a kill") { its.kill(); await its.restart(); }
    assert.is((await ask(its, replay(1))).is, "failed");
    its.send(sent(["a", 7]));
    trouble.broken.clear();
    assert.is((await ask(its, replay(1))).is, "replayed");
    its.send(sent(["a", 8]));
    await its.until("all are there", () => its.data().length === 8);
    assert.equal(its.data().filter((row) => (row as unknown[])[0] === "a"), [["a", 1, 1], ["a", 2, 2], ["a", 4, 3], ["a", 5, 4], ["a", 7, 5], ["a", 8, 6]]);
    assert.equal([its.actor.memory.waiting.size, lettersOf(its).length], [0, 1]);
  });

  test(`so it does once the letter is dropped, without its event, ${through}`, async () => {
    const { its } = await parked();
    if (through === "after a kill") { its.kill(); await its.restart(); }
    assert.is((await ask(its, drop(1))).is, "dropped");
    await its.until("all are there", () => its.data().length === 3);
    assert.equal(its.data(), [["a", 1, 1], ["b", 3, 1], ["a", 4, 2]]);
  });
}

test("the next event of a parked key that is poison, too, parks it again; the order is kept", async () => {
  const { its, trouble } = await parked();
  trouble.broken.clear();
  trouble.broken.add(4);
  its.send(sent(["a", 5]));
  assert.is((await ask(its, replay(1))).is, "replayed");
  await its.until("the second letter is there", () => lettersOf(its).length === 2);
  assert.equal(its.data().slice(2), [["a", 2, 2]]);
  trouble.broken.clear();
  // It stands behind the settlement of the first, in the same frame or in the next.
  const last = its.server.streams.get("mr_dead_f")?.bounds().last as number;
  assert.is((await ask(its, replay(last, last === 2 ? 1 : 0))).is, "replayed");
  await its.until("all are there", () => its.data().length === 5);
  assert.equal(its.data().slice(3), [["a", 4, 3], ["a", 5, 4]]);
});

test("an event that is parked after a later try keeps its place", async () => {
  const trouble = new Trouble(), its = new ActorBench(trouble.operator, parking);
  trouble.fails = (n, { attempt }) => (n !== 2 ? undefined : attempt === 1 ? new RetryableError("not now", { retryAfter: 100 }) : new Error("never"));
  await its.start();
  its.send(sent(["a", 1], ["a", 2], ["a", 3]));
  await its.until("the letter is there", () => lettersOf(its).length === 1);
  assert.equal(its.data(), [["a", 1, 1]]);
  trouble.fails = (n, { attempt }) => (n === 2 && attempt < 4 ? new RetryableError("soon", { retryAfter: 100 }) : undefined);
  assert.is((await ask(its, replay(1))).is, "replayed", "it waits as any other: it has gone in");
  await its.until("all are there", () => its.data().length === 3);
  assert.equal(its.data(), [["a", 1, 1], ["a", 2, 2], ["a", 3, 3]]);
});

test("a parked key holds back the end and event time: nothing of it is late", async () => {
  const { its, trouble } = await parked();
  its.send(sent(["b", 9]), { watermark: 1_000 });
  its.end();
  await its.until("it is there", () => its.data().length === 3);
  await settle();
  assert.equal([its.exits, its.watermark() < 0], [[], true]);
  trouble.broken.clear();
  assert.is((await ask(its, replay(1))).is, "replayed");
  assert.is((await its.ended()).class, "normal");
  assert.equal([its.data().length, its.watermark()], [5, Infinity]);
});

test("a timer that is poison parks its key, and fires when its letter is replayed", async () => {
  let broken = true;
  const its = new ActorBench(stateful({
    initial: () => 0,
    on: (count: number, n: number, ctx: Emits<unknown>) => { ctx.emit(n); if (n === 1) ctx.timer("t", { at: 5 }); return count + 1; },
    onTimer: (count: number, { name }, ctx: Emits<unknown>) => { ctx.emit(name); if (broken) throw new Error("no"); return count; },
  }), parking);
  await its.start();
  its.send([{ data: 1, key: "a", time: 1 }], { watermark: 5 });
  await its.until("the letter is there", () => lettersOf(its).length === 1);
  its.send([{ data: 2, key: "a", time: 6 }, { data: 3, key: "b", time: 6 }], { watermark: 6 });
  await its.until("the other key goes on", () => its.data().includes(3));
  assert.equal(its.data(), [1, 3]);
  broken = false;
  its.kill();
  await its.restart();
  assert.is((await ask(its, replay(1))).is, "replayed");
  await its.until("all are there", () => its.data().length === 4);
  assert.equal(its.data(), [1, 3, "t", 2]);
});

test.run();
