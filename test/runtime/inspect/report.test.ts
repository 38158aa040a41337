// What a node says about itself, asked over the broker.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { collect, generate, map } from "../../../actors/index.ts";
import { defineFlow, type Flow, TerminalError } from "../../../runtime/index.ts";
import { notWriting } from "../../../runtime/broker/failures.ts";
import { askAll, askTree } from "../../../runtime/inspect/inquiry.ts";
import { decodeMessage, encodeFrame, message } from "../../../runtime/event/frame.ts";
import { allLetters, letterOf, newestLetters } from "../../../runtime/inspect/dead-letters.ts";
import { flowsOn } from "../../../runtime/inspect/flow-health.ts";
import { gate } from "../../support/gate.ts";
import { rejection } from "../../support/rejection.ts";
import { TwinWorld } from "../../support/twin-node.ts";
import { eventually, within } from "../../support/waiting.ts";

const test = suite("report");

interface Item { readonly n: number }
const numbers = (count: number) => generate<Item>({ count, batch: 10, make: (n) => ({ n }) });

const plain = (parallelism: number, handle: (item: Item) => Item = (item) => item): Flow => defineFlow("plain", (flow) => {
  const each = flow.processor("each", flow.source("feed", numbers(100)).keyBy(({ n }) => n), { parallelism, supervision: { backoff: { min: 1, max: 2 } } }, map(handle));
  flow.sink("out", each, collect<Item>([]));
});

test("the tree comes from the top down, each line with its depth, actors with figures", async () => {
  await using world = await TwinWorld.make();
  await using it = await world.start([plain(2)], { name: "n1" });
  await within(10_000, "the end", it.node.done);
  const report = await askTree(it.broker, "n1");
  assert.equal(report.lines.map(({ depth, id, kind, state }) => [depth, id, kind, state]), [
    [0, "n1", "root", "running.active"], [1, "plain", "flow", "ended"],
    [2, "plain/feed", "stage", "ended"], [3, "plain/feed/0", "actor", "ended"],
    [2, "plain/each", "stage", "ended"], [3, "plain/each/0", "actor", "ended"], [3, "plain/each/1", "actor", "ended"],
    [2, "plain/out", "stage", "ended"], [3, "plain/out/0", "actor", "ended"],
  ]);
  const out = report.lines.at(-1)?.figures;
  assert.equal([out?.in, out?.out, out?.lag], [100, 100, 0]);
  assert.ok((out?.journal ?? 0) > 0);
  assert.is(report.lines[3]?.figures?.lag, null, "a source has no mailbox");
  assert.equal(report.flows.map(({ name, state }) => [name, state]), [["plain", "finished"]]);
  assert.equal([report.nats.embedded, report.pid], [true, process.pid]);
});

test("restarts and the last failure are in it", async () => {
  await using world = await TwinWorld.make();
  let failures = 0;
  await using it = await world.start([plain(1, (item) => { if (item.n === 50 && failures++ === 0) throw new Error("stumbled"); return item; })], { name: "n1" });
  await within(10_000, "the end", it.node.done);
  const line = (await askTree(it.broker, "n1")).lines.find(({ id }) => id === "plain/each/0");
  assert.is(line?.restarts, 1);
  assert.match(line?.lastFailure?.message ?? "", /Error: stumbled/);
  assert.match(line?.lastFailure?.decision ?? "", /restart in/);
});

