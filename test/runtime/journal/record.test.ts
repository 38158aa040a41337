import { suite } from "uvu";
import * as assert from "uvu/assert";
import { decode, encode } from "../../../runtime/event/codec.ts";
import { MillraceError } from "../../../runtime/event/errors.ts";
import type { Term } from "../../../runtime/event/term.ts";
import { Assembler, type Body, type CommitRecord, decodeRecord, encodeRecord, messagesOf, type RecordKind } from "../../../runtime/journal/record.ts";
import { Chance, seed } from "../../actors/seeded.ts";
import { mutated } from "../../support/mutation.ts";
import { randomData, told } from "../../support/plain-data.ts";
import { plain } from "../../../runtime/event/codec.ts";

const test = suite("record");
const term: Term = [2, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8)];
const record = (more: Partial<CommitRecord> = {}): CommitRecord => ({ kind: "turn", n: 5, term, previous: 4, code: "abc", body: { counts: { in: 1, out: 2, late: 0, deadLetters: 0 } }, ...more });
const code = (call: () => unknown): string => {
  try {
    call();
    return "";
  } catch (thrown) {
    if (thrown instanceof MillraceError) return thrown.code;
    throw new Error(`threw something else: ${thrown}`, { cause: thrown });
  }
};
/** What the records come to, each given to an assembler in order. */
const applied = (records: readonly CommitRecord[]): readonly (readonly [kind: RecordKind, n: number])[] => {
  const assembler = new Assembler();
  return records.flatMap((one) => { const whole = assembler.take(one); return whole === undefined ? [] : [[whole.kind, whole.n] as const]; });
};
const large = (n: number, bytes: number): CommitRecord => record({ n, body: { out: [["mr.x", 1, new Uint8Array(bytes).fill(n)]] } });
const partsOf = (whole: CommitRecord, previous: number, limit: number): readonly CommitRecord[] => {
  let at = previous;
  return messagesOf(whole, previous, limit).map(({ bytes }) => decodeRecord(bytes(at++)));
};

test("the fields stand where PROTOCOL 4 says: version, kind, n, term, previous, code, body", () => {
  const fields = decode(encodeRecord(record())) as unknown[];
  assert.is(told(fields), told([1, "turn", 5, term, 4, "abc", { counts: { in: 1, out: 2, late: 0, deadLetters: 0 } }]));
});

for (const kind of ["claim", "turn", "snapshot", "stop", "attempt", "part"] as const) {
  test(`a ${kind} comes back as it was`, () => assert.is(told(decodeRecord(encodeRecord(record({ kind })))), told(record({ kind }))));
}

test(`a body with random state comes back as it was (SEED=${seed})`, () => {
  const chance = new Chance(seed);
  for (let i = 0; i < 500; i++) {
    const value = randomData(chance, 3) ?? null, body: Body = { state: [[0, 1, "key", null, plain(value)], [0, 1, 7, 5]], timers: [[0, "k", "n", 5, true, false], [0, "k", "gone"]] };
    const read = decodeRecord(encodeRecord(record({ body }))).body;
    assert.is(told(read.state?.[0]?.[4]), told(value));
    assert.is(read.state?.[1]?.length, 4, "an entry without a value is one that was removed");
    assert.is(read.timers?.[1]?.length, 3);
  }
});

test("a record of a newer version is RECORD_NEWER, whatever else is in it (P25)", () => {
  assert.is(code(() => decodeRecord(encode([2, "anything"]))), "RECORD_NEWER");
  assert.is(code(() => decodeRecord(encode([2, ...(decode(encodeRecord(record())) as unknown[]).slice(1)]))), "RECORD_NEWER");
});

