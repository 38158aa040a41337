import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { StageFingerprint } from "../../../runtime/flow/fingerprint.ts";
import { changedError, choose, type Choice, type Wanted } from "../../../runtime/node/run-choice.ts";
import type { RunRecord, RunState } from "../../../runtime/node/run-record.ts";

const test = suite("run-choice");

const stage = (name: string, more: Partial<StageFingerprint> = {}): StageFingerprint => ({ name, kind: "processor", parts: ["map"], parallelism: 1, order: "arrival", inputs: ["feed"], state: [], ...more });
const feed = stage("feed", { kind: "source", parts: ["jsonl"], inputs: [] });
const daily = stage("daily", { parts: ["filter", "aggregate"], parallelism: 4, inputs: ["feed by key"], state: [{ of: "aggregate", version: 2 }] });
const wanted: Wanted = { code: "c1", inputs: [{ stage: "feed", fingerprint: "f1" }], shape: { stages: [feed, daily] } };
const before = (state: RunState): RunRecord => ({ ...wanted, token: "k3v9x2ab", state, node: "n", startedAt: 1, stages: [] });
const after = (...stages: readonly StageFingerprint[]): Wanted => ({ ...wanted, code: "c2", shape: { stages } });

const changed = (choice: Choice) => {
  if (choice.is !== "changed") throw new Error(`it came to ${choice.is}`);
  return choice.change;
};

test("where there was no run, one is begun", () => assert.equal(choose("f", undefined, wanted, "continue"), { is: "new" }));
test("a finished run is followed by a new one", () => assert.equal(choose("f", before("finished"), wanted, "continue"), { is: "new" }));
test("a run that was only being prepared is replaced", () => assert.equal(choose("f", before("preparing"), wanted, "continue"), { is: "new" }));
test("a killed run is resumed", () => assert.equal(choose("f", before("running"), wanted, "continue"), { is: "resume" }));
test("a stopped run is resumed", () => assert.equal(choose("f", before("stopped"), wanted, "continue"), { is: "resume" }));
test("fresh begins a new run whatever there was", () => assert.equal(choose("f", before("stopped"), { ...wanted, code: "c2" }, "fresh"), { is: "new" }));
test("of a finished run nobody asks what changed", () => assert.equal(choose("f", before("finished"), { ...wanted, code: "c2" }, "continue"), { is: "new" }));

test("other code under the same shape is a change, and can be resumed", () => {
  const { changes, obstacles } = changed(choose("f", before("running"), { ...wanted, code: "c2" }, "continue"));
  assert.equal([changes, obstacles], [["the code of the flow is another"], []]);
  assert.equal(choose("f", before("running"), { ...wanted, code: "c2" }, "resume"), { is: "resume" });
});

test("another input is a change that names the source", () => {
  const { changes, obstacles } = changed(choose("f", before("running"), { ...wanted, inputs: [{ stage: "feed", fingerprint: "f2" }] }, "continue"));
  assert.equal([changes, obstacles], [["source feed: what it reads is another or was changed"], []]);
});

const obstacles: readonly (readonly [guarantee: string, wanted: Wanted, obstacle: RegExp])[] = [
  ["another parallelism", after(feed, { ...daily, parallelism: 8 }), /in 4 partitions: set its parallelism back to 4/],
  ["a stage that is gone", after(feed), /stage daily is gone/],
  ["a new stage", after(feed, daily, stage("more")), /stage more is new/],
  ["another kind of stage", after(feed, { ...daily, kind: "sink" }), /daily was a processor/],
  ["another order", after(feed, { ...daily, order: "time" }), /took its events by arrival/],
  ["another input stage", after(feed, { ...daily, inputs: ["feed"] }), /stage daily read feed by key/],
  ["another kind of source", after({ ...feed, parts: ["csv"] }, daily), /was jsonl, whose positions mean nothing to csv/],
  ["state that is gone", after(feed, { ...daily, parts: ["filter"], state: [] }), /holds state of aggregate, which is gone/],
  ["state in another place of the pipe", after(feed, { ...daily, parts: ["aggregate"] }), /has another place in its pipe/],
  ["state of an older version than the journal's", after(feed, { ...daily, state: [{ of: "aggregate", version: 1 }] }), /has version 2, newer than the code's 1/],
];
for (const [guarantee, now, obstacle] of obstacles) {
  test(`not even with resume: ${guarantee}`, () => {
    const change = changed(choose("f", before("running"), now, "resume"));
    assert.is(change.obstacles.length, 1, change.obstacles.join("; "));
    assert.match(change.obstacles[0] as string, obstacle);
    assert.match(changedError(change, "resume").message, /It cannot be resumed:/);
  });
}

test("an operator without state may come into a pipe behind the one with state", () => {
  assert.equal(choose("f", before("running"), after(feed, { ...daily, parts: ["filter", "aggregate", "map"] }), "resume"), { is: "resume" });
});

test("the refusal says what changed, what it would mean, and both ways on", () => {
  const { code, message } = changedError(changed(choose("f", before("running"), { ...wanted, code: "c2" }, "continue")), "continue");
  assert.is(code, "RUN_CHANGED");
  for (const part of [/Flow "f" was interrupted/, /- the code of the flow is another/, /--resume goes on where it was/, /--fresh begins a new run: what run k3v9x2ab has done so far is given up/]) assert.match(message, part);
});

test.run();
