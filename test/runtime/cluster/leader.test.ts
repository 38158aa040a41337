import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type FlowDirectory, Leader } from "../../../runtime/cluster/leader.ts";
import { beatMs, missedBeats } from "../../../runtime/cluster/membership.ts";
import { anywhere } from "../../../runtime/flow/plan.ts";
import type { PlacementOrder } from "../../../runtime/cluster/placement-order.ts";
import { decisionsBetween } from "../../../runtime/cluster/placement-log.ts";
import { type FlowSeats, seatsOf } from "../../../runtime/cluster/placement-record.ts";
import { MillraceError } from "../../../runtime/event/errors.ts";
import { ManualClock } from "../../../runtime/testing/manual-clock.ts";
import { MemoryBroker } from "../../../runtime/testing/memory-broker.ts";
import { MemoryServer } from "../../../runtime/testing/memory-server.ts";
import { rejection } from "../../support/rejection.ts";
import { MemberOfTest, silent } from "./members.ts";

const test = suite("leader");
const detection = beatMs * (missedBeats + 2);

/** What the flow's key and its actors' logs would say. */
class Runs {
  token = "";
  code = "c";
  finished = false;
  begun = 0;
  allEnded = false;
  /** By stage: actors that it has now; one that is not in it was not scaled. */
  counts: ReadonlyMap<string, number> = new Map();
}

class LedNode {
  readonly member: MemberOfTest;
  readonly broker: MemoryBroker;
  readonly leader: Leader;
  readonly refused: string[] = [];
  code = "c";
  wants = true;
  refuses: Error | undefined;
  /** Another flow that it wants, and that never comes to its beginning. */
  wantsToo: string | undefined;
  finishFails: Error | undefined;

  constructor(name: string, clock: ManualClock, server: MemoryServer, runs: Runs, partitions: number, nodes: number) {
    this.broker = new MemoryBroker(server);
    this.member = new MemberOfTest(name, { broker: this.broker, clock });
    this.hosts(0, 0);
    const directory: FlowDirectory = {
      wanted: () => [...(this.wantsToo === undefined ? [] : [{ name: this.wantsToo, code: "c", nodes: 0 }]), ...(this.wants ? [{ name: "f", code: this.code, nodes }] : [])],
      run: () => Promise.resolve(runs.token === "" ? undefined : { token: runs.token, code: runs.code, finished: runs.finished }),
      begin: (flow) => {
        if (flow !== "f") return new Promise(() => {});
        if (this.refuses !== undefined) return Promise.reject(this.refuses);
        Object.assign(runs, { token: `run-${++runs.begun}`, finished: false, code: this.code });
        return Promise.resolve({ token: runs.token, stages: [{ name: "s", place: anywhere, seats: Array.from({ length: partitions }, () => ({ node: null, since: 0, from: null, standby: [] })) }] });
      },
      finish: () => (this.finishFails === undefined ? Promise.resolve((runs.finished = runs.allEnded)) : Promise.reject(this.finishFails)),
      counts: () => Promise.resolve(runs.counts),
      stops: () => false,
      settle: () => Promise.resolve(),
      upgraded: () => Promise.resolve(new Map()),
      refused: (flow) => { this.refused.push(flow); this.wants = false; },
    };
    this.leader = new Leader({ clock, log: silent, lease: this.member.lease, placements: this.member.log, membership: this.member.heartbeat.membership, directory });
    this.member.onNews = () => {
      if (this.flow?.ended === true) this.wants = false;
      this.leader.poke();
    };
    this.member.onChange = (change) => this.leader.changed(change);
  }

  hosts(hosted: number, ended: number): void {
    this.member.flows = [{ name: "f", code: this.code, hosted, ended, stuck: 0 }];
  }

  get flow(): FlowSeats | undefined {
    return this.member.log.state.flows.get("f");
  }

