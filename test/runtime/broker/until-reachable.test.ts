import { suite } from "uvu";
import * as assert from "uvu/assert";
import { untilReachable, untilReachableAtStart } from "../../../runtime/broker/until-reachable.ts";
import { MillraceError } from "../../../runtime/event/errors.ts";
import { ManualClock } from "../../../runtime/testing/manual-clock.ts";
import { driven } from "../../support/driven.ts";
import { rejection } from "../../support/rejection.ts";

const test = suite("until-reachable");

/** A call that fails with these codes, one after the other, then gives the number of calls. */
function failing(...codes: readonly string[]): { readonly call: () => Promise<number>; calls: number } {
  const its = { calls: 0, call: () => {
    const code = codes[its.calls++];
    return code === undefined ? Promise.resolve(its.calls) : Promise.reject(new MillraceError(code, "x", "it fails", "wait"));
  } };
  return its;
}

test("what is not answered is asked again, after a pause, until it is", async () => {
  const clock = new ManualClock(), its = failing("UNREACHABLE", "UNREACHABLE");
  assert.is(await driven(clock, untilReachable(its.call, { clock, againMs: 70 })), 3);
  assert.is(clock.monotonic(), 140);
});

test("another error is given at once; codes that pass by themselves can be named", async () => {
  const clock = new ManualClock();
  assert.is((await rejection(untilReachable(failing("STREAM_MISSING").call, { clock }))).code, "STREAM_MISSING");
  assert.is(await driven(clock, untilReachable(failing("STREAM_MISSING").call, { clock, codes: ["STREAM_MISSING"] })), 2);
});

test("an outage that lasts is given when the time is over, or when nobody waits for it any more", async () => {
  const clock = new ManualClock(), ever = failing(...Array<string>(1_000).fill("UNREACHABLE")), over = new AbortController();
  assert.is((await rejection(driven(clock, untilReachable(ever.call, { clock, forMs: 1_000 })))).code, "UNREACHABLE");
  assert.is(ever.calls, 11);
  const waiting = rejection(untilReachable(ever.call, { clock, signal: over.signal, againMs: 1e9 }));
  over.abort();
  assert.is((await waiting).code, "UNREACHABLE");
});

test("a node that starts asks again for 15 s", async () => {
  const clock = new ManualClock(), its = failing("UNREACHABLE"), ever = failing(...Array<string>(1_000).fill("UNREACHABLE"));
  assert.is(await driven(clock, untilReachableAtStart(its.call, clock)), 2);
  const begun = clock.monotonic();
  assert.is((await rejection(driven(clock, untilReachableAtStart(ever.call, clock)))).code, "UNREACHABLE");
  assert.is(clock.monotonic() - begun, 15_000);
});

test.run();
