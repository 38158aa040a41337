// The driver as a user meets it: what is sent, what is seen, what time does. Crashes: crash-points.test.ts; errors: test-flow-errors.test.ts.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { defineFlow, type Emits } from "millrace";
import { aggregate, branch, filter, jsonl, map, pipe, stateful, tumbling } from "millrace/actors";
import { advance, at, crash, end, testFlow } from "millrace/testing";
import { z } from "zod";
import { rejection } from "../../support/rejection.ts";
import { loose } from "./cases.ts";

const test = suite("test flow");

const Payment = z.object({ account: z.string(), amount: z.number(), at: z.iso.datetime() });
interface Alert { account: string; payments: number }

const fraud = defineFlow("fraud", (flow) => {
  const payments = flow.source("payments", jsonl.source("payments.jsonl"), { schema: Payment, time: (payment) => payment.at });
  const velocity = flow.processor("velocity", payments.keyBy((payment) => payment.account), { parallelism: 8 }, stateful({
    initial: () => ({ count: 0 }),
    on(state, payment, ctx: Emits<Alert>) {
      const count = state.count + 1;
      if (count > 5) ctx.emit({ account: payment.account, payments: count });
      ctx.timer("quiet", "10m");
      return { count };
    },
    onTimer: () => null,
    queries: { count: (state) => state.count, above: (state, than: number) => state.count > than },
  }));
  const alerts = flow.sink("alerts", velocity, jsonl.sink("out/alerts.jsonl"));
  return { payments, velocity, alerts };
});
const pay = { account: "a", amount: 1, at: "2024-01-01T00:00:00Z" };

test("the example of the API", async () => {
  await using t = await testFlow(fraud);
  await t.send("payments", pay, pay, pay, crash("velocity", "after-commit"), pay, pay, pay);
  const alerts: readonly Alert[] = t.output("alerts");
  assert.equal(alerts, [{ account: "a", payments: 6 }]);
  assert.is(t.query("velocity", "a", "count"), 6);
  await t.send("payments", advance("10m"));
  assert.is(t.state("velocity", "a"), undefined);
  assert.is(t.query("velocity", "a", "count"), undefined);
});

test("what follows is committed when send resolves: through all stages, in state, queries, outputs, events", async () => {
  await using t = await testFlow(fraud);
  for (let n = 1; n <= 7; n++) {
    await t.send("payments", pay);
    assert.equal(t.state("velocity", "a"), { count: n });
    assert.equal([t.query("velocity", "a", "above", 6), t.output("alerts").length], [n > 6, Math.max(0, n - 5)]);
  }
  await t.send("payments", { ...pay, account: "b" });
  assert.equal([t.state("velocity", "a"), t.state("velocity", "b"), t.state("velocity", "c")], [{ count: 7 }, { count: 1 }, undefined]);
  assert.equal(t.output("payments").length, 8);
  assert.equal(t.events("alerts").map(({ data, time, type, key, source }) => ({ data, time, type, key, source })), [6, 7].map((payments) => (
    { data: { account: "a", payments }, time: Date.parse(pay.at), type: "fraud.velocity", key: "a", source: "fraud/velocity/4" })));
});

interface Item { readonly key: string; readonly time?: number }
const items = { time: { of: (item: Item) => item.time ?? 0, outOfOrder: 0 } } as const;

/** Counts in windows of a minute, from a source that trails the newest event by so much. */
const windowed = (outOfOrder: number | "any" | "10s") => defineFlow("windowed", (flow) => {
  const source = flow.source("items", jsonl.source<Item>("x"), { time: { of: (item) => item.time ?? 0, outOfOrder } });
  const windows = flow.processor("in-windows", source.keyBy((item) => item.key), { parallelism: 2 }, aggregate({
    window: tumbling("1m"), initial: () => 0, add: (count) => count + 1, result: (count, { key, window }) => ({ key, start: window.start, count }),
  }));
  const out = flow.sink("out", windows, jsonl.sink("x"));
  return { items: source, inWindows: windows, out };
});
const item = (time: number, key = "a"): Item => ({ key, time });

