import { suite } from "uvu";
import * as assert from "uvu/assert";
import { defineFlow } from "../../../runtime/index.ts";
import { collect, generate } from "../../../actors/index.ts";
import { bundleStream, hashOf, storeBundle } from "../../../runtime/deploy/bundle-store.ts";
import { deploymentsStream, deploymentSubject, readDeployment, writeDeployment } from "../../../runtime/deploy/deployments.ts";
import { type Deployed, encodeDeployment, type Manifest, signManifest } from "../../../runtime/deploy/manifest.ts";
import { newKey } from "../../../runtime/deploy/nkey.ts";
import { systemClock } from "../../../runtime/event/clock.ts";
import { MillraceError } from "../../../runtime/event/errors.ts";
import { type FlowPlan, planOf } from "../../../runtime/flow/plan.ts";
import { DeployedFlows, type DeployedFlow } from "../../../runtime/node/deployed-flows.ts";
import { FlowCatalog } from "../../../runtime/node/flow-catalog.ts";
import { MemoryBroker } from "../../../runtime/testing/memory-broker.ts";
import { MemoryServer } from "../../../runtime/testing/memory-server.ts";
import { eventually } from "../../support/waiting.ts";

const test = suite("deployed flows");
const { key } = newKey("user"), { key: stranger } = newKey("user");

function planNamed(name: string): FlowPlan {
  return planOf(defineFlow(name, (flow) => { flow.sink("out", flow.source("feed", generate({ count: 1, make: (n) => n })), collect<number>([])); })) as FlowPlan;
}

class World {
  readonly server = new MemoryServer({ maxPayload: 4_096 });
  readonly broker = new MemoryBroker(this.server);
  readonly catalog = new FlowCatalog([]);
  readonly evaluated: string[] = [];
  readonly logged: string[] = [];
  readonly flows: DeployedFlows;
  /** In place of what a bundle exports: the flow that it names. */
  load = (bundle: Uint8Array): Promise<FlowPlan> => {
    const text = Buffer.from(bundle).toString();
    this.evaluated.push(text.split("\n")[0] as string);
    return Promise.resolve(planNamed(text.split("\n")[0] as string));
  };

  constructor(trusted: readonly string[] = [key.publicKey], given: readonly string[] = []) {
    const log = (message: string): void => void this.logged.push(message);
    this.flows = new DeployedFlows({
      broker: new MemoryBroker(this.server), clock: systemClock, log: { debug() {}, info: log, warn: log, error: log }, replicas: 1, trusted: new Set(trusted), given: new Set(given),
      catalog: this.catalog, load: (bundle) => this.load(bundle), admit: () => {}, changed: () => {},
    });
  }

  async start(): Promise<this> {
    await this.flows.start();
    return this;
  }

  async deploy(text: string, by = key, change: Partial<Manifest> = {}): Promise<Deployed> {
    const name = text.split("\n")[0] as string, bundle = Buffer.from(text);
    await storeBundle(this.broker, name, bundle, 1);
    const signed = signManifest({ name, hash: hashOf(bundle), bytes: bundle.length, at: 1, file: "x.ts", millrace: "0.1.0", nodes: 1, mode: "continue", ...change }, by);
    assert.ok(await writeDeployment(this.broker, signed, (await readDeployment(this.broker, signed.manifest.name)).seq));
    return signed;
  }

  async settled(name: string): Promise<DeployedFlow> {
    return await eventually(`${name} was loaded or refused`, () => this.flows.report.flows.find((flow) => flow.name === name && flow.state !== "loading"));
  }

  get wanted(): readonly string[] {
    return this.catalog.wanted.map(({ name }) => name);
  }
}

test("what a trusted key signed is loaded, and is to run under the hash that was signed", async () => {
  const world = await new World().start(), { manifest: { hash } } = await world.deploy("quakes");
  assert.is((await world.settled("quakes")).state, "loaded");
  assert.equal(world.catalog.wanted, [{ name: "quakes", code: hash, nodes: 1 }]);
  await world.flows.stop();
});

test("what was deployed before the node came is loaded, too", async () => {
  const world = new World();
  await world.start();
  await world.deploy("quakes");
  const late = new DeployedFlows({ broker: new MemoryBroker(world.server), clock: systemClock, log: { debug() {}, info() {}, warn() {}, error() {} }, replicas: 1, trusted: new Set([key.publicKey]), given: new Set(), catalog: world.catalog, load: world.load, admit: () => {}, changed: () => {} });
  await late.start();
  await eventually("it is loaded", () => late.report.flows[0]?.state === "loaded");
  await late.stop();
  await world.flows.stop();
});

