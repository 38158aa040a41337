import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type Channel, Inbound, type Verdict } from "../../../runtime/actor/inbound.ts";
import { decode, encode } from "../../../runtime/event/codec.ts";
import type { Frame, Note } from "../../../runtime/event/frame.ts";
import type { Term } from "../../../runtime/event/term.ts";
import type { Body } from "../../../runtime/journal/record.ts";
import { told } from "../../support/plain-data.ts";

const test = suite("inbound");
const term = (counter: number, mark = 0): Term => [counter, new Uint8Array(8).fill(mark)];
const A = "f/a/0", B = "f/a/1", g = "g-1";

const frame = (seq: number, its: Term, before: Term | null, more: { watermark?: number | null; note?: Note; events?: number; from?: string } = {}): Frame => ({
  from: more.from ?? A, generation: g, term: its, before, seq, n: seq, edge: 0, watermark: more.watermark ?? null, note: more.note ?? null, shapes: [], types: [],
  rows: Array.from({ length: more.events ?? 1 }, (_, k) => [k, 0, null, null, -1, k]),
});

class Reader {
  readonly inbound = new Inbound();

  constructor(...senders: readonly string[]) {
    for (const sender of senders.length > 0 ? senders : [A]) this.inbound.declare(0, sender, g);
  }

  channel(from = A): Channel {
    return this.inbound.channel(0, from, g) as Channel;
  }

  judge(its: Frame): Verdict {
    return this.inbound.judge(this.channel(its.from), its);
  }

  /** Takes a frame and handles it; so many of its events, where given. */
  handle(its: Frame, done?: number): void {
    assert.is(this.judge(its), "next");
    this.inbound.take(this.channel(its.from), its);
    if (done === undefined) this.inbound.accept(this.channel(its.from), its);
    else this.inbound.advance(this.channel(its.from), its, done);
  }

  /** Frames 1 to `count`, of one term. */
  upTo(count: number, its = term(1)): this {
    for (let seq = 1; seq <= count; seq++) this.handle(frame(seq, its, seq === 1 ? null : its));
    return this;
  }

  write(whole = false): Body {
    const body: Body = {};
    this.inbound.write(body, whole);
    return decode(encode(body)) as Body;
  }

  /** Another owner, with what the records say. */
  static after(...bodies: readonly Body[]): Reader {
    const reader = new Reader();
    for (const body of bodies) reader.inbound.apply(body);
    return reader;
  }
}

// ── exactly the next (P16)

for (const [name, seq, verdict] of [["the next one is taken", 4, "next"], ["the last one again was seen", 3, "seen"], ["an earlier one was seen", 1, "seen"], ["the one after the next came early", 5, "early"], ["a much later one came early†", 900, "early"], ["number 0 was seen", 0, "seen"]] as const) {
  test(`after three frames ${name} (P16)`, () => assert.is(new Reader().upTo(3).judge(frame(seq, term(1), term(1))), verdict));
}

test("a channel begins with number 1, which has none before it", () => {
  const reader = new Reader();
  assert.is(reader.judge(frame(1, term(1), null)), "next");
  assert.is(reader.judge(frame(2, term(1), term(1))), "early");
  assert.is(reader.judge(frame(1, term(1), term(1))), "forked");
});

test("an early frame leaves no trace: when it comes again in order it is taken†", () => {
  const reader = new Reader().upTo(1);
  for (const seq of [3, 4]) assert.is(reader.judge(frame(seq, term(1), term(1))), "early");
  for (const seq of [2, 3, 4]) reader.handle(frame(seq, term(1), term(1)));
});

test("channels are apart: by sender, generation and input", () => {
  const reader = new Reader(A, B);
  reader.inbound.declare(0, A, "g-2");
  reader.inbound.declare(1, A, g);
  reader.handle(frame(1, term(1), null));
  for (const other of [reader.channel(B), reader.inbound.channel(0, A, "g-2") as Channel, reader.inbound.channel(1, A, g) as Channel]) assert.is(reader.inbound.judge(other, frame(1, term(1), null)), "next");
  assert.is(reader.inbound.channel(0, "f/unknown/0", g), undefined);
});

