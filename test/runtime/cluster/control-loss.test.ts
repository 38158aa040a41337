// test deadline: 240 s
// The streams by which a cluster is led are lost under its nodes, on a real nats-server: deleted, or an older copy (P30). Nobody stays deaf to
// what comes then, no actor is moved or started again for it, and nothing that was decided or deployed is forgotten.
import { cp, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { collect, generate, map } from "../../../actors/index.ts";
import type { Broker } from "../../../runtime/broker/broker.ts";
import { connect } from "../../../runtime/broker/nats-broker.ts";
import { clusterStream } from "../../../runtime/cluster/placement-log.ts";
import { nodesStream } from "../../../runtime/cluster/node-record.ts";
import { seatsOf } from "../../../runtime/cluster/placement-record.ts";
import { deploymentsStream } from "../../../runtime/deploy/deployments.ts";
import { newKey } from "../../../runtime/deploy/nkey.ts";
import { type FlowPlan, planOf } from "../../../runtime/flow/plan.ts";
import { defineFlow } from "../../../runtime/index.ts";
import { deployFlow } from "../../../runtime/inspect/deployment-orders.ts";
import { flowsOn } from "../../../runtime/inspect/flows-report.ts";
import { startNode } from "../../../runtime/inspect/inspected-node.ts";
import { type ClusterNode, startClusterNode } from "../../../runtime/node/cluster-node.ts";
import { MemoryDisk, MemoryStores } from "../../../runtime/testing/memory-store.ts";
import { startNatsServer, type TestServer } from "../../support/nats-server.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { eventually } from "../../support/waiting.ts";

const test = suite("control streams are lost");
const { key } = newKey("user"), control = [clusterStream, deploymentsStream, nodesStream];

class World {
  readonly server: TestServer;
  readonly broker: Broker;
  readonly nodes = new Map<string, ClusterNode>();
  readonly warnings: string[] = [];
  readonly #folders: AsyncDisposable[] = [];
  readonly results: number[] = [];
  readonly #sink = collect<number>(this.results);

  private constructor(server: TestServer, broker: Broker) {
    this.server = server;
    this.broker = broker;
  }

  static async in(of: (world: World) => Promise<void>): Promise<void> {
    await using server = await startNatsServer();
    const broker = await connect({ servers: server.servers, user: server.user, pass: server.pass }), world = new World(server, broker);
    try {
      await of(world);
    } finally {
      for (const node of world.nodes.values()) await node.stop();
      await broker.close();
      for (const folder of world.#folders) await folder[Symbol.asyncDispose]();
    }
  }

  #plan(bundle: Uint8Array): FlowPlan {
    const name = Buffer.from(bundle).toString();
    return planOf(defineFlow(name, (flow) => {
      const feed = flow.source("feed", generate({ count: 100_000, rate: 200, make: (n) => ({ n }) }));
      const each = flow.processor("each", feed.keyBy(({ n }) => n % 50), { parallelism: name === "numbers" ? 6 : 1 }, map(({ n }: { readonly n: number }) => n));
      flow.sink("out", each, name === "numbers" ? this.#sink : collect<number>([]));
    })) as FlowPlan;
  }

  async start(name: string): Promise<ClusterNode> {
    const folder = await temporaryFolder(), { servers, user, pass } = this.server, broker = await connect({ servers, user, pass });
    this.#folders.push(folder);
    const parts = () => Promise.resolve({ access: { broker, embedded: false, address: servers, retainMs: 60_000, close: () => broker.close() }, journals: new MemoryStores(new MemoryDisk()), own: new MemoryStores(new MemoryDisk()), removeOldJournals: () => Promise.resolve(), close: () => broker.close() });
    const node = await startClusterNode({ name, dataDir: folder.path, version: "0.1.0", flows: [], deployed: { trusted: [key.publicKey], load: (bundle) => Promise.resolve(this.#plan(bundle)) } }, { parts, warned: (line) => void this.warnings.push(`${name}: ${line}`) }, startNode);
    this.nodes.set(name, node);
    return node;
  }

  async deploy(name: string): Promise<void> {
    const bundle = Buffer.from(name);
    await deployFlow(this.broker, { plan: this.#plan(bundle), bundle, key, file: `${name}.ts`, millrace: "0.1.0", mode: "continue", now: Date.now() });
    await this.runs(name);
  }

  runs(name: string): Promise<unknown> {
    return eventually(`${name} runs`, async () => (await flowsOn(this.broker)).flows.some((flow) => flow.name === name && flow.state === "running"), 30_000);
  }

  /** Where the actors of `numbers` are; the same for all nodes. */
  placed(names: readonly string[], is: (nodes: readonly string[]) => boolean): Promise<readonly string[]> {
    return eventually("all nodes have the same placement", () => {
      const all = [...this.nodes.values()].map(({ placements }) => [...seatsOf(placements.state.flows.get("numbers") ?? { name: "", run: "", code: "", ended: false, stages: [] })].map(([actor, { node }]) => `${actor} ${node}`)), [first] = all;
      return first !== undefined && first.length > 0 && all.every((its) => its.join() === first.join()) && is(first) && names.every((name) => first.some((line) => line.endsWith(` ${name}`))) ? first : undefined;
    }, 30_000);
  }

  /** All of `numbers` runs where it is placed; the lives of its actors. */
  lives(): Promise<ReadonlyMap<string, unknown>> {
    return eventually("all actors run", () => {
      const seats = [...this.nodes.values()][0]?.placements.state.flows.get("numbers"), lives = new Map<string, unknown>();
      if (seats === undefined) return undefined;
      for (const [actor, { node }] of seatsOf(seats)) {
        const life = this.nodes.get(node ?? "")?.node.flows.find(({ name }) => name === "numbers")?.actors.get(actor)?.recovered;
        if (life === undefined || life.signal.aborted) return undefined;
        lives.set(actor, life);
      }
      return lives.size > 0 ? lives : undefined;
    }, 30_000);
  }

  /** The term in which all lead and follow, and that it is on record. */
  healed(beyond: number): Promise<number> {
    return eventually("who leads has written again what was lost, and all have read it", () => {
      const states = [...this.nodes.values()].map(({ placements: { isLost, state: { term } } }) => ({ isLost, term })), [first] = states;
      return first !== undefined && first.term > beyond && states.every(({ isLost, term }) => !isLost && term === first.term) ? first.term : undefined;
    }, 30_000);
  }

  get term(): number {
    return Math.max(...[...this.nodes.values()].map(({ placements }) => placements.state.term));
  }

  /** Everything that goes by the control streams: a node that comes, an order, a flow that is deployed; and the flow that ran goes on. */
  async goesOn(): Promise<void> {
    await this.start("n4");
    await this.placed(["n4"], () => true);
    const leader = [...this.nodes.values()].find(({ lease }) => lease.held) as ClusterNode, drained = leader.node.name === "n1" ? "n2" : "n1";
    await this.broker.request(`mr.operate.${leader.node.name}`, Buffer.from(JSON.stringify({ what: "place", action: "cordon", node: drained })), 5_000);
    await this.placed(["n4"], (lines) => !lines.some((line) => line.endsWith(` ${drained}`)));
    await this.deploy("later");
    await this.lives();
    const before = this.results.length;
    await eventually("it goes on", () => this.results.length > before + 100, 20_000);
    const seen = new Set(this.results);
    assert.is(seen.size, this.results.length, "nothing twice");
  }
}

test("deleted under three nodes they are there again, with all that was decided and deployed, and no actor noticed", () => World.in(async (world) => {
  for (const name of ["n1", "n2", "n3"]) await world.start(name);
  await world.deploy("numbers");
  const placed = await world.placed(["n1", "n2", "n3"], () => true), lives = await world.lives(), { term } = world;
  for (const name of control) await world.broker.remove(name);
  await world.healed(term);
  await eventually("it is deployed", async () => (await flowsOn(world.broker)).flows.some(({ name, state, loaded }) => name === "numbers" && state === "running" && loaded.length === 3), 30_000);
  assert.equal(await world.placed(["n1", "n2", "n3"], () => true), placed);
  assert.equal([...await world.lives()].filter(([actor, life]) => lives.get(actor) !== life), [], "none was started again");
  assert.equal(control.filter((name) => !world.warnings.some((line) => line.includes("BROKER_WENT_BACK") && (line.includes(name) || (name === nodesStream && line.includes("heartbeats"))))), [], "each is told");
  await world.goesOn();
}));

test("rolled back under the nodes they go on: what was decided after the copy is written again, what was deployed after it too, and no actor is moved", () => World.in(async (world) => {
  for (const name of ["n1", "n2"]) await world.start(name);
  await world.deploy("numbers");
  await world.placed(["n1", "n2"], () => true);
  const { server } = world, store = join(server.folder, "nats", "store", "jetstream"), [account] = await readdir(store) as [string], at = (name: string) => join(store, account, "streams", name);
  await using copy = await temporaryFolder();
  await server.pause();
  for (const name of control) await cp(at(name), join(copy.path, name), { recursive: true });
  server.resume();
  await world.start("n3");
  const placed = await world.placed(["n1", "n2", "n3"], () => true), { term } = world;
  await world.lives();
  await world.deploy("other");
  await server.kill();
  for (const name of control) {
    await rm(at(name), { recursive: true });
    await cp(join(copy.path, name), at(name), { recursive: true });
  }
  await server.restart();
  await world.healed(term);
  assert.equal(await world.placed(["n1", "n2", "n3"], () => true), placed);
  await world.runs("other");
  await eventually("it is deployed again", async () => (await flowsOn(world.broker)).flows.filter(({ loaded }) => loaded.length === 3).length === 2, 30_000);
  await world.goesOn();
}));

test.run();
