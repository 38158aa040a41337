import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Host } from "../../../runtime/cluster/host.ts";
import type { PlannedMove } from "../../../runtime/cluster/hosting.ts";
import { Membership } from "../../../runtime/cluster/membership.ts";
import { anywhere } from "../../../runtime/flow/plan.ts";
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
  stopsWhenAsked = false;
  stopFails = false;
  /** Nodes that answer nothing. */
  readonly hangs = new Set<string>();
  answers: PlannedMove["before"] = { taken: 7, sent: 5 };
  /** Of the newest start. */
  move: PlannedMove | undefined;
  #n = 0;
  readonly #stopping = new Map<string, () => void>();
  /** How many actors stand still. */
  still = 0;
  seats: SeatState[] = [];
  readonly host: Host;

  constructor(actors: number) {
    this.seats = Array.from({ length: actors }, () => ({ node: null, since: 0, from: null, standby: [] }));
    for (const name of ["me", "b"]) this.membership.take({ name, life: "1", beat: 1, state: "here", weight: 1, labels: [], version: "0", startedAt: 0, flows: [] });
    const call = (what: string): Promise<void> => {
      this.calls.push(what);
      return this.fails.delete(what) || (this.stopFails && what.startsWith("stop")) ? Promise.reject(new Error("no")) : Promise.resolve();
    };
    this.host = new Host({ node: "me", clock: this.clock, log: silent, membership: this.membership, onRunning: () => {}, hosting: {
      open: ({ run }) => call(`open ${run}`), close: (flow) => call(`close ${flow}`), start: (actor, move) => { this.move = move; return call(`start ${actor.slice(4)}`); }, stop: (actor) => call(`stop ${actor.slice(4)}`),
      exchange: (actor, code) => call(`exchange ${actor.slice(4)} ${code}`),
      warm: (actor) => call(`warm ${actor.slice(4)}`), cool: (actor) => call(`cool ${actor.slice(4)}`), hurry: () => () => {}, standsStill: () => { this.still++; return () => { this.still--; }; },
      handOver: async (actor, from) => {
        await call(`ask ${from} for ${actor.slice(4)}`);
        if (this.hangs.has(from)) return new Promise(() => {});
        if (this.stopsWhenAsked) this.frees(actor.slice(4));
        // It is told what it had done there when it has stopped.
        if (this.answers != null && !this.free.has(actor.slice(4))) await new Promise<void>((done) => { this.#stopping.set(actor.slice(4), done); });
        return this.answers;
      },
      released: (actor) => Promise.resolve(this.free.has(actor.slice(4))),
    } });
  }

  /** It has stopped where it was. */
  frees(actor: string): void {
    this.free.add(actor);
    this.#stopping.get(actor)?.();
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

test("what is placed elsewhere works here until the other node asks for it, and is stopped then", async () => {
  const world = new World(2);
  await world.place({ 0: "me", 1: "me" });
  world.news;
  await world.place({ 1: "b" });
  await world.clock.elapse(2_000);
  assert.equal(world.news, []);
  const since = world.seats[1]?.since as number;
  let isGone = false;
  void world.host.handOver("f/s/1", since).then(() => { isGone = true; });
  await world.clock.elapse(0);
  assert.equal([world.news, isGone], [["stop 1"], true]);
  await world.host.handOver("f/s/1", since);
});

test("an actor that is asked for before its new place is heard of is stopped when it is", async () => {
  const world = new World(1);
  await world.place({ 0: "me" });
  world.news;
  const gone = world.host.handOver("f/s/0", 2);
  await world.clock.elapse(2_000);
  assert.equal(world.news, []);
  await world.place({ 0: "b" });
  assert.equal(world.news, ["stop 0"]);
  await gone;
});

test("who asks for an actor that is not stopped here, since its new place is not heard of or it cannot be stopped, gets an answer before it takes it over (I9)", async () => {
  for (const how of ["not heard of", "cannot be stopped"]) {
    const world = new World(1);
    await world.place({ 0: "me" });
    let isAnswered = false;
    void world.host.handOver("f/s/0", 2).then(() => { isAnswered = true; });
    if (how === "cannot be stopped") {
      world.stopFails = true;
      await world.place({ 0: "b" });
    }
    await world.clock.elapse(8_000);
    assert.is(isAnswered, false, how);
    await world.clock.elapse(1_500);
    assert.is(isAnswered, true, how);
    world.host.stop();
  }
});

test("where nobody asks for it, since the other node is gone or hangs, or never had a part in it, it is stopped all the same", async () => {
  for (const how of ["gone", "hangs", "unknown"]) {
    const world = new World(1);
    await world.place({ 0: "me" });
    world.news;
    await world.place({ 0: how === "unknown" ? "c" : "b" });
    if (how === "gone") await world.goes("b");
    if (how === "hangs") await world.clock.elapse(61_000);
    assert.equal(world.news, ["stop 0"], how);
  }
});

test("an actor whose seat has another code goes over to it where it is, and not twice; given the same code anew by its upgrade it is tried again", async () => {
  const world = new World(1);
  await world.place({ 0: "me" });
  world.news;
  const given = async (code: string, since: number): Promise<readonly string[]> => {
    world.seats = world.seats.map((seat) => ({ ...seat, code, since, from: "me" }));
    await world.place({});
    return world.news;
  };
  assert.equal(await given("d", 2), ["exchange 0 d"]);
  assert.equal(world.host.running("f"), [{ actor: "f/s/0", since: 2, code: "d" }]);
  assert.equal(await given("d", 2), []);
  assert.equal(await given("d", 3), ["exchange 0 d"]);
  world.fails = new Set(["exchange 0 e"]);
  assert.equal(await given("e", 4), ["exchange 0 e"]);
  assert.equal(world.host.running("f"), [{ actor: "f/s/0", since: 3, code: "d" }], "it works on as it did");
  await world.clock.elapse(1_000);
  assert.equal(world.news, ["exchange 0 e"], "and is tried again");
});

test("records that are read together are both carried out", async () => {
  const world = new World(2);
  await world.place({ 0: "me" });
  world.news;
  await Promise.all([world.place({ 1: "me" }), world.place({ 0: "b" })]);
  await world.host.handOver("f/s/0", world.seats[0]?.since as number);
  assert.equal(world.news.toSorted(), ["start 1", "stop 0"]);
});

test("one that comes back before it was asked for was never stopped", async () => {
  const world = new World(1);
  await world.place({ 0: "me" });
  world.news;
  await world.place({ 0: "b" });
  await world.place({ 0: "me" });
  await world.clock.elapse(61_000);
  assert.equal(world.news, []);
});

test("an actor that comes from a node that is there: what can be done before is done, then it is asked for, and started when it has stopped there", async () => {
  const world = new World(1);
  await world.place({ 0: "b" });
  await world.place({ 0: "me" });
  await world.clock.elapse(500);
  assert.equal([world.news, world.still], [["open r", "warm 0", "ask b for 0"], 1]);
  world.frees("0");
  await world.clock.elapse(100);
  assert.equal([world.news, world.still], [["start 0"], 0]);
  assert.equal([world.move?.from, world.move?.since, world.move?.before], ["b", 2, { taken: 7, sent: 5 }]);
});

test("where the other node says that it does not run it, little is waited for, whatever the log says: its owner died here or elsewhere", async () => {
  const world = new World(1);
  world.answers = null;
  await world.place({ 0: "b" });
  await world.place({ 0: "me" });
  await world.clock.elapse(1_200);
  assert.equal(world.news, ["open r", "warm 0", "ask b for 0", "start 0"]);
});

test("the other node answers nothing, and is then known to be gone: it is waited for no longer", async () => {
  const world = new World(1);
  world.hangs.add("b");
  await world.place({ 0: "b" });
  await world.place({ 0: "me" });
  await world.clock.elapse(2_000);
  assert.equal(world.news, ["open r", "warm 0", "ask b for 0"]);
  await world.goes("b");
  assert.equal(world.news, ["start 0"]);
});

test("many that come are asked for a few at a time", async () => {
  const world = new World(6);
  await world.place({ 0: "b", 1: "b", 2: "b", 3: "b", 4: "b", 5: "b" });
  await world.place({ 0: "me", 1: "me", 2: "me", 3: "me", 4: "me", 5: "me" });
  await world.clock.elapse(1_000);
  assert.equal(world.news.filter((call) => call.startsWith("ask")), ["ask b for 0", "ask b for 1", "ask b for 2", "ask b for 3"]);
  world.stopsWhenAsked = true;
  for (const n of [0, 1, 2, 3]) world.frees(`${n}`);
  await world.clock.elapse(2_000);
  assert.equal(world.news.filter((call) => call.startsWith("start")).toSorted(), ["start 0", "start 1", "start 2", "start 3", "start 4", "start 5"]);
});

test("an actor that comes from a node that is gone, or does not stop it in time, is started all the same: the claim fences", async () => {
  for (const how of ["gone", "hangs"]) {
    const world = new World(1);
    world.answers = undefined;
    await world.place({ 0: "b" });
    await world.place({ 0: "me" });
    await world.clock.elapse(5_000);
    assert.equal(world.news, ["open r", "warm 0", "ask b for 0"]);
    await (how === "gone" ? world.goes("b") : world.clock.elapse(6_000));
    assert.equal(world.news, ["start 0"]);
    assert.is(world.move?.before, undefined, "what it had done there is not known");
  }
});

test("one that is placed elsewhere again while it waits is not started", async () => {
  const world = new World(1);
  world.answers = undefined;
  await world.place({ 0: "b" });
  await world.place({ 0: "me" });
  await world.place({ 0: "b" });
  world.frees("0");
  await world.clock.elapse(20_000);
  assert.equal(world.news, ["open r", "warm 0", "ask b for 0", "cool 0"]);
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
  world.frees("0");
  for (const wait of [1_000, 2_000, 4_000]) {
    world.host.fenced("f/s/0");
    await world.clock.elapse(wait - 100);
    assert.equal(world.news, []);
    await world.clock.elapse(200);
    assert.equal(world.news, ["start 0"]);
  }
});

test("one that was not fenced for long claims again as soon as the first time", async () => {
  const world = new World(1);
  await world.place({ 0: "me" });
  world.frees("0");
  for (let times = 0; times < 5; times++) {
    world.host.fenced("f/s/0");
    await world.clock.elapse(31_000);
  }
  world.news;
  await world.clock.elapse(300_000);
  world.host.fenced("f/s/0");
  await world.clock.elapse(1_100);
  assert.equal(world.news, ["start 0"]);
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
  world.frees("0");
  await world.place({ 1: "me" });
  await world.clock.elapse(20_000);
  assert.equal(world.news, ["open r", "warm 0", "ask b for 0", "cool 0"]);
});

test.run();
