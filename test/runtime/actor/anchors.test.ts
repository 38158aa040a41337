import { suite } from "uvu";
import * as assert from "uvu/assert";
import { map } from "../../../actors/index.ts";
import { isAnchor } from "../../../runtime/actor/anchors.ts";
import type { Generations } from "../../../runtime/actor/environment.ts";
import { snapshotEvery } from "../../../runtime/actor/snapshot.ts";
import { MemoryBroker } from "../../../runtime/testing/memory-broker.ts";
import { MemoryServer } from "../../../runtime/testing/memory-server.ts";
import { TerminalError } from "../../../runtime/index.ts";
import { ActorBench } from "../../support/actor-bench.ts";
import { rejection } from "../../support/rejection.ts";

const test = suite("anchors");
const mailbox = "mr_actor_f_work_g-1_0_in_0", out = "mr_actor_f_out_g-1_0_in_0", log = "mr_actor_f_work_g-1_0_log", dead = "mr_dead_f";

/** An actor that has read ten events and sent ten on, all settled as a record says; 0 is a dead letter. */
async function worked(generations?: Generations): Promise<ActorBench> {
  const its = new ActorBench(map((n: number) => { if (n === 0) throw new TerminalError("never"); return n; }));
  its.generations = generations;
  await its.start();
  for (let n = 0; n <= 10; n++) {
    its.send([{ data: n }]);
    await its.until("it is through", () => its.data().length + its.letters().length === n + 1);
  }
  // A record says what is settled.
  its.send([{ data: 11 }]);
  await its.until("it is settled", () => its.data().length === 11 && its.actor.emitter.all.every(({ delivery }) => !delivery.moved || delivery.settled >= 1));
  its.send([{ data: 12 }]);
  await its.until("all is there", () => its.data().length === 12);
  return its;
}

const last = (its: ActorBench, stream: string): number => its.server.streams.get(stream)?.bounds().last as number;
const rollback = (its: ActorBench, stream: string, by: number): void => its.server.rollback(stream, last(its, stream) - by);

/** What a new life, and a life through a reconnect, come to. */
async function twice(lose: (its: ActorBench) => void): Promise<readonly string[]> {
  const found: string[] = [];
  for (const how of ["restart", "reconnect"] as const) {
    const its = await worked();
    if (how === "restart") {
      its.kill();
      await its.ended();
      lose(its);
      try {
        await its.start();
        await its.until("it has looked at what it had sent", () => its.exits.length > 1 || (its.network.count("answer") > 4 && its.actor.availability.checked));
        found.push(its.exits.length > 1 ? (its.exits.at(-1)?.error as { code?: string }).code ?? "" : "runs");
      } catch (error) {
        found.push((error as { code: string }).code);
      }
    } else {
      its.broker.disconnect();
      lose(its);
      its.broker.reconnect();
      await its.until("it has looked", () => its.exits.length > 0 || its.actor.availability.checked);
      found.push(its.exits.length > 0 ? `${its.exits[0]?.class} ${(its.exits[0]?.error as { code?: string }).code}` : "runs");
    }
  }
  return found;
}

test("nothing is lost: it runs, after a restart and after a reconnect", async () => assert.equal(await twice(() => {}), ["runs", "runs"]));

for (const [name, lose] of [
  ["the log ends before the record accepted last", (its: ActorBench) => rollback(its, log, 1)],
  ["the mailbox ends before the message read last", (its: ActorBench) => rollback(its, mailbox, 1)],
  ["the mailbox has another message there†", (its: ActorBench) => { rollback(its, mailbox, 1); its.seq--; its.put(its.frame([{ data: 99 }])); }],
  ["the mailbox is empty", (its: ActorBench) => rollback(its, mailbox, 13)],
  ["the reader's mailbox ends before what is settled", (its: ActorBench) => rollback(its, out, 11)],
  ["the reader's mailbox has another frame there", (its: ActorBench) => { rollback(its, out, 11); for (let i = 0; i < 11; i++) its.server.streams.get(out)?.append("mr.actor.f.out.g-1.0.in.0", its.frame([{ data: i }], { from: "f/work/0", seq: 50 + i }), undefined); }],
  ["the dead letters end before what is settled", (its: ActorBench) => rollback(its, dead, 1)],
] as const) {
  test(`${name}: it parks with BROKER_WENT_BACK, after a restart and after a reconnect (P30)`, async () => {
    assert.equal(await twice(lose), ["BROKER_WENT_BACK", "parked BROKER_WENT_BACK"]);
  });
}