test("event time follows the events, by what may be out of order, or waits for the end", async () => {
  for (const [outOfOrder, closedBy] of [[0, 60_000], ["10s", 70_000], ["any", Infinity]] as const) {
    await using t = await testFlow(windowed(outOfOrder));
    await t.send("items", item(10_000), item(59_999), item(20_000, "b"));
    for (const time of [60_000, 69_999, 70_000]) {
      await t.send("items", item(time));
      assert.is(t.output("out").length, time >= closedBy ? 2 : 0, `${outOfOrder} at ${time}`);
    }
    await t.send("items", end);
    assert.equal([...t.output("out")].sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : a.start - b.start)), [{ key: "a", start: 0, count: 2 }, { key: "a", start: 60_000, count: 3 }, { key: "b", start: 0, count: 1 }]);
  }
});

test("event time counts from one event to the next within a send, however they travel", async () => {
  for (let seed = 1; seed <= 10; seed++) {
    await using t = await testFlow(windowed(0), { seed });
    await t.send("items", item(10_000), item(60_000), item(20_000));
    assert.equal(t.output("out"), [{ key: "a", start: 0, count: 1 }]);
    assert.equal(t.deadLetters("in-windows").map(({ reason, event: { data, time } }) => ({ reason, data, time })), [{ reason: "LATE", data: item(20_000), time: 20_000 }]);
  }
});

test("open windows are the state of their key, and are seen as their user sees them", async () => {
  await using t = await testFlow(windowed(0));
  await t.send("items", item(10_000), item(20_000), item(130_000), item(125_000));
  assert.equal(t.state("inWindows", "a"), [{ window: { start: 120_000, end: 180_000 }, value: 2 }]);
  assert.is(t.state("inWindows", "b"), undefined);
  await t.end();
  assert.is(t.state("inWindows", "a"), undefined);
});

test("advance moves event time as far from the newest event, whatever may be out of order", async () => {
  for (const outOfOrder of [0, "10s", "any"] as const) {
    await using t = await testFlow(windowed(outOfOrder), { start: 1_000_000 });
    await t.send("items", item(10_000), advance("49s"));
    assert.equal(t.output("out"), [], `${outOfOrder}`);
    await t.advance(999);
    assert.equal(t.output("out"), [{ key: "a", start: 0, count: 1 }]);
    // Twice is as good as once: it goes on from where it stands.
    await t.send("items", item(70_000), advance("20s"), advance("29999ms"));
    assert.equal(t.output("out").length, 2);
  }
});

const watch = defineFlow("watch", (flow) => {
  const source = flow.source("items", jsonl.source<Item>("x"));
  const seen = flow.processor("seen", source.keyBy((one) => one.key), stateful({
    initial: () => 0,
    on(count, _, ctx: Emits<string>) {
      ctx.emit(`${count + 1} at ${ctx.now()} of ${ctx.event.time}`);
      ctx.timer("wall", "5m", { clock: "wall" });
      ctx.timer("event", "7m");
      return count + 1;
    },
    onTimer(count, timer, ctx: Emits<string>) {
      ctx.emit(`${timer.name} at ${ctx.now()} of ${timer.time}`);
      return count;
    },
  }));
  return { items: source, seen };
});

test("the clock stands still but for advance, and what falls due happens at its own time", async () => {
  const start = Date.parse("2000-01-01T00:00:00Z"), minute = 60_000;
  await using t = await testFlow(watch);
  await t.send("items", { key: "a" }, { key: "a" });
  assert.equal(t.output("seen"), [`1 at ${start} of ${start}`, `2 at ${start} of ${start}`]);
  await t.advance("10m");
  assert.equal(t.output("seen").slice(2), [`wall at ${start + 5 * minute} of ${start + 5 * minute}`, `event at ${start + 10 * minute} of ${start + 7 * minute}`]);
  // An event without a time of its own has that of its arrival.
  await t.send("items", { key: "b" });
  assert.is(t.events("items").at(-1)?.time, start + 10 * minute);
});

test("before the first event, event time stands at the clock", async () => {
  await using t = await testFlow(windowed("any"), { start: "1970-01-01" });
  await t.send("items", advance("1m"), item(59_000), item(61_000));
  assert.equal(t.deadLetters().map(({ reason }) => reason), ["LATE"]);
  assert.equal(t.state("inWindows", "a"), [{ window: { start: 60_000, end: 120_000 }, value: 1 }]);
});

test("at gives an event its time, whatever its source would say, and an id", async () => {
  await using t = await testFlow(fraud);
  await t.send("payments", at("2024-05-01T00:00:00Z", pay, { id: "p-1" }), at(new Date(5), pay), pay);
  assert.equal(t.events("payments").map(({ time }) => time), [Date.parse("2024-05-01T00:00:00Z"), 5, Date.parse(pay.at)]);
  assert.is(t.events("payments")[0]?.id, "p-1");
});

