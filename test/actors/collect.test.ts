import { suite } from "uvu";
import * as assert from "uvu/assert";
import { collect } from "../../actors/index.ts";
import { type RepeatingSink, sinkOf } from "../../runtime/flow/sink.ts";
import { silent } from "./reading.ts";
import { batch, generation } from "./writing.ts";

const test = suite("collect");
const open = (sink: ReturnType<typeof collect<string>>, partition = 0, of = generation) =>
  (sinkOf(sink) as RepeatingSink<unknown>).open({ actor: `flow/seen/${partition}`, partition, generation: of, signal: new AbortController().signal, log: silent });

test("the data of all events are in the array, in order", async () => {
  const into: string[] = [];
  const sink = await open(collect(into));
  await sink.write(batch(1, "a", "b"));
  await sink.write(batch(2, "c"));
  assert.equal(into, ["a", "b", "c"]);
});

test("a batch that comes again after a crash of the actor is there once", async () => {
  const into: string[] = [];
  const sink = collect(into);
  await (await open(sink)).write(batch(1, "a", "b"));
  const again = await open(sink);
  await again.write(batch(1, "a", "b"));
  await again.write(batch(2, "c"));
  assert.equal(into, ["a", "b", "c"]);
});

test("partitions and runs are told apart", async () => {
  const into: string[] = [];
  const sink = collect(into);
  await (await open(sink, 0)).write(batch(1, "a"));
  await (await open(sink, 1)).write(batch(1, "b"));
  await (await open(sink, 0, "nextrun0-1")).write(batch(1, "c"));
  assert.equal(into, ["a", "b", "c"]);
});

test("it promises no more than it keeps", () => {
  const { kind, guarantee } = sinkOf(collect([])) as RepeatingSink<unknown>;
  assert.equal({ kind, guarantee }, { kind: "collect", guarantee: "at-least-once" });
});

test.run();
