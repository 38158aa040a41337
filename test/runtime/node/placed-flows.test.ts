// test deadline: 150 s
// Flows of nodes of a cluster, on the broker and the disks in memory, by a clock that runs faster: what one of them has to do with actors that go,
// and with what is wrong with a flow.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { collect } from "../../../actors/index.ts";
import { defineFlow, type Flow } from "../../../runtime/index.ts";
import { askScaling, orderScale } from "../../../runtime/inspect/scale-orders.ts";
import { orderPlacement } from "../../../runtime/inspect/placement-orders.ts";
import { readRun } from "../../../runtime/node/run-record.ts";
import { fastClock } from "../../support/fast-clock.ts";
import { Inlet, itemsTo, summing } from "../../support/summed.ts";
import { TwinCluster, type TwinMember } from "../../support/twin-cluster.ts";
import { eventually, within } from "../../support/waiting.ts";

const test = suite("placed flows");
const count = 400, items = itemsTo(count), clock = fastClock(6), endMs = 30_000;

class Case extends TwinCluster {
  readonly inlet = new Inlet(items);
  readonly rows: object[] = [];

  flow(name = "sums"): Flow {
    return defineFlow(name, (flow) => {
      const feed = flow.source("feed", this.inlet.source), work = flow.processor("work", feed.keyBy(({ key }) => key), { parallelism: 2 }, summing());
      flow.sink("out", work, {}, collect(this.rows));
    });
  }

  clock = clock;

  node(name: string, ...flows: readonly string[]): Promise<unknown> {
    return this.start(name, (flows.length === 0 ? ["sums"] : flows).map((flow) => this.flow(flow)), { nodes: 2 }, { clock: this.clock });
  }

  async through(until: number): Promise<void> {
    this.inlet.until = until;
    await eventually(`${until} events are through`, () => this.rows.length >= until, endMs);
  }

  member(name: string): TwinMember {
    return this.nodes.get(name) as TwinMember;
  }

  get leader(): string {
    return [...this.nodes.values()][0]?.cluster.placements.state.leader?.node as string;
  }
}

test("an actor that went to another node is let go of: its state is not kept in memory, and what it did is counted once", async () => {
  await using its = new Case();
  await Promise.all(["n1", "n2"].map((name) => its.node(name)));
  await its.running("sums");
  await its.through(100);
  const from = its.placed("sums").get("sums/work/0") as string, to = from === "n1" ? "n2" : "n1", here = () => its.member(from).cluster.node.flows[0];
  await orderPlacement(its.broker, { action: "pin", actor: "sums/work/0", node: to });
  await eventually("it is there", () => its.placed("sums").get("sums/work/0") === to, endMs);
  await its.running("sums");
  await eventually("nothing of it is left", () => here()?.actors.get("sums/work/0")?.recovered === undefined, endMs);
  await its.through(200);
  const taken = [...its.nodes.values()].map(({ cluster: { node: { flows: [flow] } } }) => flow?.plan.stages.filter(({ name }) => name === "work").map((stage) => flow.counts(stage).in)[0] ?? 0);
  assert.is(taken.reduce((sum, one) => sum + one, 0), 200, taken.join());
  // Back again.
  await orderPlacement(its.broker, { action: "pin", actor: "sums/work/0", node: from });
  await eventually("it is back", () => its.placed("sums").get("sums/work/0") === from, endMs);
  await its.running("sums");
  await its.through(count);
});