  /** How many actors each node has. */
  get counts(): Record<string, number> {
    const found: Record<string, number> = {};
    for (const [, { node }] of this.flow === undefined ? [] : seatsOf(this.flow)) found[node ?? "none"] = (found[node ?? "none"] ?? 0) + 1;
    return found;
  }
}

class World {
  readonly clock = new ManualClock();
  readonly server = new MemoryServer({ clock: this.clock });
  readonly runs = new Runs();

  async start(name: string, { partitions = 6, nodes = 1 } = {}): Promise<LedNode> {
    const node = new LedNode(name, this.clock, this.server, this.runs, partitions, nodes);
    await node.member.start();
    node.leader.start();
    return node;
  }
}

test("a flow that is wanted gets a run, once, and its actors nodes", async () => {
  const world = new World(), [a, b, c] = await Promise.all(["a", "b", "c"].map((name) => world.start(name, { nodes: 3 }))) as [LedNode, LedNode, LedNode];
  await world.clock.elapse(2_000);
  assert.is(world.runs.begun, 1);
  for (const node of [a, b, c]) assert.equal(node.counts, { a: 2, b: 2, c: 2 });
  assert.is([a, b, c].filter(({ member }) => member.lease.held).length, 1);
});

test("a first placement waits for the nodes that it is to have, but not for ever", async () => {
  const world = new World(), a = await world.start("a", { nodes: 3 });
  await world.clock.elapse(14_000);
  assert.is(world.runs.begun, 0);
  await world.clock.elapse(2_000);
  assert.equal(a.counts, { a: 6 });
});

test("who leads as soon as it comes waits for no node that died long ago, and gives it nothing, though its last beat is there", async () => {
  const world = new World(), ghost = new LedNode("ghost", world.clock, world.server, world.runs, 6, 1);
  ghost.leader.stop();
  await ghost.member.start();
  await world.clock.elapse(1_000);
  ghost.broker.disconnect();
  await world.clock.elapse(60_000);
  const a = await world.start("a", { nodes: 2 }), seen = new Set<string>();
  for (let ms = 0; ms < 6_000; ms += 250) {
    await world.clock.elapse(250);
    for (const node of Object.keys(a.counts)) seen.add(node);
  }
  assert.equal([a.counts, world.runs.begun], [{}, 0], "it waits for a second node, and the dead one is none");
  await world.clock.elapse(10_000);
  assert.equal(a.counts, { a: 6 });
  a.leader.stop();
  await a.member.stop();
  const again = await world.start("a");
  for (let ms = 0; ms < 6_000; ms += 250) {
    await world.clock.elapse(250);
    for (const node of Object.keys(again.counts)) seen.add(node);
  }
  assert.equal([...seen].filter((name) => name !== "none"), ["a"]);
});

test("what is on a node that is not heard yet stays there until it is known whether that is there", async () => {
  const world = new World(), nodes = await Promise.all(["a", "b"].map((name) => world.start(name, { nodes: 2, partitions: 6 }))) as [LedNode, LedNode];
  await world.clock.elapse(2_000);
  for (const { leader, broker } of nodes) {
    leader.stop();
    broker.disconnect();
  }
  // Before anybody could notice that they are gone.
  const again = await world.start("a", { nodes: 1, partitions: 6 });
  await world.clock.elapse(2_000);
  assert.equal(again.counts, { a: 3, b: 3 });
  await world.clock.elapse(6_000);
  assert.equal(again.counts, { a: 6 });
});

test("a node that comes takes its share, after a moment in which others may come, too", async () => {
  const world = new World(), a = await world.start("a", { partitions: 8 });
  await world.clock.elapse(2_000);
  assert.equal(a.counts, { a: 8 });
  await Promise.all([world.start("b", { partitions: 8 }), world.start("c", { partitions: 8 }), world.start("d", { partitions: 8 })]);
  await world.clock.elapse(500);
  assert.equal(a.counts, { a: 8 });
  await world.clock.elapse(1_500);
  assert.equal(a.counts, { a: 2, b: 2, c: 2, d: 2 });
  assert.is(a.member.records.filter((record) => record.kind === "place" && record.moves.length > 0).length, 2, "one placement for all that came");
});

