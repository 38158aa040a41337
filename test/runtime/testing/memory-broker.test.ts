import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Appended } from "../../../runtime/broker/broker.ts";
import { ManualClock } from "../../../runtime/testing/manual-clock.ts";
import { MemoryBroker } from "../../../runtime/testing/memory-broker.ts";
import { MemoryServer } from "../../../runtime/testing/memory-server.ts";
import type { Leg, Verdict } from "../../../runtime/testing/network.ts";
import { brokerContract } from "../../contracts/broker-contract.ts";
import { rejection } from "../../support/rejection.ts";

brokerContract("memory broker: contract", async () => {
  const server = new MemoryServer();
  const broker = new MemoryBroker(server);
  return {
    broker,
    connect: async () => new MemoryBroker(server),
    cut: async () => broker.disconnect(),
    mend: async () => broker.reconnect(),
    [Symbol.asyncDispose]: () => broker.close(),
  };
});

const test = suite("memory broker: faults");
const text = (value: string) => new TextEncoder().encode(value);

/** A server on a clock that stands, and a connection whose steps wait in `steps` until they are carried or forgotten. */
async function held() {
  const clock = new ManualClock();
  const server = new MemoryServer({ clock });
  server.create({ name: "mr_a", subject: "mr.a", replicas: 1 });
  const steps: { leg: Leg; run: (verdict?: Verdict) => void }[] = [];
  const broker = new MemoryBroker(server, { schedule: (leg, _subject, run) => steps.push({ leg, run }) });
  const stream = broker.stream("mr_a", "mr.a");
  /** Takes the first step of a kind out of those that wait. */
  const step = (leg: Leg) => {
    const at = steps.findIndex((waiting) => waiting.leg === leg);
    if (at < 0) throw new Error(`no ${leg} waits, only ${steps.map((waiting) => waiting.leg)}`);
    return (steps.splice(at, 1)[0] as { run: (verdict?: Verdict) => void }).run;
  };
  const settled = async () => { for (let i = 0; i < 5; i++) await Promise.resolve(); };
  return { clock, server, steps, broker, stream, step, settled, there: () => server.streams.get("mr_a")?.bounds().last };
}

test("a lost ack leaves the outcome unknown and the message stored", async () => {
  const { stream, step, clock, there } = await held();
  const outcome = stream.append(text("a"), 0);
  step("append")();
  step("ack");
  clock.advance(700);
  assert.is(await outcome, "unknown");
  assert.is(there(), 1);
});

test("a lost append leaves the outcome unknown and nothing stored", async () => {
  const { stream, step, clock, there } = await held();
  const outcome = stream.append(text("a"), 0);
  step("append");
  clock.advance(699);
  clock.advance(1);
  assert.is(await outcome, "unknown");
  assert.is(there(), 0);
});

test("an append may be stored late, after its outcome was told as unknown; its ack is heard by nobody", async () => {
  const { stream, step, clock, there } = await held();
  const outcome = stream.append(text("a"), 0, 100);
  const late = step("append");
  clock.advance(100);
  assert.is(await outcome, "unknown");
  const again = stream.append(text("a"), 0);
  late();
  assert.is(there(), 1);
  step("append")();
  step("ack")();
  step("ack")();
  assert.is(await again, "refused");
});

test("an append may arrive twice: without an expectation both are stored, with one only the first", async () => {
  const { stream, step, there } = await held();
  for (const [expected, last] of [[0, 1], [undefined, 3]] as const) {
    const outcome = stream.append(text("a"), expected);
    const run = step("append");
    run();
    run();
    step("ack")();
    step("ack")();
    assert.is(typeof (await outcome), "number");
    assert.is(there(), last);
  }
});

for (const verdict of ["refused", "full", "missing", "unknown"] as const) {
  test(`the server may answer "${verdict}" by the scheduler's will; nothing is stored`, async () => {
    const { stream, step, there } = await held();
    const outcome = stream.append(text("a"), 0);
    step("append")(verdict);
    step("ack")();
    assert.is(await outcome, verdict);
    assert.is(there(), 0);
  });
}

test("an append of a lost connection may still arrive at the server: a zombie's last words", async () => {
  const { stream, broker, server, step, there } = await held();
  const outcome = stream.append(text("zombie"));
  broker.disconnect();
  assert.is(await outcome, "unknown");
  const next = new MemoryBroker(server).stream("mr_a", "mr.a");
  assert.is(await next.append(text("new owner")), 1);
  step("append")();
  assert.is(there(), 2);
});

test("a read whose question or answer is lost rejects with UNREACHABLE", async () => {
  const { stream, step, clock } = await held();
  for (const lost of ["read", "answer"] as const) {
    const read = rejection(stream.last());
    if (lost === "answer") step("read")();
    step(lost);
    clock.advance(1_500);
    assert.is((await read).code, "UNREACHABLE");
  }
});

