import { suite } from "uvu";
import * as assert from "uvu/assert";
import { besideBusy, besideCalm, besideAwaited, EventLoopShares } from "../../../runtime/actor/fair-share.ts";
import { turnLimit } from "../../../runtime/actor/limits.ts";
import { Pace } from "../../../runtime/actor/pace.ts";
import { ManualClock } from "../../../runtime/testing/manual-clock.ts";

const test = suite("fair share");

function world() {
  const later: (() => void)[] = [], clock = new ManualClock(), shares = new EventLoopShares(clock, (call) => later.push(call));
  const resumed: Pace[] = [];
  const paceOf = (flow: string): Pace => {
    const pace = new Pace(clock, shares, flow);
    pace.enter();
    return pace;
  };
  const starting = (flow: string): Pace => {
    const pace = new Pace(clock, shares, flow);
    pace.starts();
    return pace;
  };
  const work = async (pace: Pace, ms: number): Promise<boolean> => {
    if (!pace.begin(() => resumed.push(pace))) return false;
    await clock.elapse(ms);
    pace.end();
    return true;
  };
  const nextRound = async (): Promise<void> => {
    for (const call of later.splice(0)) call();
    await clock.elapse(besideCalm.pauseMs);
  };
  return { shares, paceOf, starting, work, resumed, nextRound };
}

test("a flow that is alone works as long as it likes, however many actors it has", async () => {
  const { paceOf, work } = world(), actors = [paceOf("a"), paceOf("a")];
  for (let i = 0; i < 10; i++) for (const actor of actors) assert.ok(await work(actor, 100));
  assert.is(actors[0]?.turnEvents, turnLimit.events);
});

/** Both have worked for a while: how much each does is known. */
async function known({ work, nextRound }: ReturnType<typeof world>, ...flows: readonly (readonly [pace: Pace, ms: number])[]): Promise<void> {
  for (let i = 0; i < 60; i++) {
    for (const [pace, ms] of flows) await work(pace, ms);
    await nextRound();
  }
}

test("beside a calm one its actors share a short time in each round, in small turns, and go on in the next", async () => {
  const its = world(), { paceOf, work, resumed, nextRound } = its, [hot, hotToo, calm] = [paceOf("hot"), paceOf("hot"), paceOf("calm")];
  await known(its, [hot, 8], [calm, 0.1]);
  assert.ok(await work(hot, besideCalm.roundMs));
  assert.is(hot.turnEvents, besideCalm.events);
  assert.is(hot.sliceMs, besideCalm.roundMs);
  resumed.length = 0;
  for (let i = 0; i < 2; i++) assert.not.ok(await work(hotToo, 1), "it is spent, for all of its actors");
  assert.ok(await work(calm, 0.2), "the other has its own");
  assert.is(calm.turnEvents, besideBusy.events);
  assert.is(resumed.length, 0);
  await nextRound();
  assert.equal(resumed, [hotToo]);
  assert.ok(await work(hotToo, 1));
});

test("two that are calm do not slow each other down, nor does a burst of one", async () => {
  const its = world(), { paceOf, work, nextRound } = its, [a, b] = [paceOf("a"), paceOf("b")];
  await known(its, [a, 0.5], [b, 0.1]);
  assert.ok(await work(a, 60));
  await nextRound();
  for (let i = 0; i < 40; i++) {
    assert.ok(await work(a, 0.3) && await work(a, 0.3));
    assert.is(a.turnEvents, besideBusy.events);
    await work(b, 0.1);
    await nextRound();
  }
});

test("two that are busy let each other in, in longer rounds and larger turns", async () => {
  const its = world(), { paceOf, work } = its, [a, b] = [paceOf("a"), paceOf("b")];
  await known(its, [a, 2], [b, 2]);
  for (const pace of [a, b]) {
    assert.ok(await work(pace, besideBusy.roundMs));
    assert.equal([pace.turnEvents, pace.sliceMs], [besideBusy.events, besideBusy.roundMs]);
    assert.not.ok(await work(pace, 1));
  }
});

