// test deadline: 480 s
// A short round of chaos over three nodes and three servers, of a fixed seed: `npm run test:faults -- cluster-chaos` at length.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { raise, withoutCode } from "./chaos-flow.ts";
import { clusterChaos } from "./cluster-chaos.ts";
import { clusterRoundText } from "./cluster-chaos-run.ts";
import { Fields } from "../support/log-fold.ts";

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

test("the verifier takes folded state in a newer shape for that of the records only where migrate makes the one of the other", () => {
  const fields = (version: number, raised: number, sum = 7): Fields => {
    const its = new Fields();
    its.apply({ state: [[0, version, "k", null, { seen: 1, sum, raised }]] });
    return its;
  };
  assert.equal(fields(2, 1).differences(fields(1, 0), raise), []);
  assert.equal(fields(1, 0).differences(fields(3, 2), raise), []);
  for (const [found, expected] of [[fields(2, 0), fields(1, 0)], [fields(2, 2), fields(1, 0)], [fields(2, 1, 8), fields(1, 0)], [fields(1, 1), fields(1, 0)]] as const) assert.is(found.differences(expected, raise).length, 1);
  assert.is(fields(2, 1).differences(fields(1, 0)).length, 1);
});

test.run();
