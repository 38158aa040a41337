// A stage is scaled on a node while events flow: on the broker and the disk in memory, with kills at any moment.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { lstat, readFile } from "node:fs/promises";
import { join } from "node:path";
import { collect, generate, jsonl, map, stateful } from "../../../actors/index.ts";
import { type Batch, defineFlow, defineSink, type Emits, type Flow, type MillraceError, type SourceActor } from "../../../runtime/index.ts";
import { systemClock, systemRandom } from "../../../runtime/event/clock.ts";
import { allLetters } from "../../../runtime/inspect/dead-letters.ts";
import { settleLetters } from "../../../runtime/inspect/letter-orders.ts";
import { readRun } from "../../../runtime/node/run-record.ts";
import type { FlowScaling } from "../../../runtime/node/scaling.ts";
import { Chance, seed } from "../../actors/seeded.ts";
import { gate } from "../../support/gate.ts";
import { lasting } from "../../support/lasting-source.ts";
import { rejection } from "../../support/rejection.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { type TwinNode, TwinWorld } from "../../support/twin-node.ts";
import { eventually, within } from "../../support/waiting.ts";

async function fromAsync<T>(items: AsyncIterable<T>): Promise<readonly T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

const test = suite("scaling");
interface Item { readonly n: number; readonly key: number }
interface Row { readonly key: number; readonly n: number; readonly count: number }
const endMs = 60_000, keys = 20;

/** Counts by key, and says so again when event time is past. `hold`: may keep events from going on. */
const counting = (count: number, rows: Row[], hold: (item: Item) => Promise<void> | void = () => {}, rate = 4_000, until: Promise<void> = Promise.resolve()): Flow => defineFlow("counting", { supervision: { backoff: { min: 1, max: 5 } } }, (flow) => {
  const feed = flow.source("feed", lasting(generate<Item>({ count, batch: 20, rate, make: (n) => ({ n, key: n % keys }) }), ({ n }) => n >= count - 500, until), { time: { of: ({ n }: Item) => n, outOfOrder: 0 } });
  const pass = flow.processor("pass", feed, map(async (item: Item) => { await hold(item); return item; }));
  const tally = flow.processor("tally", pass.keyBy(({ key }) => key), { parallelism: 2, supervision: { backoff: { min: 1, max: 5 } } }, stateful({
    initial: () => 0,
    on(its, { n, key }: Item, ctx: Emits<Row>) {
      ctx.emit({ key, n, count: its + 1 });
      return its + 1;
    },
  }));
  flow.sink("out", tally, { order: "time" }, collect(rows));
});

const expected = (count: number): Row[] => Array.from({ length: count }, (_, n) => ({ key: n % keys, n, count: Math.floor(n / keys) + 1 }));
/** 5,000 events in five parts, each of which comes when it is let. */
function inParts() {
  const size = 1_000, gates = [1, 2, 3, 4].map(() => gate());
  return {
    count: size * 5, begin: (part: number) => part * size, open: (part: number) => gates[part - 1]?.open(),
    of: (source: SourceActor<Item>): SourceActor<Item> => gates.reduce((its, { opened }, i) => lasting(its, ({ n }) => n >= (i + 1) * size, opened), source),
  };
}
const scalingOf = ({ node }: TwinNode): FlowScaling => node.scalings.get("counting") as FlowScaling;
const actorsOf = ({ node }: TwinNode): number => node.tree().children[0]?.children.find(({ id }) => id === "counting/tally")?.children.length ?? 0;
const settled = (it: TwinNode): Promise<unknown> => eventually("it is at its end", () => scalingOf(it).status.change === null, endMs);
/** A sink that is told again after a kill has rows twice: the first of each count. */
const once = (rows: readonly Row[]): Row[] => [...new Map(rows.map((row) => [row.n, row])).values()];

