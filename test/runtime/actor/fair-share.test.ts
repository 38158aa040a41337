import { suite } from "uvu";
import * as assert from "uvu/assert";
import { EventLoopShares, sharedLimit } from "../../../runtime/actor/fair-share.ts";
import { turnLimit } from "../../../runtime/actor/limits.ts";
import { Pace } from "../../../runtime/actor/pace.ts";
import { ManualClock } from "../../../runtime/testing/manual-clock.ts";

const test = suite("fair share");

function world() {
  const later: (() => void)[] = [], clock = new ManualClock(), shares = new EventLoopShares((call) => later.push(call));
  const paceOf = (flow: string): Pace => {
    const pace = new Pace(clock, shares.of(flow));
    pace.enter();
    return pace;
  };
  const work = async (pace: Pace, ms: number): Promise<boolean> => {
    if (!pace.begin()) return false;
    await clock.elapse(ms);
    pace.end();
    return true;
  };
  return { paceOf, work, nextRound: () => { for (const call of later.splice(0)) call(); } };
}

test("a flow that is alone works as long as it likes, however many actors it has", async () => {
  const { paceOf, work } = world(), actors = [paceOf("a"), paceOf("a")];
  for (let i = 0; i < 10; i++) for (const actor of actors) assert.ok(await work(actor, 100));
  assert.is(actors[0]?.turnEvents, turnLimit.events);
});

test("beside another one its actors share its time of a round, and go on in the next", async () => {
  const { paceOf, work, nextRound } = world(), [hot, hotToo, calm] = [paceOf("hot"), paceOf("hot"), paceOf("calm")];
  assert.ok(await work(hot, sharedLimit.roundMs));
  assert.not.ok(await work(hotToo, 1), "it is spent, for all of its actors");
  assert.ok(await work(calm, 1), "the other has its own");
  assert.is(hot.turnEvents, sharedLimit.events);
  assert.is(hot.sliceMs, sharedLimit.roundMs);
  nextRound();
  assert.ok(await work(hotToo, 1));
});

test("once the other has ended nothing is shared any more; to leave twice counts once", async () => {
  const { paceOf, work, nextRound } = world(), hot = paceOf("hot"), calm = paceOf("calm");
  await work(hot, 100);
  calm.close();
  calm.close();
  assert.ok(await work(hot, 100));
  assert.is(hot.turnEvents, turnLimit.events);
  nextRound();
  const again = paceOf("calm");
  assert.ok(await work(hot, 100));
  assert.not.ok(await work(hot, 1));
  again.close();
});

test("an actor that goes in small turns keeps them", async () => {
  const { paceOf, work } = world(), hot = paceOf("hot");
  paceOf("calm");
  hot.limit = 32;
  await work(hot, 1);
  assert.is(hot.turnEvents, 32);
});

test.run();
