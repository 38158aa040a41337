import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Host } from "../../../runtime/cluster/host.ts";
import { Membership } from "../../../runtime/cluster/membership.ts";
import { anywhere } from "../../../runtime/cluster/placement.ts";
import { type ClusterState, emptyState, type FlowSeats, type SeatState } from "../../../runtime/cluster/placement-record.ts";
import { ManualClock } from "../../../runtime/testing/manual-clock.ts";
import { silent } from "./members.ts";

const test = suite("host");

class World {
  readonly clock = new ManualClock();
  readonly membership = new Membership({ name: "me", life: "1" });
  /** What was asked of the node, in order. */
  readonly calls: string[] = [];
  readonly free = new Set<string>();
  fails = new Set<string>();
  #n = 0;
  seats: SeatState[] = [];
  readonly host: Host;

  constructor(actors: number) {
    this.seats = Array.from({ length: actors }, () => ({ node: null, since: 0, from: null, standby: [] }));
    for (const name of ["me", "b"]) this.membership.take({ name, life: "1", beat: 1, state: "here", weight: 1, labels: [], version: "0", startedAt: 0, flows: [] });
    const call = (what: string): Promise<void> => {
      this.calls.push(what);
      return this.fails.delete(what) ? Promise.reject(new Error("no")) : Promise.resolve();
    };
    this.host = new Host({ node: "me", clock: this.clock, log: silent, membership: this.membership, hosting: {
      open: ({ run }) => call(`open ${run}`), close: (flow) => call(`close ${flow}`), start: (actor) => call(`start ${actor.slice(4)}`), stop: (actor) => call(`stop ${actor.slice(4)}`),
      released: (actor) => Promise.resolve(this.free.has(actor.slice(4))),
    } });
  }

  /** A record of the leader: where actors are from here on. */
  async place(where: Readonly<Record<number, string>>, flow: Partial<FlowSeats> = {}): Promise<void> {
    const n = ++this.#n;
    this.seats = this.seats.map((seat, at) => (where[at] === undefined || where[at] === seat.node ? seat : { node: where[at] as string, since: n, from: seat.node ?? seat.from, standby: [] }));
    const state: ClusterState = { ...emptyState, n, flows: new Map([["f", { name: "f", run: "r", code: "c", ended: false, stages: [{ name: "s", place: anywhere, seats: this.seats }], ...flow }]]) };
    this.host.follow(state);
    await this.clock.elapse(0);
  }

  /** The calls since the last time. */
  get news(): readonly string[] {
    return this.calls.splice(0);
  }

  async goes(name: string): Promise<void> {
    this.membership.take({ name, life: "1", beat: 2, state: "left", weight: 1, labels: [], version: "0", startedAt: 0, flows: [] });
    await this.clock.elapse(1_000);
  }
}

test("what is placed here is started here, and nothing else; a flow is opened once", async () => {
  const world = new World(3);
  await world.place({ 0: "me", 1: "b", 2: "me" });
  assert.equal(world.news, ["open r", "start 0", "start 2"]);
  assert.equal(world.host.hosted("f"), ["f/s/0", "f/s/2"]);
  await world.place({});
  assert.equal(world.news, []);
});

test("what is placed elsewhere is stopped here", async () => {
  const world = new World(2);
  await world.place({ 0: "me", 1: "me" });
  world.news;
  await world.place({ 1: "b" });
  assert.equal(world.news, ["stop 1"]);
});

test("an actor that comes from a node that is there is started when that one has stopped it", async () => {
  const world = new World(1);
  await world.place({ 0: "b" });
  await world.place({ 0: "me" });
  await world.clock.elapse(2_000);
  assert.equal(world.news, ["open r"]);
  world.free.add("0");
  await world.clock.elapse(100);
  assert.equal(world.news, ["start 0"]);
});

test("an actor that comes from a node that is gone, or does not stop it in time, is started all the same: the claim fences", async () => {
  for (const how of ["gone", "hangs"]) {
    const world = new World(1);
    await world.place({ 0: "b" });
    await world.place({ 0: "me" });
    assert.equal(world.news, ["open r"]);
    await (how === "gone" ? world.goes("b") : world.clock.elapse(11_000));
    assert.equal(world.news, ["start 0"]);
  }
});

test("one that is placed elsewhere again while it waits is not started", async () => {
  const world = new World(1);
  await world.place({ 0: "b" });
  await world.place({ 0: "me" });
  await world.place({ 0: "b" });
  world.free.add("0");
  await world.clock.elapse(20_000);
  assert.equal(world.news, ["open r"]);
});

test("one that was fenced and is placed elsewhere is let go of", async () => {
  const world = new World(1);
  await world.place({ 0: "me" });
  world.news;
  world.host.fenced("f/s/0");
  await world.place({ 0: "b" });
  await world.clock.elapse(20_000);
  assert.equal(world.news, ["stop 0"]);
});

test("one that was fenced by a node that was late, and is still placed here, claims again: not at once, less and less often", async () => {
  const world = new World(1);
  await world.place({ 0: "me" });
  world.news;
  world.free.add("0");
  for (const wait of [1_000, 2_000, 4_000]) {
    world.host.fenced("f/s/0");
    await world.clock.elapse(wait - 100);
    assert.equal(world.news, []);
    await world.clock.elapse(200);
    assert.equal(world.news, ["start 0"]);
  }
});

test("what cannot be opened or started is tried again", async () => {
  const world = new World(1);
  world.fails = new Set(["open r", "start 0"]);
  await world.place({ 0: "me" });
  assert.equal(world.news, ["open r"]);
  await world.clock.elapse(1_100);
  assert.equal(world.news, ["open r", "start 0"]);
  await world.clock.elapse(1_100);
  assert.equal(world.news, ["start 0"]);
});

test("a flow that has ended, or has another run, is closed as a whole", async () => {
  const world = new World(2);
  await world.place({ 0: "me", 1: "me" });
  world.news;
  await world.place({}, { ended: true });
  assert.equal(world.news, ["close f"]);
  await world.place({}, { run: "r2" });
  assert.equal(world.news, ["open r2", "start 0", "start 1"]);
  await world.place({}, { run: "r3" });
  assert.equal(world.news, ["close f", "open r3", "start 0", "start 1"]);
});

test("a node that stops starts nothing more", async () => {
  const world = new World(2);
  await world.place({ 0: "b" });
  await world.place({ 0: "me" });
  world.host.stop();
  world.free.add("0");
  await world.place({ 1: "me" });
  await world.clock.elapse(20_000);
  assert.equal(world.news, ["open r"]);
});

test.run();
