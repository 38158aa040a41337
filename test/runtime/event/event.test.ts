import { suite } from "uvu";
import * as assert from "uvu/assert";
import { bytes, instant, isKey, millis } from "../../../runtime/event/event.ts";

const test = suite("event");

for (const [duration, ms] of [[0, 0], [1_500, 1_500], ["500ms", 500], ["10s", 10_000], ["1.5m", 90_000], ["6h", 21_600_000], ["30d", 2_592_000_000]] as const) {
  test(`the duration ${JSON.stringify(duration)} is ${ms} ms`, () => assert.is(millis(duration), ms));
}
for (const none of [-1, NaN, Infinity, "", "10", "s", "10 s", "-1s", "1e3s", "10w", "1s1s", null, undefined, [], {}, new Date(), 5n, "toString"]) {
  test(`${typeof none} ${String(none)} is no duration`, () => assert.is(millis(none), undefined));
}

for (const [size, count] of [[7, 7], ["64KiB", 65_536], ["1.5MiB", 1_572_864], ["1GiB", 2 ** 30], ["2TiB", 2 ** 41], ["9B", 9]] as const) {
  test(`the size ${JSON.stringify(size)} is ${count} bytes`, () => assert.is(bytes(size), count));
}
for (const none of [-1, "64KB", "64", "KiB", " 1B", null]) test(`${String(none)} is no size`, () => assert.is(bytes(none), undefined));

for (const [time, ms] of [
  [0, 0], [-1, -1], [new Date(5), 5], ["1970-01-01", 0], ["1970-01-01T00:00:01Z", 1_000], ["1970-01-01T01:00:00+01:00", 0], ["1970-01-01T00:00:00.25Z", 250], ["1969-12-31T23:00-0100", 0],
] as const) {
  test(`the time ${JSON.stringify(time)} is ${ms} ms`, () => assert.is(instant(time), ms));
}
for (const none of [NaN, Infinity, new Date(NaN), "now", "1970-01-01T00:00:00", "1970-13-01", "01/02/1970", "", null, undefined, 5n]) {
  test(`${typeof none} ${String(none)} is no point in time`, () => assert.is(instant(none), undefined));
}

for (const key of ["", "a", "x".repeat(512), "é".repeat(256), 0, -5, Number.MAX_SAFE_INTEGER]) test(`${String(key).slice(0, 20)} of ${String(key).length} may be a key`, () => assert.ok(isKey(key)));
for (const none of ["x".repeat(513), "é".repeat(257), "漢".repeat(171), 1.5, NaN, 2 ** 53, null, undefined, true, 1n, ["a"], {}]) {
  test(`${typeof none} ${String(none).slice(0, 20)} may be no key`, () => assert.not.ok(isKey(none)));
}

test("a text with half of a surrogate pair may be no key: keys that differ in their halves alone would be the same bytes", () => {
  const halves = ["\ud800", "\udfff", "a\ud83d", "\ude00b", "\ude00\ud83d"];
  assert.is(new Set(halves.slice(0, 2).map((key) => Buffer.from(key).toString("hex"))).size, 1);
  for (const key of halves) assert.not.ok(isKey(key));
  for (const key of ["\ud83d\ude00", "é", "\uffff", "\0"]) assert.ok(isKey(key));
});

test.run();
