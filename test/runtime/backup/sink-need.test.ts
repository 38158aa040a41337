import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { ActorCopy } from "../../../runtime/backup/actor-copy.ts";
import { sinksOf } from "../../../runtime/backup/sink-need.ts";
import type { Body } from "../../../runtime/journal/record.ts";

const test = suite("sink need"), from = { inputs: [], cursors: [] };
const copy = (partition: number, sink: Body["sink"], targets: NonNullable<Body["targets"]> = []): ActorCopy => ({ kind: "sink", address: `f/out/${partition}`, stage: "out", partition, generation: "g-2", history: { sink, targets } }) as unknown as ActorCopy;
const need = (copies: readonly ActorCopy[]) => sinksOf(copies, new Map([["out", "jsonl"]]), () => "out-{partition}.jsonl").map(({ actor, batch, mark, target }) => [actor, batch, mark, target]);

test("a target must hold the newest batch that is known to be written", () => {
  assert.equal(need([copy(0, { number: 7, events: 0, mark: { offset: 90 }, written: true, from }), copy(1, { number: 4, events: 3, mark: { offset: 30 }, written: false, from }), copy(2, undefined)]),
    [["f/out/0", 7, { offset: 90 }, "out-0.jsonl"], ["f/out/1", 3, { offset: 30 }, "out-1.jsonl"], ["f/out/2", 0, null, "out-2.jsonl"]]);
});

test("so must those of partitions that a sink had before it was scaled", () => {
  assert.equal(need([copy(0, { number: 7, events: 0, mark: 1n, written: true, from }, [[2, 5, { offset: 50 }], [1, 0, null]])]),
    [["f/out/0", 7, "1", "out-0.jsonl"], ["f/out/2", 5, { offset: 50 }, "out-2.jsonl"], ["f/out/1", 0, null, "out-1.jsonl"]]);
});

test.run();
