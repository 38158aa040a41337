import { suite } from "uvu";
import * as assert from "uvu/assert";
import { map } from "../../../actors/index.ts";
import { encodeRecord, type CommitRecord } from "../../../runtime/journal/record.ts";
import { ActorBench } from "../../support/actor-bench.ts";

const test = suite("missing-end");
const log = "mr_actor_f_feed_g-1_0_log", subject = "mr.actor.f.feed.g-1.0.log";

/** An actor that has read one event; its sender has a log. */
async function waiting(): Promise<ActorBench> {
  const its = new ActorBench(map((n: number) => n));
  its.server.create({ name: log, subject, replicas: 1 });
  await its.start();
  its.send([{ data: 1 }]);
  await its.until("it is through", () => its.data().length === 1);
  return its;
}

/** The sender's last record. */
function say(its: ActorBench, kind: CommitRecord["kind"], ended: boolean): void {
  const bytes = encodeRecord({ kind, n: 1, term: its.term, previous: 0, code: "code", body: { own: { watermark: null, ended, caught: false } } });
  its.server.streams.get(log)?.append(subject, bytes, undefined);
}

async function minutes(its: ActorBench, count: number): Promise<void> {
  const begun = its.clock.monotonic();
  await its.until("time has passed", () => its.exits.length > 0 || its.clock.monotonic() - begun > count * 60_000, count * 120_000);
}

test("a sender that is over, and whose end is not there, has lost it: its reader parks, and does not wait for ever", async () => {
  const its = await waiting();
  say(its, "stop", true);
  await minutes(its, 5);
  assert.is((its.exits[0]?.error as { code?: string } | undefined)?.code, "BROKER_WENT_BACK");
  assert.match(its.exits[0]?.error?.message ?? "", /f\/feed\/0 is over/);
});

test("a sender that is silent, was stopped, or has ended and does not say yet that all has arrived, is waited for", async () => {
  const its = await waiting();
  await minutes(its, 3);
  for (const [kind, ended] of [["turn", false], ["stop", false], ["turn", true]] as const) {
    say(its, kind, ended);
    await minutes(its, 3);
  }
  assert.equal(its.exits, []);
  its.end();
  say(its, "stop", true);
  assert.is((await its.ended()).class, "normal");
});

test("a sender of which no log can be read is waited for", async () => {
  const its = await waiting();
  its.server.streams.delete(log);
  await minutes(its, 3);
  assert.equal(its.exits, []);
  its.kill();
  await its.ended();
});

test.run();
