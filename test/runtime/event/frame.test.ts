import { suite } from "uvu";
import * as assert from "uvu/assert";
import { decode, encode } from "../../../runtime/event/codec.ts";
import { MillraceError } from "../../../runtime/event/errors.ts";
import { decodeFrame, decodeMessage, encodeFrame, type Frame, maxFrameEvents, message, RowBuffer, roundOf, rowData } from "../../../runtime/event/frame.ts";
import type { Term } from "../../../runtime/event/term.ts";
import { Chance, seed } from "../../actors/seeded.ts";
import { mutated, randomBytes } from "../../support/mutation.ts";
import { randomData, randomObject, told } from "../../support/plain-data.ts";

const test = suite("frame");
const term: Term = [3, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8)], before: Term = [2, new Uint8Array(8)], round = Uint8Array.of(8, 7, 6, 5, 4, 3, 2, 1);
const frame = (more: Partial<Frame> = {}): Frame => ({
  from: "quakes/felt/0", generation: "k3v9x2ab-1", term, before, seq: 7, n: 9, edge: 0, watermark: null, note: null, shapes: [], types: [], rows: [], ...more,
});
const holding = (buffer: RowBuffer): Frame => frame({ shapes: buffer.shapes, types: buffer.types, rows: buffer.rows });
const code = (call: () => unknown): string => {
  try {
    call();
    return "";
  } catch (thrown) {
    if (thrown instanceof MillraceError) return thrown.code;
    throw new Error(`threw something else: ${thrown}`, { cause: thrown });
  }
};

// ── what is on the wire

test("the fields stand where PROTOCOL 3 says", () => {
  const rows = new RowBuffer();
  rows.add(0, 1_000, "alaska", null, { region: "alaska", mag: 4.5 });
  rows.add(1, 1_001, null, ["id-1", rows.type("quakes.alert"), null], [1, 2]);
  const fields = decode(encodeFrame({ ...holding(rows), edge: 2, watermark: 999, note: ["end"] })) as unknown[];
  assert.is(fields.length, 13);
  assert.is(fields[0], 1, "version");
  assert.is(fields[1], "quakes/felt/0", "from");
  assert.is(fields[2], "k3v9x2ab-1", "generation");
  assert.is(told(fields[3]), told(term), "term of the record that holds it: counter and mark");
  assert.is(told(fields[4]), told(before), "term of the frame before it");
  assert.is(fields[5], 7, "number on the channel");
  assert.is(fields[6], 9, "number of the record");
  assert.is(fields[7], 2, "edge");
  assert.is(fields[8], 999, "watermark");
  assert.equal(fields[9], ["end"], "note");
  assert.equal(fields[10], [["region", "mag"]], "shapes");
  assert.equal(fields[11], ["quakes.alert"], "types");
  assert.equal(fields[12], [[0, 1_000, "alaska", null, 0, "alaska", 4.5], [1, 1_001, null, ["id-1", 0, null], -1, [1, 2]]], "events: k, time, key, extra, shape, values");
});

test("no watermark is nil, the end of time is the float +∞", () => {
  const bytes = (watermark: number | null) => Buffer.from(encodeFrame(frame({ watermark, before: null })));
  assert.is((decode(bytes(null)) as unknown[])[8], null);
  assert.is((decode(bytes(Infinity)) as unknown[])[8], Infinity);
  assert.ok(bytes(Infinity).includes(Buffer.from("7f800000", "hex")) || bytes(Infinity).includes(Buffer.from("7ff0000000000000", "hex")));
});

test("a mailbox message is the round, bin 8, and the frame after it", () => {
  const bytes = encodeFrame(frame()), sent = message(round, bytes);
  assert.equal([...sent.subarray(0, 2)], [0xc4, 8]);
  assert.equal([...sent.subarray(2, 10)], [...round]);
  assert.equal(Buffer.from(sent.subarray(10)), Buffer.from(bytes));
  assert.equal([...(roundOf(sent) as Uint8Array)], [...round]);
});