/** Each is refused before anything of the bundle is evaluated, is told with its code, and does not keep the next one away. */
for (const [what, code, spoil] of [
  ["signed by a key that is not trusted", "KEY_UNTRUSTED", (world: World) => world.deploy("bad", stranger)],
  ["signed for another hash", "BUNDLE_MISSING", (world: World) => world.deploy("bad", key, { hash: "00".repeat(32) })],
  ["longer than was signed", "BUNDLE_DAMAGED", (world: World) => world.deploy("bad\nand more", key, { bytes: 3 })],
  ["shorter than was signed", "BUNDLE_DAMAGED", (world: World) => world.deploy("bad", key, { bytes: 4 })],
  ["tampered with after it was signed", "SIGNATURE_INVALID", async (world: World) => {
    const { signed, ...rest } = signManifest({ name: "bad", hash: "00".repeat(32), bytes: 1, at: 1, file: "x.ts", millrace: "0.1.0", nodes: 1, mode: "continue" }, key);
    await world.broker.stream(deploymentsStream, deploymentSubject("bad")).append(encodeDeployment({ ...rest, signed: signed.replace('"nodes":1', '"nodes":2') }));
  }],
  ["of another bundle under the same stream", "BUNDLE_DAMAGED", async (world: World) => {
    const honest = Buffer.from("bad\nhonest"), hash = hashOf(honest), name = bundleStream("bad", hash), subject = `mr.code.bad.${hash.slice(0, 32)}`;
    await world.broker.create({ name, subject, replicas: 1 });
    await world.broker.stream(name, subject).append(Buffer.from("bad\nforged"));
    await writeDeployment(world.broker, signManifest({ name: "bad", hash, bytes: honest.length, at: 1, file: "x.ts", millrace: "0.1.0", nodes: 1, mode: "continue" }, key), 0);
  }],
] as const) {
  test(`a bundle that is ${what} is refused (${code}), and nothing of it is evaluated`, async () => {
    const world = await new World().start();
    await spoil(world);
    const { state, refusal } = await world.settled("bad");
    assert.is(state, "refused");
    assert.is(refusal?.code, code);
    assert.equal(world.evaluated, []);
    assert.ok(world.logged.some((line) => line.includes("bad: what was deployed is refused")));
    await world.deploy("good");
    assert.is((await world.settled("good")).state, "loaded");
    assert.equal(world.wanted, ["good"]);
    await world.flows.stop();
  });
}

test("what is no deployment at all is passed over, and said", async () => {
  const world = await new World().start();
  for (const bytes of ["", "{}", "\u0000", '{"v":9}', "x".repeat(4_000)]) await world.broker.stream(deploymentsStream, deploymentSubject("bad")).append(Buffer.from(bytes));
  await world.deploy("good");
  assert.is((await world.settled("good")).state, "loaded");
  await eventually("all was said", () => world.logged.filter((line) => line.includes("is refused")).length >= 1);
  await world.flows.stop();
});

test("a bundle that throws, or holds another flow, is refused; the node goes on", async () => {
  const world = await new World().start(), load = world.load;
  world.load = (bundle) => (Buffer.from(bundle).toString().startsWith("throws") ? Promise.reject(new Error("no")) : load(bundle));
  await world.deploy("throws");
  assert.is((await world.settled("throws")).refusal?.code, "BUNDLE_FAILED");
  world.load = () => Promise.resolve(planNamed("other"));
  await world.deploy("quakes");
  assert.is((await world.settled("quakes")).refusal?.code, "FLOW_NAME_DIFFERS");
  assert.equal(world.wanted, []);
  await world.flows.stop();
});

test("one that was refused is loaded when it is deployed by a trusted key", async () => {
  const world = await new World().start();
  await world.deploy("quakes", stranger);
  assert.is((await world.settled("quakes")).state, "refused");
  await world.deploy("quakes", key, { at: 2 });
  await eventually("it is loaded", () => world.flows.report.flows[0]?.state === "loaded");
  await world.flows.stop();
});

test("a flow that the node was started with stands", async () => {
  const world = await new World([key.publicKey], ["mine"]).start();
  await world.deploy("mine");
  assert.is((await world.settled("mine")).refusal?.code, "FLOW_TWICE");
  await world.flows.stop();
});

test("undeployed it is to stop, and to run no more; deployed again it is to run", async () => {
  const world = await new World().start(), { manifest: { hash } } = await world.deploy("quakes");
  await world.settled("quakes");
  const { seq } = await readDeployment(world.broker, "quakes");
  assert.not.ok(await writeDeployment(world.broker, { kind: "undeployed", name: "quakes", hash, at: 2 }, seq + 1), "computed from something else");
  assert.ok(await writeDeployment(world.broker, { kind: "undeployed", name: "quakes", hash, at: 2 }, seq));
  await eventually("it is to stop", () => world.catalog.stopping("quakes", hash));
  assert.equal(world.wanted, []);
  assert.equal(world.flows.report.flows, []);
  await world.deploy("quakes", key, { at: 3 });
  await world.settled("quakes");
  assert.equal(world.wanted, ["quakes"]);
  assert.is(world.catalog.stopping("quakes", hash), undefined);
  await world.flows.stop();
});

