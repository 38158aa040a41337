// test deadline: 150 s
// A stage of a flow that is placed over three nodes is scaled while nodes are killed: on the broker and the disks in memory, by a clock that runs faster.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { collect, generate, map, stateful } from "../../../actors/index.ts";
import { askScaling, orderScale } from "../../../runtime/inspect/scale-orders.ts";
import { defineFlow, type Emits, type Flow, type MillraceError } from "../../../runtime/index.ts";
import { type KeptRun, readRun, type RunRecord, writeRun } from "../../../runtime/node/run-record.ts";
import type { ScaleStatus } from "../../../runtime/node/scaling.ts";
import { Chance, seed } from "../../actors/seeded.ts";
import type { Root } from "../../../runtime/supervision/root.ts";
import { fastClock } from "../../support/fast-clock.ts";
import { gate } from "../../support/gate.ts";
import { lasting } from "../../support/lasting-source.ts";
import { rejection } from "../../support/rejection.ts";
import { TwinCluster, type TwinMember } from "../../support/twin-cluster.ts";
import { eventually, within } from "../../support/waiting.ts";

const test = suite("scaling of a flow on several nodes");
interface Item { readonly n: number; readonly key: number }
interface Row { readonly key: number; readonly n: number; readonly count: number }
const endMs = 60_000, keys = 20, clock = fastClock(6);

/** The last hundred come only `until` then. */
interface Feed { readonly count: number; readonly rate: number; readonly until: Promise<void>; readonly splits?: number }

const counting = (rows: Row[], { count, rate, until, splits = 1 }: Feed): Flow => defineFlow("counting", { supervision: { backoff: { min: 1, max: 5 } } }, (flow) => {
  const feed = flow.source("feed", lasting(generate<Item>({ count, batch: 20, rate, splits, make: (n) => ({ n, key: n % keys }) }), ({ n }) => n >= count - 100, until), { time: { of: ({ n }: Item) => n, outOfOrder: 0 } });
  const pass = flow.processor("pass", feed.keyBy(({ key }) => key), { parallelism: 2 }, map((item: Item) => item));
  const tally = flow.processor("tally", pass.keyBy(({ key }) => key), { parallelism: 2, supervision: { backoff: { min: 1, max: 5 } } }, stateful({
    initial: () => 0,
    on(before, { n, key }: Item, ctx: Emits<Row>) {
      ctx.emit({ key, n, count: before + 1 });
      return before + 1;
    },
  }));
  flow.sink("out", tally, { order: "time" }, collect(rows));
});

const expected = (count: number): Row[] => Array.from({ length: count }, (_, n) => ({ key: n % keys, n, count: Math.floor(n / keys) + 1 }));
/** A sink that is told again after a kill has rows twice: the first of each. */
const once = (rows: readonly Row[]): Row[] => [...new Map(rows.map((row) => [row.n, row])).values()];

class World extends TwinCluster {
  readonly #flow: () => Flow;

  constructor(flow: () => Flow) {
    super();
    this.#flow = flow;
  }

