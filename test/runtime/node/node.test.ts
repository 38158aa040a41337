// A node on the broker and the disk in memory: runs, ends, stops, kills, outages, giving up.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { aggregate, collect, filter, generate, map, tumbling } from "../../../actors/index.ts";
import { defineFlow, defineSink, defineSource, type Flow, type SinkActor, TerminalError, UnavailableError } from "../../../runtime/index.ts";
import type { TreeNode } from "../../../runtime/supervision/tree.ts";
import { readRun } from "../../../runtime/node/run-record.ts";
import { gate } from "../../support/gate.ts";
import { rejection } from "../../support/rejection.ts";
import { TwinWorld } from "../../support/twin-node.ts";
import { eventually, within } from "../../support/waiting.ts";

const test = suite("node");

interface Item { readonly n: number }

const endMs = 20_000;
const numbers = (count: number, more: { rate?: number } = {}) => generate<Item>({ count, batch: 50, make: (n) => ({ n }), ...more });
const upTo = (count: number): number[] => Array.from({ length: count }, (_, n) => n);
const sorted = (values: readonly number[]): number[] => [...values].sort((a, b) => a - b);

/** Remembers what it holds under the actor's address and generation, as a database would: exactly once. */
class Target {
  readonly rows: number[] = [];
  readonly #batches = new Map<string, number>();
  sink(write: (n: number) => void = () => {}): SinkActor<Item> {
    return defineSink<Item, null>({
      kind: "table", guarantee: "transactional", start: null,
      open: async ({ actor, generation }) => {
        const writer = `${actor}@${generation}`;
        return {
          written: { batch: this.#batches.get(writer) ?? 0, mark: null },
          write: async ({ number, events }) => {
            for (const { data } of events) write(data.n);
            assert.is(number, (this.#batches.get(writer) ?? 0) + 1, "batches come once each, in order");
            this.#batches.set(writer, number);
            for (const { data } of events) this.rows.push(data.n);
            return null;
          },
        };
      },
    });
  }
}

const backoff = { min: 1, max: 5 } as const;

const plain = (count: number, sink: SinkActor<Item>, handle: (item: Item) => Item = (item) => item): Flow => defineFlow("plain", { supervision: { intensity: 1, backoff } }, (flow) => {
  const feed = flow.source("feed", numbers(count));
  const each = flow.processor("each", feed.keyBy(({ n }) => n % 5), { parallelism: 3, supervision: { backoff } }, map(handle));
  flow.sink("out", each, { supervision: { intensity: 2, backoff } }, sink);
});

test("a flow whose sources end comes to its end by itself, with every event once, and its run is finished", async () => {
  await using world = await TwinWorld.make();
  const target = new Target();
  await using it = await world.start([plain(1_000, target.sink())]);
  await within(endMs, "the end", it.node.done);
  assert.equal(sorted(target.rows), upTo(1_000));
  const [flow] = it.node.flows;
  assert.equal(flow?.plan.stages.map((stage) => [stage.name, flow.counts(stage)]), [
    ["feed", { in: 1_000, out: 1_000, late: 0, deadLetters: 0 }], ["each", { in: 1_000, out: 1_000, late: 0, deadLetters: 0 }], ["out", { in: 1_000, out: 1_000, late: 0, deadLetters: 0 }],
  ]);
  assert.is((await readRun(it.broker.keys, "plain"))?.record.state, "finished");
  assert.ok(it.node.tree().children[0]?.children.every(({ state }) => state === "ended"));
});

test("the same again is a new run with the same result; nothing of the old one is left", async () => {
  await using world = await TwinWorld.make();
  const tokens: string[] = [];
  for (const round of [1, 2]) {
    const rows: Item[] = [];
    await using it = await world.start([plain(300, collect(rows))]);
    await within(endMs, `end ${round}`, it.node.done);
    tokens.push(it.node.flows[0]?.run.record.token as string);
    assert.equal(sorted(rows.map(({ n }) => n)), upTo(300));
  }
  assert.not.equal(tokens[0], tokens[1]);
  assert.ok([...world.server.streams.keys()].every((name) => !name.includes(tokens[0] as string)));
  assert.ok([...world.journals.stores.keys()].every((name) => name.includes(tokens[1] as string)));
});

test("zero events: every actor ends, and windows give nothing", async () => {
  await using world = await TwinWorld.make();
  const rows: unknown[] = [];
  await using it = await world.start([defineFlow("none", (flow) => {
    const feed = flow.source("feed", numbers(0), { time: ({ n }) => n });
    const sums = flow.processor("sums", feed.keyBy(({ n }) => n), { parallelism: 4 }, aggregate({ window: tumbling(10), initial: () => 0, add: (sum, { n }) => sum + n }));
    flow.sink("out", sums, { order: "time" }, collect(rows));
  })]);
  await within(endMs, "the end", it.node.done);
  assert.equal(rows, []);
});

test("partitions that get no event end with the others", async () => {
  await using world = await TwinWorld.make();
  const rows: Item[] = [];
  await using it = await world.start([defineFlow("lopsided", (flow) => {
    const feed = flow.source("feed", numbers(100));
    const each = flow.processor("each", feed.keyBy(() => "one"), { parallelism: 8 }, map((item: Item) => item));
    flow.sink("out", each, collect(rows));
  })]);
  await within(endMs, "the end", it.node.done);
  assert.is(rows.length, 100);
  assert.is([...(it.node.flows[0]?.actors.values() ?? [])].filter(({ stage, counts }) => stage.name === "each" && counts.in > 0).length, 1);
});

test("sources of different length: the flow ends with the longest, and merged order by time holds", async () => {
  await using world = await TwinWorld.make();
  const rows: Item[] = [];
  await using it = await world.start([defineFlow("uneven", (flow) => {
    const time = { time: ({ n }: Item) => n };
    const [short, long, empty] = [flow.source("short", numbers(3), time), flow.source("long", numbers(700), time), flow.source("empty", numbers(0), time)] as const;
    flow.sink("out", flow.processor("all", short.merge(long, empty), filter(() => true)), { order: "time" }, collect(rows));
  })]);
  await within(endMs, "the end", it.node.done);
  assert.is(rows.length, 703);
  assert.equal(rows.map(({ n }) => n), sorted(rows.map(({ n }) => n)));
});

test("two flows end each by itself, and the node is done when both have", async () => {
  await using world = await TwinWorld.make();
  const opened = gate(), rows: Item[] = [];
  await using it = await world.start([
    plain(50, collect(rows)),
    defineFlow("waits", (flow) => void flow.sink("out", flow.source("feed", numbers(1)), defineSink<Item, never>({ kind: "gate", guarantee: "at-least-once", open: async () => ({ write: () => opened.opened }) }))),
  ]);
  let done = false;
  void it.node.done.then(() => (done = true));
  await eventually("the first flow has finished", async () => (await readRun(it.broker.keys, "plain"))?.record.state === "finished");
  assert.is(done, false);
  opened.open();
  await within(endMs, "the end", it.node.done);
});

test("stopped in order and started again: it goes on where it was, every event once", async () => {
  await using world = await TwinWorld.make();
  const target = new Target(), flow = plain(4_000, target.sink());
  let token: string | undefined;
  {
    await using it = await world.start([flow]);
    token = it.node.flows[0]?.run.record.token;
    await eventually("some are written", () => target.rows.length > 500);
    await it.node.stop();
    assert.is(await it.node.done, undefined, "done resolves where it was stopped");
  }
  await using it = await world.start([flow]);
  assert.equal([it.node.flows[0]?.run.resumed, it.node.flows[0]?.run.record.token], [true, token]);
  await within(endMs, "the end", it.node.done);
  assert.equal(sorted(target.rows), upTo(4_000));
});

test("killed at any moment and started again, again and again: every event once", async () => {
  await using world = await TwinWorld.make();
  const target = new Target(), flow = plain(4_000, target.sink());
  for (const kills of [400, 1_200, 2_500, 3_900]) {
    await using it = await world.start([flow]);
    await eventually(`${kills} are written`, () => target.rows.length >= kills);
    await it.kill();
  }
  await using it = await world.start([flow]);
  await within(endMs, "the end", it.node.done);
  assert.equal(sorted(target.rows), upTo(4_000));
  const counts = it.node.flows[0]?.plan.stages.map((stage) => it.node.flows[0]?.counts(stage).in);
  assert.equal(counts, [4_000, 4_000, 4_000], "the counts go on over the kills");
});

test("killed after its last actor ended and before that was recorded: the next start ends at once, with nothing written twice", async () => {
  await using world = await TwinWorld.make();
  const target = new Target(), flow = plain(100, target.sink());
  {
    await using it = await world.start([flow]);
    const { set } = it.broker.keys;
    it.broker.keys.set = (key, value, expected) => (key === "flow.plain" && Buffer.from(value).includes("finished") ? new Promise(() => {}) : set(key, value, expected));
    await eventually("all actors have ended", () => it.node.tree().children[0]?.state === "ended");
    await it.kill();
  }
  await using it = await world.start([flow]);
  assert.ok(it.node.flows[0]?.run.resumed);
  await within(endMs, "the end", it.node.done);
  assert.equal(sorted(target.rows), upTo(100));
});

test("a handler that throws now and then: its actor is restarted, results are exact, and the tree shows it", async () => {
  await using world = await TwinWorld.make();
  const target = new Target(), thrown = new Set<number>();
  await using it = await world.start([plain(1_000, target.sink(), (item) => {
    if (item.n % 250 === 7 && !thrown.has(item.n)) { thrown.add(item.n); throw new Error(`stumbled over ${item.n}`); }
    return item;
  })]);
  await within(endMs, "the end", it.node.done);
  assert.equal(sorted(target.rows), upTo(1_000));
  const actors = it.node.tree().children[0]?.children.find(({ id }) => id === "plain/each")?.children ?? [];
  assert.is(actors.reduce((sum, { restarts }) => sum + restarts, 0), 4);
  assert.ok(actors.some(({ lastFailure }) => lastFailure?.message.includes("stumbled over")));
  assert.ok(world.warnings.some((line) => /^plain\/each\/\d: Error: stumbled over \d+: restart in \d+ ms \(event plain\/feed\/0@/.test(line)), world.warnings.join("\n"));
});

test("decisions are in the node's log and in the flow's story", async () => {
  await using world = await TwinWorld.make();
  let failures = 0;
  await using it = await world.start([plain(100, new Target().sink(), (item) => {
    if (item.n === 42 && failures++ === 0) throw new Error("once");
    return item;
  })]);
  await within(endMs, "the end", it.node.done);
  const token = it.node.flows[0]?.run.record.token, story = it.broker.stream("mr_story_plain", `mr.story.plain.each.${token}-1.>`);
  await eventually("it is told", async () => (await story.last()) !== undefined);
  const { offender, action, reason } = JSON.parse(Buffer.from((await story.last())?.data ?? "").toString()) as { offender: string; action: string; reason: { message: string } };
  assert.equal([action, reason.message], ["restart", "Error: once"]);
  assert.is((await it.node.root.decisions(offender)).length, 1);
});

test("an event that crashes three times is a dead letter; the others go on and no budget is spent", async () => {
  await using world = await TwinWorld.make();
  const target = new Target();
  await using it = await world.start([plain(200, target.sink(), (item) => {
    if (item.n === 42) throw new Error("always");
    return item;
  })]);
  await within(endMs, "the end", it.node.done);
  assert.equal(sorted(target.rows), upTo(200).filter((n) => n !== 42));
  const [, each] = it.node.flows[0]?.plan.stages ?? [];
  assert.is(it.node.flows[0]?.counts(each as NonNullable<typeof each>).deadLetters, 1);
  assert.is((await it.broker.stream("mr_dead_plain", "mr.dead.plain.>").bounds()).last, 1);
});

test("TerminalError is a dead letter at once, without a restart", async () => {
  await using world = await TwinWorld.make();
  const target = new Target();
  await using it = await world.start([plain(200, target.sink(), (item) => {
    if (item.n % 50 === 0) throw new TerminalError("not this one");
    return item;
  })]);
  await within(endMs, "the end", it.node.done);
  assert.is(target.rows.length, 196);
  assert.equal(world.warnings, []);
});

test("an actor whose budget is spent parks the flow: done says who, why and what to do, and the next start goes on", async () => {
  await using world = await TwinWorld.make();
  const target = new Target();
  let broken = true;
  const flow = plain(500, target.sink((n) => { if (broken && n > 100) throw new Error("no table"); }));
  {
    await using it = await world.start([flow]);
    const error = await within(endMs, "the failure", rejection(it.node.done));
    assert.equal([error.code, error.where], ["PARKED", "plain"]);
    assert.match(error.message, /failed more than \d times within 60000 ms; at last Error: no table/);
    assert.match(error.remedy, /the same command goes on/);
  }
  broken = false;
  await using it = await world.start([flow]);
  await within(endMs, "the end", it.node.done);
  assert.equal(sorted(target.rows), upTo(500));
});

test("a target that holds what the log does not know parks its actor, which is said", async () => {
  await using world = await TwinWorld.make();
  const flow = plain(50, defineSink<Item, null>({ kind: "other", guarantee: "transactional", start: null, open: async () => ({ written: { batch: 9, mark: null }, write: async () => null }) }));
  await using it = await world.start([flow]);
  const error = await within(endMs, "the failure", rejection(it.node.done));
  assert.equal([error.code, error.where], ["PARKED", "plain/out/0"]);
  assert.match(error.message, /SINK_DIVERGED/);
});

test("an actor that its restart type leaves stopped is no end that nobody sees", async () => {
  await using world = await TwinWorld.make();
  await using it = await world.start([defineFlow("temporary", (flow) => {
    const each = flow.processor("each", flow.source("feed", numbers(5)), { supervision: { restart: "temporary" } }, map(() => { throw new Error("no"); }));
    flow.sink("out", each, collect([]));
  })]);
  const error = await within(endMs, "the failure", rejection(it.node.done));
  assert.equal([error.code, error.where], ["ACTOR_LEFT", "temporary/each/0"]);
});

test("while NATS is away everything waits; when it is back it goes on, exact, and no restart is spent", async () => {
  await using world = await TwinWorld.make();
  const target = new Target();
  await using it = await world.start([plain(4_000, target.sink())]);
  for (const written of [300, 2_000]) {
    await eventually(`${written} are written`, () => target.rows.length >= written);
    it.broker.disconnect();
    await eventually("an actor is unavailable", () => it.node.tree().children[0]?.children.some(({ children }) => children.some(({ state }) => state === "unavailable.running")));
    it.broker.reconnect();
  }
  await within(endMs, "the end", it.node.done);
  assert.equal(sorted(target.rows), upTo(4_000));
  const restarts = it.node.tree().children[0]?.children.flatMap(({ restarts, children }) => [restarts, ...children.map((child) => child.restarts)]);
  assert.ok(restarts?.every((count) => count === 0));
  assert.ok(world.warnings.some((line) => line.includes("NATS is away")));
});

test("a sink whose target is down suspends in place and spends no restart", async () => {
  await using world = await TwinWorld.make();
  const target = new Target();
  let down = 2;
  await using it = await world.start([plain(100, target.sink(() => { if (down-- > 0) throw new UnavailableError("no disk", { retryAfter: 5 }); }))]);
  await within(endMs, "the end", it.node.done);
  assert.equal(sorted(target.rows), upTo(100));
  assert.is(it.node.tree().children[0]?.children.at(-1)?.children[0]?.restarts, 0);
});

test("another node that takes the flow over: the first one says so and does not fight", async () => {
  await using world = await TwinWorld.make();
  const opened = gate(), flow = defineFlow("taken", (builder) => void builder.sink("out", builder.source("feed", defineSource<number, number>({
    kind: "open", guarantee: "replayable", start: 0,
    async *read(from) { yield { data: from, position: from + 1 }; await opened.opened; },
  })), collect<number>([])));
  await using first = await world.start([flow]);
  await eventually("it runs", () => first.node.tree().children[0]?.state === "running.active");
  // The first one is cut off: it does not answer, and the second takes it for killed.
  first.broker.disconnect();
  await using second = await world.start([flow], {}, await partsOf(world));
  await eventually("it runs there", () => second.node.tree().children[0]?.children.every(({ children }) => children.every(({ state }) => state === "running.active")));
  first.broker.reconnect();
  const error = await within(endMs, "the failure", rejection(first.node.done));
  assert.is(error.code, "FLOW_TAKEN");
  opened.open();
});

test("an old node that comes back and claims an actor late ends; the one that has the flow takes that actor again, and goes on to the end", async () => {
  await using world = await TwinWorld.make();
  const opened = gate(), result: number[] = [], flow = defineFlow("taken", (builder) => void builder.sink("out", builder.source("feed", defineSource<number, number>({
    kind: "open", guarantee: "replayable", start: 0,
    async *read(from) {
      if (from === 0) yield { data: 0, position: 1 };
      await opened.opened;
      for (let n = Math.max(1, from); n < 100; n++) yield { data: n, position: n + 1 };
    },
  })), collect<number>(result)));
  const states = (it: { readonly node: { tree(): TreeNode } }) => it.node.tree().children[0]?.children.flatMap(({ children }) => children.map(({ state }) => state));
  await using first = await world.start([flow]);
  await eventually("it runs", () => states(first)?.every((state) => state === "running.active"));
  first.broker.disconnect();
  await using second = await world.start([flow], {}, await partsOf(world));
  await eventually("it runs there", () => states(second)?.every((state) => state === "running.active"));
  first.broker.reconnect();
  // One of its actors was just about to start again: it claims the log after the new owner did. Others are fenced by that one's claims.
  await first.node.root.terminate("taken/feed/0").catch(() => {});
  await first.node.root.unpark("taken/feed/0");
  opened.open();
  await eventually("the new owner's actor is fenced", () => states(second)?.includes("fenced"));
  assert.is((await within(endMs, "the end of the old one", rejection(first.node.done))).code, "FLOW_TAKEN");
  await within(endMs, "the end of the flow", second.node.done);
  assert.equal([...new Set(result)].sort((a, b) => a - b), Array.from({ length: 100 }, (_, n) => n));
});

/** Journals of its own, as on another machine. */
async function partsOf(world: TwinWorld) {
  const { MemoryBroker } = await import("../../../runtime/testing/memory-broker.ts"), { MemoryStores } = await import("../../../runtime/testing/memory-store.ts");
  const broker = new MemoryBroker(world.server);
  return { parts: async () => ({ access: { broker, embedded: false, address: "memory", retainMs: 0, close: () => broker.close() }, journals: new MemoryStores(), own: new MemoryStores(), removeOldJournals: async () => {}, close: () => broker.close() }) };
}

for (const [what, options, code] of [
  ["a name that is none", { name: "My Node" }, "OPTION_INVALID"], ["a word for fsync that is none", { fsync: "sometimes" }, "OPTION_INVALID"], ["a mode that is none", { run: "again" }, "OPTION_INVALID"],
  ["something that is no flow", { flows: [{ name: "x" }] }, "FLOW_EXPECTED"], ["two flows of one name", { flows: [plain(1, collect<Item>([])), plain(2, collect<Item>([]))] }, "FLOW_TWICE"],
] as const) {
  test(`${what} is refused before anything is started`, async () => {
    await using world = await TwinWorld.make();
    assert.is((await rejection(world.start([], options as never))).code, code);
    assert.is(world.server.streams.size, 1);
  });
}

test("a node without flows starts, answers, and stops", async () => {
  await using world = await TwinWorld.make();
  await using it = await world.start([], { name: "n1" });
  assert.is(it.node.name, "n1");
  await it.node.stop();
  await it.node.done;
});

test.run();
