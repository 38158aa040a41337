import { suite } from "uvu";
import * as assert from "uvu/assert";
import { boundsOrMade, untilReachable, untilReachableAtStart } from "../../../runtime/broker/until-reachable.ts";
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

test("a stream that another node has made just now may be missing for a moment where a node starts", async () => {
  const clock = new ManualClock();
  assert.is(await driven(clock, untilReachableAtStart(failing("STREAM_MISSING", "UNREACHABLE", "STREAM_MISSING").call, clock)), 4);
  assert.is((await rejection(untilReachableAtStart(failing("STREAM_CONFLICT").call, clock))).code, "STREAM_CONFLICT");
});

test("what a missing stream holds is told when it was made; another error is given, and nothing made", async () => {
  const held = { first: 1, last: 0 }, made: string[] = [];
  const stream = (...codes: readonly string[]) => { const its = failing(...codes); return { bounds: async () => { await its.call(); return held; } }; };
  const create = async () => { made.push("made"); };
  assert.equal(await boundsOrMade(stream(), create), held);
  assert.equal(made, []);
  assert.equal(await boundsOrMade(stream("STREAM_MISSING"), create), held);
  assert.equal(made, ["made"]);
  assert.is((await rejection(boundsOrMade(stream("UNREACHABLE"), create))).code, "UNREACHABLE");
  assert.is((await rejection(boundsOrMade(stream("STREAM_MISSING", "STREAM_MISSING"), create))).code, "STREAM_MISSING");
  assert.equal(made, ["made", "made"]);
});

test("a node that starts asks again for 15 s", async () => {
  const clock = new ManualClock(), its = failing("UNREACHABLE"), ever = failing(...Array<string>(1_000).fill("UNREACHABLE"));
  assert.is(await driven(clock, untilReachableAtStart(its.call, clock)), 2);
  const begun = clock.monotonic();
  assert.is((await rejection(driven(clock, untilReachableAtStart(ever.call, clock)))).code, "UNREACHABLE");
  assert.is(clock.monotonic() - begun, 15_000);
});

test.run();