test("the log has something in its place that is no record: it does not start, and parks after a reconnect (P25, P30)", async () => {
  assert.equal(await twice((its) => { rollback(its, log, 1); its.server.streams.get(log)?.append("mr.actor.f.work.g-1.0.log", Buffer.from([0x90]), undefined); }), ["BYTES_REFUSED", "parked BROKER_WENT_BACK"]);
});

test("who has ended does not go before it is looked whether what it sent is still there (P30)", async () => {
  const its = await worked(), reader = "out.g-1.0.in.0";
  its.network.next("ack", ["held"], reader);
  its.end();
  await its.until("the end is sent", () => its.network.holds === 1);
  its.network.next("append", ["lost"], ".log");
  its.network.release();
  await its.until("the last record is on its way", () => its.network.done);
  its.broker.disconnect();
  rollback(its, out, 1);
  its.network.next("read", ["held"], reader);
  its.broker.reconnect();
  await its.until("the last record is in the log", () => its.log().at(-1)?.kind === "stop");
  await its.clock.elapse(1_000);
  assert.is(its.exits.length, 0);
  its.network.release();
  const exit = await its.ended();
  assert.equal([exit.class, (exit.error as { code?: string }).code], ["parked", "BROKER_WENT_BACK"]);
});

test("what was settled was trimmed, and its reader has committed that far: it runs", async () => {
  assert.equal(await twice((its) => { its.readerCursor = 12; its.server.streams.get(out)?.purge(last(its, out) + 1); }), ["runs", "runs"]);
});

test("what was settled was trimmed, and its reader cannot be asked now: it runs", async () => {
  assert.equal(await twice((its) => { its.server.streams.get(out)?.purge(last(its, out) + 1); }), ["runs", "runs"]);
});

test("what was settled was trimmed, but its reader has not committed that far†: it parks", async () => {
  assert.equal(await twice((its) => { its.readerCursor = 3; its.server.streams.get(out)?.purge(last(its, out) + 1); }), ["BROKER_WENT_BACK", "parked BROKER_WENT_BACK"]);
});

test("its reader has read more than its log says that it sent: the log was lost", async () => {
  assert.equal(await twice((its) => { its.readerCursor = 40; }), ["BROKER_WENT_BACK", "parked BROKER_WENT_BACK"]);
});

test("dead letters that their age removed are no loss", async () => {
  assert.equal(await twice((its) => { its.server.streams.get(dead)?.purge(last(its, dead) + 1); }), ["runs", "runs"]);
});

test("a mailbox that was trimmed, while the log says that nothing was read from it: the log was lost", async () => {
  const its = await worked();
  its.kill();
  await its.ended();
  await its.clock.elapse(5_000);
  its.server.streams.get(mailbox)?.purge(5);
  its.server.rollback(log, 0);
  its.disk.stores.clear();
  assert.is((await rejection(its.start())).code, "BROKER_WENT_BACK");
});

test("a frame is in no record, and none says that it is settled: that record was lost, and its reader would wait for ever (P23)", async () => {
  const { records } = snapshotEvery;
  snapshotEvery.records = 5;
  try {
    const its = await worked();
    await its.until("a snapshot was taken", () => its.log().some(({ kind }) => kind === "snapshot"));
    its.kill();
    await its.ended();
    // The copy ends with the snapshot, and lacks what was purged when later records said that it was settled.
    const { last: end } = its.server.streams.get(log)?.bounds() as { last: number }, snapshot = end - its.log().toReversed().findIndex(({ kind }) => kind === "snapshot");
    its.server.rollback(log, snapshot);
    its.server.streams.get(log)?.purge(snapshot);
    its.disk.stores.clear();
    const refusal = await rejection(its.start());
    assert.is(refusal.code, "BROKER_WENT_BACK");
    assert.match(refusal.message, /frame \d+ that f\/work\/0 sent to .* is in no record/);
  } finally {
    snapshotEvery.records = records;
  }
});

