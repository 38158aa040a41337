import { suite } from "uvu";
import * as assert from "uvu/assert";
import { anywhere } from "../../../runtime/flow/plan.ts";
import type { FlowSeats } from "../../../runtime/cluster/placement-record.ts";
import { beatMs, missedBeats } from "../../../runtime/cluster/membership.ts";
import { ManualClock, settle } from "../../../runtime/testing/manual-clock.ts";
import { MemoryBroker } from "../../../runtime/testing/memory-broker.ts";
import { MemoryServer } from "../../../runtime/testing/memory-server.ts";
import { rejection } from "../../support/rejection.ts";
import { MemberOfTest } from "./members.ts";

const test = suite("lease");

const flow = (run: string): FlowSeats => ({ name: "f", run, code: "c", ended: false, stages: [{ name: "s", place: anywhere, seats: [{ node: "a", since: 1, from: null, standby: [] }] }] });
const detection = beatMs * (missedBeats + 1);

class World {
  readonly clock = new ManualClock();
  readonly server = new MemoryServer({ clock: this.clock });
  readonly brokers = new Map<string, MemoryBroker>();

  async start(name: string, life = "1"): Promise<MemberOfTest> {
    const broker = new MemoryBroker(this.server);
    this.brokers.set(name, broker);
    const member = await new MemberOfTest(name, { broker, clock: this.clock, life }).start();
    await settle();
    return member;
  }
}

test("nobody leads a new cluster; of all that ask at the same time one gets the lease, and all know it", async () => {
  const world = new World(), members = await Promise.all(["a", "b", "c"].map((name) => world.start(name)));
  assert.equal(members.map(({ lease }) => lease.held), [false, false, false]);
  const got = await Promise.all(members.map(({ lease }) => lease.seek()));
  assert.is(got.filter((it) => it).length, 1);
  await settle();
  assert.equal(members.map(({ lease }) => lease.held), got);
  assert.equal(members.map(({ lease }) => lease.term), [1, 1, 1]);
});

test("while its holder is heard nobody else gets it; when it is not, another does, with the next term", async () => {
  const world = new World(), a = await world.start("a"), b = await world.start("b");
  assert.is(await a.lease.seek(), true);
  await world.clock.elapse(60_000);
  assert.is(await b.lease.seek(), false);
  world.brokers.get("a")?.disconnect();
  await world.clock.elapse(beatMs * (missedBeats - 2));
  assert.is(await b.lease.seek(), false);
  await world.clock.elapse(detection);
  assert.ok(b.changes.includes("a gone"));
  assert.is(await b.lease.seek(), true);
  assert.is(b.lease.term, 2);
});

test("who leaves in order gives it up at once", async () => {
  const world = new World(), a = await world.start("a"), b = await world.start("b");
  await a.lease.seek();
  await settle();
  await a.stop();
  await settle();
  assert.is(await b.lease.seek(), true);
});

test("a deposed leader decides nothing: what it writes is refused, and it knows that it leads no longer", async () => {
  const world = new World(), a = await world.start("a"), b = await world.start("b");
  await a.lease.seek();
  await world.clock.elapse(beatMs);
  assert.is(await a.log.append({ kind: "place", flow: flow("one"), moves: [] }, a.lease.term), true);
  world.brokers.get("a")?.disconnect();
  await world.clock.elapse(detection);
  assert.is(await b.lease.seek(), true);
  assert.is(a.lease.held, true, "it cannot know yet");
  // Back, but with nothing heard: it still decides on what it saw.
  world.brokers.get("a")?.reconnect();
  const late = a.log.append({ kind: "place", flow: flow("two"), moves: [] }, 1);
  assert.is(await late, false);
  assert.is(a.lease.held, false);
  await settle();
  assert.equal([a, b].map(({ log }) => log.state.flows.get("f")?.run), ["one", "one"]);
  assert.is(await a.log.append({ kind: "place", flow: flow("three"), moves: [] }, 1), false, "also now that it has read on");
});

