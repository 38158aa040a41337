// test deadline: 120 s
// A loss while a stage is being scaled (PROTOCOL 11): both generations are looked at, and what the journals hold of both comes back.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { SeededRandom } from "../../../runtime/testing/seeded-random.ts";
import { inSmallTurns } from "../../support/summed.ts";
import { count, LossCase } from "./loss-case.ts";

const test = suite("a loss while a stage is scaled");
inSmallTurns(test);

const found = { planned: 0, lost: 0 };
for (let seed = 1; seed <= 24; seed++) {
  test(`killed anywhere in it, then tails of streams are lost (seed ${seed}): exact after the repair`, async () => {
    await using its = await LossCase.make();
    const random = new SeededRandom(seed);
    let left = Math.floor(random.next() * 40);
    assert.is(await its.run(60, { to: random.next() < 0.5 ? 3 : 1, kill: () => left-- === 0 }), "killed");
    if ((await its.record())?.change !== undefined) found.planned++;
    const lost = its.lose(random), why = lost.join("; "), { status, behind } = await its.repair();
    assert.ok(["repaired", "whole"].includes(status), `${why}: ${JSON.stringify(behind)}`);
    if (status === "repaired") found.lost++;
    assert.is((await its.repair()).status, "whole", why);
    assert.is(await its.run(count), "finished", why);
    await its.assertExact(why);
  });
}

test("in most of these it was under way, and something was lost", () => {
  assert.ok(found.planned >= 8 && found.lost >= 8, JSON.stringify(found));
});

test("chunks that old ones sealed are gone before those who go on with them have begun: said, and sealed again by the next start", async () => {
  await using its = await LossCase.make();
  let seals = 0;
  await its.run(60, { to: 3, kill: (_, kind) => kind === "seal" && ++seals === 2 });
  for (const [name, stream] of its.world.server.streams) if (/_work_.*-1_._snap$/.test(name)) its.world.server.rollback(name, stream.bounds().first - 1);
  const { status, behind } = await its.repair();
  assert.is(status, "whole");
  assert.is(behind.filter(({ says, mends }) => mends && says.includes("it seals it again when it starts")).length, 2, JSON.stringify(behind));
  assert.is(await its.run(count), "finished");
  await its.assertExact("sealed again");
});

test.run();
