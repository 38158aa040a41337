import { suite } from "uvu";
import * as assert from "uvu/assert";
import { aggregate, collect, generate, map } from "../../../actors/index.ts";
import { type FlowFingerprint, fingerprintOf } from "../../../runtime/flow/fingerprint.ts";
import { type FlowPlan, planOf } from "../../../runtime/flow/plan.ts";
import { defineFlow, type MillraceError } from "../../../runtime/index.ts";
import { choose } from "../../../runtime/node/run-choice.ts";
import type { RunRecord } from "../../../runtime/node/run-record.ts";
import { checkUpgrade, checkWayBack, migrationsOf } from "../../../runtime/node/upgrade-check.ts";

const test = suite("upgrade-check");

function shape({ version = 1, parallelism = 2, more = false, unkeyed = false }: { readonly version?: number; readonly parallelism?: number; readonly more?: boolean; readonly unkeyed?: boolean } = {}): FlowFingerprint {
  return fingerprintOf(planOf(defineFlow("f", (flow) => {
    const feed = flow.source("feed", generate({ count: 1, make: (n) => n }));
    const tidy = flow.processor("tidy", feed, map((n: number) => n));
    const sums = flow.processor("sums", tidy.keyBy((n) => n), { parallelism }, aggregate({ initial: () => 0, add: (sum: number, n: number) => sum + n, ...(version === 1 ? {} : { version, migrate: (state: unknown) => state as number }) }));
    if (more) flow.sink("again", feed, collect<number>([]));
    if (unkeyed) flow.sink("out", tidy, collect<number>([]));
    else flow.sink("out", sums, collect<unknown>([]));
  })) as FlowPlan);
}

const record = (more: Partial<RunRecord> = {}): RunRecord => ({ token: "t", state: "running", code: "old", node: "n", startedAt: 0, inputs: [], shape: shape(), stages: [], ...more });
const told = (act: () => unknown): string => {
  try {
    act();
  } catch (error) {
    return `${(error as MillraceError).code} ${(error as MillraceError).message}`;
  }
  return "fine";
};

test("other code in the same graph is fine, also with a newer shape of state; another graph, older state and a stage that is being scaled are refused, with what to do", () => {
  for (const to of [shape(), shape({ version: 2 })]) assert.is(told(() => checkUpgrade("f", record(), to)), "fine");
  for (const [to, says] of [[shape({ parallelism: 3 }), /stage sums has its state in 2 partitions/], [shape({ more: true }), /stage again is new/], [shape({ unkeyed: true }), /stage out read/]] as const) {
    assert.match(told(() => checkUpgrade("f", record(), to)), says);
    assert.match(told(() => checkUpgrade("f", record(), to)), /^UPGRADE_REFUSED .*millrace undeploy f.*--fresh/s);
  }
  assert.match(told(() => checkUpgrade("f", record({ shape: shape({ version: 2 }) }), shape())), /UPGRADE_REFUSED.*version 2, newer than the code's 1/s);
  assert.match(told(() => checkUpgrade("f", record({ upgrade: { to: "new", shape: shape({ version: 2 }) } }), shape())), /UPGRADE_REFUSED.*version 2/s, "what actors that went over have written counts");
  assert.match(told(() => checkUpgrade("f", record({ change: { stage: "sums", generation: "t-2", parallelism: 3, takenBack: false } }), shape())), /SCALE_UNDER_WAY/);
});

test("the way back is open until an actor has gone over whose state is of a newer shape", () => {
  const under = record({ upgrade: { to: "new", shape: shape({ version: 3 }) } });
  assert.equal(migrationsOf(under), [{ stage: "sums", from: 1, to: 3 }]);
  assert.is(told(() => checkWayBack("f", under, ["f/tidy/0", "f/out/0"])), "fine");
  assert.match(told(() => checkWayBack("f", under, ["f/tidy/0", "f/sums/1"])), /STATE_OLDER .*stage sums from version 1 to 3.*--continue f/s);
  assert.is(told(() => checkWayBack("f", record({ upgrade: { to: "new", shape: shape() } }), ["f/sums/1"])), "fine");
});

test("a run that was stopped in an upgrade is resumed as it is only by code of the newer shape", () => {
  const stopped = record({ state: "stopped", upgrade: { to: "new", shape: shape({ version: 2 }) } });
  const old = choose("f", stopped, { code: "old", inputs: [], shape: shape() }, "resume");
  assert.match(old.is === "changed" ? old.change.obstacles.join() : "", /version 2, newer than the code's 1/);
  assert.is(choose("f", stopped, { code: "new", inputs: [], shape: shape({ version: 2 }) }, "resume").is, "resume");
  assert.is(choose("f", record({ state: "stopped", upgrade: { to: "new", shape: shape() } }), { code: "old", inputs: [], shape: shape() }, "continue").is, "resume", "of the same shape, the old code goes on, too");
});

test.run();