test("what was undeployed does not come back with another code of that name, be that refused or on its way", async () => {
  const world = await new World().start(), { manifest: { hash } } = await world.deploy("quakes");
  await world.settled("quakes");
  await writeDeployment(world.broker, { kind: "undeployed", name: "quakes", hash, at: 2 }, (await readDeployment(world.broker, "quakes")).seq);
  await world.deploy("quakes\nanother", stranger, { at: 3 });
  assert.is((await world.settled("quakes")).refusal?.code, "KEY_UNTRUSTED");
  assert.equal(world.wanted, []);
  assert.equal(world.catalog.offered(() => false), []);
  const { manifest: third } = await world.deploy("quakes\na third", key, { at: 4 });
  await eventually("it is loaded", () => world.flows.report.flows[0]?.state === "loaded");
  assert.equal(world.catalog.wanted.map(({ code }) => code), [third.hash]);
  await world.flows.stop();
});

test("a node that trusts nobody loads nothing and says nothing of it, and knows what is to stop", async () => {
  const world = await new World([]).start(), { manifest: { hash } } = await world.deploy("quakes");
  await writeDeployment(world.broker, { kind: "undeployed", name: "quakes", hash, at: 2 }, (await readDeployment(world.broker, "quakes")).seq);
  await eventually("it knows", () => world.catalog.stopping("quakes", hash));
  assert.equal(world.flows.report, { trusted: [], replicas: 1, flows: [], candidates: [], undeployed: [{ name: "quakes", hash }] });
  assert.equal(world.evaluated, []);
  await world.flows.stop();
});

test("a run that cannot be begun is told as a refusal; one that has finished is none", async () => {
  const world = await new World().start();
  await world.deploy("quakes");
  await world.settled("quakes");
  world.flows.refuse("quakes", new MillraceError("FLOW_FINISHED", "quakes", "It has finished", "Do nothing."));
  assert.is(world.flows.report.flows[0]?.state, "loaded");
  world.flows.refuse("quakes", new MillraceError("RUN_CHANGED", "quakes", "It changed", "Choose."));
  assert.is(world.flows.report.flows[0]?.state, "loaded", "its code is here");
  assert.equal(world.flows.report.flows[0]?.refusal, { code: "RUN_CHANGED", where: "quakes", message: "It changed", remedy: "Choose." });
  await world.flows.stop();
});

/** On a server that lost it; the flow is known as loaded here. */
async function inLoss(lose: (world: World) => unknown, of: (world: World, deployed: Deployed) => Promise<void>): Promise<void> {
  const world = await new World().start();
  await world.deploy("other");
  const deployed = await world.deploy("quakes");
  for (const name of ["other", "quakes"]) await world.settled(name);
  await lose(world);
  await of(world, deployed);
  await world.flows.stop();
}

const remakes = async ({ broker, server }: World): Promise<void> => {
  const spec = server.streams.get(deploymentsStream)?.spec;
  await broker.remove(deploymentsStream);
  if (spec !== undefined) server.create(spec);
};
const hasWrittenAgain = (world: World, { signature }: Deployed) => eventually("it is deployed again", async () => {
  const { deployment } = await readDeployment(world.broker, "quakes").catch(() => ({ deployment: undefined }));
  return deployment?.kind === "deployed" && deployment.signature === signature;
}, 10_000);

for (const [what, lose] of [
  ["was deleted", ({ broker }) => broker.remove(deploymentsStream)],
  ["was deleted and made anew", remakes],
  ["lost its newest", ({ server }) => server.rollback(deploymentsStream, 1)],
] as const satisfies readonly (readonly [string, (world: World) => unknown])[]) {
  test(`where the stream of what is deployed ${what} a node writes again what it runs, as it was signed, evaluates nothing again, and hears what is deployed then`, () => inLoss(lose, async (world, deployed) => {
    await hasWrittenAgain(world, deployed);
    assert.equal([world.evaluated, world.wanted], [["other", "quakes"], ["other", "quakes"]]);
    assert.ok(world.logged.some((line) => line.includes("NATS lost what it had acknowledged of what is deployed")));
    await world.deploy("third");
    assert.is((await world.settled("third")).state, "loaded");
    await world.deploy("quakes\nlater", key, { at: 2 });
    await eventually("the newest counts", () => world.evaluated.length === 4);
  }));
}

test("what is deployed meanwhile counts, not what was before; and what has lost its bundle, too, is told", () => inLoss(async (world) => {
  await remakes(world);
  await world.deploy("other\nlater", key, { at: 2 });
  await world.broker.remove(bundleStream("quakes", hashOf(Buffer.from("quakes"))));
}, async (world) => {
  await eventually("it is told", () => world.logged.some((line) => line.startsWith("quakes: NATS lost that it was deployed, and it cannot be written again")), 10_000);
  await eventually("the newest counts", () => world.evaluated.length === 3);
  assert.equal(world.catalog.wanted.map(({ name, code }) => [name, code]), [["other", hashOf(Buffer.from("other\nlater"))], ["quakes", hashOf(Buffer.from("quakes"))]]);
  assert.is((await readDeployment(world.broker, "quakes")).seq, 0);
}));

test.run();
