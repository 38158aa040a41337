import { suite } from "uvu";
import * as assert from "uvu/assert";
import { inheritedTargets } from "../../../runtime/actor/target-succession.ts";
import type { Body } from "../../../runtime/journal/record.ts";

const test = suite("target succession");

const from = { inputs: [], cursors: [] };
const sealed = (number: number, mark: unknown, targets?: Body["targets"]): Body => ({ sink: { number, events: 7, mark, written: true, from: { inputs: [[0, 9, null, null, 0]], cursors: [] } }, ...(targets === undefined ? {} : { targets }) });
const goesOn = (number: number, mark: unknown): Body["sink"] => ({ number, events: 0, mark, written: true, from });

test("an actor goes on with the target of its partition, and begins one that there was not", () => {
  const bodies = [sealed(3, "a"), sealed(5, "b")];
  assert.equal([0, 1, 2].map((p) => inheritedTargets(bodies, p, 3)), [{ sink: goesOn(3, "a") }, { sink: goesOn(5, "b") }, {}]);
});

test("targets of partitions that there are no longer are kept, each by one; a later generation has them again", () => {
  const bodies = [sealed(3, "a"), sealed(5, "b"), sealed(2, "c"), sealed(8, "d")];
  const two = [0, 1].map((p) => inheritedTargets(bodies, p, 2));
  assert.equal(two, [{ sink: goesOn(3, "a"), targets: [[2, 2, "c"]] }, { sink: goesOn(5, "b"), targets: [[3, 8, "d"]] }]);
  const one = inheritedTargets(two, 0, 1);
  assert.equal(one, { sink: goesOn(3, "a"), targets: [[2, 2, "c"], [1, 5, "b"], [3, 8, "d"]] });
  assert.equal([0, 1, 2].map((p) => inheritedTargets([one], p, 3)), [{ sink: goesOn(3, "a"), targets: [[3, 8, "d"]] }, { sink: goesOn(5, "b") }, { sink: goesOn(2, "c") }]);
});

test("what is no sink has none", () => assert.equal(inheritedTargets([{}, {}], 0, 2), {}));

test.run();
