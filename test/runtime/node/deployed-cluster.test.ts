// Nodes of a cluster on the broker in memory: what is deployed runs where it is trusted, whoever leads.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { collect, generate } from "../../../actors/index.ts";
import { hashOf } from "../../../runtime/deploy/bundle-store.ts";
import { newKey } from "../../../runtime/deploy/nkey.ts";
import { defineFlow, defineSource } from "../../../runtime/index.ts";
import { type FlowPlan, planOf } from "../../../runtime/flow/plan.ts";
import { deployFlow, type DeployOutcome, stoppedWithin, undeployFlow } from "../../../runtime/inspect/deployment-orders.ts";
import { type FlowLine, flowsOn } from "../../../runtime/inspect/flows-report.ts";
import type { ClusterNode } from "../../../runtime/node/cluster-node.ts";
import { readRun } from "../../../runtime/node/run-record.ts";
import { rejection } from "../../support/rejection.ts";
import { TwinCluster } from "../../support/twin-cluster.ts";
import { eventually } from "../../support/waiting.ts";

const test = suite("deployed flows of a cluster");
const { key } = newKey("user");

const unreadable = defineSource<number, number>({ kind: "unreadable", guarantee: "replayable", start: 0, ends: true, fingerprint: () => Promise.reject(new Error("no such file")), read: async function* () {} });

class World extends TwinCluster {
  readonly results: number[] = [];
  /** One for all loads: so a batch that a stop cut off is not pushed twice. */
  readonly #sink = collect<number>(this.results);
  /** Events that the source of the flow makes; it lasts until then. */
  count = 40;
  rate = 200;
  /** What the source reads is not there. */
  isUnreadable = false;

  plan(): FlowPlan {
    const { count, rate, isUnreadable } = this;
    const numbers = isUnreadable ? unreadable : generate({ count, rate, make: (n) => n });
    return planOf(defineFlow("numbers", (flow) => {
      const feed = flow.source("feed", numbers, { time: { of: (n) => n, outOfOrder: 0 } });
      flow.sink("out", feed, { order: "time" }, this.#sink);
    })) as FlowPlan;
  }

  node(name: string, trusted: readonly string[]): Promise<ClusterNode> {
    return this.start(name, [], { deployed: { trusted, load: () => Promise.resolve(this.plan()) } });
  }

  /** `text` stands for the code. */
  deploy(text = "code", mode: "continue" | "fresh" | "resume" = "continue"): Promise<DeployOutcome> {
    return deployFlow(this.broker, { plan: this.plan(), bundle: Buffer.from(text), key, file: "numbers.ts", millrace: "0.1.0", mode, now: Date.now() });
  }

  async flow(): Promise<FlowLine | undefined> {
    return (await flowsOn(this.broker)).flows.find(({ name }) => name === "numbers");
  }

  is(state: string): Promise<FlowLine> {
    return eventually(`the flow is ${state}`, async () => { const line = await this.flow(); return line?.state === state ? line : undefined; }, 20_000);
  }

  /** Each once, in order. */
  exact(): void {
    const wrong = this.results.findIndex((n, at) => n !== at);
    assert.equal([this.results.length, wrong], [this.count, -1], `at ${wrong}: ${this.results.slice(Math.max(0, wrong - 3), wrong + 4).join()}`);
  }
}

test("where a node leads that does not trust the key, those that do load the flow and run it to its end, and once", async () => {
  await using world = new World();
  const leader = await world.node("n1", []);
  await eventually("it leads", () => leader.lease.held);
  await world.node("n2", [key.publicKey]);
  assert.equal((await eventually("it is deployed", () => world.deploy())).nodes, ["n2"]);
  const line = await world.is("finished");
  assert.equal([line.loaded, line.refusals], [["n2"], []]);
  world.exact();
  const run = line.run;
  await world.node("n3", [key.publicKey]);
  const later = await eventually("n3 has loaded it, too", async () => { const its = await world.flow(); return its?.loaded.length === 2 ? its : undefined; });
  assert.equal([later.state, later.run], ["finished", run], "a node that comes later begins no other run");
  assert.is((await world.deploy()).is, "same");
  assert.ok(leader.lease.held);
});

test("undeployed it stops in order whoever leads, and its run is on record as stopped; deployed again it goes on, another code only by choice", async () => {
  await using world = new World();
  world.count = 400;
  const leader = await world.node("n1", []);
  await eventually("it leads", () => leader.lease.held);
  await world.node("n2", [key.publicKey]);
  await world.deploy();
  await world.is("running");
  await eventually("something has come out", () => world.results.length > 20);
  assert.is((await rejection(world.deploy("other code"))).code, "FLOW_DEPLOYED");
  const { hash, before } = await undeployFlow(world.broker, "numbers", Date.now());
  assert.equal([hash, before], [hashOf(Buffer.from("code")), false]);
  assert.is(await stoppedWithin(world.broker, "numbers", hash, 20_000), "stopped");
  assert.is((await readRun(world.broker.keys, "numbers"))?.record.state, "stopped");
  assert.ok(world.results.length < world.count, "it was stopped on its way");
  assert.equal((await undeployFlow(world.broker, "numbers", Date.now())).before, true);
  assert.is((await rejection(undeployFlow(world.broker, "never", Date.now()))).code, "FLOW_NOT_DEPLOYED");
  assert.is((await rejection(world.deploy("other code"))).code, "RUN_CHANGED");
  await world.deploy("other code", "resume");
  world.rate = 10_000;
  await world.is("finished");
  world.exact();
});

for (const leads of ["n1", "n2"]) {
  test(`a deployment of which no run can be begun is told as refused, and ends no node, where ${leads === "n1" ? "a node leads that" : "another node leads than the one that"} has its code`, async () => {
    await using world = new World();
    const first = await world.node(leads, leads === "n1" ? [key.publicKey] : []);
    await eventually("it leads", () => first.lease.held);
    if (leads === "n2") await world.node("n1", [key.publicKey]);
    let ended = false;
    for (const { cluster } of world.nodes.values()) cluster.done.then(() => { ended = true; }, () => { ended = true; });
    world.isUnreadable = true;
    await world.deploy();
    const line = await world.is("refused");
    assert.equal([line.run, line.loaded, line.refusals.map(({ node, code }) => `${node} ${code}`)], [null, ["n1"], ["n1 INPUT_UNREADABLE"]]);
    await undeployFlow(world.broker, "numbers", Date.now());
    world.isUnreadable = false;
    await world.deploy("mended");
    await world.is("finished");
    world.exact();
    assert.not.ok(ended);
  });
}

test.run();