test("the journal that an actor left goes after some time, and it comes back without it; those of actors that are there stay", async () => {
  await using its = new Case();
  // Ten minutes in ten seconds.
  its.clock = fastClock(60);
  await Promise.all(["n1", "n2"].map((name) => its.node(name)));
  await its.running("sums");
  await its.through(100);
  const from = its.placed("sums").get("sums/work/0") as string, to = from === "n1" ? "n2" : "n1", journals = (node: string) => [...its.disks(node).journals.stores.keys()].map((name) => name.replace(/[a-z0-9]{8}-1\//, "")), move = async (node: string): Promise<void> => {
    await orderPlacement(its.broker, { action: "pin", actor: "sums/work/0", node });
    await eventually("it is there", () => its.placed("sums").get("sums/work/0") === node, endMs);
    await its.running("sums");
  };
  await move(to);
  await its.through(200);
  assert.ok(journals(from).includes("sums/work/0"), "at first it is there");
  await eventually("it is gone", () => !journals(from).includes("sums/work/0"), endMs);
  const here = [...its.placed("sums")].map(([actor, node]) => [actor, journals(node as string).includes(actor)]);
  assert.ok(here.every(([, isThere]) => isThere), JSON.stringify(here));
  await move(from);
  await its.through(count);
  assert.equal(new Set(its.rows.map((row) => (row as { n: number }).n)).size, count);
});

test("an actor that was fenced and that a person has started meanwhile is left to run, and known to", async () => {
  await using its = new Case();
  await Promise.all(["n1", "n2"].map((name) => its.node(name)));
  await its.running("sums");
  const { host, node: { root } } = its.member(its.placed("sums").get("sums/work/0") as string).cluster, unpark = root.unpark.bind(root);
  let tried = 0;
  root.unpark = (id) => { tried++; return unpark(id); };
  host.fenced("sums/work/0");
  await eventually("it was tried", () => tried > 0, endMs);
  await eventually("it is known to run", () => host.running("sums").some(({ actor }) => actor === "sums/work/0"), endMs);
  await its.through(100);
  assert.equal(its.warnings.filter((line) => line.includes("NOT_PARKED")), []);
});

test("a flow whose key cannot be read keeps no other from being scaled, whoever leads next", async () => {
  await using its = new Case();
  await Promise.all(["n1", "n2"].map((name) => its.node(name, "broken", "sums")));
  await Promise.all([its.running("broken"), its.running("sums")]);
  await its.broker.keys.set("flow.broken", Buffer.from("?"), (await its.broker.keys.get("flow.broken"))?.revision ?? 0);
  await its.kill(its.leader);
  await eventually("its actors are elsewhere", () => [...its.placed("sums").values()].every((node) => its.nodes.has(node ?? "")), endMs);
  await its.running("sums");
  await orderScale(its.broker, { action: "begin", flow: "sums", stage: "work", count: 3 });
  assert.is((await eventually("it is scaled", async () => { const status = await askScaling(its.broker, "sums"); return status.change === null ? status : undefined; }, endMs)).counts["work"], 3);
});

test("where the key of a run is lost, nodes that were started with the flow stay, begin no other run whatever they know, and go on when it is there again", async () => {
  await using its = new Case();
  await Promise.all(["n1", "n2"].map((name) => its.node(name)));
  await its.running("sums");
  await its.through(100);
  const kept = await its.broker.keys.get("flow.sums") as { readonly value: Uint8Array; readonly revision: number }, streams = () => [...its.server.streams.keys()].filter((name) => name.startsWith("mr_actor_sums_")).toSorted(), before = streams();
  its.server.rollback("KV_millrace", 0);
  // Who knows of the run by its own folder.
  const killed = its.leader, ends: string[] = [], watch = (name: string): void => void its.member(name).cluster.done.catch((error: Error) => ends.push(error.message));
  await its.kill(killed);
  const other = [...its.nodes.keys()][0] as string;
  watch(other);
  await eventually("the other one leads, and says so", () => its.leader === other && its.warnings.some((line) => line.includes("BROKER_WENT_BACK")), endMs);
  // Who does not, and nobody else is there.
  await its.kill(other);
  await its.node("n3");
  watch("n3");
  await eventually("the new one leads, and says so", () => its.leader === "n3" && its.warnings.some((line) => line.startsWith("n3:") && line.includes("BROKER_WENT_BACK")), endMs);
  // And where the cluster's log is lost, too.
  await its.kill("n3");
  its.server.rollback("mr_cluster", 0);
  await its.node("n4");
  watch("n4");
  await eventually("so does who knows nothing at all", () => its.warnings.some((line) => line.startsWith("n4:") && line.includes("BROKER_WENT_BACK")), endMs);
  assert.equal([ends, streams(), (await readRun(its.broker.keys, "sums"))?.record.token], [[], before, undefined]);
  // As a repair leaves it.
  for (let revision = 0; revision <= kept.revision; ) revision = await its.broker.keys.set("flow.sums", kept.value, revision === 0 ? ((await its.broker.keys.get("flow.sums"))?.revision ?? 0) : revision) as number;
  await its.running("sums");
  await its.through(count);
  await within(endMs, "the end", its.member("n4").cluster.done);
});

test.run();