test("what waits in a mailbox is counted, and who is held up by a full one says by whom", async () => {
  await using world = await TwinWorld.make();
  const opened = gate();
  await using it = await world.start([defineFlow("slow", (flow) => {
    const each = flow.processor("each", flow.source("feed", generate<Item>({ count: 500, batch: 1, make: (n) => ({ n }) })), map((item) => item));
    const slow = flow.processor("slow", each, { mailbox: { maxFrames: 4 } }, map(async (item: Item) => { await opened.opened; return item; }));
    flow.sink("out", slow, collect<Item>([]));
  })], { name: "n1" });
  try {
    const figures = async (id: string) => (await askTree(it.broker, "n1")).lines.find((line) => line.id === id)?.figures;
    await eventually("the mailbox is full", async () => (await figures("slow/each/0"))?.heldUpBy[0] === "slow/0");
    await eventually("frames wait", async () => ((await figures("slow/slow/0"))?.lag ?? 0) === 5);
  } finally {
    opened.open();
  }
  await within(10_000, "the end", it.node.done);
});

test("a tree of a thousand actors comes in pages of bounded size", async () => {
  await using world = await TwinWorld.make();
  await using it = await world.start([plain(600)], { name: "n1" });
  const whole = await askTree(it.broker, "n1");
  assert.is(whole.lines.length, 1 + 1 + 3 + 602);
  assert.is(new Set(whole.lines.map(({ id }) => id)).size, whole.lines.length);
  const { lines, next } = JSON.parse(Buffer.from(await it.broker.request("mr.inspect.n1", Buffer.from('{"what":"tree"}'), 5_000)).toString()).answer as { lines: unknown[]; next: number };
  assert.equal([lines.length, next], [500, 500]);
});

test("a page that is none begins at the top; one beyond the end is empty", async () => {
  await using world = await TwinWorld.make();
  await using it = await world.start([], { name: "n1" });
  const page = async (from: unknown) => (JSON.parse(Buffer.from(await it.broker.request("mr.inspect.n1", Buffer.from(JSON.stringify({ what: "tree", from })), 5_000)).toString()).answer as { lines: unknown[] }).lines.length;
  assert.equal([await page("x"), await page(-1), await page(1.5), await page(99)], [1, 1, 1, 0]);
});

test("what the server fails at though it answers is in the report, with what to do: another thing for a server of one's own", async () => {
  await using world = await TwinWorld.make();
  await using it = await world.start([], { name: "n1" });
  assert.is((await askTree(it.broker, "n1")).nats.fault, undefined);
  Object.defineProperty(it.broker, "fault", { value: notWriting(["mr_x", "mr_y"]) });
  const { fault } = (await askTree(it.broker, "n1")).nats;
  assert.equal([fault?.code, fault?.message], ["NATS_NOT_WRITING", "nats-server answers, and writes nothing more to mr_x and 1 others"]);
  assert.match(fault?.remedy as string, /Make room .* restarts its server by itself/);
});

test("all nodes are asked, and one that was killed is named as silent", async () => {
  await using world = await TwinWorld.make();
  await using killed = await world.start([], { name: "n1" });
  await using alive = await world.start([], { name: "n2" });
  await killed.kill();
  const asked = await askAll(alive.broker);
  assert.equal(asked.map(({ node, report, failure }) => [node, report !== undefined, failure !== undefined]), [["n1", false, true], ["n2", true, false]]);
});

test("dead letters: the newest, oldest first, each whole under its number", async () => {
  await using world = await TwinWorld.make();
  await using it = await world.start([plain(1, (item) => { if (item.n >= 90) throw new TerminalError(`not ${item.n}`); return item; })], { name: "n1" });
  await within(10_000, "the end", it.node.done);
  const letters = await newestLetters(it.broker, "plain", 4);
  assert.equal(letters.map(({ code, message, actor, event: { data } }) => [code, message, actor, data]), [96, 97, 98, 99].map((n) => ["TERMINAL", `not ${n}`, "plain/each/0", { n }]));
  const [first] = letters;
  assert.equal(await letterOf(it.broker, "plain", first?.number ?? ""), first);
  assert.is((await newestLetters(it.broker, "plain", 100, { stage: "each" })).length, 10);
  assert.equal(await newestLetters(it.broker, "plain", 100, { stage: "out" }), []);
  for (const number of ["0.0", "999.0", "1.99", "x", `${"9".repeat(30)}.0`]) assert.is((await rejection(letterOf(it.broker, "plain", number))).code, "NOT_FOUND");
  assert.is((await rejection(newestLetters(it.broker, "never", 1))).code, "NO_LETTERS");
  for (const name of ["..", "plain.x", "*", ">", "a\0b", "", "ü", "x".repeat(1_024)]) {
    assert.is((await rejection(newestLetters(it.broker, name, 1))).code, "NAME_INVALID");
    assert.is((await rejection(newestLetters(it.broker, "plain", 1, { stage: name }))).code, "NAME_INVALID");
  }
});

