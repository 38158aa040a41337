// test deadline: 120 s
// Repairs after losses drawn at random, on broker and disk in memory: whatever tail of whatever stream is gone, with the journals there
// the results are those of an undisturbed run (P31). test/faults/power-loss.test.ts does it on the real parts.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { SeededRandom } from "../../../runtime/testing/seeded-random.ts";
import { inSmallTurns } from "../../support/summed.ts";
import { count, LossCase } from "./loss-case.ts";

const test = suite("repair");
inSmallTurns(test);

for (let seed = 1; seed <= 24; seed++) {
  test(`tails of streams are lost, one time and again (seed ${seed}): exact after each repair`, async () => {
    await using its = await LossCase.make();
    const random = new SeededRandom(seed), lost: string[] = [];
    for (const until of [40, 92]) {
      assert.is(await its.run(until), "killed");
      lost.push(...its.lose(random));
      // Now and then it is found by a run that parks, not by the repair.
      if (random.next() < 0.5) await its.run(count);
      const { status, behind } = await its.repair();
      assert.ok(["repaired", "whole"].includes(status), `${lost.join("; ")}: ${JSON.stringify(behind)}`);
      assert.is((await its.repair()).status, "whole", lost.join("; "));
    }
    assert.is(await its.run(count), "finished", lost.join("; "));
    await its.assertExact(lost.join("; "));
  });
}

test("the server knows nothing any more, not even the run: all of it comes back from the data folder", async () => {
  await using its = await LossCase.make();
  await its.run(60);
  for (const name of [...its.world.server.streams.keys()]) if (name !== "KV_millrace") its.world.server.remove(name);
  its.world.server.rollback("KV_millrace", 0);
  assert.is(await its.run(count), "BROKER_WENT_BACK");
  const report = await its.repair();
  assert.equal([report.status, report.runRestored], ["repaired", true], JSON.stringify(report.behind));
  assert.is(await its.run(count), "finished");
  await its.assertExact("everything was lost");
});

test("a dry run changes nothing on the server", async () => {
  await using its = await LossCase.make();
  await its.run(60);
  for (const [name, stream] of its.world.server.streams) if (name !== "KV_millrace") its.world.server.rollback(name, Math.floor(stream.bounds().last / 2));
  const bounds = (): unknown => [...its.world.server.streams].map(([name, stream]) => [name, stream.bounds()]), before = bounds();
  const report = await its.repair(true);
  assert.equal([report.status, report.dryRun, bounds()], ["repaired", true, before]);
  assert.equal((await its.repair()).actors, report.actors, "and tells what would be done");
});

test("records are written again verbatim: the log is byte for byte what it was", async () => {
  await using its = await LossCase.make();
  await its.run(60);
  const [name, log] = [...its.world.server.streams].find(([one]) => one.startsWith("mr_actor_sums_work_") && one.endsWith("_0_log")) as [string, NonNullable<ReturnType<typeof its.world.server.streams.get>>];
  const { first, last } = log.bounds(), bytes = (): readonly string[] => Array.from({ length: last - first + 1 }, (_, i) => Buffer.from(log.at(first + i)?.data ?? []).toString("hex")), before = bytes();
  its.world.server.rollback(name, last - 9);
  await its.repair();
  assert.equal(bytes(), before);
});

test("no run of such a flow is known: RUN_UNKNOWN", async () => {
  await using its = await LossCase.make();
  try {
    await its.repair();
    assert.unreachable();
  } catch (error) {
    assert.is((error as { code: string }).code, "RUN_UNKNOWN");
  }
});

test.run();
