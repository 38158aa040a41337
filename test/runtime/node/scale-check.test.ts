// Which stages can be scaled, and what is said of those that cannot.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { collect, generate, jsonl, map } from "../../../actors/index.ts";
import { defineFlow, type MillraceError } from "../../../runtime/index.ts";
import { type FlowPlan, planOf } from "../../../runtime/flow/plan.ts";
import type { RunRecord } from "../../../runtime/node/run-record.ts";
import { checkRunning, checkScale } from "../../../runtime/node/scale-check.ts";

const test = suite("scale-check");

const plan = planOf(defineFlow("f", { module: import.meta.url }, (flow) => {
  const before = flow.processor("before", flow.source("feed", generate({ count: 1, make: (n) => n })), map((n: number) => n));
  const alone = flow.processor("alone", before, { isolate: "worker" }, map((n: number) => n));
  const after = flow.processor("after", alone, map((n: number) => n));
  const last = flow.processor("last", after, map((n: number) => n));
  flow.sink("out", last, collect<number>([]));
  flow.sink("file", last, jsonl.sink("out.jsonl"));
  flow.sink("other", flow.source("parts", generate({ count: 9, splits: 3, make: (n) => n })), collect<number>([]));
  flow.sink("files", last, jsonl.sink("out-{partition}.jsonl"));
})) as FlowPlan;
const record = { token: "t", stages: plan.stages.map(({ name, parallelism }) => ({ name, generation: "t-1", parallelism })) } as unknown as RunRecord;

function outcome(stage: string): string {
  try {
    return checkScale(plan, record, stage, 3).name;
  } catch (error) {
    return `${(error as MillraceError).code} ${(error as MillraceError).message}`;
  }
}

test("a stage in threads of its own keeps its number while it runs, and so does a stage that it feeds; those before and further behind do not", () => {
  assert.equal(["before", "last"].map(outcome), ["before", "last"]);
  assert.match(outcome("alone"), /^STAGE_FIXED "alone" runs in threads of its own.*can be scaled: before, last, out, parts, other, files;/);
  assert.match(outcome("after"), /^STAGE_FIXED "after" gets events from "alone".*leave isolate out of "alone"/);
});

test("a source that cannot be split keeps its number, and so does a sink that writes one file; what is not there is said", () => {
  assert.match(outcome("feed"), /^STAGE_FIXED "feed" cannot be split/);
  assert.match(outcome("file"), /^STAGE_FIXED "file" writes one file, out\.jsonl/);
  assert.equal(["out", "files", "parts"].map(outcome), ["out", "files", "parts"]);
  assert.match(outcome("nowhere"), /^STAGE_UNKNOWN .*can be scaled: before, last, out, parts, other, files\./);
});

test("a stage of which a part has ended keeps its number: who has ended is named, and what can be done; of a source why that is so", () => {
  const actors = (ended: number) => Array.from({ length: 6 }, (_, p) => ({ actor: `parts/${p}`, state: p < ended ? ("ended" as const) : ("runs" as const) }));
  const refusal = (kind: "source" | "sink", ended: number): string => {
    try {
      checkRunning("f", { name: "parts", kind }, actors(ended));
      return "";
    } catch (error) {
      return `${(error as MillraceError).code} ${(error as MillraceError).message}`;
    }
  };
  assert.is(refusal("source", 0), "");
  assert.match(refusal("source", 1), /^ENDED 1 of the 6 actors of "parts" has ended in this run \(f\/parts\/0\).*no more actors than it has splits.*--set parts\.parallelism=<count>\.$/);
  assert.match(refusal("source", 5), /^ENDED 5 of the 6 actors of "parts" have ended in this run \(f\/parts\/0, f\/parts\/1, f\/parts\/2 …\)/);
  assert.not.match(refusal("sink", 1), /splits/);
  assert.match(refusal("sink", 6), /^ENDED "parts" has ended in this run.*--set parts\.parallelism=<count>\.$/);
});

test.run();
