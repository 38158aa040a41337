import { suite } from "uvu";
import * as assert from "uvu/assert";
import { MailboxDelivery } from "../../../runtime/actor/delivery.ts";
import { Outlet } from "../../../runtime/actor/outlet.ts";
import { RecordKeeper } from "../../../runtime/actor/record-keeper.ts";
import type { Snapshots } from "../../../runtime/actor/snapshot.ts";
import { systemRandom } from "../../../runtime/event/clock.ts";
import { type Entry, Journal } from "../../../runtime/journal/journal.ts";
import type { Body } from "../../../runtime/journal/record.ts";
import { ManualClock } from "../../../runtime/testing/manual-clock.ts";
import { MemoryBroker } from "../../../runtime/testing/memory-broker.ts";
import { MemoryServer } from "../../../runtime/testing/memory-server.ts";
import { MemoryStores } from "../../../runtime/testing/memory-store.ts";
import { ScriptedNetwork } from "../../support/scripted-network.ts";
import { ScriptedStream } from "../../support/scripted-stream.ts";

const test = suite("record keeper");

class World {
  readonly clock = new ManualClock();
  readonly server = new MemoryServer({ clock: this.clock });
  readonly network = new ScriptedNetwork();
  readonly log = new MemoryBroker(this.server, this.network).stream("log", "mr.log");
  readonly outlet = new Outlet(["b", "g-1", 0, 0], new MailboxDelivery(new ScriptedStream(), { clock: this.clock, random: systemRandom, onChange: () => {} }), false);
  readonly keeper: RecordKeeper;
  readonly journal: Journal;
  readonly chunks: number[] = [];
  firstChunk: number | undefined;
  /** Whether the chunks are there. */
  hasChunks = true;
  #n = 0;

  static async make(retainMs = 0): Promise<World> {
    return new World(new Journal(await new MemoryStores().open("a"), "f/s/0"), retainMs);
  }

  private constructor(journal: Journal, retainMs: number) {
    this.server.create({ name: "log", subject: "mr.log", replicas: 1 });
    this.journal = journal;
    this.keeper = new RecordKeeper(this.log, journal, this.clock, retainMs);
  }

  get snapshots(): Snapshots {
    const chunks = this.firstChunk === undefined ? [] : [[this.firstChunk, 0, 1] as const];
    return { chunks, hasChunks: async () => this.hasChunks, purge: async (before: number) => { this.chunks.push(before); } } as unknown as Snapshots;
  }