test("what a killed node had is elsewhere as soon as it is known to be gone; the leader, too", async () => {
  const world = new World(), nodes = await Promise.all(["a", "b", "c"].map((name) => world.start(name, { nodes: 3 })));
  await world.clock.elapse(2_000);
  const leader = nodes.find(({ member }) => member.lease.held) as LedNode, rest = nodes.filter((node) => node !== leader);
  leader.leader.stop();
  leader.broker.disconnect();
  await world.clock.elapse(detection);
  for (const node of rest) {
    assert.equal(Object.values(node.counts), [3, 3]);
    assert.is(leader.member.name in node.counts, false);
    assert.is(node.member.lease.term, 2);
  }
  assert.is(world.runs.begun, 1, "whoever leads next goes on with the run");
});

test("the leader stood still and goes on: what it decides is refused, and it follows the other", async () => {
  const world = new World(), nodes = await Promise.all(["a", "b"].map((name) => world.start(name, { nodes: 2 })));
  await world.clock.elapse(2_000);
  const leader = nodes.find(({ member }) => member.lease.held) as LedNode, other = nodes.find((node) => node !== leader) as LedNode;
  leader.broker.disconnect();
  await world.clock.elapse(detection);
  assert.equal(other.counts, { [other.member.name]: 6 });
  leader.broker.reconnect();
  await world.clock.elapse(5_000);
  for (const node of nodes) assert.equal(node.counts, { a: 3, b: 3 });
  assert.equal(nodes.map(({ member }) => member.lease.held), nodes.map((node) => node === other));
});

test("a flow has ended when the nodes say so of all its actors and their logs, too; it is not begun again by who saw it", async () => {
  const world = new World(), a = await world.start("a", { nodes: 2 }), b = await world.start("b", { nodes: 2 });
  await world.clock.elapse(2_000);
  a.hosts(3, 3);
  b.hosts(3, 2);
  await world.clock.elapse(2_000);
  assert.is(a.flow?.ended, false);
  b.hosts(3, 3);
  await world.clock.elapse(2_000);
  assert.is(a.flow?.ended, false, "a node may be wrong: the logs are asked");
  world.runs.allEnded = true;
  await world.clock.elapse(1_000);
  assert.is(a.flow?.ended, true);
  assert.is(b.flow?.ended, true);
  assert.is(world.runs.begun, 1);
});

test("a run that was replaced outside of the cluster is noticed by the next leader, and given another", async () => {
  const world = new World(), a = await world.start("a");
  await world.clock.elapse(2_000);
  await a.member.stop();
  a.leader.stop();
  Object.assign(world.runs, { token: "other", finished: true });
  const b = await world.start("b");
  await world.clock.elapse(8_000);
  assert.is(b.flow?.run, "run-2");
  assert.equal(b.counts, { b: 6 });
});

test("nodes that are all started again find their actors where they were: none is moved to the first that comes", async () => {
  const world = new World(), before = await Promise.all(["a", "b", "c"].map((name) => world.start(name, { nodes: 3 })));
  await world.clock.elapse(2_000);
  for (const node of before) node.leader.stop();
  for (const node of before) await node.member.stop();
  const [a] = await Promise.all([world.start("a", { nodes: 3 }), world.clock.elapse(1_000)]);
  await world.clock.elapse(2_000);
  assert.equal(a.counts, { a: 2, b: 2, c: 2 });
  await world.start("b", { nodes: 3 });
  await world.clock.elapse(8_000);
  assert.equal(a.counts, { a: 3, b: 3 }, "c does not come back");
  assert.is(world.runs.begun, 1);
});

