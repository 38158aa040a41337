import { suite } from "uvu";
import * as assert from "uvu/assert";
import { isAnchor } from "../../../runtime/actor/anchors.ts";
import type { Position } from "../../../runtime/actor/inbound.ts";
import { MailboxTrim } from "../../../runtime/actor/trimming.ts";
import { encodeFrame, message } from "../../../runtime/event/frame.ts";
import { ManualClock, settle } from "../../../runtime/testing/manual-clock.ts";
import { MemoryBroker } from "../../../runtime/testing/memory-broker.ts";
import { MemoryServer } from "../../../runtime/testing/memory-server.ts";
import { ScriptedNetwork } from "../../support/scripted-network.ts";

const test = suite("trimming");
const round = (of: number): Uint8Array => new Uint8Array(8).fill(of);
const sent = (seq: number, its = seq): Uint8Array => message(round(its), encodeFrame({ from: "f/a/0", generation: "g-1", term: [1, new Uint8Array(8)], before: null, seq, n: 1, edge: 0, watermark: null, note: null, shapes: [], types: [], rows: [] }));
const position = (at: number, its = at): Position => ({ at, round: at === 0 ? null : round(its), from: "f/a/0", seq: at });

class World {
  readonly clock = new ManualClock();
  readonly server = new MemoryServer({ clock: this.clock });
  readonly network = new ScriptedNetwork();
  readonly mailbox = new MemoryBroker(this.server, this.network).stream("m", "mr.m");

  constructor(messages = 100) {
    this.server.create({ name: "m", subject: "mr.m", maxMessages: 1_000, replicas: 1 });
    for (let seq = 1; seq <= messages; seq++) this.server.streams.get("m")?.append("mr.m", sent(seq), undefined);
  }

  trim({ retainMs = 0, limit = 100, checked = (): boolean => true } = {}): MailboxTrim {
    return new MailboxTrim(this.mailbox, this.clock, retainMs, limit, checked);
  }

  get first(): number {
    return this.server.streams.get("m")?.bounds().first as number;
  }
}

test("a mailbox is trimmed up to, not including, the message at the committed position: the anchor stays (P19)", async () => {
  const world = new World();
  world.trim().committed(position(40));
  await world.clock.elapse(0);
  assert.is(world.first, 40);
  assert.ok(await isAnchor(world.mailbox, position(40)));
});

test("less than a quarter of the limit is trimmed at most every five seconds", async () => {
  const world = new World(), trim = world.trim(), times: number[] = [];
  for (let at = 1; at <= 30; at++) {
    trim.committed(position(at));
    const before = world.first;
    await world.clock.elapse(500);
    if (world.first !== before) times.push(world.clock.monotonic());
  }
  assert.ok(times.length >= 2 && times.length <= 4, String(times));
  await world.clock.elapse(5_000);
  assert.is(world.first, 30, "the last one is not forgotten");
});

test("a quarter of the limit is trimmed at once, and while one trim is under way the next waits for it", async () => {
  const world = new World(), trim = world.trim({ limit: 40 });
  world.network.next("read", ["held"]);
  trim.committed(position(10));
  trim.committed(position(20));
  trim.committed(position(30));
  await settle();
  assert.is(world.network.count("read"), 1);
  world.network.release();
  await settle();
  assert.is(world.first, 30);
});

test("a position that goes back, or stands still, trims nothing more", async () => {
  const world = new World(), trim = world.trim();
  trim.committed(position(40));
  await world.clock.elapse(5_000);
  const asked = world.network.count("read");
  for (const at of [40, 10, 0]) trim.committed(position(at));
  await world.clock.elapse(5_000);
  assert.equal([world.first, world.network.count("read")], [40, asked]);
});

test("only while the anchor is still that message†: another one in its place, or none, trims nothing", async () => {
  for (const [messages, its] of [[100, 77], [20, 40]] as const) {
    const world = new World(messages);
    world.trim().committed(position(40, its));
    await world.clock.elapse(5_000);
    assert.is(world.first, 1);
  }
});

test("nothing is trimmed before it is known that the broker still holds what it had acknowledged, and then it is (P30, I6)", async () => {
  const world = new World();
  let checked = false;
  world.trim({ limit: 4, checked: () => checked }).committed(position(40));
  await world.clock.elapse(10_000);
  assert.is(world.first, 1);
  checked = true;
  await world.clock.elapse(1_000);
  assert.is(world.first, 40);
});

test("a trim whose anchor is being looked at does not survive its close", async () => {
  const world = new World(), trim = world.trim({ limit: 4 });
  world.network.next("read", ["held"]);
  trim.committed(position(40));
  trim.close();
  world.network.release();
  await world.clock.elapse(10_000);
  assert.equal([world.first, world.clock.pending], [1, 0]);
});

test("where the broker syncs later than it acknowledges, what is superseded is kept for that long (P32)", async () => {
  const world = new World(), trim = world.trim({ retainMs: 4_000, limit: 4 });
  trim.committed(position(40));
  await world.clock.elapse(3_999);
  assert.is(world.first, 1);
  trim.committed(position(60));
  await world.clock.elapse(1);
  assert.is(world.first, 40, "what was committed later stays for its own time");
  await world.clock.elapse(3_998);
  assert.is(world.first, 40);
  await world.clock.elapse(10);
  assert.is(world.first, 60);
});

test("a broker that cannot be asked is asked again, also where nothing more is committed", async () => {
  const world = new World(), trim = world.trim({ limit: 4 });
  world.network.next("read", ["lost", "lost"]);
  trim.committed(position(40));
  await world.clock.elapse(10_000);
  assert.is(world.first, 40);
});

test("after its close nothing is trimmed, and no timer is left", async () => {
  const world = new World(), trim = world.trim();
  trim.committed(position(3));
  await world.clock.elapse(10);
  trim.committed(position(5));
  assert.is(world.clock.pending, 1);
  trim.close();
  await world.clock.elapse(10_000);
  assert.equal([world.first, world.clock.pending], [3, 0]);
  const failing = new World(), other = failing.trim({ limit: 4 });
  failing.network.next("read", ["lost"]);
  other.committed(position(40));
  other.close();
  await failing.clock.elapse(10_000);
  assert.equal([failing.first, failing.clock.pending], [1, 0]);
});

for (const [name, at, holds] of [
  ["nothing was read yet", position(0), true], ["the message that was read there", position(7), true], ["another copy of the same frame", position(7, 8), false], ["a message that is not there", position(101), false],
  ["a message that was said to be no frame", { at: 7, round: null, from: null, seq: 0 }, false],
] as const) {
  test(`${name}: ${holds ? "an" : "no"} anchor`, async () => assert.is(await isAnchor(new World().mailbox, at), holds));
}

test("a message that is no frame is an anchor where one was read", async () => {
  const world = new World(0);
  world.server.streams.get("m")?.append("mr.m", Buffer.from("hello"), undefined);
  assert.ok(await isAnchor(world.mailbox, { at: 1, round: null, from: null, seq: 0 }));
  assert.not.ok(await isAnchor(world.mailbox, position(1)));
});

test.run();
