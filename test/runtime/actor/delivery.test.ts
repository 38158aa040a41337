import { suite } from "uvu";
import * as assert from "uvu/assert";
import { ChainDelivery, type Delivery, type DeliveryOptions, MailboxDelivery, sendWindow } from "../../../runtime/actor/delivery.ts";
import type { Appended } from "../../../runtime/broker/broker.ts";
import { unreachable } from "../../../runtime/broker/failures.ts";
import { decodeMessage, encodeFrame, message } from "../../../runtime/event/frame.ts";
import { ManualClock, settle } from "../../../runtime/testing/manual-clock.ts";
import { MemoryBroker } from "../../../runtime/testing/memory-broker.ts";
import { MemoryServer } from "../../../runtime/testing/memory-server.ts";
import { Chance, seed } from "../../actors/seeded.ts";
import { until } from "../../support/driven.ts";
import { ScriptedNetwork, type StepFate } from "../../support/scripted-network.ts";
import { type Attempt, ScriptedStream } from "../../support/scripted-stream.ts";

const test = suite("delivery");
const frameOf = (seq: number, size = 0, mark = 0): Uint8Array => encodeFrame({
  from: "f/a/0", generation: "g-1", term: [1, new Uint8Array(8).fill(mark)], before: null, seq, n: seq, edge: 0, watermark: null, note: null, shapes: [], types: [], rows: [[0, 0, null, null, -1, "x".repeat(size)]],
});

class Sender<D extends Delivery = MailboxDelivery> {
  readonly clock = new ManualClock();
  readonly stream = new ScriptedStream();
  readonly delivery: D;
  changes = 0;
  #round = 0;
  #seq = 0;

