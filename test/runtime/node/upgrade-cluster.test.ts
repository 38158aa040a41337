// Nodes of a cluster on the broker in memory: a flow that runs goes over to another code, whoever leads, and whatever is killed meanwhile.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { collect, generate, stateful } from "../../../actors/index.ts";
import { hashOf } from "../../../runtime/deploy/bundle-store.ts";
import { readDeployment } from "../../../runtime/deploy/deployments.ts";
import { newKey } from "../../../runtime/deploy/nkey.ts";
import { type FlowPlan, planOf } from "../../../runtime/flow/plan.ts";
import { defineFlow, defineSource } from "../../../runtime/index.ts";
import { deployFlow, stoppedWithin, undeployFlow } from "../../../runtime/inspect/deployment-orders.ts";
import { askPlacement, orderPlacement } from "../../../runtime/inspect/placement-orders.ts";
import { offerCode, offeredWithin, type OfferOutcome, orderUpgrade, orderWayBack, runningDeployment, upgradeReceipt, type UpgradeState, upgradeState, withdrawOffer } from "../../../runtime/inspect/upgrade-orders.ts";
import type { ClusterNode } from "../../../runtime/node/cluster-node.ts";
import { readRun } from "../../../runtime/node/run-record.ts";
import { gate } from "../../support/gate.ts";
import { rejection } from "../../support/rejection.ts";
import { TwinCluster } from "../../support/twin-cluster.ts";
import { eventually } from "../../support/waiting.ts";

const test = suite("upgrades in a cluster");
const { key } = newKey("user"), { key: stranger } = newKey("user");
const keys = 20, partitions = 4;

interface Line { readonly n: number; readonly count: number; readonly by: string; readonly converted: number }
interface Kept { readonly count: number; readonly converted: number }

/** Makes the numbers of each part when that is opened. */
const heldSource = (parts: NonNullable<World["held"]>) => defineSource<{ n: number }, number>({
  kind: "held", guarantee: "replayable", start: 0,
  async *read(from, { signal }) {
    const stopped = new Promise<void>((stop) => { signal.addEventListener("abort", () => stop()); });
    for (let n = from; !signal.aborted; n++) {
      await Promise.race([stopped, parts.find(({ to }) => n < to)?.before ?? stopped]);
      if (!signal.aborted) yield { data: { n }, position: n + 1 };
    }
  },
});

class World extends TwinCluster {
  readonly lines: Line[] = [];
  /** One for all loads: so a batch that a stop cut off is not pushed twice. */
  readonly #sink = collect<Line>(this.lines);
  /** Numbers that the source makes; the next of them only when it is opened. Default: as many as it can, at a rate. */
  held: readonly { readonly to: number; readonly before: Promise<void> }[] | undefined;