test("a lost delivery shows as a gap with the next one, and the follower asks again from there", async () => {
  const { stream, step, steps, server } = await held();
  const stored = server.streams.get("mr_a");
  const follow = stream.follow(1);
  step("attach")();
  for (const m of ["m1", "m2", "m3"]) stored?.append("mr.a", text(m), undefined);
  step("deliver")();
  step("deliver");
  step("deliver")();
  assert.is(follow.take()?.seq, 1);
  assert.is(follow.take(), undefined);
  step("attach")();
  while (steps.length > 0) step("deliver")();
  assert.equal([follow.take()?.seq, follow.take()?.seq, follow.take()], [2, 3, undefined]);
});

test("a lost tail is found by the watchdog after two seconds (P18)", async () => {
  const { stream, step, steps, server, clock } = await held();
  const follow = stream.follow(1);
  step("attach")();
  server.streams.get("mr_a")?.append("mr.a", text("m1"), undefined);
  step("deliver");
  clock.advance(1_999);
  assert.is(steps.length, 0);
  clock.advance(1);
  step("attach")();
  step("deliver")();
  assert.is(follow.take()?.seq, 1);
  assert.is(clock.next, undefined, "nothing is missing: no timer is left");
});

test("a lost question for messages is asked again", async () => {
  const { stream, step, steps, clock } = await held();
  stream.follow(1);
  step("attach");
  clock.advance(2_000);
  assert.is(steps[0]?.leg, "attach");
});

test("a delivery that comes twice, or after its follower asked anew, is given once", async () => {
  const { stream, step, server, clock } = await held();
  const follow = stream.follow(1);
  step("attach")();
  server.streams.get("mr_a")?.append("mr.a", text("m1"), undefined);
  const slow = step("deliver");
  clock.advance(2_000);
  step("attach")();
  slow();
  assert.is(follow.take(), undefined);
  const run = step("deliver");
  run();
  run();
  assert.is(follow.take()?.seq, 1);
  assert.is(follow.take(), undefined);
});

test("a stream that was rolled back lost its tail, gives its numbers out again, and must be asked anew", async () => {
  const { stream, step, server, clock } = await held();
  const stored = server.streams.get("mr_a");
  const follow = stream.follow(1);
  step("attach")();
  for (const m of ["m1", "m2", "m3"]) stored?.append("mr.a", text(m), undefined);
  for (let i = 0; i < 3; i++) step("deliver")();
  server.rollback("mr_a", 1);
  assert.equal(stored?.bounds(), { first: 1, last: 1 });
  assert.is(stored?.append("mr.a", text("other 2"), 1), 2);
  assert.equal([follow.take()?.seq, follow.take()?.seq, follow.take()?.seq], [1, 2, 3]);
  clock.advance(2_000);
  step("attach")();
  stored?.append("mr.a", text("other 3"), 2);
  stored?.append("mr.a", text("4"), 3);
  step("deliver")();
  assert.is(follow.take()?.seq, 4);
});

test("a rollback below what was trimmed leaves an empty stream", async () => {
  const { server } = await held();
  const stored = server.streams.get("mr_a");
  for (const m of ["m1", "m2", "m3"]) stored?.append("mr.a", text(m), undefined);
  stored?.purge(3);
  server.rollback("mr_a", 1);
  assert.equal(stored?.bounds(), { first: 2, last: 1 });
});

test("messages age by the server's clock", async () => {
  const { server, clock } = await held();
  server.create({ name: "mr_reply_f", subject: "mr.reply.f.>", maxAgeMs: 1_000, replicas: 1 });
  const stored = server.streams.get("mr_reply_f");
  stored?.append("mr.reply.f.1", text("a"), undefined);
  clock.advance(600);
  stored?.append("mr.reply.f.2", text("b"), undefined);
  clock.advance(600);
  assert.equal(stored?.bounds(), { first: 2, last: 2 });
  assert.is(stored?.lastOf("mr.reply.f.1"), undefined);
});

test("a set whose ack is lost finds out by reading that the value is its own", async () => {
  const { broker, step, clock, settled } = await held();
  const revision = broker.keys.set("k", text("v"), 0);
  await settled();
  step("append")();
  step("ack");
  clock.advance(700);
  await settled();
  step("read")();
  step("answer")();
  assert.is(await revision, 1);
});

test("the same steps in the same order give the same outcomes", async () => {
  const run = async () => {
    const { stream, step, steps } = await held();
    const outcomes: Promise<Appended>[] = [];
    for (let i = 0; i < 20; i++) outcomes.push(stream.append(text(`${i}`), i % 3 ? undefined : i));
    for (let i = 0; steps.length > 0; i++) step(steps[(i * 7) % steps.length]?.leg as Leg)();
    return Promise.all(outcomes);
  };
  assert.equal(await run(), await run());
});

test.run();
