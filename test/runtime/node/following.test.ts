// test deadline: 150 s
// A stage that follows its lag, on a node and on several: on the broker and the disk in memory, by a clock that runs faster.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { collect, generate, map, stateful } from "../../../actors/index.ts";
import { planOf, type FlowPlan } from "../../../runtime/flow/plan.ts";
import { defineFlow, type Emits, type Flow } from "../../../runtime/index.ts";
import { askScaling } from "../../../runtime/inspect/scale-orders.ts";
import { Following } from "../../../runtime/node/following.ts";
import type { RunRecord } from "../../../runtime/node/run-record.ts";
import { fastClock } from "../../support/fast-clock.ts";
import { gate } from "../../support/gate.ts";
import { lasting } from "../../support/lasting-source.ts";
import { TwinCluster, type TwinMember } from "../../support/twin-cluster.ts";
import { TwinWorld } from "../../support/twin-node.ts";
import { eventually, within } from "../../support/waiting.ts";

const test = suite("following the lag");
interface Item { readonly n: number; readonly key: number }
interface Row { readonly key: number; readonly count: number }
const endMs = 60_000, keys = 20, silent = { debug() {}, info() {}, warn() {}, error() {} };

const counting = (count: number, rows: Row[], held: Promise<void>): Flow => defineFlow("counting", (flow) => {
  const feed = flow.source("feed", generate<Item>({ count, batch: 20, rate: 500, make: (n) => ({ n, key: n % keys }) }), { time: { of: ({ n }: Item) => n, outOfOrder: 0 } });
  const tally = flow.processor("tally", feed.keyBy(({ key }) => key), { parallelism: { min: 1, max: 4, targetLag: "1s" } }, stateful({
    initial: () => 0,
    async on(its, { n, key }: Item, ctx: Emits<Row>) {
      if (n === 50) await held;
      ctx.emit({ key, count: its + 1 });
      return its + 1;
    },
  }));
  flow.sink("out", tally, { order: "time" }, collect(rows));
});

test("a stage whose frames grow old gets more actors while events flow, and says why; nothing is lost, repeated or out of order", async () => {
  await using world = await TwinWorld.make();
  const rows: Row[] = [], count = 4_000, held = gate(), said: string[] = [];
  await using it = await world.start([counting(count, rows, held.opened)], {}, { clock: fastClock(6) });
  const status = () => it.node.scalings.get("counting")?.status;
  assert.equal([status()?.counts["tally"], status()?.follows[0]?.now], [1, "its lag is not known yet"]);
  const decided = await eventually("it is decided", () => {
    const its = status()?.follows[0];
    if (its !== undefined && said.at(-1) !== its.now) said.push(its.now);
    return its?.decided ?? undefined;
  }, endMs);
  assert.equal([decided.from, decided.to], [1, 2]);
  assert.match(decided.why, /^lag was above its target of 1\.0 s for [3-9]\.\d s, at last \d/);
  assert.ok(said.some((why) => /is above its target of 1\.0 s for [0-2]\.\d s/.test(why)), said.join("; "));
  held.open();
  await eventually("it has more actors", () => (status()?.counts["tally"] ?? 0) >= 2, endMs);
  await within(endMs, "the end", it.node.done);
  assert.ok((status()?.counts["tally"] ?? 0) <= 4);
  assert.equal(rows, Array.from({ length: count }, (_, n) => ({ key: n % keys, count: Math.floor(n / keys) + 1 })));
});

