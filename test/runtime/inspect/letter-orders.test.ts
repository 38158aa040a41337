// Dead letters replayed and dropped from outside, on nodes over the twins.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { collect, generate, map } from "../../../actors/index.ts";
import { defineFlow, defineSource, type Flow, type StageOptions, TerminalError } from "../../../runtime/index.ts";
import { systemClock, systemRandom } from "../../../runtime/event/clock.ts";
import { allLetters, type LetterFilter, letterOf, newestLetters } from "../../../runtime/inspect/dead-letters.ts";
import { askTree } from "../../../runtime/inspect/inquiry.ts";
import { settleLetters } from "../../../runtime/inspect/letter-orders.ts";
import { gate } from "../../support/gate.ts";
import { rejection } from "../../support/rejection.ts";
import { type TwinNode, TwinWorld } from "../../support/twin-node.ts";
import { eventually, within } from "../../support/waiting.ts";

const test = suite("letter-orders");

interface Item { readonly n: number; readonly key: string }

/** Numbers by key; each tenth fails until it is mended. The source ends when the gate is opened. */
function world(stage: StageOptions = {}) {
  const result: Item[] = [], opened = gate(), trouble = { mended: false };
  const source = defineSource<Item, number>({
    kind: "held", guarantee: "replayable", start: 0,
    async *read(from) {
      for (let n = from; n < 100; n++) yield { data: { n, key: `k${n % 7}` }, position: n + 1 };
      await opened.opened;
    },
  });
  const flow: Flow = defineFlow("trouble", (its) => {
    const each = its.processor("each", its.source("feed", source).keyBy(({ key }) => key), { parallelism: 3, ...stage }, map((item: Item) => {
      if (item.n % 10 === 3 && !trouble.mended) throw new TerminalError(`no use for ${item.n}`);
      if (item.n % 10 === 4 && !trouble.mended && stage.poison?.park === "key") throw new Error(`poison ${item.n}`);
      return item;
    }));
    its.sink("out", each, collect(result));
  });
  return { flow, result, opened, trouble };
}

const settle = async (it: TwinNode, action: "replay" | "drop", filter: LetterFilter = { open: true }, patienceMs = 20_000): Promise<readonly string[]> => {
  const outcomes: string[] = [];
  for await (const [, outcome] of settleLetters(it.broker, "trouble", allLetters(it.broker, "trouble", filter), action, { clock: systemClock, random: systemRandom, patienceMs })) outcomes.push(outcome.is === "failed" ? outcome.code : outcome.is);
  return outcomes.sort();
};
const open = async (it: TwinNode): Promise<number> => (await newestLetters(it.broker, "trouble", 1_000, { open: true })).length;

test("letters replayed while the flow runs go through once; they are open no more, in the list and in the tree", async () => {
  await using twin = await TwinWorld.make();
  const { flow, result, opened, trouble } = world();
  await using it = await twin.start([flow], { name: "n1" });
  await eventually("the letters are there", async () => (await open(it).catch(() => 0)) === 10);
  assert.equal(await settle(it, "replay"), Array.from({ length: 10 }, () => "TerminalError"), "what still fails stays open");
  trouble.mended = true;
  assert.equal(await settle(it, "replay", { open: true, stage: "each" }), Array.from({ length: 10 }, () => "replayed"));
  await eventually("they are settled", async () => (await open(it)) === 0);
  const all = await newestLetters(it.broker, "trouble", 1_000);
  assert.equal([all.length, new Set(all.map(({ status }) => status))], [10, new Set(["replayed"])]);
  assert.is((await letterOf(it.broker, "trouble", all[0]?.number as string)).status, "replayed");
  const figures = (await askTree(it.broker, "n1")).lines.flatMap(({ id, figures: its }) => (id.startsWith("trouble/each/") && its !== undefined ? [its] : []));
  assert.equal([figures.reduce((sum, its) => sum + its.deadLetters, 0), figures.reduce((sum, its) => sum + its.openLetters, 0)], [10, 0]);
  opened.open();
  await within(10_000, "the end", it.node.done);
  assert.equal(result.map(({ n }) => n).sort((a, b) => a - b), Array.from({ length: 100 }, (_, n) => n));
});

test("keys that are parked are told in the tree, hold the flow open, and go on in order when their letters are replayed or dropped", async () => {
  await using twin = await TwinWorld.make();
  const { flow, result, opened, trouble } = world({ poison: { after: 1, park: "key" } });
  opened.open();
  await using it = await twin.start([flow], { name: "n1" });
  await eventually("all keys are parked", async () => {
    const lines = (await askTree(it.broker, "n1")).lines;
    return lines.reduce((sum, { figures }) => sum + (figures?.parked.keys ?? 0), 0) === 7;
  });
  trouble.mended = true;
  const letters = await newestLetters(it.broker, "trouble", 1_000, { open: true, code: "POISON" });
  assert.is(letters.length, 7);
  const [first] = letters;
  for await (const [, outcome] of settleLetters(it.broker, "trouble", (async function* () { yield first as (typeof letters)[0]; })(), "drop", { clock: systemClock, random: systemRandom })) assert.is(outcome.is, "dropped");
  assert.ok((await settle(it, "replay")).every((is) => is === "replayed"));
  await within(10_000, "the end", it.node.done);
  const dropped = ((first as (typeof letters)[0]).event.data as Item).n;
  assert.equal(result.map(({ n }) => n).sort((a, b) => a - b), Array.from({ length: 100 }, (_, n) => n).filter((n) => n !== dropped));
  for (let key = 0; key < 7; key++) {
    // What was given up at once (TERMINAL) came back when it was replayed; of all others the order is that of the source.
    const ns = result.filter((item) => item.key === `k${key}` && item.n % 10 !== 3).map(({ n }) => n);
    assert.equal(ns, [...ns].sort((a, b) => a - b));
  }
});

test("of a run that is over letters can be dropped, and not replayed", async () => {
  await using twin = await TwinWorld.make();
  const { flow, opened } = world();
  opened.open();
  await using it = await twin.start([flow]);
  await within(10_000, "the end", it.node.done);
  assert.equal(new Set(await settle(it, "replay")), new Set(["ENDED"]));
  assert.equal(await settle(it, "drop", { open: true, code: "TERMINAL" }), Array.from({ length: 10 }, () => "dropped"));
  assert.is(await open(it), 0);
  assert.equal(await settle(it, "drop"), []);
});

test("without a node that runs the flow it is said so; what an actor that is down does not take back is given back after a while", async () => {
  await using twin = await TwinWorld.make();
  const { flow } = world();
  {
    await using it = await twin.start([flow], { name: "n1" });
    await eventually("the letters are there", async () => (await open(it).catch(() => 0)) === 10);
    await it.node.root.terminate("trouble/each");
    assert.equal(new Set(await within(20_000, "they are given back", settle(it, "replay", { open: true }, 10))), new Set(["PENDING"]));
  }
  const other = defineFlow("other", (its) => { its.sink("out", its.source("feed", generate({ count: 1, make: (n) => n })), collect<number>([])); });
  await using it = await twin.start([other], { name: "n2" });
  assert.is((await rejection(within(20_000, "it is refused", settle(it, "replay")))).code, "NOT_RUNNING");
});

test.run();