  constructor(make: (stream: ScriptedStream, options: DeliveryOptions) => D, more: Partial<DeliveryOptions> = {}) {
    const bytes = (count: number) => new Uint8Array(count).fill(++this.#round);
    this.delivery = make(this.stream, { clock: this.clock, random: { next: () => 0, bytes }, onChange: () => { this.changes++; }, ...more });
  }

  static mailbox(more: Partial<DeliveryOptions> = {}): Sender {
    return new Sender((stream, options) => new MailboxDelivery(stream, options), more);
  }

  static chain(): Sender<ChainDelivery> {
    return new Sender((stream, options) => new ChainDelivery(stream, options));
  }

  add(count: number, size?: number): this {
    for (let i = 0; i < count; i++) this.delivery.add(++this.#seq, frameOf(this.#seq, size));
    this.delivery.send();
    return this;
  }

  /** Numbers sent since the last call. */
  sent(): readonly number[] {
    return this.stream.take().map(({ seq }) => seq);
  }

  async answer(attempts: readonly Attempt[], outcome: (attempt: Attempt) => Appended = ({ seq }) => seq + 100): Promise<void> {
    for (const attempt of attempts) attempt.answer(outcome(attempt));
    await settle();
  }
}

const range = (from: number, to: number): readonly number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);

// ── into a mailbox (P10 to P13)

test("frames go out in the order of their numbers, under one round, 64 of them ahead of the acks (P10, P13)", async () => {
  const sender = Sender.mailbox().add(200), first = sender.stream.take();
  assert.equal(first.map(({ seq }) => seq), range(1, 64));
  assert.is(new Set(first.map(({ round }) => round)).size, 1);
  assert.ok(first.every(({ expected }) => expected === undefined));
  await sender.answer(first.slice(0, 10));
  assert.equal(sender.sent(), range(65, 74));
  await sender.answer(first.slice(10));
  assert.equal(sender.sent(), range(75, 128));
});

test("at most 8 MiB are ahead of the acks; a frame alone goes whatever its size (P10)", async () => {
  const sender = Sender.mailbox().add(20, 1024 * 1024), first = sender.stream.take();
  assert.is(first.length, 8);
  await sender.answer(first.slice(0, 1));
  assert.equal(sender.sent(), [9]);
  const large = Sender.mailbox().add(2, sendWindow.bytes + 1), [one] = large.stream.take();
  assert.is(large.stream.attempts.length, 1);
  await large.answer([one as Attempt]);
  assert.equal(large.sent(), [2]);
});

test("settled is what is acknowledged without a gap, and where it is stored (P12)", async () => {
  const sender = Sender.mailbox().add(5), all = sender.stream.take();
  await sender.answer([all[1] as Attempt, all[3] as Attempt]);
  assert.equal([sender.delivery.settled, sender.delivery.settledAt, sender.delivery.moved], [0, 0, false]);
  await sender.answer([all[0] as Attempt]);
  assert.equal([sender.delivery.settled, sender.delivery.settledAt, sender.delivery.unsettled, sender.delivery.moved], [2, 102, 3, true]);
  await sender.answer([all[2] as Attempt, all[4] as Attempt]);
  assert.equal([sender.delivery.settled, sender.delivery.settledAt, sender.delivery.unsettled, sender.delivery.bytes], [5, 105, 0, 0]);
  assert.ok(sender.changes >= 2);
});

for (const outcome of ["unknown", "refused", "missing"] as const) {
  test(`${outcome}: nothing more of the round is sent; a new round begins with the first frame that is not settled, in order (P11)`, async () => {
    const sender = Sender.mailbox().add(100), first = sender.stream.take();
    await sender.answer(first.slice(0, 3));
    sender.stream.take();
    await sender.answer([first[3] as Attempt], () => outcome);
    await sender.answer(first.slice(5, 10));
    assert.equal(sender.sent(), [], "the round is over");
    assert.is(sender.delivery.settled, 3);
    await sender.clock.elapse(20);
    const second = sender.stream.take();
    assert.equal(second.map(({ seq }) => seq), range(4, 67));
    assert.is.not(second[0]?.round, first[0]?.round);
    assert.not.ok(sender.delivery.full);
  });
}

test("acks that arrive from an ended round do not count†", async () => {
  const sender = Sender.mailbox().add(3), first = sender.stream.take();
  await sender.answer([first[0] as Attempt], () => "unknown");
  await sender.clock.elapse(20);
  const second = sender.stream.take();
  await sender.answer(first.slice(1));
  assert.equal([sender.delivery.settled, sender.delivery.unsettled], [0, 3]);
  await sender.answer([first[0] as Attempt, second[1] as Attempt, second[2] as Attempt]);
  assert.is(sender.delivery.settled, 0);
  await sender.answer([second[0] as Attempt]);
  assert.is(sender.delivery.settled, 3);
});

test("an acknowledged frame behind one that was not is sent again: it may stand before that one in the mailbox†", async () => {
  const sender = Sender.mailbox().add(3), first = sender.stream.take();
  await sender.answer([first[1] as Attempt, first[2] as Attempt]);
  await sender.answer([first[0] as Attempt], () => "unknown");
  await sender.clock.elapse(20);
  assert.equal(sender.sent(), [1, 2, 3]);
});

test("a reconnect ends the round at once†: all that is not settled is sent again, in a round of its own", async () => {
  const sender = Sender.mailbox().add(5), first = sender.stream.take();
  await sender.answer(first.slice(0, 2));
  sender.delivery.reconnected();
  const second = sender.stream.take();
  assert.equal(second.map(({ seq }) => seq), [3, 4, 5]);
  assert.is.not(second[0]?.round, first[0]?.round);
  await sender.answer(first.slice(2));
  assert.is(sender.delivery.settled, 2);
  await sender.answer(second);
  assert.is(sender.delivery.settled, 5);
});

test("a reconnect does not wait for a pause that is under way, and nothing is sent twice by it", async () => {
  const sender = Sender.mailbox().add(2), first = sender.stream.take();
  await sender.answer(first, () => "unknown");
  sender.delivery.reconnected();
  assert.equal(sender.sent(), [1, 2]);
  await sender.clock.elapse(10_000);
  assert.equal(sender.sent(), []);
  assert.is(sender.clock.pending, 0);
});

test("after full a round starts with one frame and doubles with the acks (P11)", async () => {
  const sender = Sender.mailbox().add(200), first = sender.stream.take();
  await sender.answer([first[0] as Attempt], () => "full");
  assert.ok(sender.delivery.full, "shown as back-pressure");
  assert.equal(sender.sent(), []);
  await sender.clock.elapse(5);
  let next = sender.stream.take();
  assert.equal(next.map(({ seq }) => seq), [1]);
  await sender.answer(next);
  assert.not.ok(sender.delivery.full);
  next = sender.stream.take();
  assert.equal(next.map(({ seq }) => seq), [2, 3]);
  await sender.answer(next);
  next = sender.stream.take();
  assert.is(next.length, 8, "each ack doubles: 2, then 4, then 8");
  for (let i = 0; i < 10; i++) { await sender.answer(next); next = sender.stream.take(); }
  assert.is(sender.delivery.settled, 200);
});

test("a full mailbox is tried again after 5 ms, then later each time, at most a second", async () => {
  const sender = Sender.mailbox().add(1), times: number[] = [];
  for (let i = 0; i < 12; i++) {
    const [attempt] = sender.stream.take();
    times.push(sender.clock.monotonic());
    await sender.answer([attempt as Attempt], () => "full");
    await until(sender.clock, "it is tried again", () => sender.stream.attempts.length === i + 2);
  }
  assert.equal(times.slice(1).map((at, i) => at - (times[i] as number)), [5, 10, 20, 40, 80, 160, 320, 640, 1_000, 1_000, 1_000]);
});

test("after an ack waits begin anew", async () => {
  const sender = Sender.mailbox().add(1);
  for (let i = 0; i < 5; i++) { await sender.answer(sender.stream.take(), () => "full"); await sender.clock.elapse(1_000); }
  await sender.answer(sender.stream.take());
  sender.add(1);
  await sender.answer(sender.stream.take(), () => "full");
  await sender.clock.elapse(5);
  assert.equal(sender.sent(), [2]);
});

test("back-pressure is told when it begins and when it ends, not in between", async () => {
  const sender = Sender.mailbox().add(1);
  await sender.answer(sender.stream.take(), () => "full");
  assert.is(sender.changes, 1);
  await sender.clock.elapse(5);
  await sender.answer(sender.stream.take(), () => "full");
  assert.is(sender.changes, 1);
  await sender.clock.elapse(10);
  await sender.answer(sender.stream.take());
  assert.ok(sender.changes >= 2);
});

test("a mailbox that stays full and whose reader has ended counts as settled: nobody reads it any more", async () => {
  const sender = Sender.mailbox({ readerEnded: async () => true }).add(3);
  for (let i = 0; i < 10; i++) { await sender.answer(sender.stream.take(), () => "full"); await sender.clock.elapse(1_000); }
  assert.equal([sender.delivery.settled, sender.delivery.settledAt, sender.delivery.unsettled, sender.delivery.full], [3, 0, 0, false]);
  assert.is(sender.clock.pending, 0);
});

test("a mailbox that stays full and whose reader lives is tried for ever", async () => {
  let asked = 0;
  const sender = Sender.mailbox({ readerEnded: async () => { asked++; return false; } }).add(1);
  for (let i = 0; i < 20; i++) { await sender.answer(sender.stream.take(), () => "full"); await sender.clock.elapse(1_000); }
  assert.ok(asked > 5);
  assert.equal([sender.delivery.settled, sender.delivery.full], [0, true]);
  await sender.answer(sender.stream.take());
  assert.is(sender.delivery.settled, 1);
});

test("frames that are added while a round waits go with the next one", async () => {
  const sender = Sender.mailbox().add(1);
  await sender.answer(sender.stream.take(), () => "unknown");
  sender.add(2);
  assert.equal(sender.sent(), []);
  await sender.clock.elapse(20);
  assert.equal(sender.sent(), [1, 2, 3]);
});

test("after replay what is settled is neither kept nor sent again", () => {
  const sender = Sender.mailbox(), { delivery } = sender;
  for (const seq of [1, 2, 3, 4]) delivery.add(seq, frameOf(seq));
  Object.assign(delivery, { settled: 2, settledAt: 50 });
  delivery.dropSettled();
  delivery.add(2, frameOf(2));
  assert.equal([delivery.unsettled, delivery.bytes], [2, 2 * frameOf(3).length]);
  delivery.send();
  assert.equal(sender.sent(), [3, 4]);
});

test("after its close it sends nothing, hears nothing, and leaves no timer", async () => {
  const sender = Sender.mailbox().add(2), first = sender.stream.take();
  await sender.answer([first[0] as Attempt], () => "unknown");
  sender.delivery.close();
  assert.is(sender.clock.pending, 0);
  await sender.answer([first[1] as Attempt]);
  sender.add(1);
  sender.delivery.reconnected();
  assert.equal([sender.sent(), sender.delivery.settled], [[], 0]);
});

test(`over a network that loses, repeats and refuses, with reconnects: every frame arrives, and in order behind the one before it (SEED=${seed})`, async () => {
  for (let run = 0; run < 100; run++) {
    const chance = new Chance(seed + run), clock = new ManualClock(), server = new MemoryServer({ clock }), network = new ScriptedNetwork(), broker = new MemoryBroker(server, network), frames = 40;
    server.create({ name: "m", subject: "mr.m", maxMessages: 30, replicas: 1 });
    for (let i = 0; i < 100; i++) for (const leg of ["append", "ack"] as const) network.next(leg, [chance.next() < 0.2 ? chance.of<StepFate>(leg === "append" ? ["lost", "twice", "unknown", "full"] : ["lost"]) : "carried"]);
    const delivery = new MailboxDelivery(broker.stream("m", "mr.m"), { clock, random: { next: chance.next, bytes: (count) => Uint8Array.from({ length: count }, () => chance.below(256)) }, onChange: () => {} });
    // The reader takes exactly the next, and trims behind itself.
    const reader = new MemoryBroker(server).stream("m", "mr.m");
    let cursor = 0;
    const read = async (): Promise<void> => {
      const { first, last } = await reader.bounds();
      for (let at = first; at <= last; at++) {
        const { seq } = decodeMessage((await reader.get(at))?.data as Uint8Array);
        if (seq === cursor + 1) cursor = seq;
      }
      await reader.purge(last + 1);
    };
    for (let seq = 1; seq <= frames; seq++) {
      delivery.add(seq, frameOf(seq));
      delivery.send();
      if (chance.below(10) === 0) delivery.reconnected();
      if (chance.below(3) === 0) { await clock.elapse(chance.below(800)); await read(); }
      assert.ok(delivery.settled <= cursor + 30, "settled is never ahead of what the mailbox holds");
    }
    for (let i = 0; delivery.settled < frames; i++) {
      assert.ok(i < 1_000, `run ${run}: it stands still at ${delivery.settled}`);
      await clock.elapse(1_000);
      await read();
    }
    await read();
    assert.is(cursor, frames, `run ${run}: all that is settled has arrived`);
    delivery.close();
  }
});

// ── onto a chain (P29)

test("onto a chain frames go one at a time, each behind the one before by compare-and-set (P29)", async () => {
  const sender = Sender.chain().add(3);
  for (const [seq, expected] of [[1, 0], [2, 101], [3, 102]] as const) {
    const attempts = sender.stream.take();
    assert.equal(attempts.map((attempt) => [attempt.seq, attempt.expected]), [[seq, expected]]);
    await sender.answer(attempts);
  }
  assert.equal([sender.delivery.settled, sender.delivery.settledAt, sender.delivery.unsettled], [3, 103, 0]);
});

const lastOf = (seq: number, at: number) => ({ seq: at, data: message(new Uint8Array(8), frameOf(seq)) });

for (const outcome of ["unknown", "refused"] as const) {
  test(`${outcome}, and the last there is mine: settled`, async () => {
    const sender = Sender.chain().add(1);
    sender.stream.lastIs = lastOf(1, 7);
    await sender.answer(sender.stream.take(), () => outcome);
    assert.equal([sender.delivery.settled, sender.delivery.settledAt], [1, 7]);
  });

  test(`${outcome}, and the last there has a higher number: settled, with all up to that number; none of them is appended again`, async () => {
    const sender = Sender.chain().add(2);
    sender.stream.lastIs = lastOf(4, 9);
    await sender.answer(sender.stream.take(), () => outcome);
    assert.equal([sender.delivery.settled, sender.delivery.settledAt, sender.sent()], [2, 9, []]);
    // Of a record that was accepted before another owner came, and written into the journal after it had sent its frames.
    sender.add(2);
    assert.equal([sender.delivery.settled, sender.delivery.settledAt, sender.sent()], [4, 9, []]);
    sender.add(1);
    assert.equal(sender.stream.take().map(({ seq, expected }) => [seq, expected]), [[5, 9]]);
  });

  test(`${outcome}, and the last there has a lower number: appended after it`, async () => {
    const sender = Sender.chain().add(2);
    await sender.answer(sender.stream.take());
    sender.stream.lastIs = lastOf(1, 144);
    await sender.answer(sender.stream.take(), () => outcome);
    assert.is(sender.delivery.settled, 1);
    await sender.clock.elapse(20);
    assert.equal(sender.stream.take().map(({ seq, expected }) => [seq, expected]), [[2, 144]]);
  });

  for (const there of ["an older one", "nothing"] as const) {
    test(`${outcome}, what was settled is gone and ${there} is there: nothing is put in its place, else nobody would see it (P30)`, async () => {
      const sender = Sender.chain().add(2);
      await sender.answer(sender.stream.take());
      sender.stream.lastIs = there === "nothing" ? undefined : lastOf(1, 44);
      await sender.answer(sender.stream.take(), () => outcome);
      for (let i = 0; i < 3; i++) {
        await sender.clock.elapse(1_000);
        const again = sender.stream.take();
        assert.equal(again.map(({ expected }) => expected), [101]);
        await sender.answer(again, () => "refused");
      }
      assert.is(sender.delivery.settled, 1);
    });
  }

  test(`${outcome}, and what is there under its number is of another history: nothing is sent, and it is told (P17)`, async () => {
    const forked: number[] = [], sender = new Sender((stream, options) => new ChainDelivery(stream, options), { onForked: (seq) => forked.push(seq) }).add(2);
    sender.stream.lastIs = { seq: 3, data: message(new Uint8Array(8), frameOf(1, 0, 9)) };
    await sender.answer(sender.stream.take(), () => outcome);
    assert.equal([forked, sender.delivery.settled, sender.sent()], [[1], 0, []]);
  });

  test(`${outcome}, and its age has removed what was settled: appended as the first`, async () => {
    const sender = Sender.chain().add(2);
    await sender.answer(sender.stream.take());
    sender.stream.firstIs = 102;
    await sender.answer(sender.stream.take(), () => outcome);
    await sender.clock.elapse(20);
    assert.equal(sender.stream.take().map(({ seq, expected }) => [seq, expected]), [[2, 0]]);
  });

  test(`${outcome}, and nothing is there: appended as the first`, async () => {
    const sender = Sender.chain().add(1);
    await sender.answer(sender.stream.take(), () => outcome);
    await sender.clock.elapse(20);
    assert.equal(sender.stream.take().map(({ seq, expected }) => [seq, expected]), [[1, 0]]);
  });
}

test("an outcome that cannot be asked about is asked about again with the next try", async () => {
  const sender = Sender.chain().add(1);
  sender.stream.lastIs = unreachable("mr.x", "not connected");
  for (let i = 0; i < 3; i++) {
    await sender.answer(sender.stream.take(), () => "unknown");
    assert.is(sender.delivery.settled, 0);
    await sender.clock.elapse(1_000);
  }
  sender.stream.lastIs = lastOf(1, 3);
  await sender.answer(sender.stream.take(), () => "refused");
  assert.equal([sender.delivery.settled, sender.delivery.settledAt], [1, 3]);
});

for (const outcome of ["missing", "full"] as const) {
  test(`a chain whose stream is ${outcome} is tried again, nothing is passed over`, async () => {
    const sender = Sender.chain().add(2);
    await sender.answer(sender.stream.take(), () => outcome);
    await sender.clock.elapse(20);
    assert.equal(sender.sent(), [1]);
  });
}

test("a reconnect does not send a frame a second time while the first attempt is under way", async () => {
  const sender = Sender.chain().add(1), first = sender.stream.take();
  sender.delivery.reconnected();
  assert.equal(sender.sent(), []);
  await sender.answer(first);
  assert.is(sender.delivery.settled, 1);
});

test(`a chain over a network that loses and repeats holds each frame once, in order, through one life after another (SEED=${seed})`, async () => {
  for (let run = 0; run < 100; run++) {
    const chance = new Chance(seed + run), clock = new ManualClock(), server = new MemoryServer({ clock }), network = new ScriptedNetwork();
    server.create({ name: "c", subject: "mr.c.>", replicas: 1 });
    for (let i = 0; i < 100; i++) for (const leg of ["append", "ack", "read", "answer"] as const) network.next(leg, [chance.next() < 0.2 ? chance.of<StepFate>(leg === "append" ? ["lost", "twice", "unknown", "refused"] : ["lost"]) : "carried"]);
    const life = () => new ChainDelivery(new MemoryBroker(server, network).stream("c", "mr.c.a"), { clock, random: { next: chance.next, bytes: (count) => new Uint8Array(count) }, onChange: () => {} });
    let delivery = life();
    const at = (frame: number): number => {
      const its = server.streams.get("c"), { last } = its?.bounds() ?? { last: 0 };
      for (let place = 1; place <= last; place++) {
        const found = its?.next("mr.c.a", place);
        if (found !== undefined && decodeMessage(found.data).seq === frame) return found.seq;
      }
      return 0;
    };
    // Another writer of the same stream, with a subject of its own.
    const other = new MemoryBroker(server).stream("c", "mr.c.b");
    for (let seq = 1; seq <= 20; seq++) {
      delivery.add(seq, frameOf(seq));
      delivery.send();
      if (chance.below(2) === 0) await other.append(frameOf(1));
      if (chance.below(4) === 0) delivery.reconnected();
      await clock.elapse(chance.below(300));
      if (chance.below(4) > 0) continue;
      // The next life knows of what is settled as much as some record said.
      const { settled } = delivery, known = chance.below(settled + 1);
      delivery.close();
      delivery = life();
      delivery.settled = known;
      delivery.settledAt = at(known);
      for (let again = known + 1; again <= seq; again++) delivery.add(again, frameOf(again));
      delivery.send();
    }
    await until(clock, "all is settled", () => delivery.settled === 20);
    const stream = server.streams.get("c"), stored: number[] = [];
    for (let at = 1; at <= (stream?.bounds().last ?? 0); at++) {
      const found = stream?.next("mr.c.a", at);
      if (found === undefined) break;
      stored.push(decodeMessage(found.data).seq);
      at = found.seq;
    }
    assert.equal(stored, range(1, 20), `run ${run}`);
    delivery.close();
  }
});

test.run();