  /** A record that sends frames, and says up to where frames are settled. */
  async record({ frames = [] as readonly number[], settled = 0, bytes = 10 } = {}): Promise<Entry> {
    const entry = { n: ++this.#n, seq: this.#n, bytes: Buffer.from(`record ${this.#n}`.padEnd(20)) };
    this.server.streams.get("log")?.append("mr.log", entry.bytes, undefined);
    await this.journal.write([entry]);
    const its: NonNullable<Body["settled"]> = settled === 0 ? [] : [[this.outlet.target, settled, 1]];
    this.keeper.add({ n: entry.n, seq: entry.seq, bytes, out: frames.map((seq) => [this.outlet, seq] as const), settled: its });
    return entry;
  }

  async snapshot(to: number): Promise<Entry> {
    this.keeper.folded(to);
    const entry = await this.record();
    this.keeper.snapshotTaken(entry, this.snapshots);
    await this.clock.elapse(0);
    return entry;
  }

  get first(): number {
    return this.server.streams.get("log")?.bounds().first as number;
  }

  async bothBeginWith(n: number): Promise<void> {
    assert.equal([this.first, await this.journal.first()], [n, n]);
  }
}

test("a snapshot is due after 4,096 records or 16 MiB of them since the one before", async () => {
  const world = await World.make();
  for (let i = 0; i < 4_095; i++) world.keeper.add({ n: i, seq: i, bytes: 10, out: [], settled: [] });
  assert.not.ok(world.keeper.snapshotDue);
  world.keeper.add({ n: 4_096, seq: 4_096, bytes: 10, out: [], settled: [] });
  assert.ok(world.keeper.snapshotDue);
  world.keeper.folded(4_096);
  assert.not.ok(world.keeper.snapshotDue);
  world.keeper.add({ n: 4_097, seq: 4_097, bytes: 16 * 1024 * 1024, out: [], settled: [] });
  assert.ok(world.keeper.snapshotDue);
  world.keeper.postpone();
  assert.not.ok(world.keeper.snapshotDue);
});

test("log and journal are purged up to the snapshot's number once its record is accepted, never past it† (P23)", async () => {
  const world = await World.make();
  for (let i = 0; i < 6; i++) await world.record();
  world.keeper.folded(4);
  await world.clock.elapse(0);
  await world.bothBeginWith(1);
  await world.snapshot(4);
  await world.bothBeginWith(5);
  assert.is(world.keeper.length, 3);
});

test("never past a frame that is not settled†; the next snapshot purges it when it is", async () => {
  const world = await World.make();
  await world.record({ frames: [1] });
  await world.record({ frames: [2, 3] });
  await world.record({ settled: 2 });
  await world.record();
  await world.snapshot(4);
  await world.bothBeginWith(2);
  await world.record({ settled: 3 });
  await world.snapshot(6);
  await world.bothBeginWith(7);
});

test("settled is what a record says: what only memory knows, the next owner does not", async () => {
  const world = await World.make();
  await world.record({ frames: [1] });
  Object.assign(world.outlet.delivery, { settled: 1, settledAt: 5, moved: true });
  await world.record();
  await world.snapshot(2);
  await world.bothBeginWith(1);
  await world.record({ settled: 1 });
  await world.snapshot(4);
  await world.bothBeginWith(5);
});

test("what settles while a purge waits for its time was not stored for long enough: it goes with the next one (P32)", async () => {
  const world = await World.make(1_000);
  await world.record({ frames: [1] });
  await world.record({ frames: [2], settled: 1 });
  await world.snapshot(2);
  await world.record({ settled: 2 });
  await world.clock.elapse(1_000);
  await world.bothBeginWith(2);
  await world.snapshot(4);
  await world.clock.elapse(1_000);
  await world.bothBeginWith(5);
});

test("what a repair sends again is not purged as settled before (P31)", async () => {
  const world = await World.make();
  await world.record({ frames: [1] });
  await world.record({ settled: 1 });
  world.keeper.unsettle([[world.outlet.target, 0, 0]]);
  await world.snapshot(2);
  await world.bothBeginWith(1);
  await world.record({ settled: 1 });
  await world.snapshot(4);
  await world.bothBeginWith(5);
});

test("chunks that the snapshot does not name go, those that it names stay", async () => {
  const world = await World.make();
  await world.record();
  await world.snapshot(1);
  assert.equal(world.chunks, [], "it names none");
  world.firstChunk = 7;
  await world.record();
  await world.snapshot(3);
  assert.equal(world.chunks, [7]);
});

test("only while the chunks that the snapshot names are there: else another snapshot is due at once, and nothing is purged (P30)", async () => {
  const world = await World.make();
  for (let i = 0; i < 4; i++) await world.record();
  world.firstChunk = 7;
  world.hasChunks = false;
  await world.snapshot(4);
  await world.bothBeginWith(1);
  assert.equal([world.keeper.snapshotDue, world.chunks], [true, []]);
  world.hasChunks = true;
  await world.snapshot(5);
  await world.bothBeginWith(6);
  assert.not.ok(world.keeper.snapshotDue);
});

test("a purge that comes while another is under way forgets no record that is kept", async () => {
  const world = await World.make();
  for (let i = 0; i < 3; i++) await world.record();
  world.network.next("read", ["held", "held"]);
  await world.snapshot(3);
  for (let i = 0; i < 3; i++) await world.record();
  const unsettled = await world.record({ frames: [1] });
  for (let i = 0; i < 3; i++) await world.record();
  // Both purges wait for their answers, which come at once.
  await world.snapshot(unsettled.n + 3);
  assert.is(world.network.holds, 2);
  world.network.release();
  await world.clock.elapse(0);
  await world.record();
  await world.snapshot(unsettled.n + 5);
  await world.bothBeginWith(unsettled.n);
});

test("only while the snapshot record is where it was: after a loss nothing is purged", async () => {
  for (const other of [false, true]) {
    const world = await World.make(100);
    for (let i = 0; i < 4; i++) await world.record();
    await world.snapshot(4);
    world.server.rollback("log", 4);
    if (other) world.server.streams.get("log")?.append("mr.log", Buffer.from("another"), undefined);
    await world.clock.elapse(1_000);
    await world.bothBeginWith(1);
    assert.equal(world.chunks, []);
  }
});

test("where the broker syncs later than it acknowledges, what is superseded is kept for that long (P32)", async () => {
  const world = await World.make(4_000);
  for (let i = 0; i < 4; i++) await world.record();
  await world.snapshot(4);
  await world.clock.elapse(3_999);
  await world.bothBeginWith(1);
  await world.clock.elapse(1);
  await world.bothBeginWith(5);
});

test("snapshots that come faster than that do not put the purge off for ever: each has its own time", async () => {
  const world = await World.make(4_000);
  let kept = 0;
  for (let i = 0; i < 40; i++) {
    await world.record();
    await world.snapshot(2 * i + 1);
    await world.clock.elapse(500);
    kept = Math.max(kept, world.keeper.length);
  }
  assert.ok(world.first > 50, `the log begins with ${world.first}`);
  assert.ok(kept < 25, `${kept} records were kept at once`);
});

test("a purge that was put off takes the chunks before those of its own snapshot: the next one's may be on their way", async () => {
  const world = await World.make(4_000);
  await world.record();
  world.firstChunk = 3;
  await world.snapshot(1);
  // Chunks of the next snapshot are written; its record is not.
  world.firstChunk = 9;
  await world.clock.elapse(4_000);
  assert.equal(world.chunks, [3]);
});

test("a broker that cannot be asked: nothing is purged, the next snapshot does it", async () => {
  const world = await World.make();
  for (let i = 0; i < 3; i++) await world.record();
  world.network.next("read", ["lost"]);
  await world.snapshot(3);
  await world.clock.elapse(5_000);
  await world.bothBeginWith(1);
  await world.snapshot(4);
  await world.bothBeginWith(5);
});

test("after its close nothing is purged, and no timer is left", async () => {
  const world = await World.make(4_000);
  for (let i = 0; i < 3; i++) await world.record();
  await world.snapshot(3);
  world.keeper.close();
  assert.is(world.clock.pending, 0);
  await world.clock.elapse(10_000);
  await world.bothBeginWith(1);
});

test.run();