test("a source that is silent holds event time back until advance, or its end", async () => {
  const flow = defineFlow("two", (builder) => {
    const left = builder.source("left", jsonl.source<Item>("x"), items), right = builder.source("right", jsonl.source<Item>("x"), items);
    const windows = builder.processor("windows", left.merge(right).keyBy((one) => one.key), aggregate({ window: tumbling("1m"), initial: () => 0, add: (count) => count + 1 }));
    return { left, right, windows };
  });
  await using t = await testFlow(flow);
  await t.send("left", item(10_000), item(200_000));
  assert.equal(t.output("windows"), []);
  await t.send("right", item(60_000));
  assert.equal(t.output("windows").map(({ window, value }) => [window.start, value]), [[0, 1]]);
  await t.advance(1);
  assert.equal(t.output("windows").map(({ window, value }) => [window.start, value]), [[0, 1], [60_000, 1]]);
  await t.send("right", end);
  await t.send("left", item(300_000));
  assert.equal(t.output("windows").map(({ window, value }) => [window.start, value]), [[0, 1], [60_000, 1], [180_000, 1]]);
  assert.is((await rejection(t.send("right", item(1)))).code, "SOURCE_ENDED");
  await t.end();
  assert.is(t.output("windows").length, 4);
});

const routes = defineFlow("routes", (flow) => {
  const numbers = flow.source("numbers", jsonl.source<number>("x"));
  const split = flow.processor("split", numbers, branch({ big: (n: number) => n > 10, negative: (n: number) => n < 0 }));
  const doubled = flow.processor("doubled", split.big, { parallelism: 3 }, pipe(filter((n) => n !== 13), map((n) => n * 2)));
  const minute = aggregate({ window: tumbling("1m"), late: true, initial: () => 0, add: (n: number) => n + 1 });
  const minutes = flow.processor("minutes", split.keyBy((n) => n), minute), read = flow.processor("read", split.keyBy((n) => n), minute);
  const late = flow.processor("late", read.late, map((n) => n));
  return { numbers, split, doubled, minutes, read, late };
});

test("what every output gave is seen, read by the flow or not", async () => {
  await using t = await testFlow(routes);
  await t.send("numbers", 1, 20, -3, 13, 4, 11);
  assert.equal(t.output("split"), [1, 4]);
  const big: readonly number[] = t.output("split", "big");
  assert.equal([big, t.output("split", "negative")], [[20, 13, 11], [-3]]);
  assert.equal([...t.output("doubled")].sort(), [22, 40]);
});

test("a late event goes by its output where the flow reads that, and is a dead letter where not", async () => {
  await using t = await testFlow(routes, { start: 0 });
  await t.send("numbers", at(30_000, 5), advance("1m"), at(31_000, 6), end);
  assert.equal(t.output("minutes", "late"), []);
  assert.equal(t.deadLetters("minutes").map(({ reason, event }) => [reason, event.data]), [["LATE", 6]]);
  assert.equal([t.output("read", "late"), t.output("late"), t.deadLetters("read")], [[6], [6], []]);
});

test("keys are told apart by their type", async () => {
  const flow = defineFlow("keys", (builder) => {
    const source = builder.source("items", jsonl.source<{ id: string | number }>("x"));
    const counts = builder.processor("counts", source.keyBy(({ id }) => id), { parallelism: 2 }, aggregate({ initial: () => 0, add: (count) => count + 1 }));
    return { items: source, counts };
  });
  await using t = await testFlow(flow);
  await t.send("items", { id: 1 }, { id: "1" }, { id: 1 });
  assert.equal([t.state("counts", 1), t.state("counts", "1"), t.state("counts", 2)], [2, 1, undefined]);
});

test("data are what a codec makes of them, and the caller's stay as they are", async () => {
  const flow = defineFlow("shapes", (builder) => {
    const source = builder.source("items", jsonl.source<object>("x"));
    return { items: source, same: builder.processor("same", source, map((data) => data)) };
  });
  const data = { when: new Date(5), big: 12n, map: new Map([["a", { list: [1] }]]), set: new Set([1]), bytes: new Uint8Array([1, 2]), gone: undefined, nested: { list: [{ n: 1 }] } };
  await using t = await testFlow(flow);
  const sent = t.send("items", data, data);
  data.nested.list.push({ n: 2 });
  data.when.setTime(6);
  await sent;
  const { gone: _, ...rest } = data;
  const seen = t.output("same").map((one) => ({ ...one, bytes: Uint8Array.from((one as typeof data).bytes) }));
  assert.equal(seen, Array.from({ length: 2 }, () => ({ ...rest, when: new Date(5), nested: { list: [{ n: 1 }] } })));
});