test("frames taken and not done yet: the one after them is next, they were seen", () => {
  const reader = new Reader();
  for (const seq of [1, 2]) {
    const its = frame(seq, term(1), seq === 1 ? null : term(1));
    assert.is(reader.judge(its), "next");
    reader.inbound.take(reader.channel(), its);
  }
  assert.equal([1, 2, 3, 4].map((seq) => reader.judge(frame(seq, term(1), term(1)))), ["seen", "seen", "next", "early"]);
  assert.is(reader.channel().seq, 0, "nothing is accepted before it is done");
});

// ── one history (P17)

test("a frame of a new owner follows one of the owner before it", () => {
  const reader = new Reader().upTo(2);
  reader.handle(frame(3, term(2, 5), term(1)));
  reader.handle(frame(4, term(2, 5), term(2, 5)));
});

for (const [name, before] of [["another term", term(2)], ["a term of that number and another mark†", term(1, 9)], ["none", null]] as const) {
  test(`the next frame names as its predecessor ${name}: the sender's history was written anew (P17)`, () => assert.is(new Reader().upTo(2).judge(frame(3, term(3), before)), "forked"));
}

test("a frame that was begun must still have the term that it was begun with (P17)", () => {
  const reader = new Reader().upTo(1);
  reader.handle(frame(2, term(1), term(1), { events: 5 }), 3);
  const next = Reader.after(reader.write());
  assert.equal([next.channel().done, next.judge(frame(2, term(1), term(1), { events: 5 }))], [3, "next"]);
  assert.is(next.judge(frame(2, term(2, 7), term(1), { events: 5 })), "forked");
  assert.is(next.judge(frame(2, term(1, 7), term(1), { events: 5 })), "forked");
});

test("a frame of which nothing was done may come with another term: its sender had not kept it", () => {
  const next = Reader.after(new Reader().upTo(1).write());
  assert.is(next.judge(frame(2, term(2, 7), term(1))), "next");
});

test("a frame seen before must carry the term that its number had (P17)", () => {
  const reader = new Reader().upTo(3);
  for (const seq of [4, 5]) reader.handle(frame(seq, term(2), seq === 4 ? term(1) : term(2)));
  for (const one of [reader, Reader.after(reader.write())]) {
    assert.equal([1, 3, 4, 5].map((seq) => one.judge(frame(seq, seq < 4 ? term(1) : term(2), null))), ["seen", "seen", "seen", "seen"]);
    assert.equal([1, 3, 4, 5].map((seq) => one.judge(frame(seq, seq < 4 ? term(2) : term(1), null))), ["forked", "forked", "forked", "forked"]);
    assert.is(one.judge(frame(5, term(2, 9), null)), "forked");
  }
});

test("beginnings of the last 16 terms are kept; frames of older ones are dropped unlooked", () => {
  const reader = new Reader();
  let before: Term | null = null;
  for (let seq = 1; seq <= 20; seq++) {
    reader.handle(frame(seq, term(seq), before));
    before = term(seq);
  }
  for (const one of [reader, Reader.after(reader.write())]) {
    assert.is(one.channel().starts.length, 16);
    assert.is(one.judge(frame(5, term(99), null)), "forked");
    assert.is(one.judge(frame(4, term(99), null)), "seen");
  }
});

// ── positions

test("a position stands with its anchor: round, sender and number of the message", () => {
  const reader = new Reader(), round = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
  assert.not.ok(reader.inbound.moved);
  reader.inbound.moveTo(0, 17, round, A, 4);
  assert.ok(reader.inbound.moved);
  const body = reader.write();
  assert.is(told(body.inputs), told([[0, 17, round, A, 4]]));
  assert.not.ok(reader.inbound.moved);
  assert.is(told(Reader.after(body).inbound.positions[0]), told({ at: 17, round, from: A, seq: 4, moved: false }));
  assert.equal(reader.write(), {}, "what did not move since is not in the next record");
});

