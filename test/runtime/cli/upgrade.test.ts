// test deadline: 150 s
// A flow that runs on nodes in processes of their own goes over to another code, actor by actor, while events flow.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Broker } from "../../../runtime/broker/broker.ts";
import { connect } from "../../../runtime/broker/nats-broker.ts";
import { flowsOn } from "../../../runtime/inspect/flows-report.ts";
import { askPlacement } from "../../../runtime/inspect/placement-orders.ts";
import type { MovedActor } from "../../../runtime/node/move-receipt.ts";
import type { CliProcess } from "../../support/cli-process.ts";
import { DeploySite } from "../../support/deploy-site.ts";
import { sharedNatsServer } from "../../support/nats-server.ts";
import { eventually } from "../../support/waiting.ts";

const test = suite("a new deploy of a flow that runs");
const nats = sharedNatsServer(test.after);
const keys = 60;

/** What the flows below have in common: numbers at a pace that lets the test look, and what a key has seen so far. */
const flowText = (name: string, state: string): string => `import { defineFlow } from "millrace";
import { generate, jsonl, stateful } from "millrace/actors";
export default defineFlow("${name}", (flow) => {
  const feed = flow.source("feed", generate({ count: 10_000_000, rate: 1_000, make: (n) => ({ n, key: "k" + (n % ${keys}) }) }), { time: { of: ({ n }) => n, outOfOrder: 0 } });
  const totals = flow.processor("totals", feed.keyBy(({ key }) => key), { parallelism: 4 }, stateful({ ${state} }));
  flow.sink("out", totals, { order: "time" }, jsonl.sink(process.env.OUTPUT as string));
});`;

const v1 = "initial: () => ({ count: 0, sum: 0 }), on: (state, { n, key }, ctx) => { const next = { count: state.count + 1, sum: state.sum + n }; ctx.emit({ n, key, ...next, v: 1 }); return next; }";
/** The shape is another; how often it was brought into it is kept. */
const v2 = `version: 2, migrate: (old, from) => ({ times: old.count, total: old.sum, converted: from === 1 ? 1 : 99 }), initial: () => ({ times: 0, total: 0, converted: 0 }),
  on: (state, { n, key }, ctx) => { const next = { ...state, times: state.times + 1, total: state.total + n }; ctx.emit({ n, key, count: next.times, sum: next.total, v: 2, converted: state.converted }); return next; }`;

interface Line { readonly n: number; readonly key: string; readonly count: number; readonly sum: number; readonly v: number; readonly converted?: number }
interface Outcome { readonly is: string; readonly hash: string; readonly over: readonly string[]; readonly actors: number; readonly moved: number; readonly lost: number; readonly failed: { readonly actor: string; readonly code: string; readonly message: string } | null; readonly costs: readonly MovedActor[]; readonly oneWay: readonly { readonly stage: string }[]; readonly pauseMs: { readonly median: number; readonly most: number } }

class Nodes implements AsyncDisposable {
  readonly nodes = new Map<string, CliProcess>();
  readonly site: DeploySite;
  readonly broker: Broker;
  readonly #key: string;

  private constructor(site: DeploySite, broker: Broker, key: string) {
    this.site = site;
    this.broker = broker;
    this.#key = key;
  }

  static async start(files: Readonly<Record<string, string>>, ...names: readonly string[]): Promise<Nodes> {
    const server = await nats(), site = await DeploySite.make(server, files), { servers, user, pass } = server, world = new Nodes(site, await connect({ servers, user, pass }), await site.key("deploy.nk"));
    try {
      await Promise.all(names.map((name) => world.add(name)));
      await eventually("all are members", async () => (await world.members()).length === names.length, 30_000);
      return world;
    } catch (error) {
      await world[Symbol.asyncDispose]();
      throw error;
    }
  }

  async add(name: string): Promise<void> {
    const node = this.site.node(name, "--trust", this.#key);
    this.nodes.set(name, node);
    // That one lasts longer than a command may is no failure here.
    node.ended.catch(() => {});
    await node.said(new RegExp(`node ${name} has joined`));
  }

  async members(): Promise<readonly string[]> {
    return (await askPlacement(this.broker)).nodes.map(({ name }) => name);
  }

  deploy(code: number, file: string, ...more: readonly string[]): Promise<Outcome> {
    return this.site.json<Outcome>(code, "deploy", file, "--key", "deploy.nk", ...more);
  }

  async output(): Promise<readonly Line[]> {
    return (await this.site.lines()).map((line) => JSON.parse(line) as Line);
  }

  /** Until all keys are written by that version, and for a while longer. */
  async writes(version: number): Promise<void> {
    await this.some(4 * keys);
    await eventually(`version ${version} writes all keys`, async () => (await this.output()).slice(-keys).every(({ v }) => v === version), 30_000);
  }

  some(more = 500): Promise<unknown> {
    return this.site.count().then((length) => eventually("more of the output is there", async () => (await this.site.count()) > length + more, 30_000));
  }

  /** What is written so far: each event once, in order, and each key's count and sum as of one that was never touched. */
  async exact(): Promise<readonly Line[]> {
    const lines = await this.output(), sums = new Map<string, { count: number; sum: number }>();
    for (const [at, { n, key, count: its, sum }] of lines.entries()) {
      const before = sums.get(key) ?? { count: 0, sum: 0 }, now = { count: before.count + 1, sum: before.sum + at };
      sums.set(key, now);
      assert.equal([n, its, sum], [at, now.count, now.sum], `line ${at}`);
    }
    return lines;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const node of this.nodes.values()) await node[Symbol.asyncDispose]();
    await this.broker.close();
    await this.site[Symbol.asyncDispose]();
  }
}