test("up and down while events flow: the result is that of a single thread, nothing of what was is left", async () => {
  await using world = await TwinWorld.make();
  const rows: Row[] = [], count = 6_000, scaled = gate();
  await using it = await world.start([counting(count, rows, undefined, 1_000, scaled.opened)]);
  for (const to of [5, 1, 3]) {
    const from = scalingOf(it).status.counts["tally"] as number, taken = rows.length;
    await eventually("events flow", () => rows.length > taken + 50 || rows.length >= count - 600, endMs);
    await scalingOf(it).begin("tally", to);
    await settled(it);
    const { last, counts } = scalingOf(it).status;
    assert.equal([last?.is, last?.receipt.from, last?.receipt.to, last?.receipt.lost, last?.receipt.entries, last?.receipt.pauseMs.length, counts["tally"]], ["finished", from, to, 0, keys, to, to]);
    await eventually("the tree shows it", () => actorsOf(it) === to, endMs);
  }
  scaled.open();
  await within(endMs, "the end", it.node.done);
  assert.equal(rows, expected(count));
  const run = (await readRun(it.broker.keys, "counting"))?.record, its = run?.stages.find(({ name }) => name === "tally");
  assert.equal([run?.change, its?.parallelism, its?.generation], [undefined, 3, `${run?.token}-4`]);
  const left = [...world.server.streams.keys()].filter((name) => name.startsWith("mr_actor_counting_tally_"));
  await eventually("old streams go", () => [...world.server.streams.keys()].filter((name) => name.startsWith("mr_actor_counting_tally_")).every((name) => name.includes(`_${run?.token}-4_`)), endMs);
  assert.ok(left.length > 0);
  assert.equal(it.node.flows[0]?.counts(it.node.flows[0].plan.stages[2] as never), { in: count, out: count, late: 0, deadLetters: 0 });
});

test("a sink: each event in one of its files, in order per file; a file that was left is gone on with, and all are finished at the end", async () => {
  await using world = await TwinWorld.make();
  await using folder = await temporaryFolder();
  const parts = inParts(), { count } = parts, path = (p: number): string => join(folder.path, `out-${p}.jsonl`);
  const flow = defineFlow("counting", (flow) => {
    const feed = flow.source("feed", parts.of(generate<Item>({ count, batch: 20, make: (n) => ({ n, key: n % keys }) })), { time: { of: ({ n }: Item) => n, outOfOrder: 0 } });
    flow.sink("out", feed.keyBy(({ key }) => key), { parallelism: 2, order: "time" }, jsonl.sink(join(folder.path, "out-{partition}.jsonl")));
  });
  const rowsOf = async (p: number): Promise<readonly Item[]> => (await readFile(path(p), "utf8")).trimEnd().split("\n").filter((line) => line !== "").map((line) => JSON.parse(line) as Item);
  await using it = await world.start([flow]);
  const actors = (): number => it.node.tree().children[0]?.children.find(({ id }) => id === "counting/out")?.children.length ?? 0;
  const written = (): number => it.node.flows[0]?.counts(it.node.flows[0].plan.stages[1] as never).out ?? 0;
  for (const [i, to] of [4, 1, 3].entries()) {
    await eventually("the part before is written", () => written() >= parts.begin(i + 1) - 100, endMs);
    await scalingOf(it).begin("out", to);
    parts.open(i + 1);
    await settled(it);
    assert.equal([scalingOf(it).status.last?.is, scalingOf(it).status.counts["out"]], ["finished", to]);
    await eventually("the tree shows it", () => actors() === to, endMs);
  }
  parts.open(4);
  await within(endMs, "the end", it.node.done);
  const files = await Promise.all([0, 1, 2, 3].map(rowsOf));
  for (const [p, rows] of files.entries()) {
    assert.ok((await lstat(path(p))).isFile(), `out-${p}.jsonl has its final form`);
    assert.ok(rows.length > 0 && rows.every(({ n }, i) => i === 0 || n > (rows[i - 1] as Item).n), `out-${p}.jsonl is in order`);
  }
  assert.equal(files.flat().map(({ n }) => n).sort((a, b) => a - b), Array.from({ length: count }, (_, n) => n));
});

