import { suite } from "uvu";
import * as assert from "uvu/assert";
import { MillraceError } from "../../../runtime/event/errors.ts";
import { bounded } from "../../../runtime/node/bounded.ts";
import { gate } from "../../support/gate.ts";
import { rejection } from "../../support/rejection.ts";

const test = suite("bounded");

test("all items are worked on, never more than so many at a time", async () => {
  let running = 0, most = 0;
  const done: number[] = [];
  await bounded([1, 2, 3, 4, 5, 6, 7], 3, async (item) => {
    most = Math.max(most, ++running);
    await Promise.resolve();
    running--;
    done.push(item);
  });
  assert.is(most, 3);
  assert.equal(done.sort(), [1, 2, 3, 4, 5, 6, 7]);
});

test("no items: done at once", async () => await bounded([], 3, () => Promise.reject(new Error("nothing to do"))));

test("after a failure nothing is begun, and what was under way is waited for", async () => {
  const slow = gate(), begun: number[] = [];
  let slowIsDone = false;
  const all = bounded([1, 2, 3, 4], 2, async (item) => {
    begun.push(item);
    if (item === 1) { await slow.opened; slowIsDone = true; return; }
    throw new MillraceError(`ITEM_${item}`, "here", "no", "None.");
  });
  const failed = rejection(all);
  slow.open();
  assert.is((await failed).code, "ITEM_2");
  assert.equal([begun, slowIsDone], [[1, 2], true]);
});

test.run();
