// What `millrace scale` says while it watches and at the end, without a node.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { endText } from "../../../runtime/cli/scale.ts";

const test = suite("words of scale");
const begun = (to: number) => ({ stage: "tally", generation: "r-2", from: 4, to });

function pauseLine(pauseMs: readonly number[], columns = 80): string | undefined {
  const receipt = { from: 4, to: pauseMs.length, ms: 1_500, entries: 100, moved: 75, pauseMs, sentAgain: 0, lost: 0 };
  return endText(begun(pauseMs.length), { is: "finished", takenBack: false, receipt }, columns).split("\n").find((line) => line.startsWith("  pause"));
}

test("a receipt lists the pause of each partition where these are few and go on one line, else the one in the middle and the longest", () => {
  assert.is(pauseLine([579, 611, 897, 897, 624, 896]), "  pause       0: 579 ms, 1: 611 ms, 2: 897 ms, 3: 897 ms, 4: 624 ms, 5: 896 ms");
  assert.is(pauseLine([1_579, 1_611, 1_897, 1_897, 1_624, 1_896]), "  pause       1,624 ms in the middle, 1,897 ms at most");
  assert.is(pauseLine([1_579, 1_611, 1_897, 1_897, 1_624, 1_896], 110), "  pause       0: 1,579 ms, 1: 1,611 ms, 2: 1,897 ms, 3: 1,897 ms, 4: 1,624 ms, 5: 1,896 ms");
  assert.is(pauseLine([3, 1, 2, 5, 4, 7, 6]), "  pause       4 ms in the middle, 7 ms at most");
  assert.is(pauseLine(Array.from({ length: 1_000 }, (_, p) => p)), "  pause       499 ms in the middle, 999 ms at most");
  assert.is(pauseLine([83], 20), "  pause       83 ms in the middle, 83 ms at most");
  assert.is(pauseLine([]), "  pause       not known, the node was started again");
});

test.run();