test("all actors of a flow on three nodes go over while events flow, two of them as canaries before: each event is handled once, each key's state is converted once, and the receipt says what it cost", async () => {
  await using world = await Nodes.start({ "v1.ts": flowText("totals", v1), "v2.ts": flowText("totals", v2) }, "n1", "n2", "n3");
  await world.deploy(0, "v1.ts");
  await world.some();
  const canary = await world.deploy(0, "v2.ts", "--canary", "2");
  assert.equal([canary.is, canary.over, canary.moved, canary.oneWay.map(({ stage }) => stage)], ["canary", ["totals/totals/0", "totals/totals/1"], 2, ["totals"]]);
  const upgraded = await world.site.json<Outcome>(0, "deploy", "--continue", "totals");
  assert.equal([upgraded.is, upgraded.over, upgraded.moved, upgraded.lost], ["upgraded", [], 6, 0]);
  assert.equal(upgraded.costs.map(({ actor, compared, lost }) => [actor, compared, lost]), ["feed/0", "out/0", "totals/0", "totals/1", "totals/2", "totals/3"].map((actor) => [`totals/${actor}`, true, 0]));
  assert.equal((await world.deploy(0, "v2.ts")).is, "same", "the same again changes nothing");
  await world.writes(2);
  const lines = await world.exact(), versions = new Map<string, number>();
  for (const { n, key, v, converted } of lines) {
    assert.ok(v >= (versions.get(key) ?? 1), `${key} at ${n} goes back to version ${v}`);
    if (v === 2) assert.is(converted, 1, `${key} at ${n}`);
    versions.set(key, v);
  }
  assert.equal([versions.size, [...versions.values()].every((v) => v === 2)], [keys, true], "each key has gone over");
  assert.ok(lines.some(({ v }) => v === 1));
  console.log(`  paused ${upgraded.pauseMs.median} ms in the middle, ${upgraded.pauseMs.most} ms at most`);
});

test("a canary goes back; code that fails is held before it gives an event up, and taken back; and the output is exact", async () => {
  const same = v1.replace("v: 1", "v: 2"), bad = v1.replace("const next", 'if (key === "k7" || key === "k8") throw new Error("no such key"); const next');
  const text = (state: string): string => flowText("calm", state);
  await using world = await Nodes.start({ "v1.ts": text(v1), "v2.ts": text(same), "bad.ts": text(bad) }, "n1", "n2");
  const { hash } = await world.deploy(0, "v1.ts");
  await world.some(200);
  const canary = await world.deploy(0, "v2.ts", "--canary", "1");
  assert.equal([canary.is, canary.over, canary.actors, canary.moved, canary.oneWay], ["canary", ["calm/totals/0"], 6, 1, []]);
  await eventually("the canary writes", async () => (await world.output()).some(({ v }) => v === 2), 30_000);
  const back = await world.site.json<Outcome>(0, "deploy", "--back", "calm");
  assert.equal([back.is, back.over, back.moved, back.lost, back.hash], ["back", [], 1, 0, hash]);

  const failed = await world.deploy(1, "bad.ts");
  assert.equal([failed.is, failed.failed?.code], ["failed", "UPGRADE_FAILED"]);
  assert.match(failed.failed?.message ?? "", /no such key/);
  assert.match(failed.failed?.actor ?? "", /^calm\/totals\/\d$/);
  assert.ok(failed.over.includes("calm/out/0"), "readers went first");
  const line = (await flowsOn(world.broker)).flows[0];
  assert.equal([line?.state, line?.hash, line?.upgrade?.is, line?.upgrade?.failed?.actor], ["running", hash, "held", failed.failed?.actor]);
  const taken = await world.site.json<Outcome>(0, "deploy", "--back", "calm");
  assert.equal([taken.is, taken.over, taken.lost], ["back", [], 0]);

  await world.writes(1);
  // Nothing is left out: what was given up would be.
  await world.exact();
});

test.run();