for (const [field, at, values] of [
  ["version", 0, [null, "1", 1.5]], ["kind", 1, [null, "other", 0, "constructor"]], ["n", 2, [null, "1", 1.5, NaN]], ["term", 3, [null, [1, new Uint8Array(3)], 1]], ["previous", 4, [null, "4", 0.5]], ["code", 5, [null, 1]], ["body", 6, [null, 1, "body"]],
] as const) {
  for (const value of values) {
    test(`a record is refused whose ${field} is ${told(value)}`, () => {
      const fields = decode(encodeRecord(record())) as unknown[];
      fields[at] = value;
      assert.is(code(() => decodeRecord(encode(fields))), "BYTES_REFUSED");
    });
  }
}

test("what is no list is no record", () => {
  for (const none of [null, 1, {}, [], "record"]) assert.is(code(() => decodeRecord(encode(none))), "BYTES_REFUSED");
});

test(`10,000 mutated records: read, newer, or refused (SEED=${seed})`, () => {
  const chance = new Chance(seed + 1), valid = encodeRecord(record());
  for (let i = 0; i < 10_000; i++) assert.ok(["", "BYTES_REFUSED", "RECORD_NEWER"].includes(code(() => decodeRecord(mutated(valid, chance)))));
});

// ── parts (P6)

test("a record within the limit is one message, and names the sequence that it is appended to", () => {
  const [only, ...others] = messagesOf(record(), 4, 1_000);
  assert.is(others.length, 0);
  assert.is(only?.n, 5);
  for (const previous of [4, 9]) assert.is(told(decodeRecord(only?.bytes(previous) as Uint8Array)), told(record({ previous })));
});

test("a record above the limit is split into parts, each within it, with numbers of their own", () => {
  const messages = messagesOf(large(5, 10_000), 4, 2_048);
  assert.ok(messages.length >= 6);
  messages.forEach(({ n, bytes }, i) => {
    const part = decodeRecord(bytes(40 + i));
    assert.ok(bytes(40 + i).length <= 2_048, `${bytes(40 + i).length} bytes`);
    assert.equal([part.kind, part.n, n, part.previous, part.body.part?.index, part.body.part?.count], ["part", 5 + i, 5 + i, 40 + i, i, messages.length]);
  });
});

test("parts put together are the record, applied when the last is there", () => {
  const whole = large(5, 10_000), parts = partsOf(whole, 4, 2_048), assembler = new Assembler();
  const given = parts.map((part) => assembler.take(part));
  assert.equal(given.slice(0, -1).map((one) => one === undefined), new Array(parts.length - 1).fill(true));
  assert.is(told(given.at(-1)), told(whole));
});

test("two records in parts, one after the other, and others around them", () => {
  const one = partsOf(large(1, 5_000), 0, 2_048), other = partsOf(large(1 + one.length, 5_000), one.length, 2_048);
  assert.equal(applied([...one, ...other, record({ n: 20 })]), [["turn", 1], ["turn", 1 + one.length], ["turn", 20]]);
});

for (const [name, taken] of [["after the first", 1], ["in the middle", 2], ["before the last", -1]] as const) {
  test(`parts that a claim interrupts ${name} are void, those that come after it count`, () => {
    const begun = partsOf(large(5, 5_000), 4, 2_048).slice(0, taken), claim = record({ kind: "claim", n: 5 + begun.length }), anew = partsOf(large(claim.n + 1, 5_000), claim.n, 2_048);
    assert.equal(applied([...begun, claim, ...anew]), [["claim", claim.n], ["turn", claim.n + 1]]);
  });
}

test("parts that other parts interrupt are void, those that interrupt them count", () => {
  const begun = partsOf(large(5, 5_000), 4, 2_048).slice(0, 2), anew = partsOf(large(7, 5_000), 6, 2_048);
  assert.equal(applied([...begun, ...anew]), [["turn", 7]]);
});

test("what is left of parts whose beginning was purged is void", () => {
  const parts = partsOf(large(5, 5_000), 4, 2_048);
  assert.equal(applied([...parts.slice(1), record({ n: 5 + parts.length })]), [["turn", 5 + parts.length]]);
});

test("a hole in the parts makes them void", () => {
  const parts = partsOf(large(5, 5_000), 4, 2_048);
  assert.equal(applied(parts.filter((_, i) => i !== 1)), []);
});

test.run();
