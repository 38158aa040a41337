import { suite } from "uvu";
import * as assert from "uvu/assert";
import { fnv1a32, partitionOf } from "../../../runtime/event/partition.ts";
import { Chance, seed } from "../../actors/seeded.ts";
import { randomText } from "../../support/plain-data.ts";

const test = suite("partition");

// The first four are in nats-server's own subject_transform_test.go.
for (const [key, count, partition] of [["foo", 10, 3], ["foo.bar", 10, 6], ["baz", 10, 0], ["qux", 10, 9], ["foobar", 10, 0], ["orders42", 16, 14], ["é", 16, 1]] as const) {
  test(`${key} of ${count} is ${partition}, as NATS' {{partition()}} says`, () => assert.is(partitionOf(key, count), partition));
}

// Vectors of FNV-1a 32 itself (Noll).
for (const [text, hash] of [["", 0x811c9dc5], ["a", 0xe40c292c], ["b", 0xe70c2de5], ["foobar", 0xbf9cf968], ["\0", 0x050c5d1f], ["chongo was here!\n", 0xd49930d5]] as const) {
  test(`the hash of ${JSON.stringify(text)} is ${hash.toString(16)}`, () => assert.is(fnv1a32(text), hash));
}

test("the hash is over the bytes of UTF-8, whatever the text", () => {
  const chance = new Chance(seed);
  for (let i = 0; i < 2_000; i++) {
    const text = randomText(chance);
    let hash = 0x811c9dc5n;
    for (const byte of Buffer.from(text, "utf8")) hash = ((hash ^ BigInt(byte)) * 0x01000193n) & 0xffffffffn;
    assert.is(fnv1a32(text), Number(hash), JSON.stringify(text));
  }
});

test("a number goes where its text goes", () => {
  for (const key of [0, 1, -1, 42, Number.MAX_SAFE_INTEGER]) for (const count of [2, 7, 1024]) assert.is(partitionOf(key, count), partitionOf(String(key), count));
});

test("one partition takes all, more share about evenly", () => {
  const counts = new Array<number>(8).fill(0);
  for (let i = 0; i < 80_000; i++) {
    assert.is(partitionOf(`customer-${i}`, 1), 0);
    const partition = partitionOf(`customer-${i}`, 8);
    counts[partition] = (counts[partition] as number) + 1;
  }
  assert.is(counts.length, 8);
  for (const count of counts) assert.ok(count > 9_000 && count < 11_000, String(counts));
});

test.run();
