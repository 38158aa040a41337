import { suite } from "uvu";
import * as assert from "uvu/assert";
import { map } from "../../../actors/index.ts";
import { encode } from "../../../runtime/event/codec.ts";
import { message } from "../../../runtime/event/frame.ts";
import type { Term } from "../../../runtime/event/term.ts";
import { ActorBench } from "../../support/actor-bench.ts";

const test = suite("intake");
const bench = (): ActorBench => new ActorBench(map((data: unknown) => data));
const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => ({ data: from + i }));
const position = (of: ActorBench) => of.actor.memory.inbound.positions[0];

test("events come in the order of the channel's numbers, each once: repeats and early frames are passed over (P16)", async () => {
  const its = bench();
  await its.start();
  const frames: Uint8Array[] = [];
  for (let i = 1; i <= 4; i++) { frames.push(its.frame(numbers(i, i), { before: i === 1 ? null : its.term })); its.seq++; }
  const [one, two, three, four] = frames as [Uint8Array, Uint8Array, Uint8Array, Uint8Array];
  for (const frame of [one, three, one, four, two, one, four, three, two, four, four]) its.put(frame);
  await its.until("all are there", () => its.data().length === 4);
  await its.clock.elapse(2_000);
  assert.equal(its.data(), [1, 2, 3, 4]);
  assert.is(position(its)?.at, 11, "what is dropped is read, too");
});

for (const [name, rubbish] of [
  ["bytes of nobody", Buffer.from("hello")], ["an empty message", Buffer.alloc(0)], ["a round and nothing after it", message(new Uint8Array(8), new Uint8Array(1)).subarray(0, 10)], ["a round and a value that is no frame", message(new Uint8Array(8), encode({ a: 1 }))],
  ["a list with a version and nothing else", message(new Uint8Array(8), encode([1]))], ["nested lists without end", message(new Uint8Array(8), Buffer.alloc(100_000, 0x91))], ["a record definition", message(new Uint8Array(8), Buffer.from([0xd4, 0x72, 0x40, 0x91, 0xa1, 0x61, 1]))],
] as const) {
  test(`${name} in the mailbox: refused with its reason, work goes on, also after a restart`, async () => {
    const its = bench();
    await its.start();
    its.put(rubbish);
    its.send(numbers(1, 1));
    its.put(rubbish);
    await its.until("the event is there, and what came after it is read", () => its.data().length === 1 && position(its)?.at === 3);
    assert.is(its.warnings.filter(([text]) => /refused/.test(text)).length, 2);
    await its.clock.elapse(1_000);
    its.kill();
    await its.restart();
    its.send(numbers(2, 2));
    await its.until("the next one is there", () => its.data().length === 2);
    assert.equal(its.data(), [1, 2]);
  });
}

test("frames of a sender that is not declared are passed over", async () => {
  const its = bench();
  await its.start();
  its.put(its.frame(numbers(7, 7), { from: "f/stranger/0" }));
  its.send(numbers(1, 1));
  await its.until("the event is there", () => its.data().length === 1);
  assert.equal(its.data(), [1]);
});

test("a frame of a newer version parks the actor, and nothing of it is consumed", async () => {
  const its = bench();
  await its.start();
  its.send(numbers(1, 1));
  its.put(message(new Uint8Array(8), encode([2, "something new"])));
  its.send(numbers(2, 2));
  const exit = await its.ended();
  assert.equal([exit.class, (exit.error as { code?: string }).code], ["parked", "FRAME_NEWER"]);
  await its.start();
  assert.ok((position(its)?.at ?? 0) < 2);
  assert.is((await its.ended()).class, "parked");
});

for (const [name, fork] of [
  ["the next frame does not follow the one that was read", (its: ActorBench) => its.frame(numbers(9, 9), { before: [7, new Uint8Array(8)] as Term })],
  ["a frame that was read comes again with another term", (its: ActorBench) => { its.term = [7, new Uint8Array(8)]; return its.frame(numbers(9, 9), { seq: 1, before: null }); }],
] as const) {
  test(`${name}: the actor parks with HISTORY_FORKED, and does so again (P17)`, async () => {
    const its = bench();
    await its.start();
    its.send(numbers(1, 1));
    await its.until("it is there", () => its.data().length === 1);
    its.put(fork(its));
    for (let i = 0; i < 2; i++) {
      const exit = await its.ended();
      assert.equal([exit.class, (exit.error as { code?: string }).code], ["parked", "HISTORY_FORKED"]);
      await its.start();
    }
    assert.equal(its.data(), [1]);
  });
}

test("a frame of which some events are done is gone on with after them, by the next owner", async () => {
  let fails = true;
  const its = new ActorBench(map((data: number) => { if (data === 6 && fails) throw new Error("boom"); return data; }));
  await its.start();
  its.send(numbers(1, 10));
  const exit = await its.ended();
  assert.is(exit.class, "crash");
  const [cursor] = its.log().at(-1)?.body.cursors ?? [];
  assert.equal([cursor?.[3], cursor?.[5]], [0, 5], "no frame is accepted, five events of the next one are done");
  fails = false;
  await its.start();
  await its.until("all are there", () => its.data().length === 10);
  assert.equal(its.data(), numbers(1, 10).map(({ data }) => data));
});

test("the mailbox is trimmed up to what is committed, and the actor recovers behind that (P19, I6)", async () => {
  const its = new ActorBench(map((data: number) => data), { mailbox: { maxFrames: 40 } });
  await its.start();
  for (let i = 1; i <= 60; i++) { its.send(numbers(i, i)); await its.clock.elapse(20); }
  await its.until("all are there", () => its.data().length === 60);
  await its.clock.elapse(6_000);
  const { first } = its.server.streams.get("mr_actor_f_work_g-1_0_in_0")?.bounds() ?? { first: 0 };
  assert.is(first, 60, "the anchor stays");
  its.kill();
  await its.restart();
  its.send(numbers(61, 61));
  await its.until("the next one is there", () => its.data().length === 61);
});

test("who starts although the end is committed reads what came since: what senders wrote anew after a loss is seen (P17)", async () => {
  const its = bench();
  await its.start();
  its.send(numbers(1, 1));
  its.end();
  assert.is((await its.ended()).class, "normal");
  its.put(Buffer.from("hello"));
  await its.start();
  assert.is((await its.ended()).class, "normal");
  assert.is(position(its)?.at, 3, "what came meanwhile is read");
  its.term = [7, new Uint8Array(8)];
  its.put(its.frame(numbers(9, 9), { seq: 1, before: null }));
  await its.start();
  const exit = await its.ended();
  assert.equal([exit.class, (exit.error as { code?: string }).code], ["parked", "HISTORY_FORKED"]);
  assert.equal(its.data(), [1]);
});

test("a frame's watermark counts after its last event, and is passed on", async () => {
  const its = bench();
  await its.start();
  its.send([{ data: 1, time: 5 }, { data: 2, time: 6 }], { watermark: 5 });
  await its.until("it is passed on", () => its.watermark() === 5);
  its.end();
  assert.is((await its.ended()).class, "normal");
  assert.equal([its.watermark(), its.frames().at(-1)?.note], [Infinity, ["end"]]);
});

test.run();