test("one stage at a time, none while one is being scaled, and a stage that cannot be scaled stays as it is and says why", () => {
  const range = { min: 1, max: 4, targetLag: "1s" } as const;
  const plan = planOf(defineFlow("f", { module: import.meta.url }, (flow) => {
    const alone = flow.processor("alone", flow.source("feed", generate({ count: 1, make: (n) => n })), { isolate: "worker" }, map((n: number) => n));
    const fed = flow.processor("fed", alone, { parallelism: range }, map((n: number) => n)), one = flow.processor("one", fed, { parallelism: range }, map((n: number) => n));
    flow.sink("out", flow.processor("two", one, { parallelism: range }, map((n: number) => n)), collect<number>([]));
  })) as FlowPlan;
  const warnings: string[] = [], following = new Following(plan, { ...silent, warn: (text) => { warnings.push(text); } });
  const stages = plan.stages.map(({ name, parallelism }) => ({ name, generation: "t-1", parallelism })), record = { stages } as unknown as RunRecord, lags = ["fed", "one", "two"].map((stage) => ({ stage, lagMs: 9_000, frames: 7 }));
  const look = (now: number, its = record) => following.look(its, lags, now, 0);
  for (let now = 0; now < 3_000; now += 1_000) assert.is(look(now), undefined);
  assert.is(look(3_000, { ...record, change: { stage: "two", generation: "t-2", parallelism: 2, takenBack: false } } as RunRecord), undefined);
  assert.equal(look(4_000), { stage: "one", to: 2 });
  assert.match(following.status(record).find(({ stage }) => stage === "two")?.now ?? "", /waits: one is being scaled/);
  assert.match(following.status(record).find(({ stage }) => stage === "fed")?.now ?? "", /off: "alone" sends to it and runs in threads of its own/);
  assert.match(warnings.join(), /f\/fed stays at 1 actors and does not follow its lag/);
  following.failed("one", new Error("not now"));
  assert.match(following.status(record).find(({ stage }) => stage === "one")?.now ?? "", /could not be scaled: not now/);
});

test("over two nodes: who leads decides from what both have seen, the next one goes on where the first was killed, and there are fewer again when it has been quiet", async () => {
  await using world = new TwinCluster();
  const rows: Row[] = [], count = 3_000, first = gate(), second = gate(), over = gate(), clock = fastClock(40);
  const flow = (): Flow => defineFlow("counting", (its) => {
    const feed = its.source("feed", lasting(generate<Item>({ count, batch: 20, rate: 600, make: (n) => ({ n, key: n % keys }) }), ({ n }) => n >= count - 100, over.opened), { time: { of: ({ n }: Item) => n, outOfOrder: 0 } });
    const tally = its.processor("tally", feed.keyBy(({ key }) => key), { parallelism: { min: 1, max: 4, targetLag: "1s" }, poison: { deadline: "24h" }, place: { spread: true } }, stateful({
      initial: () => 0,
      async on(before, { n, key }: Item, ctx: Emits<Row>) {
        if (n === 50) await first.opened;
        if (n === 1_500) await second.opened;
        ctx.emit({ key, count: before + 1 });
        return before + 1;
      },
    }));
    its.sink("out", tally, { order: "time" }, collect(rows));
  });
  await Promise.all(["n1", "n2"].map((name) => world.start(name, [flow()], { nodes: 2 }, { clock })));
  const status = () => askScaling(world.broker, "counting"), tallies = () => [...world.placed("counting")].filter(([actor]) => actor.startsWith("counting/tally/")).map(([, node]) => node);
  const grown = async (to: number): Promise<void> => {
    const { follows: [its] } = await eventually(`it is to have ${to}`, async () => { const now = await status(); return now.change?.to === to || now.counts["tally"] === to ? now : undefined; }, endMs);
    assert.match(its?.decided?.why ?? "", /^lag was above its target of 1.0 s for/);
  };
  await grown(2);
  first.open();
  await eventually("there are two, one on each node", async () => (await status()).counts["tally"] === 2 && new Set(tallies()).size === 2, endMs);
  await grown(4);
  const leads = [...world.nodes.values()][0]?.cluster.placements.state.leader?.node as string;
  await world.kill(leads);
  second.open();
  await eventually("there are four, all on the other one", async () => (await status()).counts["tally"] === 4 && tallies().length === 4 && !tallies().includes(leads), endMs);
  const { follows: [fewer] } = await eventually("there are fewer", async () => { const now = await status(); return now.counts["tally"] === 2 ? now : undefined; }, endMs);
  assert.match(fewer?.decided?.why ?? "", /^lag was below half of its target/);
  over.open();
  await within(endMs, "the end", ([...world.nodes.values()][0] as TwinMember).cluster.done);
  // A sink that is told again after a kill has rows twice: the first of each.
  assert.equal([...new Set(rows.map(({ key, count: its }) => `${key} ${its}`))].length, count);
  assert.equal(new Set(rows.map(({ count: its }) => its)).size, count / keys);
});

test.run();
