// test deadline: 120 s
// A flow that ran on one node and then on another, and lost tails of its streams: of all journals the newest that extends a log counts (P31),
// and of what no journal that was asked can tell, the report says so.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { SeededRandom } from "../../../runtime/testing/seeded-random.ts";
import { inSmallTurns } from "../../support/summed.ts";
import { count, LossCase } from "./loss-case.ts";

const test = suite("repair of a flow of several nodes");
inSmallTurns(test);

for (let seed = 1; seed <= 8; seed++) {
  test(`the journals of both nodes are there (seed ${seed}): exact, whichever of them is asked first`, async () => {
    await using its = await LossCase.make();
    const random = new SeededRandom(seed);
    await its.run(50);
    const n1 = its.moved();
    await its.run(100);
    const n2 = its.world.journals, lost = its.lose(random).join("; "), { status, behind, actors, unseen } = await its.repair(false, seed % 2 === 0 ? { n1, n2 } : { n2, n1 });
    assert.ok(["repaired", "whole"].includes(status), `${lost}: ${JSON.stringify(behind)}`);
    assert.equal(unseen, []);
    assert.ok(actors.every(({ records }) => records === undefined || records.node === "n2"), JSON.stringify(actors));
    assert.is((await its.repair(false, { n1, n2 })).status, "whole", lost);
    assert.is(await its.run(count), "finished", lost);
    await its.assertExact(lost);
  });
}

test("the node that ran it last is away: what the other knows is written again and nothing else, until that one is there or given up; then exact", async () => {
  await using its = await LossCase.make();
  await its.run(50);
  const n1 = its.moved();
  await its.run(100);
  const n2 = its.world.journals, { streams } = its.world.server;
  // Only the sender's log: what its readers have taken tells that more is missing.
  const [name, log] = [...streams].find(([one]) => /_feed_.*_log$/.test(one)) as [string, { bounds(): { last: number } }];
  its.world.server.rollback(name, log.bounds().last - 4);
  const ends = (): unknown => [...streams].map(([one, stream]) => [one, stream.bounds().last]), before = ends(), { status, unseen, lost, away, actors } = await its.repair(false, { n1 }, ["n2"]);
  assert.is(status, "waits", JSON.stringify(lost));
  assert.equal(away, ["n2"]);
  assert.ok(lost.some((line) => /sums\/feed\/0: sums\/work\/\d has frames? .* of it, read or in its mailbox, .* decides them anew/.test(line)), lost.join("\n"));
  assert.ok(unseen.some((line) => line.startsWith("sums/feed/0: its newest record is of ")), unseen.join("\n"));
  assert.equal(actors.filter(({ again, rereads }) => again + rereads.length > 0), []);
  assert.equal(ends(), before, "no claim stands in the way of what that node holds");
  assert.is((await its.repair(false, { n1, n2 })).status, "repaired");
  assert.is(await its.run(count), "finished");
  await its.assertExact("n2 came back");
});

test("a journal that another owner went past after the loss is named, is in nobody's way, and is left as it is", async () => {
  await using its = await LossCase.make();
  await its.run(60);
  const n1 = its.moved(), [name, log] = [...its.world.server.streams].find(([one]) => /_out_.*_log$/.test(one)) as [string, { bounds(): { last: number } }];
  its.world.server.rollback(name, log.bounds().last - 2);
  assert.is(await its.run(100), "killed");
  const { status, lost, behind } = await its.repair(false, { n1, n2: its.world.journals });
  assert.is(status, "partly", JSON.stringify(behind));
  assert.ok(lost.some((line) => /sums\/out\/0: records \d+ to \d+ of the journal on n1 are in no log any more/.test(line)), lost.join("\n"));
  assert.is(await its.run(count), "finished");
  await its.assertExact("another node has decided the same");
});

test.run();