test("beside one that rests, or has ended, it works as if it were alone; to leave twice counts once", async () => {
  const its = world(), { paceOf, work, nextRound } = its, hot = paceOf("hot"), calm = paceOf("calm");
  await known(its, [hot, 8], [calm, 0.1]);
  await known(its, [hot, 40]);
  for (let i = 0; i < 5; i++) assert.ok(await work(hot, 100));
  assert.is(hot.turnEvents, turnLimit.events);
  await known(its, [hot, 8], [calm, 0.1]);
  calm.close();
  calm.close();
  for (let i = 0; i < 5; i++) assert.ok(await work(hot, 100));
  assert.is(hot.turnEvents, turnLimit.events);
  await nextRound();
  const again = paceOf("calm");
  await known(its, [hot, 8], [again, 0.1]);
  assert.ok(await work(hot, 100));
  assert.not.ok(await work(hot, 1));
  again.close();
});

test("while an actor starts here the others, of the same flow too, work in short rounds, and as before once it runs or has failed to", async () => {
  for (const end of ["enter", "close"] as const) {
    const { work, starting, paceOf, nextRound } = world(), hot = paceOf("a"), its = starting("a");
    assert.ok(await work(hot, besideAwaited.roundMs));
    assert.equal([hot.turnEvents, hot.sliceMs], [besideAwaited.events, besideAwaited.roundMs]);
    assert.not.ok(await work(hot, 1));
    await nextRound();
    its[end]();
    its.close();
    for (let i = 0; i < 5; i++) assert.ok(await work(hot, 100));
    assert.is(hot.turnEvents, turnLimit.events);
  }
});

test("while an actor stands still in a move all others work in short rounds, and what is made ready for later waits until none does any more", async () => {
  const { shares, work, paceOf, nextRound } = world(), hot = paceOf("a");
  assert.is(shares.calm, undefined);
  const over = [shares.standsStill(), shares.standsStill()], leaves = shares.hurry();
  let isCalm = false;
  void shares.calm?.then(() => { isCalm = true; });
  assert.ok(await work(hot, besideAwaited.roundMs));
  assert.not.ok(await work(hot, 1));
  over[0]?.();
  over[0]?.();
  await nextRound();
  assert.equal([isCalm, shares.calm === undefined], [false, false], "the other one stands still");
  over[1]?.();
  await nextRound();
  assert.equal([isCalm, shares.calm], [true, undefined], "one that is only to leave is no reason to wait");
  assert.ok(await work(hot, besideAwaited.roundMs));
  assert.not.ok(await work(hot, 1));
  await nextRound();
  leaves();
  for (let i = 0; i < 5; i++) assert.ok(await work(hot, 100));
});

test("a flow that has gone is forgotten, with its last actor; one that comes again begins as any other", async () => {
  const its = world(), { shares, paceOf, starting, work } = its, hot = paceOf("hot"), calm = paceOf("calm");
  for (let n = 0; n < 1_000; n++) {
    starting(`other-${n}`).close();
    const [one, two] = [paceOf(`other-${n}`), paceOf(`other-${n}`)];
    assert.is(shares.flows, 3);
    one.close();
    one.close();
    assert.is(shares.flows, 3, "another actor of it is here");
    two.close();
    assert.equal([shares.flows, shares.awaited], [2, 0]);
  }
  await known(its, [hot, 8], [calm, 0.1]);
  assert.ok(await work(hot, besideCalm.roundMs));
  assert.is(hot.turnEvents, besideCalm.events);
  hot.close();
  const again = paceOf("hot");
  assert.ok(await work(again, besideCalm.roundMs));
  assert.is(again.turnEvents, turnLimit.events);
});

test("an actor that goes in small turns keeps them", async () => {
  const its = world(), { paceOf, work } = its, hot = paceOf("hot");
  hot.limit = 32;
  await known(its, [hot, 8], [paceOf("calm"), 0.1]);
  await work(hot, 1);
  assert.is(hot.turnEvents, 32);
});

test.run();