test("the round that is taken from a message stays when the message's bytes are used again", () => {
  const sent = message(round, encodeFrame(frame())), its = roundOf(sent) as Uint8Array;
  sent.fill(0);
  assert.equal([...its], [...round]);
});

test("what is no message has no round", () => {
  for (const none of [[], [0xc4], [0xc4, 8, 1, 2, 3, 4, 5, 6, 7, 8], [0xc4, 7, 1, 2, 3, 4, 5, 6, 7, 8, 9], [0xc5, 8, 1, 2, 3, 4, 5, 6, 7, 8, 9]]) {
    assert.is(roundOf(Uint8Array.from(none)), undefined);
    assert.is(code(() => decodeMessage(Uint8Array.from(none))), "BYTES_REFUSED");
  }
});

test(`random events come back as they were, through a message (SEED=${seed})`, () => {
  const chance = new Chance(seed);
  for (let i = 0; i < 1_000; i++) {
    const buffer = new RowBuffer(), all: unknown[] = [];
    for (let k = chance.of([0, 1, 3, 100]); k > 0; k--) {
      const data = chance.below(3) > 0 ? { id: k, at: chance.next(), nested: randomData(chance, 2), ...(chance.below(4) === 0 ? { more: 1 } : {}) } : chance.below(2) === 0 ? randomObject(chance) : randomData(chance, 3);
      buffer.add(all.length, 5_000 - k, chance.of(["a", 1, null]), null, data);
      all.push(data);
    }
    const read = decodeMessage(message(round, encodeFrame(holding(buffer))));
    assert.is(told(read.rows.map((row) => rowData(row, read.shapes))), told(all), `frame ${i}`);
    assert.equal(read.rows.map(([k]) => k), all.map((_, k) => k));
  }
});

// ── shapes

test("events with the same properties share one shape; another order of them is another shape", () => {
  const buffer = new RowBuffer();
  for (const data of [{ a: 1, b: 2 }, { a: 3, b: 4 }, { b: 5, a: 6 }, { a: 7, b: 8 }, { a: 9 }, {}]) buffer.add(0, 0, null, null, data);
  assert.equal(buffer.shapes, [["a", "b"], ["b", "a"], ["a"], []]);
  assert.equal(buffer.rows.map((row) => row[4]), [0, 0, 1, 0, 2, 3]);
});

test("what is no plain object goes as one value", () => {
  const buffer = new RowBuffer(), all = [1, "x", null, true, undefined, [1], 5n, new Date(1), new Map([[1, 2]]), new Set([1]), new Uint8Array(2), Object.assign(Object.create(null), { a: 1 })];
  for (const data of all) buffer.add(0, 0, null, null, data);
  assert.equal(buffer.rows.map((row) => [row[4], row.length]), all.map(() => [-1, 6]));
  const read = decodeFrame(encodeFrame(holding(buffer)));
  assert.is(told(read.rows.map((row) => rowData(row, read.shapes))), told(all));
});

test("after 64 shapes an event of another one goes as one value, those of known shapes go on", () => {
  const buffer = new RowBuffer();
  for (let i = 0; i < 70; i++) buffer.add(i, 0, null, null, { [`p${i}`]: i, none: undefined });
  buffer.add(70, 0, null, null, { p3: "again", none: 1 });
  assert.is(buffer.shapes.length, 64);
  const read = decodeFrame(encodeFrame(holding(buffer)));
  for (let i = 0; i < 70; i++) assert.equal(rowData(read.rows[i] as never, read.shapes), { [`p${i}`]: i });
  assert.equal(rowData(read.rows[70] as never, read.shapes), { p3: "again", none: 1 });
});

test("a property without a value is one that is not there", () => {
  const buffer = new RowBuffer();
  for (const data of [{ a: undefined, b: 1 }, { a: 2, b: undefined }, { a: undefined, b: undefined }]) buffer.add(0, 0, null, null, data);
  const read = decodeFrame(encodeFrame(holding(buffer)));
  assert.equal(read.rows.map((row) => rowData(row, read.shapes)), [{ b: 1 }, { a: 2 }, {}]);
  assert.equal(read.rows.map((row) => Object.keys(rowData(row, read.shapes) as object)), [["b"], ["a"], []]);
});

