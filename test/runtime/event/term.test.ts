import { suite } from "uvu";
import * as assert from "uvu/assert";
import { decode, encode } from "../../../runtime/event/codec.ts";
import { systemRandom } from "../../../runtime/event/clock.ts";
import { isTerm, nextTerm, sameTerm, type Term } from "../../../runtime/event/term.ts";

const test = suite("term");
const term = (counter: number, mark: number): Term => [counter, new Uint8Array(8).fill(mark)];

test("the next term counts one on and has a fresh mark of 8 bytes", () => {
  const one = nextTerm(4, systemRandom), other = nextTerm(4, systemRandom);
  assert.is(one[0], 5);
  assert.is(one[1].length, 8);
  assert.not.ok(sameTerm(one, other), "two owners that a broker gave one number are told apart by their marks");
});

for (const [name, a, b, same] of [
  ["two terms of one counter and mark", term(1, 1), term(1, 1), true], ["terms of other counters", term(1, 1), term(2, 1), false], ["terms of other marks†", term(1, 1), term(1, 2), false],
  ["a term and none", term(1, 1), null, false], ["none and a term", undefined, term(1, 1), false], ["none and none", null, null, true],
] as const) {
  test(`${name} are ${same ? "the same" : "not the same"}`, () => assert.is(sameTerm(a, b), same));
}

test("a term that was sent is the same as the one that was not", () => assert.ok(sameTerm(decode(encode(term(7, 9))) as Term, term(7, 9))));

test("only a counter and a mark of 8 bytes is a term", () => {
  assert.ok(isTerm(term(0, 0)));
  for (const none of [null, 1, [], [1], [1, new Uint8Array(7)], [1, new Uint8Array(9)], [1, "12345678"], [1.5, new Uint8Array(8)], ["1", new Uint8Array(8)], [1, new Uint8Array(8), 2], { 0: 1, 1: new Uint8Array(8), length: 2 }]) assert.not.ok(isTerm(none), JSON.stringify(none));
});

test.run();