test("a target that a sink has left is looked at like its own before it is finished: one that holds something else parks it", async () => {
  await using world = await TwinWorld.make();
  const parts = inParts(), { count } = parts, held = new Map<number, number>(), finished: number[] = [];
  let isOurs = true;
  const flow = defineFlow("counting", (flow) => {
    const feed = flow.source("feed", parts.of(generate<Item>({ count, batch: 20, make: (n) => ({ n, key: n % keys }) })));
    flow.sink("out", feed.keyBy(({ key }) => key), { parallelism: 2 }, defineSink<Item, number>({
      kind: "table", guarantee: "transactional", start: 0,
      open: ({ last, partition }) => Promise.resolve({
        written: isOurs || partition === 0 ? last : { ...last, mark: last.mark + 1 },
        write: ({ events }: Batch<Item>) => {
          held.set(partition, (held.get(partition) ?? 0) + events.length);
          return Promise.resolve(held.get(partition) as number);
        },
        finish: () => { finished.push(partition); return Promise.resolve(); },
      }),
    }));
  });
  await using it = await world.start([flow]);
  await eventually("both have written", () => held.size === 2, endMs);
  await scalingOf(it).begin("out", 1);
  parts.open(1);
  await settled(it);
  isOurs = false;
  for (const part of [2, 3, 4]) parts.open(part);
  const error = await rejection(within(endMs, "it parks", it.node.done));
  assert.match(error.message, /SINK_DIVERGED/);
  assert.match(error.message, /counting\/out\/1/);
  assert.not.ok(finished.includes(1));
});

test("a source hands its splits over: each event once, and in order of its split", async () => {
  await using world = await TwinWorld.make();
  const rows: Item[] = [], parts = inParts(), { count } = parts, splits = 6;
  const flow = defineFlow("counting", (flow) => {
    const feed = flow.source("feed", parts.of(generate<Item>({ count, batch: 20, splits, make: (n) => ({ n, key: n % splits }) })), { parallelism: 2, time: { of: ({ n }: Item) => n, outOfOrder: "any" } });
    flow.sink("out", feed.keyBy(({ key }) => key), { parallelism: 2 }, collect(rows));
  });
  await using it = await world.start([flow]);
  for (const [i, to] of [4, 1, 3].entries()) {
    await eventually("the part before is written", () => rows.length >= parts.begin(i + 1) - 200, endMs);
    await scalingOf(it).begin("feed", to);
    parts.open(i + 1);
    await settled(it);
    assert.equal([scalingOf(it).status.last?.is, scalingOf(it).status.counts["feed"]], ["finished", to]);
  }
  parts.open(4);
  await within(endMs, "the end", it.node.done);
  for (let key = 0; key < splits; key++) assert.equal(rows.filter((row) => row.key === key).map(({ n }) => n), Array.from({ length: count }, (_, n) => n).filter((n) => n % splits === key));
});

test("a source of which a part has come to its end keeps its number, and goes on", async () => {
  await using world = await TwinWorld.make();
  const rows: Item[] = [], count = 60, held = gate();
  // The splits of one actor wait for the gate, those of the other are read to their end.
  const flow = defineFlow("counting", (flow) => {
    const feed = flow.source("feed", lasting(generate<Item>({ count, batch: 1, splits: 2, make: (n) => ({ n, key: n % 2 }) }), ({ n, key }) => key === 1 && n > 20, held.opened), { parallelism: 2 });
    flow.sink("out", feed, collect(rows));
  });
  await using it = await world.start([flow]);
  await eventually("one has ended", () => it.node.tree().children[0]?.children.find(({ id }) => id === "counting/feed")?.children.some(({ state }) => state === "ended") === true, endMs);
  assert.is((await rejection(scalingOf(it).begin("feed", 3))).code, "ENDED");
  held.open();
  await within(endMs, "the end", it.node.done);
  assert.equal(rows.map(({ n }) => n).sort((a, b) => a - b), Array.from({ length: count }, (_, n) => n));
});