test("event types are named once for each frame", () => {
  const buffer = new RowBuffer();
  assert.equal([buffer.type("a"), buffer.type("b"), buffer.type("a")], [0, 1, 0]);
  assert.equal(buffer.types, ["a", "b"]);
});

test("what an event that failed had added is taken back, and only that", () => {
  const buffer = new RowBuffer();
  for (const k of [0, 1, 2, 2, 3]) buffer.add(k, 0, null, null, { k });
  buffer.undo(2);
  assert.equal(buffer.rows.map(([k]) => k), [0, 1]);
  buffer.add(2, 0, null, null, { k: "anew" });
  buffer.undo(3);
  const read = decodeFrame(encodeFrame(holding(buffer)));
  assert.equal(read.rows.map((row) => rowData(row, read.shapes)), [{ k: 0 }, { k: 1 }, { k: "anew" }]);
});

for (const [name, data] of [["a function", { a: 1, f: () => 1 }], ["an instance", { a: 1, f: new Error("x") }], ["__proto__", JSON.parse('{"a":1,"__proto__":{"x":1}}')], ["__proto__ deeper", { a: 1, b: JSON.parse('{"__proto__":{"x":1}}') }]] as const) {
  test(`an event with ${name} is refused, and leaves nothing in the frame`, () => {
    const buffer = new RowBuffer();
    buffer.add(0, 0, null, null, { a: 1 });
    assert.is(code(() => buffer.add(1, 0, null, null, data)), "UNSERIALIZABLE");
    assert.is(buffer.rows.length, 1);
    buffer.add(1, 0, null, null, { a: 2 });
    const read = decodeFrame(encodeFrame(holding(buffer)));
    assert.equal(read.rows.map((row) => rowData(row, read.shapes)), [{ a: 1 }, { a: 2 }]);
  });
}

// ── what is refused

test("a frame of a newer version is FRAME_NEWER, whatever else is in it", () => {
  for (const newer of [[2], [2, "anything"], [99, ...(decode(encodeFrame(frame())) as unknown[]).slice(1)]]) {
    assert.is(code(() => decodeFrame(encode(newer))), "FRAME_NEWER");
    assert.is(code(() => decodeMessage(message(round, encode(newer)))), "FRAME_NEWER");
  }
});

const fields = (): unknown[] => decode(encodeFrame(frame({ watermark: 1, note: ["caught"], shapes: [["a"]], types: ["t"], rows: [[0, 1, "key", ["id", 0, "origin"], 0, "value"]] }))) as unknown[];
const mark = new Uint8Array(8);
for (const [field, at, values] of [
  ["version", 0, [null, "1", 1.5, NaN]], ["from", 1, [null, 1, []]], ["generation", 2, [null, 1]], ["term", 3, [null, 1, [1], [1, 2], [1, new Uint8Array(7)], [1.5, mark]]], ["before", 4, [0, "", [1], [1, 2]]],
  ["seq", 5, [null, -1, 1.5, "1", NaN, Infinity, 2 ** 53]], ["n", 6, [null, -1, 1.5, "1"]], ["edge", 7, [null, -1, "0"]], ["watermark", 8, ["1", [], false]], ["note", 9, [0, "end", [], ["ended"], [null], {}]],
  ["shapes", 10, [null, {}, [["a", 1]], ["a"], [null], [["__proto__"]], [Array.from({ length: 4_097 }, (_, i) => `p${i}`)]]], ["types", 11, [null, [1], "t"]],
  ["events", 12, [null, {}, "x", [null], [[]], [[0, 1, null, null]], [["0", 1, null, null, 0, 1]], [[0, "1", null, null, 0, 1]], [[0, null, null, null, 0, 1]],
    [[0, 1, true, null, 0, 1]], [[0, 1, 1.5, null, 0, 1]], [[0, 1, "x".repeat(513), null, 0, 1]], [[0, 1, null, [], 0, 1]], [[0, 1, null, ["id", 0], 0, 1]], [[0, 1, null, [1, 0, null], 0, 1]], [[0, 1, null, [null, 1, null], 0, 1]],
    [[0, 1, null, [null, -1, null], 0, 1]], [[0, 1, null, [null, 0, 5], 0, 1]], [[0, 1, null, null, 1, 1]], [[0, 1, null, null, -2, 1]], [[0, 1, null, null, "0", 1]], [[0, 1, null, null, null, 1]], [[0, 1, null, null, 0]], [[0, 1, null, null, 0, 1, 2]],
    [[0, 1, null, null, -1]], [[0, 1, null, null, -1, 1, 2]]]],
] as const) {
  for (const [i, value] of values.entries()) {
    test(`a frame is refused whose ${field} is ${told(value).slice(0, 60)} (${i})`, () => {
      const wrong = fields();
      assert.is(code(() => decodeFrame(encode(wrong))), "");
      wrong[at] = value;
      assert.is(code(() => decodeFrame(encode(wrong))), "BYTES_REFUSED");
    });
  }
}