test("the position of a message that is no frame has no round and no sender", () => {
  const reader = new Reader();
  reader.inbound.moveTo(0, 3, null, null, 0);
  assert.equal(reader.write().inputs, [[0, 3, null, null, 0]]);
});

test("a snapshot has all of it, and takes nothing from the next record", () => {
  const reader = new Reader(A, B).upTo(2);
  reader.inbound.moveTo(0, 2, null, A, 2);
  const whole = reader.write(true);
  assert.equal([whole.inputs?.length, whole.cursors?.length, whole.channels?.length], [1, 2, 2]);
  const turn = reader.write();
  assert.equal([turn.inputs?.length, turn.cursors?.length, turn.channels?.length], [1, 1, undefined]);
  assert.is(told(Reader.after(whole).write(true)), told(reader.write(true)));
});

// ── time and ends

test("a frame's watermark counts when its last event is done, not before", () => {
  const reader = new Reader();
  reader.handle(frame(1, term(1), null, { watermark: 50, events: 3 }), 2);
  assert.is(reader.inbound.watermark, -Infinity);
  reader.inbound.accept(reader.channel(), frame(1, term(1), null, { watermark: 50, events: 3 }));
  assert.is(reader.inbound.watermark, 50);
});

test("the watermark is the least of all declared channels, those not heard of yet included†", () => {
  const reader = new Reader(A, B);
  reader.handle(frame(1, term(1), null, { watermark: 50 }));
  assert.is(reader.inbound.watermark, -Infinity);
  reader.handle(frame(1, term(1), null, { from: B, watermark: 30 }));
  assert.is(reader.inbound.watermark, 30);
  reader.handle(frame(2, term(1), term(1), { from: B, watermark: 70 }));
  assert.is(reader.inbound.watermark, 50);
});

test("it only rises: neither an older watermark nor a channel declared later takes it back", () => {
  const reader = new Reader();
  reader.handle(frame(1, term(1), null, { watermark: 50 }));
  reader.handle(frame(2, term(1), term(1), { watermark: 20 }));
  reader.handle(frame(3, term(1), term(1)));
  assert.is(reader.inbound.watermark, 50);
  reader.inbound.declare(0, B, g);
  assert.is(reader.inbound.watermark, 50);
  reader.handle(frame(1, term(1), null, { from: B, watermark: 10 }));
  assert.is(reader.inbound.watermark, 50);
});

test("an ended channel holds nothing back; when all have ended it is the end of time", () => {
  const reader = new Reader(A, B);
  reader.handle(frame(1, term(1), null, { note: ["end"], watermark: 5 }));
  assert.equal([reader.inbound.ended, reader.inbound.watermark], [false, -Infinity]);
  reader.handle(frame(1, term(1), null, { from: B, watermark: 30 }));
  assert.equal([reader.inbound.ended, reader.inbound.watermark], [false, 30]);
  reader.handle(frame(2, term(1), term(1), { from: B, note: ["end"], events: 0 }));
  assert.equal([reader.inbound.ended, reader.inbound.watermark], [true, Infinity]);
});

test("caught up is noted, and is no end", () => {
  const reader = new Reader();
  reader.handle(frame(1, term(1), null, { note: ["caught"] }));
  assert.equal([reader.channel().caught, reader.channel().ended], [true, false]);
});

test("time and ends are the same after replay, whether from turns or from a snapshot", () => {
  const reader = new Reader(A, B), bodies: Body[] = [];
  for (const its of [frame(1, term(1), null, { watermark: 5 }), frame(1, term(1), null, { from: B, watermark: 9 }), frame(2, term(1), term(1), { watermark: 8, note: ["caught"] }), frame(2, term(1), term(1), { from: B, note: ["end"] })]) {
    reader.handle(its);
    bodies.push(reader.write());
  }
  for (const next of [Reader.after(...bodies), Reader.after(reader.write(true))]) {
    assert.equal([next.inbound.watermark, next.inbound.ended], [8, false]);
    assert.is(told(next.write(true)), told(reader.write(true)));
  }
});

test.run();
