import { suite } from "uvu";
import * as assert from "uvu/assert";
import { matches } from "../../../runtime/broker/subject.ts";

const test = suite("subject");

for (const [pattern, subject, expected] of [
  ["mr.a", "mr.a", true],
  ["mr.a", "mr.b", false],
  ["mr.a", "mr.a.b", false],
  ["mr.a.b", "mr.a", false],
  ["mr.*", "mr.a", true],
  ["mr.*", "mr", false],
  ["mr.*", "mr.a.b", false],
  ["mr.*.b", "mr.a.b", true],
  ["mr.*.b", "mr.a.c", false],
  ["mr.>", "mr.a", true],
  ["mr.>", "mr.a.b.c", true],
  ["mr.>", "mr", false],
  [">", "mr", true],
  ["mr.a*", "mr.ab", false],
] as const) {
  test(`${pattern} ${expected ? "covers" : "does not cover"} ${subject}`, () => {
    assert.is(matches(pattern, subject), expected);
  });
}

test.run();
