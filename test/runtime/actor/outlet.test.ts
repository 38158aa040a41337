import { suite } from "uvu";
import * as assert from "uvu/assert";
import { MailboxDelivery } from "../../../runtime/actor/delivery.ts";
import { Outlet, outletId } from "../../../runtime/actor/outlet.ts";
import { systemRandom } from "../../../runtime/event/clock.ts";
import { decodeFrame, type Frame, maxFrameEvents, type Note, rowData } from "../../../runtime/event/frame.ts";
import type { Term } from "../../../runtime/event/term.ts";
import { ManualClock } from "../../../runtime/testing/manual-clock.ts";
import { Chance, seed } from "../../actors/seeded.ts";
import { ScriptedStream } from "../../support/scripted-stream.ts";

const test = suite("outlet");
const term = (counter: number): Term => [counter, new Uint8Array(8)];

class Sending {
  readonly outlet = new Outlet(["b", "g-1", 2, 0], new MailboxDelivery(new ScriptedStream(), { clock: new ManualClock(), random: systemRandom, onChange: () => {} }), true);
  readonly tooLarge: unknown[] = [];
  n = 0;
  k = 0;

  add(data: unknown, { edge = 0, time = 0, key = null as string | null, id = null as string | null, type = null as string | null } = {}): this {
    this.outlet.add(edge, this.k++, time, key, data, id, type);
    return this;
  }

  /** Closes the turn; its frames. */
  close({ watermark = -Infinity, note = null as Note | null, limit = 1_000_000, counter = 1 } = {}): readonly Frame[] {
    const closed = this.outlet.close({ from: "f/a/0", generation: "g-1", term: term(counter), n: ++this.n }, watermark, note, limit, (row, shapes) => { this.tooLarge.push(rowData(row, shapes)); });
    for (const { bytes } of closed) assert.ok(bytes.length <= limit, `${bytes.length} bytes`);
    const frames = closed.map(({ bytes }) => decodeFrame(bytes));
    assert.equal(frames.map(({ seq }) => seq), closed.map(({ seq }) => seq));
    this.k = 0;
    return frames;
  }
}

const dataOf = (frames: readonly Frame[]): readonly unknown[] => frames.flatMap(({ rows, shapes }) => rows.map((row) => rowData(row, shapes)));

test("a turn's events are one frame: who sent it, under which term, in which record, with which number", () => {
  const sending = new Sending().add({ a: 1 }, { time: 5, key: "k" }).add({ a: 2 }, { id: "own", type: "f.special" }), [frame, ...others] = sending.close();
  assert.is(others.length, 0);
  assert.equal([frame?.from, frame?.generation, frame?.term[0], frame?.before, frame?.seq, frame?.n, frame?.edge], ["f/a/0", "g-1", 1, null, 1, 1, 0]);
  assert.equal(frame?.rows.map((row) => row.slice(0, 4)), [[0, 5, "k", null], [1, 0, null, ["own", 0, null]]]);
  assert.equal(frame?.types, ["f.special"]);
});

test("numbers count 1, 2, 3 without holes over all turns, and each frame names the term of the one before it", () => {
  const sending = new Sending(), frames = [1, 1, 2, 5].flatMap((counter) => sending.add({ counter }).close({ counter }));
  assert.equal(frames.map(({ seq }) => seq), [1, 2, 3, 4]);
  assert.equal(frames.map(({ before }) => before?.[0] ?? null), [null, 1, 1, 2]);
  assert.equal([sending.outlet.seq, sending.outlet.term?.[0]], [4, 5]);
});

test("a turn without events, watermark or note sends nothing, and takes no number", () => {
  const sending = new Sending();
  assert.equal(sending.close(), []);
  assert.is(sending.add({}).close()[0]?.seq, 1);
});

test("a watermark that rose goes alone where there are no events; the same one does not go again", () => {
  const sending = new Sending(), [frame] = sending.close({ watermark: 10 });
  assert.equal([frame?.watermark, frame?.rows.length, frame?.seq], [10, 0, 1]);
  assert.equal(sending.close({ watermark: 10 }), []);
  assert.is(sending.outlet.watermark, 10);
});

test("an end goes alone, too, with the end of time", () => {
  const [frame] = new Sending().close({ watermark: Infinity, note: ["end"] });
  assert.equal([frame?.note, frame?.watermark, frame?.rows.length], [["end"], Infinity, 0]);
});

test("of a turn's frames only the last carries the new watermark and the note", () => {
  const sending = new Sending().add({ a: 1 });
  sending.close({ watermark: 5 });
  for (const edge of [0, 1, 0]) sending.add({ edge }, { edge });
  const frames = sending.close({ watermark: 9, note: ["end"] });
  assert.equal(frames.map(({ edge, watermark, note }) => [edge, watermark, note]), [[0, 5, null], [1, 5, null], [0, 9, ["end"]]]);
});

test("events of several edges keep their order: a frame for each run of one edge", () => {
  const sending = new Sending();
  [0, 0, 1, 1, 0].forEach((edge, i) => { sending.add({ i }, { edge }); });
  const frames = sending.close();
  assert.equal(frames.map(({ edge, rows }) => [edge, rows.length]), [[0, 2], [1, 2], [0, 1]]);
  assert.equal(dataOf(frames), [0, 1, 2, 3, 4].map((i) => ({ i })));
});