  /** `text` stands for the code: "v2…" has state of version 2, "bad…" fails at an event, "wide…" has another graph, "deaf…" cannot be loaded, "…strict" restarts all of a stage together. */
  plan(text: string): FlowPlan {
    const isNew = text.startsWith("v2"), convert = (old: unknown): Kept => ({ ...(old as Kept), converted: (old as Kept).converted + 1 });
    return planOf(defineFlow("sums", (flow) => {
      const numbers = this.held === undefined ? generate({ count: 1_000_000, rate: 400, make: (n) => ({ n }) }) : heldSource(this.held);
      const feed = flow.source("feed", numbers, { time: { of: ({ n }) => n, outOfOrder: 0 } });
      const sums = flow.processor("sums", feed.keyBy(({ n }) => n % keys), { parallelism: text.startsWith("wide") ? partitions + 1 : partitions, ...(text.endsWith("strict") ? { supervision: { strategy: "one_for_all" as const } } : {}) }, stateful<{ n: number }, number, Kept, Line>({
        initial: () => ({ count: 0, converted: 0 }), ...(isNew ? { version: 2, migrate: convert } : {}),
        on: (state, { n }, ctx) => {
          if (text.startsWith("bad") && n % keys === 3) throw new Error("cannot");
          const next = { ...state, count: state.count + 1 };
          ctx.emit({ n, by: text, ...next });
          return next;
        },
      }));
      flow.sink("out", sums, { order: "time" }, this.#sink);
    })) as FlowPlan;
  }

  /** As a node does. */
  load = (bundle: Uint8Array, _node: string): Promise<FlowPlan> => {
    const text = Buffer.from(bundle).toString();
    return text.startsWith("deaf") ? Promise.reject(new Error("no such package")) : Promise.resolve(this.plan(text));
  };

  async node(name: string, trusted: readonly string[] = [key.publicKey]): Promise<ClusterNode> {
    const cluster = await this.start(name, [], { deployed: { trusted, load: (bundle) => this.load(bundle, name) } });
    await eventually(`${name} is a member`, async () => (await askPlacement(this.broker)).nodes.some((its) => its.name === name), 10_000);
    return cluster;
  }

  order(text: string) {
    return { plan: this.plan(text), bundle: Buffer.from(text), key, file: "sums.ts", millrace: "0.1.0", mode: "continue" as const, now: Date.now() };
  }

  /** It runs on these nodes, and something has come out. */
  async runs(text: string, ...names: readonly string[]): Promise<void> {
    await deployFlow(this.broker, this.order(text));
    await eventually("it runs on all nodes", async () => {
      const on = new Set(Object.values((await askPlacement(this.broker)).flows[0]?.actors ?? {}));
      return names.every((name) => on.has(name)) && this.lines.length > keys;
    }, 20_000);
  }

  async offer(text: string): Promise<OfferOutcome> {
    const running = await runningDeployment(this.broker, "sums");
    assert.ok(running, "it runs");
    return await offeredWithin(this.broker, await offerCode(this.broker, running, this.order(text)), 10_000);
  }

  async upgrade(text: string, canary: number | null = null): Promise<number> {
    assert.equal((await this.offer(text)).lacking, []);
    return await orderUpgrade(this.broker, "sums", hashOf(Buffer.from(text)), canary === null ? null : { stage: "sums", count: canary });
  }

  async state(text: string, n = 0): Promise<UpgradeState> {
    return (await upgradeState(this.broker, "sums", hashOf(Buffer.from(text)), n)) as UpgradeState;
  }

  is(is: UpgradeState["is"], text: string, n = 0): Promise<UpgradeState> {
    return eventually(`it is ${is}`, async () => { const state = await this.state(text, n); return state.is === is ? state : undefined; }, 25_000);
  }

  async leader(): Promise<string> {
    return (await askPlacement(this.broker)).leader as string;
  }

  /** Each event once, in order, and counted for its key; all of the newest written by that code. */
  async exact(text: string, converted = 0): Promise<void> {
    const { length } = this.lines;
    await eventually("the code writes, all over", () => this.lines.length > length + 4 * keys && this.lines.slice(-keys).every(({ by }) => by === text), 20_000);
    const wrong = this.lines.findIndex(({ n, count }, at) => n !== at || count !== Math.floor(at / keys) + 1);
    assert.is(wrong, -1, `at ${wrong}: ${JSON.stringify(this.lines.slice(Math.max(0, wrong - 1), wrong + 3))}`);
    assert.ok(this.lines.slice(-keys).every((line) => line.converted === converted), `each key's state was converted ${converted} times`);
  }
}

test("where a node leads that does not trust the key, all actors go over, each key's state is converted once, and the run, the deployment and the receipt say so", async () => {
  await using world = new World();
  const leader = await world.node("n1", []);
  await eventually("it leads", () => leader.lease.held);
  await Promise.all([world.node("n2"), world.node("n3")]);
  await world.runs("v1", "n2", "n3");
  const since = await world.upgrade("v2");
  await world.is("upgraded", "v2", since);
  await world.exact("v2", 1);
  const { deployment } = await readDeployment(world.broker, "sums"), run = (await readRun(world.broker.keys, "sums"))?.record, hash = hashOf(Buffer.from("v2"));
  assert.equal([deployment?.kind === "deployed" && deployment.manifest.hash, deployment?.kind === "deployed" && deployment.next, run?.code, run?.upgrade, run?.shape.stages[1]?.state[0]?.version], [hash, undefined, hash, undefined, 2]);
  const { moved, lost, actors } = await upgradeReceipt(world.broker, "sums", since - 1);
  assert.equal([moved, lost, actors.every(({ from, to, compared }) => from === to && compared)], [partitions + 2, 0, true]);
  assert.is((await deployFlow(world.broker, world.order("v2"))).is, "same", "and begins no other run");
  assert.ok(leader.lease.held);
});

test("rules for restarts of the new code hold where its actors are, once all have it; a node that has the flow open and not that code lives on", async () => {
  await using world = new World();
  await Promise.all([world.node("n1"), world.node("n2"), world.node("n3")]);
  await world.runs("v1", "n1", "n2", "n3");
  // What was deployed it has; what comes it does not trust any more.
  const deaf = world.nodes.get("n3")?.cluster as ClusterNode;
  await orderPlacement(world.broker, { action: "cordon", node: "n3" });
  await eventually("it has no actors", () => deaf.host.count === 0 && deaf.node.flows.length === 1, 20_000);
  const { load } = world;
  world.load = (bundle, name) => (name === "n3" ? Promise.reject(new Error("no such package")) : load(bundle, name));
  const since = await world.upgrade("v2 strict"), strategies = () => ["n1", "n2"].map((name) => world.nodes.get(name)?.cluster.node.root.snapshot("sums/sums").strategy);
  assert.equal(strategies(), ["one_for_one", "one_for_one"]);
  await world.is("upgraded", "v2 strict", since);
  await eventually("the nodes know", () => strategies().every((strategy) => strategy === "one_for_all"), 10_000);
  await world.exact("v2 strict", 1);
  await orderPlacement(world.broker, { action: "cordon", node: "n2" });
  await eventually("it follows the cluster yet", () => deaf.placements.state.cordons.length === 2, 10_000);
});

test("the leader is killed in the middle and a node comes: who leads next goes on with it, and the one that came has the right code for each actor", async () => {
  await using world = new World();
  for (const name of ["n1", "n2", "n3"]) await world.node(name);
  await world.runs("v1", "n1", "n2", "n3");
  const since = await world.upgrade("v2", 2);
  await world.is("canary", "v2", since);
  const killed = await world.leader();
  await world.kill(killed);
  await world.node("n4");
  const on = await eventually("it goes on without the one that was killed", async () => {
    const { flows } = await askPlacement(world.broker), actors = Object.values(flows[0]?.actors ?? {});
    return (await world.leader()) !== killed && !actors.includes(killed) && actors.includes("n4") ? flows[0] : undefined;
  }, 20_000);
  assert.equal([on.upgrade?.is, Object.keys(on.upgrade?.over ?? {})], ["held", ["sums/sums/0", "sums/sums/1"]], "it is held as it was");
  const again = await orderUpgrade(world.broker, "sums", hashOf(Buffer.from("v2")), null);
  // Not waited for: the next one is killed while actors go over.
  await eventually("more have gone over", async () => (await world.state("v2", again)).over.length > 2, 15_000);
  await world.kill(await world.leader());
  await world.is("upgraded", "v2", again);
  await world.exact("v2", 1);
});

test("code that fails is held with who and why, no event is given up, and a mended one goes on from there, where there is no way back", async () => {
  await using world = new World();
  await Promise.all([world.node("n1"), world.node("n2")]);
  await world.runs("v1", "n1", "n2");
  const since = await world.upgrade("bad"), { failed, over } = await world.is("failed", "bad", since);
  assert.equal([failed?.code, failed?.actor.startsWith("sums/sums/"), over.includes("sums/out/0"), over.includes("sums/feed/0")], ["UPGRADE_FAILED", true, true, false]);
  await world.is("back", "bad", await orderWayBack(world.broker, "sums"));
  await world.exact("v1");
  assert.is((await rejection(orderWayBack(world.broker, "sums"))).code, "NOTHING_TO_DO");

  await world.is("canary", "v2", await world.upgrade("v2", partitions));
  assert.is((await rejection(orderWayBack(world.broker, "sums"))).code, "STATE_OLDER");
  assert.is((await rejection(world.offer("v1 with a change"))).code, "UPGRADE_REFUSED", "nor forward to what cannot read it");
  const mended = await world.upgrade("v2 mended");
  await world.is("upgraded", "v2 mended", mended);
  await world.exact("v2 mended", 1);
});

test("what cannot be is refused before anything moves: another graph, code that a node of its actors cannot load or does not trust", async () => {
  await using world = new World();
  await Promise.all([world.node("n1"), world.node("n2", [key.publicKey, stranger.publicKey])]);
  await world.runs("v1", "n1", "n2");
  const refused = await rejection(world.offer("wide"));
  assert.is(refused.code, "UPGRADE_REFUSED");
  assert.match(refused.message, /partitions.*millrace undeploy sums/s);
  const deaf = await world.offer("deaf");
  assert.equal([deaf.loaded, deaf.lacking, deaf.refusals.map(({ node, code }) => `${node} ${code}`).sort()], [[], ["n1", "n2"], ["n1 BUNDLE_FAILED", "n2 BUNDLE_FAILED"]]);
  const running = await runningDeployment(world.broker, "sums");
  assert.ok(running);
  const strange = await offerCode(world.broker, running, { ...world.order("v1 of a stranger"), key: stranger }), told = await offeredWithin(world.broker, strange, 10_000);
  assert.equal([told.loaded, told.lacking, told.refusals.map(({ node, code }) => `${node} ${code}`)], [["n2"], ["n1"], ["n1 KEY_UNTRUSTED"]]);
  await withdrawOffer(world.broker, strange);
  assert.is((await rejection(orderUpgrade(world.broker, "sums", "00".repeat(32), null))).code, "CODE_MISSING");
  const { deployment } = await readDeployment(world.broker, "sums");
  assert.is(deployment?.kind === "deployed" && deployment.next, undefined);
  await world.exact("v1");
});

test("undeployed in the middle, and after a node was killed, it stops at once; it goes on with code that can read all of its state", async () => {
  await using world = new World();
  await Promise.all([world.node("n1"), world.node("n2")]);
  await world.runs("v1", "n1", "n2");
  await world.is("canary", "v2", await world.upgrade("v2", 2));
  const rest = (await world.leader()) === "n1" ? "n2" : "n1", began = performance.now();
  await world.kill(rest);
  const { hash } = await undeployFlow(world.broker, "sums", Date.now());
  assert.is(await stoppedWithin(world.broker, "sums", hash, 20_000), "stopped");
  assert.ok(performance.now() - began < 15_000, "who was killed is not waited for once it is known to be gone");
  assert.is((await rejection(deployFlow(world.broker, world.order("v1")))).code, "RUN_CHANGED", "some of its state is of version 2");
  await deployFlow(world.broker, { ...world.order("v2"), mode: "resume" });
  await world.exact("v2", 1);
});

test("an actor whose reader was moved away goes over, although that has read and trimmed all that was sent since: what this node knows of the reader is of then", async () => {
  await using world = new World();
  const more = gate();
  world.held = [{ to: 2 * keys, before: Promise.resolve() }, { to: 4 * keys, before: more.opened }];
  await world.node("n1");
  await deployFlow(world.broker, world.order("v1"));
  await eventually("the first part has come out", () => world.lines.length >= keys, 20_000);
  await world.node("n2");
  await orderPlacement(world.broker, { action: "pin", actor: "sums/out/0", node: "n2" });
  for (const at of [0, 1, 2, 3]) await orderPlacement(world.broker, { action: "pin", actor: `sums/sums/${at}`, node: "n1" });
  await eventually("the reader is there", () => world.nodes.get("n2")?.cluster.node.root.snapshot().children[0]?.children.some(({ id, children }) => id === "sums/out" && children[0]?.state === "running.active"), 20_000);
  more.open();
  const generation = (await readRun(world.broker.keys, "sums"))?.record.stages[2]?.generation, subject = `mr.actor.sums.out.${generation}.0.in.0`, mailbox = world.broker.stream(subject.replaceAll(".", "_"), subject);
  await eventually("what was sent is read and trimmed", async () => { const { first, last } = await mailbox.bounds(); return last > 0 && first >= last; }, 20_000);
  const since = await world.upgrade("v2");
  assert.equal([(await world.is("upgraded", "v2", since)).failed, (await askPlacement(world.broker)).flows[0]?.actors["sums/out/0"]], [null, "n2"]);
});

test.run();
