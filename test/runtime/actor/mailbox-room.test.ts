import { suite } from "uvu";
import * as assert from "uvu/assert";
import { MailboxRoom, retainedFrames } from "../../../runtime/actor/mailbox-room.ts";
import { ManualClock, settle } from "../../../runtime/testing/manual-clock.ts";
import { MemoryBroker } from "../../../runtime/testing/memory-broker.ts";
import { MemoryServer } from "../../../runtime/testing/memory-server.ts";
import { ScriptedNetwork } from "../../support/scripted-network.ts";

const test = suite("mailbox room");
const limit = 10;

class World {
  readonly clock = new ManualClock();
  readonly server = new MemoryServer({ clock: this.clock });
  readonly network = new ScriptedNetwork();
  readonly mailbox = new MemoryBroker(this.server, this.network).stream("m", "mr.m");
  readonly room = new MailboxRoom(this.mailbox, this.clock, limit);

  constructor() {
    this.server.create({ name: "m", subject: "mr.m", maxMessages: limit + 1 + retainedFrames, replicas: 1 });
  }

  /** Appends as long as there is room. */
  fill(): number {
    let last = 0;
    for (let outcome = this.append(); typeof outcome === "number"; outcome = this.append()) last = outcome;
    return last;
  }

  append() {
    return this.server.streams.get("m")?.append("mr.m", new Uint8Array(1), undefined);
  }
}

test("what is read and retained takes no room from what is not read: the limit is raised (P32)", async () => {
  const world = new World(), full = world.fill();
  world.room.read(full);
  await world.clock.elapse(0);
  await settle();
  for (let i = 0; i < limit; i++) assert.type(world.append(), "number");
});

test("that is done at most once a second, and not forgotten", async () => {
  const world = new World();
  world.room.read(world.fill());
  await world.clock.elapse(0);
  await settle();
  const full = world.fill();
  world.room.read(full);
  await world.clock.elapse(900);
  assert.is(world.append(), "full");
  await world.clock.elapse(200);
  assert.type(world.append(), "number");
});

test("a broker that cannot be asked is asked again, also where nothing more is read, for a full mailbox gives nothing", async () => {
  const world = new World();
  world.network.next("read", ["lost"]);
  world.room.read(world.fill());
  for (let i = 0; i < 10 && world.append() === "full"; i++) await world.clock.elapse(5_000);
  assert.type(world.append(), "number");
});

test("where little is retained nothing is asked", async () => {
  const world = new World();
  for (let i = 1; i <= retainedFrames; i++) world.append();
  world.room.read(retainedFrames);
  await world.clock.elapse(5_000);
  assert.is(world.network.count("read"), 0);
});

test("after it is closed nothing is asked", async () => {
  const world = new World();
  world.room.read(world.fill());
  world.room.close();
  await world.clock.elapse(5_000);
  assert.is(world.network.count("read"), 0);
});

test.run();