test("what an event that failed had sent is taken back, over all its frames; no empty frame is left", () => {
  const sending = new Sending();
  for (const [i, edge] of [[0, 0], [1, 0], [2, 1], [3, 0]] as const) sending.add({ i }, { edge });
  sending.outlet.undo(1);
  assert.equal(dataOf(sending.close()), [{ i: 0 }]);
  sending.add({ i: 9 });
  sending.outlet.undo(0);
  assert.equal(sending.close(), []);
  assert.is(sending.outlet.seq, 1);
});

test("a frame holds at most 8,192 events", () => {
  const sending = new Sending();
  let frames: readonly Frame[] = [];
  // Until it knows how small they are.
  for (let turn = 0; turn < 20; turn++) {
    for (let i = 0; i < maxFrameEvents + 5; i++) sending.add(i);
    frames = sending.close();
  }
  assert.equal(frames.map(({ rows }) => rows.length), [maxFrameEvents, 5]);
});

test("frames aim at 256 KiB, whatever the size of the events, once that is known", () => {
  const sending = new Sending();
  for (const size of [20, 2_000, 20_000]) {
    for (let turn = 0; turn < 12; turn++) {
      for (let i = 0; i * size < 700_000; i++) sending.add({ text: "x".repeat(size) });
      const frames = sending.close();
      if (turn < 9) continue;
      const sizes = frames.slice(0, -1).map(({ rows }) => rows.length * (size + 10));
      for (const bytes of sizes) assert.ok(bytes > 100_000 && bytes < 600_000, `events of ${size}: a frame of about ${bytes} bytes`);
    }
  }
});

test("a frame above what a message may hold is split, its events keep their order and numbers have no holes", () => {
  const sending = new Sending();
  for (let i = 0; i < 100; i++) sending.add({ i, text: "x".repeat(i === 50 ? 3_000 : 100) });
  const frames = sending.close({ watermark: 7, note: ["end"], limit: 4_000 });
  assert.ok(frames.length > 3);
  assert.equal(dataOf(frames).map((data) => (data as { i: number }).i), Array.from({ length: 100 }, (_, i) => i));
  assert.equal(frames.map(({ seq }) => seq), frames.map((_, i) => i + 1));
  assert.equal(frames.map(({ watermark, note }) => [watermark, note]), frames.map((_, i) => (i === frames.length - 1 ? [7, ["end"]] : [null, null])));
});

for (const [where, all] of [["alone", ["LARGE"]], ["first", ["LARGE", "a", "b"]], ["in the middle", ["a", "LARGE", "b"]], ["last", ["a", "b", "LARGE"]]] as const) {
  for (const note of [null, ["end"] as const]) {
    test(`an event that no message can hold, ${where}, is handed out; the others go, with the watermark${note === null ? "" : " and the end"}`, () => {
      const sending = new Sending();
      for (const name of all) sending.add({ name: name === "LARGE" ? "L".repeat(5_000) : name });
      const frames = sending.close({ watermark: 7, note, limit: 4_000 });
      assert.equal(sending.tooLarge, [{ name: "L".repeat(5_000) }]);
      assert.equal(dataOf(frames), all.filter((name) => name !== "LARGE").map((name) => ({ name })));
      assert.equal([frames.at(-1)?.watermark, frames.at(-1)?.note], [7, note]);
      assert.equal(frames.map(({ seq }) => seq), frames.map((_, i) => i + 1));
      assert.equal(sending.close({ watermark: 7 }), [], "all know the watermark that it says it has sent");
    });
  }
}

test(`whatever is sent and taken back: each event once, in order, each frame within the limit (SEED=${seed})`, () => {
  for (let run = 0; run < 200; run++) {
    const chance = new Chance(seed + run), sending = new Sending(), expected: unknown[] = [], frames: Frame[] = [], large: unknown[] = [];
    let watermark = -Infinity;
    for (let turn = 0; turn < 6; turn++) {
      for (let event = chance.below(8); event > 0; event--) {
        const k = sending.k, given: unknown[] = [];
        for (let i = chance.below(4); i > 0; i--) {
          const data = { turn, event, i, text: "x".repeat(chance.of([0, 10, 500, 3_000])) };
          sending.add(data, { edge: chance.below(2) });
          given.push(data);
        }
        if (chance.below(4) === 0) { sending.outlet.undo(k); sending.k = k; continue; }
        for (const data of given) ((data as { text: string }).text.length === 3_000 ? large : expected).push(data);
      }
      if (chance.below(2) === 0) watermark = Math.max(watermark, turn * 10);
      frames.push(...sending.close({ watermark, limit: 2_000, counter: 1 + (turn >> 1) }));
      assert.ok((frames.at(-1)?.watermark ?? -Infinity) === sending.outlet.watermark || frames.length === 0, `run ${run}`);
    }
    assert.equal(dataOf(frames), expected, `run ${run}`);
    assert.equal(sending.tooLarge, large, `run ${run}`);
    frames.forEach((frame, i) => {
      assert.is(frame.seq, i + 1);
      assert.is(frame.before?.[0] ?? null, i === 0 ? null : (frames[i - 1] as Frame).term[0]);
      assert.ok(i === 0 || (frame.watermark ?? -Infinity) >= ((frames[i - 1] as Frame).watermark ?? -Infinity));
    });
  }
});

test("an outlet is known by its target", () => {
  assert.is(outletId(["b", "g-1", 2, 0]), "b/g-1/2/0");
  assert.is(outletId("mr.dead.f.a.g-1.0"), "mr.dead.f.a.g-1.0");
  assert.is(new Sending().outlet.id, "b/g-1/2/0");
});

test.run();
