import { readFileSync } from "node:fs";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { MillraceError } from "../../../runtime/event/errors.ts";
import { checkBody, wrongField } from "../../../runtime/journal/body-form.ts";
import { Assembler, type Body, decodeRecord } from "../../../runtime/journal/record.ts";
import { readStored } from "../../support/recorded-log.ts";

const test = suite("body form");
const wrong = (body: unknown): string | undefined => wrongField(body as Body);

test("every record that was recorded is of the form", () => {
  const assembler = new Assembler();
  let seen = 0;
  for (const { data } of readStored(readFileSync(new URL("../../recorded/v1/log.jsonl", import.meta.url), "utf8"))) {
    const record = assembler.take(decodeRecord(data));
    if (record === undefined) continue;
    checkBody("f/s/0", record);
    seen++;
  }
  assert.ok(seen > 50);
});

const event = ["f/s/0", "g-1", 1, 1, 0, [0, 5, null, null, -1, { any: "thing" }], null, null];
for (const [field, fine, ...others] of [
  ["k", 2, -1, "2", 1.5], ["inputs", [[0, 7, new Uint8Array(8), "f/s/0", 3], [1, 0, null, null, 0]], [[0, 7]], {}, [null], [[0, -1, null, null, 0]]],
  ["cursors", [[0, "f/s/0", "g-1", 3, [1, new Uint8Array(8)], 0, null, [[1, [1, new Uint8Array(8)]]]]], [[0, "f/s/0", "g-1", 3, [1], 0, null, []]], [[0, "f", "g", 3, null, 0, null, 5]]],
  ["channels", [[0, "f/s/0", "g-1", -Infinity, true, false]], [[0, "f/s/0", "g-1", NaN, true, false]], [[0, "f", "g", 1, 1, 0]]],
  ["own", { watermark: null, ended: false, caught: true }, null, [], { watermark: "1", ended: false, caught: true }],
  ["tries", { k: 0, events: [["a", 1]] }, { k: 0 }, { k: 0, events: [["a"]] }],
  ["state", [[0, 1, "a", null, undefined], [0, 1, -7, 3]], [[0, 1, {}, null, 1]], [[-1, 1, "a", null]], [[0, 1, "a"]], "state", [[0, 1, "x".repeat(600), null]]],
  ["timers", [[0, "a", "n", 5, true, false], [0, 1, "n"]], [[0, "a", "n", NaN, true, false]], [[0, "a"]]],
  ["waiting", [["id", [5, 1, event]], ["id"]], [["id", [5, 1]]], [[1]], [["id", [5, 1, event.slice(0, 6)]]]],
  ["held", [[new Uint8Array(3), event], [new Uint8Array(3)]], [["id"]], [[new Uint8Array(3), event.with(5, [0, 5, null, null, 0] as never)]], [[new Uint8Array(3), event.with(6, ["a", "b"] as never)]]],
  ["out", [[["s", "g-1", 0, 0], 1, new Uint8Array(3)], ["mr.dead.f", 1, new Uint8Array(3)]], [[["s", "g-1", 0], 1, new Uint8Array(3)]], [["s", 1, "frame"]]],
  ["snapshot", { n: 3, chunks: [[1, 2, 0]] }, { n: 3 }, { n: 3, chunks: [[1]] }, { n: 3, chunks: [], entries: [["key", null]] }], ["part", { index: 0, count: 2, bytes: new Uint8Array(2) }, {}, { index: -1, count: 2, bytes: new Uint8Array(2) }],
] as const) {
  test(`${field}: its form is taken, another is refused by its name`, () => {
    assert.is(wrong({ [field]: fine }), undefined);
    for (const other of others) assert.is(wrong({ [field]: other }), field, JSON.stringify(other));
  });
}

test("what is refused says where, in which record, and what to do", () => {
  try {
    checkBody("f/s/0", { n: 12, body: { part: {} as never } });
    assert.unreachable();
  } catch (error) {
    assert.instance(error, MillraceError);
    assert.equal([(error as MillraceError).code, (error as MillraceError).where], ["BYTES_REFUSED", "f/s/0"]);
    assert.match((error as MillraceError).message, /Record 12 of f\/s\/0 has a field "part"/);
  }
});

test.run();