test("after a reconnect nothing is committed before it is known that nothing was lost", async () => {
  const its = await worked();
  its.broker.disconnect();
  its.network.next("read", ["held"]);
  its.broker.reconnect();
  const records = its.log().length;
  its.send([{ data: 13 }]);
  await its.clock.elapse(1_000);
  assert.is(its.log().length, records);
  its.network.release();
  await its.until("it goes on", () => its.data().length === 13);
});

test("the beginning of a mailbox, nothing read of what is in it, is a position that fits; once the mailbox begins elsewhere it does not (P31)", async () => {
  const server = new MemoryServer(), stream = new MemoryBroker(server).stream("in", "mr.in"), beginning = { at: 2, round: null, from: null, seq: 0 };
  server.create({ name: "in", subject: "mr.in", replicas: 1 });
  for (let i = 0; i < 4; i++) await stream.append(Buffer.from("message"));
  await stream.purge(3);
  assert.is(await isAnchor(stream, beginning), true);
  assert.is(await isAnchor(stream, { ...beginning, from: "f/feed/0", round: new Uint8Array(8) }), false);
  await stream.purge(4);
  assert.is(await isAnchor(stream, beginning), false);
});

test("a broker that cannot be asked is asked again, until it answers", async () => {
  const its = await worked();
  its.broker.disconnect();
  its.network.next("read", ["lost", "lost", "lost"]);
  its.broker.reconnect();
  its.send([{ data: 13 }]);
  await its.until("it goes on", () => its.data().length === 13);
  assert.equal(its.exits, []);
});

test("another owner has claimed the log meanwhile: it is fenced, not parked", async () => {
  const its = await worked(), before = its.actor;
  const other = its.as(map((n: number) => n));
  other.disk.stores.clear();
  other.disk.locks.clear();
  its.broker.disconnect();
  await other.start();
  await other.until("it has read all", () => other.actor.memory.inbound.positions[0]?.at === 13);
  its.broker.reconnect();
  its.send([{ data: 13 }]);
  await its.until("the older one is over", () => its.exits.length > 0);
  assert.equal([its.exits[0]?.class, (its.exits[0]?.error as { code?: string }).code], ["fenced", "FENCED"]);
  assert.ok(before.signal.aborted);
});

test("another owner has sent more meanwhile, and NATS cannot be asked for that just when it is seen: it waits for NATS, and is fenced, not parked", async () => {
  const its = await worked(), other = its.as(map((n: number) => n));
  other.disk.stores.clear();
  other.disk.locks.clear();
  its.broker.disconnect();
  await other.start();
  await other.until("it has read all", () => other.actor.memory.inbound.positions[0]?.at === 13);
  let asked = 0;
  Object.defineProperty(its, "readerCursor", { get: () => { if (asked++ === 0) its.broker.disconnect(); return 40; } });
  its.broker.reconnect();
  await its.until("it sees that its reader has read more", () => asked > 0);
  await its.clock.elapse(10_000);
  assert.equal(its.exits, []);
  its.broker.reconnect();
  await its.until("it is over", () => its.exits.length > 0);
  assert.equal([its.exits[0]?.class, (its.exits[0]?.error as { code?: string } | undefined)?.code], ["fenced", "FENCED"]);
});

test("its generation is over and its streams are gone, and those who follow have sent more: it is fenced, not parked", async () => {
  let isOver = false;
  const its = await worked({ first: () => ({ generation: "g-1", count: 1 }), next: () => undefined, retired: (stage) => isOver && stage === "work" });
  its.broker.disconnect();
  // It ends just when this one, which slept, looks at what it had sent.
  Object.defineProperty(its, "readerCursor", { get: () => { isOver = true; its.server.remove(log); return 40; } });
  its.broker.reconnect();
  await its.until("it is over", () => its.exits.length > 0);
  assert.equal([its.exits[0]?.class, (its.exits[0]?.error as { code?: string } | undefined)?.code], ["fenced", "FENCED"]);
});

test.run();