test("stages go by their own names, or as the flow returns them", async () => {
  await using t = await loose(windowed(0));
  await t.send("items", item(10_000), crash("inWindows"), crash("in-windows"));
  await t.crash("in-windows");
  await t.crash("inWindows", "before-handler");
  await t.end();
  assert.equal(t.output("in-windows"), t.output("inWindows"));
  assert.equal(t.output("out"), [{ key: "a", start: 0, count: 1 }]);
});

test("the same seed gives the same interleaving, another one another, and each key its order", async () => {
  const flow = defineFlow("many", (builder) => {
    const source = builder.source("items", jsonl.source<{ key: string; n: number }>("x"));
    const passed = builder.processor("passed", source.keyBy((one) => one.key), { parallelism: 6 }, map((one) => one));
    return { items: source, passed, out: builder.sink("out", passed, jsonl.sink("x")) };
  });
  const run = async (seed?: number) => {
    await using t = await loose(flow, seed === undefined ? {} : { seed });
    await t.send("items", ...Array.from({ length: 60 }, (_, n) => ({ key: `k${n % 12}`, n })));
    return t.output("out") as readonly { key: string; n: number }[];
  };
  const first = await run();
  assert.equal(await run(1), first);
  const texts = new Set<string>();
  for (let seed = 1; seed <= 8; seed++) {
    const out = await run(seed);
    texts.add(JSON.stringify(out));
    assert.is(out.length, 60);
    for (let k = 0; k < 12; k++) assert.equal(out.filter(({ key }) => key === `k${k}`).map(({ n }) => n), [0, 1, 2, 3, 4].map((i) => i * 12 + k));
  }
  assert.ok(texts.size > 4, `${texts.size} interleavings`);
});

test("calls that are not awaited happen one after the other", async () => {
  await using t = await testFlow(fraud);
  const calls = [t.send("payments", pay), t.crash("velocity"), t.send("payments", pay, advance("5m")), t.advance("5m"), t.send("payments", { ...pay, account: "b" }), t.end()];
  await Promise.all(calls);
  assert.equal([t.state("velocity", "a"), t.output("payments").length], [undefined, 3]);
});

test("a mailbox of one frame holds nothing up for good", async () => {
  const flow = defineFlow("narrow", (builder) => {
    const source = builder.source("items", jsonl.source<{ n: number }>("x"));
    const first = builder.processor("first", source, { mailbox: { maxFrames: 1 } }, map((one) => one)), second = builder.processor("second", first, { mailbox: { maxFrames: 1 } }, map((one) => one));
    return { items: source, out: builder.sink("out", second, { mailbox: { maxFrames: 1 } }, jsonl.sink("x")) };
  });
  for (let seed = 1; seed <= 5; seed++) {
    await using t = await testFlow(flow, { seed });
    for (let n = 0; n < 5; n++) await t.send("items", { n: n * 2 }, { n: n * 2 + 1 });
    assert.equal(t.output("out").map(({ n }) => n), Array.from({ length: 10 }, (_, n) => n));
  }
});

test("state is there after a thousand records, snapshots and a crash", async () => {
  const flow = defineFlow("long", (builder) => {
    const source = builder.source("items", jsonl.source<Item>("x"), items);
    const counts = builder.processor("counts", source.keyBy((one) => one.key), stateful({ initial: () => 0, on: (count) => count + 1, onTimer: () => null }));
    return { items: source, counts };
  });
  await using t = await testFlow(flow);
  await t.send("items", ...Array.from({ length: 1_300 }, (_, n) => item(n, `k${n % 5}`)), crash("counts"), item(2_000, "k0"));
  assert.equal([t.state("counts", "k0"), t.state("counts", "k4")], [261, 260]);
});

test("a flow that has ended is still seen", async () => {
  await using t = await testFlow(fraud);
  await t.send("payments", pay, end);
  await t.end();
  await t.crash("velocity");
  await t.advance("1h");
  assert.equal([t.output("payments").length, t.state("velocity", "a"), t.deadLetters()], [1, undefined, []]);
});

test("a flow without events ends", async () => {
  await using t = await testFlow(windowed("any"));
  await t.end();
  assert.equal([t.output("out"), t.output("items"), t.deadLetters()], [[], [], []]);
});

test.run();