test("a flow that cannot be begun is told, and not tried for ever", async () => {
  const world = new World(), a = new LedNode("a", world.clock, world.server, world.runs, 2, 1);
  a.refuses = new MillraceError("RUN_CHANGED", "f", "w", "r");
  await a.member.start();
  a.leader.start();
  await world.clock.elapse(5_000);
  assert.equal(a.refused, ["f"]);
});

test("a leader that another one was faster than with a run does not take that for a refusal: it is looked at again", async () => {
  const world = new World(), a = new LedNode("a", world.clock, world.server, world.runs, 2, 1);
  a.refuses = new MillraceError("FLOW_TAKEN", "f", "w", "r");
  await a.member.start();
  a.leader.start();
  await world.clock.elapse(2_000);
  assert.equal([a.refused, a.flow], [[], undefined]);
  a.refuses = undefined;
  await world.clock.elapse(1_000);
  assert.equal(a.counts, { a: 2 });
});

test("while a run is being begun, which may take long, what a killed node had is elsewhere as soon as ever", async () => {
  const world = new World(), nodes = await Promise.all(["a", "b"].map((name) => world.start(name, { nodes: 2 }))) as [LedNode, LedNode];
  await world.clock.elapse(2_000);
  const leader = nodes.find(({ member }) => member.lease.held) as LedNode, other = nodes.find((node) => node !== leader) as LedNode;
  leader.wantsToo = "slow";
  await world.clock.elapse(2_000);
  other.leader.stop();
  other.broker.disconnect();
  await world.clock.elapse(detection);
  assert.equal(leader.counts, { [leader.member.name]: 6 });
});

test("what is wrong with one flow, such as a log that cannot be read, keeps no actor from a node", async () => {
  const world = new World(), nodes = await Promise.all(["a", "b"].map((name) => world.start(name, { nodes: 2 }))) as [LedNode, LedNode];
  await world.clock.elapse(2_000);
  const leader = nodes.find(({ member }) => member.lease.held) as LedNode, other = nodes.find((node) => node !== leader) as LedNode;
  leader.finishFails = new MillraceError("STREAM_MISSING", "mr_actor_f_s_run-1_0_log", "w", "r");
  leader.hosts(6, 6);
  other.leader.stop();
  other.broker.disconnect();
  await world.clock.elapse(detection);
  assert.equal(leader.counts, { [leader.member.name]: 6 });
});

test("the log of decisions stays short, and who comes then knows all the same", async () => {
  const world = new World(), a = await world.start("a");
  await world.clock.elapse(2_000);
  for (let n = 0; n < 2 * decisionsBetween + 2; n++) {
    const flow = a.flow as FlowSeats;
    await a.member.log.append({ kind: "place", flow, moves: [] }, a.member.lease.term);
    if (n % decisionsBetween === 0) await world.clock.elapse(beatMs);
  }
  await world.clock.elapse(2 * beatMs);
  const { first, last } = world.server.streams.get("mr_cluster")?.bounds() ?? { first: 0, last: 0 };
  assert.ok(first > 1 && last - first <= 2 * decisionsBetween + 2, `${first} to ${last}`);
  const b = await world.start("b");
  assert.equal(b.flow, a.flow);
});

