// Live scaling as a receiver sees it: barriers of those who feed it, generations of those that end and are followed (PROTOCOL 11).
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type Channel, Inbound } from "../../../runtime/actor/inbound.ts";
import { decode, encode } from "../../../runtime/event/codec.ts";
import type { Frame, Note } from "../../../runtime/event/frame.ts";
import type { Term } from "../../../runtime/event/term.ts";
import type { Body } from "../../../runtime/journal/record.ts";

const test = suite("inbound, generations");
const term: Term = [1, new Uint8Array(8)];

class Reader {
  readonly inbound = new Inbound();

  constructor(...senders: readonly string[]) {
    for (const sender of senders) this.inbound.declare(0, sender, "g-1");
  }

  channel(from: string, generation = "g-1"): Channel | undefined {
    return this.inbound.channel(0, from, generation);
  }

  handle(from: string, { note = null, watermark = null, generation = "g-1" }: { note?: Note | null; watermark?: number | null; generation?: string } = {}): void {
    const channel = this.channel(from, generation) as Channel, frame: Frame = { from, generation, term, before: channel.takenTerm, seq: channel.seq + 1, n: 1, edge: 0, watermark, note, shapes: [], types: [], rows: [] };
    assert.is(this.inbound.judge(channel, frame), "next");
    this.inbound.take(channel, frame);
    this.inbound.accept(channel, frame);
  }

  write(whole = false): Body {
    const body: Body = {};
    this.inbound.write(body, whole);
    return decode(encode(body)) as Body;
  }

  /** Another owner, which declares whom the run began with. */
  after(...bodies: readonly Body[]): Reader {
    const reader = new Reader("f/s/0", "f/s/1");
    for (const body of bodies) reader.inbound.apply(body);
    reader.inbound.replayed();
    return reader;
  }

  get state(): readonly (readonly [string, number, boolean])[] {
    return [...this.inbound.channels].map(({ from, generation, watermark, ended }) => [`${from}@${generation}`, watermark, ended]);
  }
}

test("it is closed when all who feed it are past a barrier or their end, one barrier at least", () => {
  const reader = new Reader("f/a/0", "f/a/1", "f/b/0");
  reader.handle("f/a/0", { note: ["barrier", "g-2", 4] });
  assert.is(reader.inbound.closedFor, undefined);
  reader.handle("f/b/0", { note: ["end"] });
  assert.is(reader.inbound.closedFor, undefined);
  reader.handle("f/a/1", { note: ["barrier", "g-2", 4] });
  assert.equal(reader.inbound.closedFor, ["g-2", 4]);
  const ends = new Reader("f/a/0", "f/a/1");
  for (const from of ["f/a/0", "f/a/1"]) ends.handle(from, { note: ["end"] });
  assert.equal([ends.inbound.closedFor, ends.inbound.ended], [undefined, true]);
});

test("barriers are in the record: another owner is closed, too", () => {
  const reader = new Reader("f/s/0", "f/s/1"), bodies: Body[] = [];
  reader.handle("f/s/0", { note: ["barrier", "g-2", 3], watermark: 10 });
  bodies.push(reader.write());
  assert.is(reader.after(...bodies).inbound.closedFor, undefined);
  reader.handle("f/s/1", { note: ["barrier", "g-2", 3], watermark: 12 });
  bodies.push(reader.write());
  for (const again of [reader.after(...bodies), reader.after(reader.write(true))]) {
    assert.equal(again.inbound.closedFor, ["g-2", 3]);
    // Time stands where it was: who goes on with its state begins with it.
    assert.is(again.inbound.watermark, 10);
  }
});

test("who is sealed is followed by all of the next generation, at the least watermark reached; time does not pass them", () => {
  const reader = new Reader("f/s/0", "f/s/1");
  reader.handle("f/s/0", { note: ["sealed", "g-2", 3], watermark: 20 });
  assert.equal(reader.state, [["f/s/0@g-1", 20, true], ["f/s/1@g-1", -Infinity, false], ...[0, 1, 2].map((p) => [`f/s/${p}@g-2`, 20, false] as const)]);
  assert.is(reader.inbound.watermark, -Infinity);
  reader.handle("f/s/1", { note: ["sealed", "g-2", 3], watermark: 15 });
  assert.is(reader.inbound.watermark, 15);
  assert.is(reader.inbound.ended, false);
  reader.handle("f/s/0", { watermark: 30, generation: "g-2" });
  assert.is(reader.inbound.watermark, 15);
  for (const p of [1, 2]) reader.handle(`f/s/${p}`, { watermark: 25, generation: "g-2" });
  assert.is(reader.inbound.watermark, 25);
});

test("what is over is forgotten with a later record than the one that found it, and a floor keeps it out", () => {
  const reader = new Reader("f/s/0", "f/s/1"), bodies: Body[] = [];
  for (const from of ["f/s/0", "f/s/1"]) reader.handle(from, { note: ["sealed", "g-2", 1], watermark: 5 });
  bodies.push(reader.write());
  // The batch of a sink may lie in what they sent: its cursors are there until the next record.
  assert.equal(bodies[0]?.cursors?.map(([, from, generation]) => `${from}@${generation}`), ["f/s/0@g-1", "f/s/1@g-1"]);
  assert.is(bodies[0]?.floors, undefined);
  assert.ok(reader.channel("f/s/0") !== undefined);
  reader.handle("f/s/0", { generation: "g-2", watermark: 6 });
  bodies.push(reader.write());
  assert.equal(bodies[1]?.floors, [[0, "f/s", "g-2"]]);
  for (const its of [reader, reader.after(...bodies), reader.after(reader.write(true))]) {
    assert.equal([its.channel("f/s/0"), its.channel("f/s/1"), its.channel("f/s/0", "g-2")?.seq, its.inbound.watermark], [undefined, undefined, 1, 6]);
  }
  // Without the second record the next owner forgets them by itself.
  const early = reader.after(bodies[0] as Body);
  assert.ok(early.channel("f/s/0")?.ended);
  early.write();
  assert.ok(early.write().floors !== undefined && early.channel("f/s/0") === undefined);
});

test("each change raises the floor: two generations later only the newest is left", () => {
  const reader = new Reader("f/s/0"), bodies: Body[] = [];
  reader.handle("f/s/0", { note: ["sealed", "g-2", 2], watermark: 1 });
  bodies.push(reader.write());
  for (const p of [0, 1]) reader.handle(`f/s/${p}`, { note: ["sealed", "g-11", 1], generation: "g-2", watermark: 2 + p });
  bodies.push(reader.write(), reader.write());
  for (const its of [reader, reader.after(...bodies), reader.after(reader.write(true))]) assert.equal(its.state, [["f/s/0@g-11", 2, false]]);
});

test.run();
