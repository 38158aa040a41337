// How old the oldest frame is that waits: from looks at the end of a mailbox.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { ageOf } from "../../../runtime/node/lag-watch.ts";

const test = suite("lag-watch");

test("what waits is as old as the first look that saw it; what is taken is forgotten", () => {
  const ends: { at: number; last: number }[] = [];
  assert.is(ageOf(ends, 10, 10, 0), 0, "nothing waits");
  assert.is(ageOf(ends, 10, 15, 1_000), 0, "it came since the last look");
  assert.is(ageOf(ends, 12, 20, 2_000), 1_000);
  assert.is(ageOf(ends, 15, 30, 3_000), 1_000, "16 to 20 came by 2,000");
  assert.is(ageOf(ends, 29, 30, 9_000), 6_000);
  assert.is(ageOf(ends, 30, 30, 10_000), 0);
  assert.equal(ends, []);
});

test("a reader that stands still grows old, also when nothing more comes", () => {
  const ends: { at: number; last: number }[] = [];
  for (let now = 0; now <= 60_000; now += 1_000) assert.is(ageOf(ends, 5, 9, now), now);
});

test("of a reader that is very far behind it is told more coarsely, in bounded memory, and never too old", () => {
  const ends: { at: number; last: number }[] = [];
  for (let now = 0; now < 2_000; now++) assert.is(ageOf(ends, 0, now + 1, now), now);
  assert.ok(ends.length <= 512);
  // Message m came at m - 1.
  for (let position = 0; position < 2_000; position += 37) assert.ok(ageOf(ends, position, 2_000, 2_000) <= 2_000 - position);
});

test.run();