  async node(name: string): Promise<void> {
    await this.start(name, [this.#flow()], { nodes: 3 }, { clock });
  }

  async record(): Promise<RunRecord> {
    return (await readRun(this.broker.keys, "counting"))?.record as RunRecord;
  }

  get leader(): string | undefined {
    return [...this.nodes.values()].map(({ cluster }) => cluster.placements.state.leader?.node)[0];
  }

  /** Which node has an actor of the stage. */
  hosts(stage: string): readonly string[] {
    const seats = [...this.nodes.values()][0]?.cluster.placements.state.flows.get("counting")?.stages.find(({ name }) => name === stage)?.seats ?? [];
    return seats.flatMap(({ node }) => node ?? []);
  }

  settled(): Promise<ScaleStatus> {
    return eventually("it is carried out or taken back", async () => { const status = await askScaling(this.broker, "counting"); return status.change === null ? status : undefined; }, endMs);
  }

  async end(): Promise<void> {
    for (const { cluster } of this.nodes.values()) await within(endMs, "the end", cluster.done);
  }
}

const started = async (flow: () => Flow, rows: readonly Row[]): Promise<World> => {
  const world = new World(flow);
  await Promise.all(["n1", "n2", "n3"].map((name) => world.node(name)));
  await eventually("events flow", () => rows.length > 20, endMs);
  return world;
};

test("up and down over three nodes: the result is that of a single thread, who has an actor keeps it, nothing of what was is left", async () => {
  const rows: Row[] = [], count = 2_000, scaled = gate();
  await using world = await started(() => counting(rows, { count, rate: 600, until: scaled.opened }), rows);
  for (const to of [6, 1, 3]) {
    const before = world.hosts("tally");
    await orderScale(world.broker, { action: "begin", flow: "counting", stage: "tally", count: to });
    const { last, counts } = await world.settled();
    assert.equal([last?.is, last?.receipt.from, last?.receipt.to, last?.receipt.lost, last?.receipt.entries, last?.receipt.pauseMs.length, counts["tally"]], ["finished", before.length, to, 0, keys, to, to]);
    assert.equal(world.hosts("tally").slice(0, before.length), before.slice(0, to), "who has one keeps it");
    assert.is(new Set(world.hosts("tally")).size, Math.min(3, to), "they are spread");
  }
  scaled.open();
  await world.end();
  assert.equal(rows, expected(count));
  const { change, stages, token, state } = await world.record(), its = stages.find(({ name }) => name === "tally");
  assert.equal([change, its?.parallelism, its?.generation, state], [undefined, 3, `${token}-4`, "finished"]);
  await eventually("old streams go", () => [...world.server.streams.keys()].filter((name) => name.startsWith("mr_actor_counting_tally_")).every((name) => name.includes(`_${token}-4_`)), endMs);
});

test("any stage, and nodes are killed at any moment, the one that leads and those that have old or new actors: others go on with it", async () => {
  const rows: Row[] = [], count = 3_000, chance = new Chance(seed), scaled = gate();
  await using world = await started(() => counting(rows, { count, rate: 200, until: scaled.opened, splits: 4 }), rows);
  for (let round = 0; round < 7; round++) {
    const { counts } = await askScaling(world.broker, "counting"), stage = chance.of(["feed", "tally", "out"]), to = 1 + (((counts[stage] as number) + chance.below(5)) % 6);
    await eventually("it is begun", async () => {
      try {
        await orderScale(world.broker, { action: "begin", flow: "counting", stage, count: to === counts[stage] ? to + 1 : to });
        if (chance.next() < 0.2) await orderScale(world.broker, { action: "take back", flow: "counting" });
        return true;
      } catch (error) {
        // Its actors are being started; it was carried out before it could be taken back; who was asked was just killed.
        const { code } = error as MillraceError;
        assert.ok(["NOT_RUNNING", "NOTHING_TO_DO", "SCALE_UNDER_WAY", "SCALE_STANDS", "FLOW_TAKEN", "UNREACHABLE", "REQUEST_FAILED"].includes(code), String(error));
        return code !== "NOT_RUNNING";
      }
    }, endMs);
    const steps = chance.below(120), among = chance.of([[world.leader as string], world.hosts(stage), world.hosts("pass")]), victim = chance.of(among.length === 0 ? [...world.nodes.keys()] : among);
    for (let i = 0; i < steps; i++) await new Promise<void>((done) => { setImmediate(() => setImmediate(done)); });
    await world.kill(victim);
    await eventually("the others know", () => [...world.nodes.values()].every(({ cluster }) => cluster.heartbeat.membership.node(victim) === undefined), endMs);
    await world.node(victim);
    if (chance.next() < 0.5) await world.settled();
  }
  scaled.open();
  await world.end();
  assert.equal(once(rows).sort((a, b) => a.n - b.n), expected(count), `seed ${seed}`);
  const { stages, change } = await world.record();
  assert.is(change, undefined);
  assert.ok(stages.reduce((sum, { given = 1 }) => sum + given - 1, 0) > 3, "it was scaled");
});

test("while nobody who feeds it has gone over it can be taken back, and it says whom it waits for", async () => {
  const rows: Row[] = [], count = 1_200, scaled = gate();
  await using world = await started(() => counting(rows, { count, rate: 400, until: scaled.opened }), rows);
  const roots = (): readonly Root[] => [...world.nodes.values()].map(({ cluster }) => cluster.node.root).filter((root) => root.snapshot("counting/pass").children.length > 0);
  for (const root of roots()) await root.terminate("counting/pass", 10);
  await orderScale(world.broker, { action: "begin", flow: "counting", stage: "tally", count: 4 });
  const status = await eventually("it says for whom it waits", async () => { const its = await askScaling(world.broker, "counting"); return its.waits === null ? undefined : its; }, endMs);
  assert.equal(status.waits, { for: ["counting/pass/0", "counting/pass/1"], why: "upstream" });
  assert.is((await rejection(orderScale(world.broker, { action: "begin", flow: "counting", stage: "tally", count: 3 }))).code, "SCALE_UNDER_WAY");
  const taken = await orderScale(world.broker, { action: "take back", flow: "counting" });
  assert.is(taken.change?.takenBack, true);
  for (const root of roots()) await root.unpark("counting/pass");
  const { last, counts } = await world.settled();
  assert.equal([last?.is, counts["tally"]], ["withdrawn", 2]);
  // Its generation is not given out again.
  await orderScale(world.broker, { action: "begin", flow: "counting", stage: "tally", count: 3 });
  assert.is((await world.settled()).counts["tally"], 3);
  scaled.open();
  const { stages, token } = await world.record(), its = stages.find(({ name }) => name === "tally");
  assert.equal([its?.generation, its?.withdrawn], [`${token}-3`, [`${token}-2`]]);
  await world.end();
  assert.equal(once(rows), expected(count));
});

test("a change of code that is begun while streams are made for another number of actors goes first: one change at a time", async () => {
  const rows: Row[] = [], count = 400, looked = gate();
  await using world = await started(() => counting(rows, { count, rate: 400, until: looked.opened }), rows);
  const { broker } = world.nodes.get(world.leader as string) as TwinMember, create = broker.create.bind(broker), change = async (to: (now: RunRecord) => RunRecord): Promise<void> => {
    await eventually("it is written", async () => {
      const { record, revision } = (await readRun(world.broker.keys, "counting")) as KeptRun;
      return writeRun(world.broker.keys, "counting", to(record), revision);
    }, endMs);
  };
  broker.create = async (spec) => {
    broker.create = create;
    await change((now) => ({ ...now, upgrade: { to: "other", shape: now.shape } }));
    await create(spec);
  };
  assert.is((await rejection(orderScale(world.broker, { action: "begin", flow: "counting", stage: "tally", count: 5 })) as MillraceError).code, "UPGRADE_UNDER_WAY");
  assert.is((await world.record()).change, undefined);
  await change(({ upgrade: _, ...now }) => now);
  looked.open();
  await world.end();
  assert.equal(rows, expected(count));
});

test("a source with more actors than splits cannot be scaled: that is said at once, with what can be done, also where those that have ended were killed and are elsewhere", async () => {
  const rows: Row[] = [], count = 1_000, scaled = gate();
  await using world = await started(() => counting(rows, { count, rate: 200, until: scaled.opened, splits: 2 }), rows);
  await orderScale(world.broker, { action: "begin", flow: "counting", stage: "feed", count: 4 });
  assert.is((await world.settled()).counts["feed"], 4);
  const refused = async (to: number): Promise<void> => {
    const { code, where, message } = (await rejection(orderScale(world.broker, { action: "begin", flow: "counting", stage: "feed", count: to }))) as MillraceError;
    assert.equal([code, where], ["ENDED", "counting/feed"]);
    assert.match(message, /(1 of the 4 actors of "feed" has|2 of the 4 actors of "feed" have) ended in this run \(counting\/feed\/\d.*give a source no more actors than it has splits.*--set feed\.parallelism=/);
    assert.is((await world.record()).change, undefined, "nothing is planned");
  };
  const ended = () => [0, 1, 2, 3].filter((p) => [...world.nodes.values()].some(({ cluster }) => cluster.node.flows.some(({ actors }) => actors.get(`counting/feed/${p}`)?.hasEnded === true)));
  await eventually("who has no split has ended", () => ended().length > 0, endMs);
  for (const to of [5, 2, 1]) await refused(to);
  const victim = world.hosts("feed")[1] as string;
  await world.kill(victim);
  await refused(2);
  await eventually("its actors are elsewhere", () => [...world.nodes.values()].every(({ cluster }) => cluster.heartbeat.membership.node(victim) === undefined) && !world.hosts("feed").includes(victim), endMs);
  await refused(2);
  scaled.open();
  await world.end();
  assert.equal(once(rows), expected(count));
});

test.run();