test("a list that is too short, or a value that is no list, is no frame", () => {
  for (let length = 0; length < 13; length++) assert.is(code(() => decodeFrame(encode(fields().slice(0, length)))), "BYTES_REFUSED");
  for (const none of [null, 1, "frame", {}, { 0: 1 }]) assert.is(code(() => decodeFrame(encode(none))), "BYTES_REFUSED");
});

test(`${maxFrameEvents} events are read, one more is refused`, () => {
  const rows = (count: number) => Array.from({ length: count }, (_, k) => [k, 0, null, null, -1, 0] as const);
  assert.is(decodeFrame(encodeFrame(frame({ rows: rows(maxFrameEvents) as never }))).rows.length, maxFrameEvents);
  assert.is(code(() => decodeFrame(encodeFrame(frame({ rows: rows(maxFrameEvents + 1) as never })))), "BYTES_REFUSED");
});

test("a field that is added at the end, as a later version might, is passed over", () => {
  assert.is(decodeFrame(encode([...fields(), "new"])).seq, 7);
});

test(`30,000 mutated messages and random ones: a frame of the right form, or refused (SEED=${seed})`, () => {
  const chance = new Chance(seed + 1);
  const valid = Array.from({ length: 100 }, () => {
    const buffer = new RowBuffer();
    for (let k = 0; k < 5; k++) buffer.add(k, k, chance.of(["a", 7, null]), chance.of([null, ["id", buffer.type("t"), null] as const]), chance.of([{ a: k, b: randomData(chance, 1) }, k, "text"]));
    return message(round, encodeFrame({ ...holding(buffer), watermark: chance.of([null, 5, Infinity]), note: chance.of([null, ["end"] as const]) }));
  });
  let read = 0;
  for (let i = 0; i < 30_000; i++) {
    const input = i % 10 === 0 ? Buffer.concat([valid[0]?.subarray(0, 10) as Buffer, randomBytes(chance)]) : mutated(chance.of(valid), chance);
    let found: Frame | undefined;
    const said = code(() => { found = decodeMessage(input); });
    assert.ok(said === "" || said === "BYTES_REFUSED" || said === "FRAME_NEWER", `input ${i}: ${said}`);
    if (found === undefined) continue;
    read++;
    // What was let in can be used as it stands.
    for (const row of found.rows) {
      const data = rowData(row, found.shapes);
      assert.ok(data === null || typeof data !== "object" || Object.getPrototypeOf(data) !== null);
      assert.ok(row[3] === null || row[3][1] === null || found.types[row[3][1]] !== undefined);
    }
    assert.ok(Number.isSafeInteger(found.seq) && found.seq >= 0 && found.term[1].length === 8);
  }
  assert.ok(read > 1_000, `${read} were read`);
  assert.is(({} as { x?: unknown }).x, undefined);
});

test.run();