test("a part of a source that ends while it is planned: it keeps its number, and that nobody took it back is told", async () => {
  await using world = await TwinWorld.make();
  const rows: Item[] = [], count = 60, held = gate(), planned = gate();
  const flow = defineFlow("counting", (flow) => {
    const parts = lasting(generate<Item>({ count, batch: 1, splits: 2, make: (n) => ({ n, key: n % 2 }) }), ({ n, key }) => key === 1 && n > 20, held.opened);
    flow.sink("out", flow.source("feed", lasting(parts, ({ n, key }) => key === 0 && n > 20, planned.opened), { parallelism: 2 }), collect(rows));
  });
  await using it = await world.start([flow]);
  const create = it.broker.create.bind(it.broker), hasEnded = () => it.node.tree().children[0]?.children.find(({ id }) => id === "counting/feed")?.children.some(({ state }) => state === "ended") === true;
  it.broker.create = async (spec) => {
    it.broker.create = create;
    planned.open();
    await eventually("a part has ended", hasEnded, endMs);
    await create(spec);
  };
  await eventually("events flow", () => rows.length > 0, endMs);
  await scalingOf(it).begin("feed", 3);
  await settled(it);
  const { last, counts } = scalingOf(it).status;
  assert.equal([last?.is, last?.takenBack, counts["feed"]], ["withdrawn", false, 2]);
  held.open();
  await within(endMs, "the end", it.node.done);
  assert.equal(rows.map(({ n }) => n).sort((a, b) => a - b), Array.from({ length: count }, (_, n) => n));
});

test("a node that is killed at any moment goes on with it where it was", async () => {
  await using world = await TwinWorld.make();
  const rows: Row[] = [], count = 3_000, chance = new Chance(seed);
  let finished = false, given = 1;
  for (let life = 0; !finished && life < 60; life++) {
    await using it = await world.start([counting(count, rows, undefined, 300)]);
    let over = false;
    void it.node.done.then(() => { over = true; }, () => {});
    const change = async (): Promise<boolean> => {
      const { change: planned, counts } = scalingOf(it).status, to = 1 + ((counts["tally"] as number) % 4);
      try {
        if (planned === null) await scalingOf(it).begin("tally", to);
        else if (chance.next() < 0.2) await scalingOf(it).takeBack();
        return true;
      } catch (error) {
        // Its actors are being started.
        if ((error as MillraceError).code === "NOT_RUNNING") return over;
        assert.ok(["ENDED", "NOTHING_TO_DO"].includes((error as MillraceError).code), String(error));
        return true;
      }
    };
    if (chance.next() < 0.8) await eventually("it is begun", change, endMs);
    // However slow the machine is: every third change is waited for.
    if (chance.next() < 0.3) await eventually("it is carried out or taken back", () => over || scalingOf(it).status.change === null, endMs);
    const steps = chance.below(150);
    for (let i = 0; i < steps && !over; i++) await new Promise<void>((done) => { setImmediate(() => setImmediate(done)); });
    if (!over && life < 50) await it.kill();
    else await within(endMs, "the end", it.node.done);
    given = scalingOf(it).record.stages.find(({ name }) => name === "tally")?.given ?? given;
    finished = over || life >= 50;
  }
  assert.equal(once(rows), expected(count), `seed ${seed}`);
  assert.ok(given > 3, `only ${given} generations were given out`);
});

test("while who feeds it has not gone over it can be taken back, and goes on as it was", async () => {
  await using world = await TwinWorld.make();
  const rows: Row[] = [], count = 5_000, held = gate();
  await using it = await world.start([counting(count, rows, ({ n }) => (n === 300 ? held.opened : undefined), 600)]);
  await eventually("it is held up", () => rows.length >= 200 && it.node.flows[0]?.actors.get("counting/pass/0")?.recovered !== undefined, endMs);
  await it.node.root.terminate("counting/pass", 10);
  await scalingOf(it).begin("tally", 4);
  await eventually("it says for whom it waits", () => scalingOf(it).status.waits?.why === "upstream", endMs);
  assert.equal(scalingOf(it).status.waits?.for, ["counting/pass/0"]);
  assert.is((await rejection(scalingOf(it).begin("tally", 3))).code, "SCALE_UNDER_WAY");
  await scalingOf(it).takeBack();
  held.open();
  await it.node.root.unpark("counting/pass");
  await settled(it);
  const run = (await readRun(it.broker.keys, "counting"))?.record, its = run?.stages.find(({ name }) => name === "tally");
  assert.equal([scalingOf(it).status.last?.is, its?.parallelism, its?.withdrawn], ["withdrawn", 2, [`${run?.token}-2`]]);
  // Its generation is not given out again.
  await scalingOf(it).begin("tally", 3);
  await settled(it);
  assert.is((await readRun(it.broker.keys, "counting"))?.record.stages.find(({ name }) => name === "tally")?.generation, `${run?.token}-3`);
  await within(endMs, "the end", it.node.done);
  assert.equal(once(rows), expected(count));
});