test("a node is drained by an order to the leader: its actors go, others stay, whoever leads next knows it; it ends with an order, or with that start of the node", async () => {
  const world = new World(), nodes = await Promise.all(["a", "b", "c"].map((name) => world.start(name, { nodes: 3, partitions: 9 }))) as [LedNode, LedNode, LedNode];
  await world.clock.elapse(2_000);
  const leader = nodes.find(({ member }) => member.lease.held) as LedNode, [drained, other] = nodes.filter((node) => node !== leader) as [LedNode, LedNode], name = drained.member.name;
  const code = async (asked: LedNode, order: PlacementOrder) => (await rejection(asked.leader.order(order))).code;
  assert.is(await code(other, { action: "cordon", node: name }), "NOT_LEADER");
  assert.is(await code(leader, { action: "cordon", node: "x" }), "NODE_UNKNOWN");
  const since = await leader.leader.order({ action: "cordon", node: name });
  await world.clock.elapse(0);
  assert.is(await leader.leader.order({ action: "cordon", node: name }), since, "given again it is the same");
  assert.equal(Object.values(leader.counts).toSorted(), [4, 5]);
  assert.is(name in leader.counts, false);
  const moved = leader.member.records.flatMap((record) => (record.kind === "place" && record.n > since ? record.moves : []));
  assert.ok(moved.length === 3 && moved.every(({ from }) => from === name));
  // The next leader.
  leader.leader.stop();
  leader.broker.disconnect();
  await world.clock.elapse(detection);
  assert.equal(other.counts, { [other.member.name]: 9 });
  assert.ok(other.member.lease.held || drained.member.lease.held);
  const next = other.member.lease.held ? other : drained;
  await next.leader.order({ action: "uncordon", node: name });
  await world.clock.elapse(1_000);
  assert.equal(Object.values(next.counts).toSorted(), [4, 5]);
});

test("a drained node that leaves is gone with its cordon, and started again it takes actors", async () => {
  const world = new World(), [a, b] = await Promise.all(["a", "b"].map((name) => world.start(name, { nodes: 2 }))) as [LedNode, LedNode];
  await world.clock.elapse(2_000);
  const [leader, other] = a.member.lease.held ? [a, b] as const : [b, a] as const, { name } = other.member;
  await leader.leader.order({ action: "cordon", node: name });
  await world.clock.elapse(1_000);
  const records = leader.member.records.length;
  other.leader.stop();
  await other.member.stop();
  await world.clock.elapse(2_000);
  assert.equal(leader.member.records.slice(records).map(({ kind }) => kind), ["cordon"], "nothing moves");
  assert.equal(leader.member.log.state.cordons, []);
  await world.start(name);
  await world.clock.elapse(3_000);
  assert.equal(leader.counts, { a: 3, b: 3 });
});

test("an actor is pinned by an order to the leader, stays through what others do, and is let go when its node goes", async () => {
  const world = new World(), nodes = await Promise.all(["a", "b", "c"].map((name) => world.start(name, { nodes: 3 }))) as [LedNode, LedNode, LedNode];
  await world.clock.elapse(2_000);
  const leader = nodes.find(({ member }) => member.lease.held) as LedNode, seat = () => leader.flow?.stages[0]?.seats[0], to = nodes.find(({ member }) => member !== leader.member && member.name !== seat()?.node) as LedNode;
  const since = await leader.leader.order({ action: "pin", actor: "f/s/0", node: to.member.name });
  await world.clock.elapse(0);
  assert.equal([seat()?.node, seat()?.pin, leader.counts], [to.member.name, { node: to.member.name, since }, { a: 2, b: 2, c: 2 }]);
  await world.start("d");
  await world.clock.elapse(3_000);
  assert.is(seat()?.node, to.member.name);
  to.leader.stop();
  await to.member.stop();
  await world.clock.elapse(1_000);
  assert.not(seat()?.node === to.member.name || seat()?.node === null);
  assert.is(seat()?.pin, undefined);
});

test("orders that a leader cannot carry out any more are refused, not forgotten", async () => {
  const world = new World(), a = await world.start("a");
  await world.clock.elapse(2_000);
  a.broker.disconnect();
  const refused = rejection(a.leader.order({ action: "cordon", node: "a" }));
  await world.clock.elapse(20_000);
  assert.is((await refused).code, "UNREACHABLE");
  const waiting = rejection(a.leader.order({ action: "cordon", node: "a" }));
  a.leader.stop();
  await world.clock.elapse(20_000);
  assert.match((await waiting).code, /NOT_LEADER|UNREACHABLE/);
  assert.is((await rejection(a.leader.order({ action: "cordon", node: "a" }))).code, "NOT_LEADER");
});

test.run();
