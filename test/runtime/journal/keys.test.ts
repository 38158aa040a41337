import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Key } from "../../../runtime/event/event.ts";
import { foldedKey, headKey, heldKey, rangeOf, readStateKey, recordKey, recordNumber, stateKey } from "../../../runtime/journal/keys.ts";
import { Chance, seed } from "../../actors/seeded.ts";
import { randomNumber, randomText } from "../../support/plain-data.ts";

const test = suite("keys of a journal");
const chance = new Chance(seed);
const texts = [...new Set(["", "\0", "\0\0", "\0\u0001", "\u0001", "a", "a\0", "a\0\0", "a\0b", "a\u0001", "ab", "a\u{10ffff}", "\uffff", "\u{10000}", "é", ...Array.from({ length: 300 }, () => randomText(chance))])];
const numbers = [...new Set([0, 1, -1, 255, 256, 2 ** 40, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, ...Array.from({ length: 100 }, () => Math.trunc(randomNumber(chance)) || 7).filter(Number.isSafeInteger)])];
const keys: Key[] = [...texts, ...numbers];
const sign = (a: number) => (a < 0 ? -1 : a > 0 ? 1 : 0);

/** Numbers before texts; texts as their UTF-8 does. */
const inOrder = (a: Key, b: Key): number => typeof a === "number" ? (typeof b === "number" ? a - b : -1) : typeof b === "number" ? 1 : Buffer.compare(Buffer.from(a), Buffer.from(b));

test(`keys of state sort as their keys do, whatever follows them (SEED=${seed})`, () => {
  for (let i = 0; i < 30_000; i++) {
    const a = chance.of(keys), b = chance.of(keys);
    if (a === b) continue;
    for (const [partA, partB] of [[undefined, undefined], [-1e15, 1e15], [1e15, -1e15]]) assert.is(sign(Buffer.compare(stateKey(1, a, partA), stateKey(1, b, partB))), sign(inOrder(a, b)), `${JSON.stringify(a)} ${JSON.stringify(b)}`);
  }
});

test("parts of a key sort as numbers, negative ones first", () => {
  const parts = [-Infinity, -8.64e15, -1e6, -1.5, -1, -5e-324, 0, 5e-324, 1, 1.5, 255, 256, 1_704_067_200_000, 8.64e15, Infinity];
  const sorted = parts.map((part) => stateKey(0, "k", part));
  assert.equal([...sorted].sort(Buffer.compare), sorted);
  for (let i = 0; i < 5_000; i++) {
    const a = randomNumber(chance) || 0, b = randomNumber(chance) || 0;
    if (Number.isNaN(a) || Number.isNaN(b)) continue;
    assert.is(sign(Buffer.compare(stateKey(0, 1, a), stateKey(0, 1, b))), a === b ? 0 : sign(a < b ? -1 : 1), `${a} ${b}`);
  }
});

test("an operator's keys are apart from another's", () => {
  for (const key of keys.slice(0, 40)) assert.ok(Buffer.compare(stateKey(0, key, undefined), stateKey(1, "", undefined)) < 0);
});

test("no key is the beginning of another, with NUL and without", () => {
  const all = keys.map((key) => stateKey(0, key, undefined).toString("latin1")).sort();
  assert.is(new Set(all).size, keys.length);
  // Of sorted texts a beginning stands right before what it begins.
  for (let i = 1; i < all.length; i++) assert.not.ok((all[i] as string).startsWith(all[i - 1] as string), Buffer.from(all[i] as string, "latin1").toString("hex"));
});

test("operator, key and part are read back", () => {
  for (const key of keys) for (const part of [undefined, 0, -1.5, 1_704_067_200_000, 8.64e15, Infinity, -Infinity]) assert.equal(readStateKey(stateKey(3, key, part)), { operator: 3, key, part });
});

test("a key is read back from bytes that stand within others", () => {
  const bytes = stateKey(3, "a\0b", 7), around = Buffer.concat([Buffer.from("xxx"), bytes, Buffer.from("yyy")]);
  assert.equal(readStateKey(around.subarray(3, 3 + bytes.length)), { operator: 3, key: "a\0b", part: 7 });
});

test("a key that is cut off is an error, not a standstill", () => {
  for (const cut of [Buffer.from([115, 0, 2]), Buffer.from([115, 0, 2, 97]), Buffer.from([115, 0, 2, 97, 0, 255]), Buffer.from([115, 0]), Buffer.from([115, 0, 1, 5])]) assert.throws(() => readStateKey(cut));
});

test("records sort by number, and their numbers are read back", () => {
  const all = [0, 1, 2, 255, 256, 65_535, 2 ** 32, 2 ** 40 + 1, Number.MAX_SAFE_INTEGER];
  assert.equal([...all.map(recordKey)].reverse().sort(Buffer.compare).map(recordNumber), all);
  assert.is(recordNumber(Buffer.concat([Buffer.from("x"), recordKey(77)]).subarray(1)), 77);
});

test("held events sort by time, then by what follows", () => {
  const id = (text: string) => Buffer.from(text), sorted = [heldKey(-5, id("z")), heldKey(-1, id("a")), heldKey(0, id("")), heldKey(0, id("a")), heldKey(0, id("ab")), heldKey(1_704_067_200_000, id("a"))];
  assert.equal([...sorted].reverse().sort(Buffer.compare), sorted);
});

test("each kind of entry is in its own range and in no other", () => {
  const entries: readonly (readonly [letter: string, key: Buffer])[] = [["r", recordKey(2 ** 50)], ["s", stateKey(255, "\u{10ffff}", Infinity)], ["o", heldKey(Infinity, Buffer.alloc(20, 255))], ["h", headKey], ["f", foldedKey], ["t", Buffer.from("tx")], ["w", Buffer.from("wx")]];
  for (const [letter, key] of entries) {
    for (const other of ["r", "s", "t", "w", "o", "i"]) {
      const [gte, lt] = rangeOf(other);
      assert.is(Buffer.compare(key, gte) >= 0 && Buffer.compare(key, lt) < 0, letter === other, `${letter} in ${other}`);
    }
  }
});

test.run();