test("an event that was given up before is replayed by whoever has its key now, once, and its key goes on", async () => {
  await using world = await TwinWorld.make();
  const rows: Row[] = [], held = gate();
  let mended = false;
  const flow = defineFlow("counting", (its) => {
    const feed = its.source("feed", generate<Item>({ count: 100, make: (n) => ({ n, key: n % keys }) }));
    const pass = its.processor("pass", feed, map(async (item: Item) => { if (item.n === 80) await held.opened; return item; }));
    const tally = its.processor("tally", pass.keyBy(({ key }) => key), { parallelism: 2, poison: { after: 1, park: "key" }, supervision: { backoff: { min: 1, max: 5 } } }, stateful({
      initial: () => 0,
      on(count, { n, key }: Item, ctx: Emits<Row>) {
        if (n === 7 && !mended) throw new Error("not yet");
        ctx.emit({ key, n, count: count + 1 });
        return count + 1;
      },
    }));
    its.sink("out", tally, collect(rows));
  });
  await using it = await world.start([flow]);
  await eventually("it was given up, and its key waits", () => rows.length === 80 - 4, endMs);
  for (const to of [5, 3]) {
    await scalingOf(it).begin("tally", to);
    await settled(it);
  }
  mended = true;
  const options = { clock: systemClock, random: systemRandom }, settle = () => fromAsync(settleLetters(it.broker, "counting", allLetters(it.broker, "counting"), "replay", options));
  assert.equal((await settle()).map(([, outcome]) => outcome), [{ is: "replayed", before: false }]);
  assert.equal((await settle()).map(([, outcome]) => outcome), [{ is: "replayed", before: true }]);
  await scalingOf(it).begin("tally", 4);
  await settled(it);
  assert.equal((await settle()).map(([{ status }, outcome]) => [status, outcome]), [["replayed", { is: "replayed", before: true }]]);
  held.open();
  await within(endMs, "the end", it.node.done);
  assert.equal(rows.filter(({ key }) => key === 7).map(({ n, count }) => [n, count]), [[7, 1], [27, 2], [47, 3], [67, 4], [87, 5]]);
  assert.is(rows.length, 100);
});

test("what is planned when all who feed it have ended is withdrawn, and the flow ends", async () => {
  await using world = await TwinWorld.make();
  const rows: Row[] = [], slow = gate();
  const flow = defineFlow("counting", (its) => {
    const feed = its.source("feed", generate<Item>({ count: 50, make: (n) => ({ n, key: n % keys }) }));
    const tally = its.processor("tally", feed.keyBy(({ key }) => key), { parallelism: 2 }, map(async ({ n, key }: Item): Promise<Row> => { await slow.opened; return { n, key, count: 1 }; }));
    its.sink("out", tally, collect(rows));
  });
  await using it = await world.start([flow]);
  await eventually("the source has ended", () => it.node.flows[0]?.actors.get("counting/feed/0")?.hasEnded === true && [0, 1].every((p) => it.node.flows[0]?.actors.get(`counting/tally/${p}`)?.recovered !== undefined), endMs);
  await scalingOf(it).begin("tally", 3);
  slow.open();
  await within(endMs, "the end", it.node.done);
  assert.equal([scalingOf(it).status.last?.is, rows.length], ["withdrawn", 50]);
});

test.run();
