// test deadline: 480 s
// A short round of chaos, with another seed each time: `npm run test:faults -- chaos` at length.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { chaos, roundText } from "./chaos.ts";
import { counted, orderWrong } from "./chaos-verifier.ts";

const test = suite("chaos");

if (process.platform === "linux") {
  test("the wall clock leaps by hours, both ways, while nodes are killed: the result is exact", async () => {
    const seed = Date.now() % 1_000_000_000, [result] = await chaos({ seed, servers: 1, withinMs: 0, rounds: 1, its: { leaps: true, events: 12_000, rate: 4_000, faultsMs: 4_000, gapMs: 300 } });
    assert.ok(result !== undefined);
    assert.equal(result.wrongs, [], roundText(result));
    assert.ok((result.faults.get("clock leaps") ?? 0) > 0, "it leapt");
  });

  test("processes, servers, lines and disks are disturbed at random, and nothing is missing, twice, or out of order", async () => {
    const seed = Date.now() % 1_000_000_000;
    console.log(`seed ${seed}`);
    const [result] = await chaos({ seed, servers: 1, withinMs: 0, rounds: 1, its: { leaps: false, events: 30_000, rate: 4_000, faultsMs: 10_000, gapMs: 500 } });
    assert.ok(result !== undefined);
    assert.equal(result.wrongs, [], roundText(result));
    assert.ok([...result.faults.values()].reduce((sum, count) => sum + count, 0) >= 3, "it was disturbed");
    assert.is(result.missing + result.duplicates, 0);
    assert.ok(result.rows > 30_000, `${result.rows} rows`);
  });

  test("of three servers that hold each stream three times one is killed after the other, the leader in the middle of commits, too", async () => {
    const seed = Date.now() % 1_000_000_000, [result] = await chaos({ seed, servers: 3, withinMs: 0, rounds: 1, its: { leaps: false, events: 12_000, rate: 3_000, faultsMs: 6_000, gapMs: 700 } });
    assert.ok(result !== undefined);
    assert.equal(result.wrongs, [], roundText(result));
    assert.is(result.missing + result.duplicates, 0);
  });
} else test("a process can be stopped and continued only where there are signals for it", () => assert.not(process.platform === "linux"));

test("the verifier sees a row that is missing, one that is there twice, two of a key that changed places, and one that is late", () => {
  const rows = [{ key: "a", n: 1, at: 1 }, { key: "b", n: 2, at: 2 }, { key: "a", n: 3, at: 3 }], [a1, b2, a3] = rows.map((row) => JSON.stringify(row)) as [string, string, string];
  assert.is(counted([a1, b2, a3], [a3, b2, a1]).wrongs.length, 0);
  assert.equal([counted([a1, a3], [a1, b2, a3]).missing, counted([a1, b2, a3, a3], [a1, b2, a3]).duplicates], [1, 1]);
  assert.is(orderWrong([b2, a1, a3], rows).length, 0);
  assert.is(orderWrong([a3, b2, a1], rows).length, 2);
  assert.is(orderWrong([b2, a1, a3], rows, ({ at }) => at as number).length, 1);
});

test.run();
