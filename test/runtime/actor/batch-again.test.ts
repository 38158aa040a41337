// A sink's batch put together again (P28): of each channel its part, whatever else the mailbox holds and in whatever order between channels.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { batchAgain } from "../../../runtime/actor/batch-again.ts";
import { encodeFrame, message, RowBuffer } from "../../../runtime/event/frame.ts";
import type { Term } from "../../../runtime/event/term.ts";
import type { Body } from "../../../runtime/journal/record.ts";
import { ManualClock } from "../../../runtime/testing/manual-clock.ts";
import { MemoryBroker } from "../../../runtime/testing/memory-broker.ts";
import { MemoryServer } from "../../../runtime/testing/memory-server.ts";
import { rejection } from "../../support/rejection.ts";
import { within } from "../../support/waiting.ts";

const test = suite("a batch again");
const term: Term = [1, new Uint8Array(8)], other: Term = [2, new Uint8Array(8).fill(7)];
type Cursors = NonNullable<Body["cursors"]>;

/** A frame of sender a or b: `a3` holds events "a3.0", "a3.1". */
function frame(sender: string, seq: number, { its = term, before = seq === 1 ? null : term, events = 2 }: { its?: Term; before?: Term | null; events?: number } = {}): Uint8Array {
  const rows = new RowBuffer();
  for (let k = 0; k < events; k++) rows.add(k, 0, null, null, `${sender}${seq}.${k}`);
  return message(new Uint8Array(8), encodeFrame({ from: `f/${sender}/0`, generation: "g-1", term: its, before, seq, n: seq, edge: 0, watermark: null, note: null, shapes: rows.shapes, types: rows.types, rows: rows.rows }));
}

const cursor = (sender: string, seq: number, done = 0): Cursors[number] => [0, `f/${sender}/0`, "g-1", seq, seq === 0 ? null : term, done, done === 0 ? null : term, []];
const frames = (...names: readonly string[]): readonly Uint8Array[] => names.map((name) => frame(name[0] as string, Number(name.slice(1))));

class Mailbox {
  readonly clock = new ManualClock();
  readonly server = new MemoryServer();
  readonly stream = new MemoryBroker(this.server).stream("in", "mr.in");
  readonly abort = new AbortController();

  constructor(messages: readonly Uint8Array[]) {
    this.server.create({ name: "in", subject: "mr.in", replicas: 1 });
    this.add(messages);
  }

  add(messages: readonly Uint8Array[]): void {
    for (const data of messages) this.server.streams.get("in")?.append("mr.in", data, undefined);
  }

  again(from: Cursors, to: Cursors, after = 0): Promise<readonly unknown[] | undefined> {
    const batch = batchAgain({ where: "f/out/0", mailbox: this.stream, after, from, to, clock: this.clock }, this.abort.signal);
    return within(5_000, "the batch", batch.then((events) => events?.map(({ data }) => data)));
  }
}

for (const [guarantee, its, from, to, expected] of [
  ["whole frames of two senders, in the order of the mailbox", frames("a1", "b1", "a2", "b2"), [cursor("a", 0), cursor("b", 0)], [cursor("a", 2), cursor("b", 1)], "a1 b1 a2"],
  ["what comes before the batch and after it is left out", frames("a1", "a2", "a3", "a4"), [cursor("a", 1)], [cursor("a", 3)], "a2 a3"],
  ["another order between the senders: each one's part all the same", frames("b1", "b2", "b3", "a1", "a2"), [cursor("a", 0), cursor("b", 0)], [cursor("a", 1), cursor("b", 2)], "b1 b2 a1"],
  ["frames that are there twice, and early ones, count once and in order", frames("a1", "a3", "a1", "a2", "a2", "a3"), [cursor("a", 0)], [cursor("a", 3)], "a1 a2 a3"],
  ["a message that is no frame is passed over", [Buffer.from("no frame"), ...frames("a1")], [cursor("a", 0)], [cursor("a", 1)], "a1"],
] as const) {
  test(guarantee, async () => {
    const events = expected.split(" ").flatMap((name) => [`${name}.0`, `${name}.1`]);
    assert.equal(await new Mailbox(its).again([...from], [...to]), events);
  });
}

test("a batch that begins and ends inside of frames takes the events between", async () => {
  const its = new Mailbox([frame("a", 1, { events: 4 }), frame("a", 2, { events: 4 })]);
  assert.equal(await its.again([cursor("a", 0, 2)], [cursor("a", 1, 3)]), ["a1.2", "a1.3", "a2.0", "a2.1", "a2.2"]);
  assert.equal(await its.again([cursor("a", 0, 1)], [cursor("a", 0, 3)]), ["a1.1", "a1.2"]);
});

test("a batch without events needs nothing of the mailbox", async () => {
  assert.equal(await new Mailbox([]).again([cursor("a", 3)], [cursor("a", 3)]), []);
});

test("what is yet to be sent again is waited for", async () => {
  const its = new Mailbox(frames("a1")), batch = its.again([cursor("a", 0)], [cursor("a", 2)]);
  its.add(frames("b1", "a2"));
  assert.equal(await batch, ["a1.0", "a1.1", "a2.0", "a2.1"]);
});

test("what was trimmed away is waited for, as long as a repair may take; then the server went back", async () => {
  const its = new Mailbox(frames("a1", "a2"));
  its.server.streams.get("in")?.purge(2);
  const late = its.again([cursor("a", 0)], [cursor("a", 2)]), never = rejection(its.again([cursor("a", 0)], [cursor("a", 3)]));
  await its.clock.elapse(20_000);
  its.add(frames("a1", "a2"));
  assert.equal(await late, ["a1.0", "a1.1", "a2.0", "a2.1"]);
  await its.clock.elapse(10_000);
  assert.is((await never).code, "BROKER_WENT_BACK");
  assert.is(its.clock.pending, 0);
});

test("the end of the actor ends the waiting", async () => {
  const its = new Mailbox(frames("a1")), batch = its.again([cursor("a", 0)], [cursor("a", 2)]);
  its.abort.abort();
  assert.is(await batch, undefined);
});

for (const [guarantee, its, to] of [
  ["the last frame is of another term", [frame("a", 1, { its: other })], cursor("a", 1)],
  ["a frame does not follow the one before it", [frame("a", 1), frame("a", 2, { before: other })], cursor("a", 2)],
  ["the frame that was begun is of another term", [frame("a", 1), frame("a", 2, { its: other })], cursor("a", 1, 1)],
] as const) {
  test(`written anew after a loss, ${guarantee}: HISTORY_FORKED (P17)`, async () => {
    assert.is((await rejection(new Mailbox(its).again([cursor("a", 0)], [to]))).code, "HISTORY_FORKED");
  });
}

test.run();