test("a node that was started again under its name does not lead by what it was before", async () => {
  const world = new World(), a = await world.start("a"), b = await world.start("b");
  await a.lease.seek();
  world.brokers.get("a")?.disconnect();
  const again = await world.start("a", "2");
  assert.is(again.lease.held, false);
  assert.is(again.lease.free, true);
  assert.is(await b.lease.seek(), true);
});

test("who does not hear itself claims nothing", async () => {
  const world = new World(), a = await world.start("a");
  world.brokers.get("a")?.disconnect();
  await world.clock.elapse(60_000);
  const reason = await rejection(a.lease.seek());
  assert.is(reason.code, "UNREACHABLE");
});

test("all follow what the leader decides; who comes later reads it; a refreshed lease holds all, and what is before can go", async () => {
  const world = new World(), a = await world.start("a"), b = await world.start("b");
  await a.lease.seek();
  for (const run of ["one", "two"]) await a.log.append({ kind: "place", flow: flow(run), moves: [{ actor: "f/s/0", from: null, to: "a", why: "w" }] }, 1);
  await settle();
  assert.equal(b.records.map(({ n, kind }) => [n, kind]), [[1, "lead"], [2, "place"], [3, "place"]]);
  assert.is(a.log.sinceLead, 2);
  for (let times = 0; times < 2; times++) assert.is(await a.lease.refresh(), true);
  await a.log.purge();
  const c = await world.start("c");
  assert.equal(c.records.map(({ n, kind }) => [n, kind]), [[5, "lead"]], "of what it reads at once it is told the newest");
  assert.equal([b, c].map(({ log }) => log.state.flows.get("f")), [flow("two"), flow("two")]);
  assert.is(await b.lease.refresh(), false);
});

test("an append whose ack is lost is found to be there, once", async () => {
  const world = new World();
  let lost = 1;
  const broker = new MemoryBroker(world.server, { schedule: (leg, subject, step) => { if (leg === "ack" && subject === "mr.cluster.log" && lost-- > 0) return; queueMicrotask(() => step(undefined)); } });
  const a = await new MemberOfTest("a", { broker, clock: world.clock }).start();
  await settle();
  const sought = a.lease.seek();
  await world.clock.elapse(1_000);
  assert.is(await sought, true);
  assert.is(world.server.streams.get("mr_cluster")?.bounds().last, 1);
});

test("a log that lost records is written on by who leads, with the next term and all that was decided; what is no record is not passed over", async () => {
  const world = new World(), a = await world.start("a"), b = await world.start("b");
  await a.lease.seek();
  await a.log.append({ kind: "place", flow: flow("one"), moves: [] }, 1);
  await settle();
  world.server.rollback("mr_cluster", 1);
  assert.is((await rejection(a.log.append({ kind: "place", flow: flow("two"), moves: [] }, 1))).code, "UNREACHABLE", "it is not known yet whether that is so");
  await world.clock.elapse(1_000);
  assert.is(await a.log.append({ kind: "place", flow: flow("two"), moves: [] }, 1), false, "it is not computed from what is there");
  assert.equal([a.log.isLost, a.lease.held, a.log.state.flows.get("f")?.run], [true, true, "one"]);
  assert.is(await b.lease.seek(), false, "who leads is there");
  assert.is(await a.lease.seek(), true);
  assert.equal([a.lease.term, a.log.isLost], [2, false]);
  assert.is(await a.log.append({ kind: "place", flow: flow("two"), moves: [] }, 2), true);
  await world.clock.elapse(5_000);
  assert.equal([a, b].map(({ log }) => [log.state.n, log.state.term, log.state.flows.get("f")?.run]), [[4, 2, "two"], [4, 2, "two"]]);
  await new MemoryBroker(world.server).stream("mr_cluster", "mr.cluster.log").append(Buffer.from("junk"));
  assert.is((await rejection(world.start("d").then(({ log }) => log.append({ kind: "place", flow: flow("three"), moves: [] }, 1)))).code, "BYTES_REFUSED");
});

test.run();