test("dead letters: what cannot be read hides no other, and is named with the reason", async () => {
  await using world = await TwinWorld.make();
  await using it = await world.start([plain(1, (item) => { if (item.n === 99) throw new TerminalError("not 99"); return item; })], { name: "n1" });
  await within(10_000, "the end", it.node.done);
  const stream = world.server.streams.get("mr_dead_plain"), whole = decodeMessage(stream?.at(stream.bounds().last)?.data as Uint8Array);
  const foreign = (frame: Uint8Array) => stream?.append("mr.dead.plain.each.g-1.0", message(new Uint8Array(8), frame), undefined);
  const newer = Buffer.from(encodeFrame(whole));
  newer[1] = 2;
  foreign(Buffer.from("hello"));
  foreign(newer);
  foreign(encodeFrame({ ...whole, shapes: [], rows: [[0, 0, null, null, -1, 5]] }));
  const told = (await newestLetters(it.broker, "plain", 10)).map(({ code, event: { data } }) => [code, data]), all: unknown[] = [];
  assert.equal(told, [["TERMINAL", { n: 99 }], ["BYTES_REFUSED", null], ["FRAME_NEWER", null], ["BYTES_REFUSED", null]]);
  for await (const { code, event: { data } } of allLetters(it.broker, "plain")) all.push([code, data]);
  assert.equal(all, told);
});

test("dead letters: a frame that stands there twice is told once, under the number that it had first (P29)", async () => {
  await using world = await TwinWorld.make();
  await using it = await world.start([plain(1, (item) => { if (item.n >= 98) throw new TerminalError(`not ${item.n}`); return item; })], { name: "n1" });
  await within(10_000, "the end", it.node.done);
  const before = await newestLetters(it.broker, "plain", 10), stream = world.server.streams.get("mr_dead_plain"), { first, last } = stream?.bounds() as { first: number; last: number };
  assert.equal(before.map(({ event: { data } }) => data), [{ n: 98 }, { n: 99 }]);
  // Farther away than a page of what is read at a time, and near.
  for (let copy = 0; copy < 80; copy++) for (let at = first; at <= last; at++) stream?.append("mr.dead.plain.each.g-1.0", stream.at(at)?.data as Uint8Array, undefined);
  assert.equal(await newestLetters(it.broker, "plain", 10), before);
  assert.equal((await newestLetters(it.broker, "plain", 1)).map(({ event: { data } }) => data), [{ n: 99 }]);
  const all: unknown[] = [];
  for await (const letter of allLetters(it.broker, "plain")) all.push(letter);
  assert.equal(all, before);
});

test("what a server holds of each flow: its run, and logs that are gone", async () => {
  await using world = await TwinWorld.make();
  await using it = await world.start([plain(2)], { name: "n1" });
  await within(10_000, "the end", it.node.done);
  const [healthy] = await flowsOn(it.broker);
  assert.equal([healthy?.flow, healthy?.run?.state, healthy?.streams, healthy?.missing], ["plain", "finished", 7, []]);
  const token = healthy?.run?.token as string;
  world.server.remove(`mr_actor_plain_each_${token}-1_1_log`);
  const [ill] = await flowsOn(it.broker);
  assert.equal(ill?.missing, [`mr_actor_plain_each_${token}-1_1_log`]);
});

test.run();
