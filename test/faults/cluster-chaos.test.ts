// test deadline: 480 s
// A short round of chaos over three nodes and three servers, of a fixed seed: `npm run test:faults -- cluster-chaos` at length.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { withoutCode } from "./chaos-flow.ts";
import { clusterChaos } from "./cluster-chaos.ts";
import { clusterRoundText } from "./cluster-chaos-run.ts";

const test = suite("chaos over several nodes");
const seed = 2;

if (process.platform === "linux") {
  test("three nodes and three servers are killed, stopped and cut off at random while stages are scaled, actors moved, nodes drained and other code deployed: nothing is missing, twice, or out of order, and each log has one writer", async () => {
    const [result] = await clusterChaos({ seed, withinMs: 0, rounds: 1, its: { events: 9_000, rate: 300, faultsMs: 30_000, gapMs: 1_000 } });
    assert.ok(result !== undefined);
    console.log(`  ${clusterRoundText(result)}`);
    assert.equal(result.wrongs, [], clusterRoundText(result));
    assert.is(result.missing + result.duplicates, 0);
    assert.ok(result.rows > 9_000, `${result.rows} rows`);
    assert.ok([...result.faults.values()].reduce((sum, count) => sum + count, 0) >= 8, "it was disturbed");
    assert.ok(result.takeovers > 0, "actors were taken over");
  });
} else test("a process can be stopped and continued only where there are signals for it", () => assert.not(process.platform === "linux"));

test("the verifier sees state that was brought into a newer shape twice, or not at all", () => {
  const versions = new Map([[1, 1], [2, 1], [3, 2]]), row = { key: "a", n: 1, seen: 1, sum: 1 };
  for (const [code, raised, right] of [[1, 0, true], [2, 0, true], [3, 1, true], [3, 0, false], [3, 2, false], [4, 0, false]] as const) {
    const found = withoutCode({ ...row, code, raised }, versions);
    assert.equal(found.row, row);
    assert.is(found.wrong === undefined, right, `code ${code}, raised ${raised} times`);
  }
});

test.run();
