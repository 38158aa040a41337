import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Lane } from "../../../runtime/supervision/lane.ts";
import { settle } from "../../../runtime/testing/manual-clock.ts";

const test = suite("lane");

test("tasks are done one after another in their order, never within the call", async () => {
  const seen: string[] = [], lane = new Lane(() => assert.unreachable());
  let go = (): void => {};
  lane.post(async () => {
    seen.push("a begins");
    await new Promise<void>((resolve) => (go = resolve));
    seen.push("a ends");
  });
  lane.post(() => void seen.push("b"));
  assert.equal(seen, []);
  await settle();
  assert.equal(seen, ["a begins"]);
  go();
  await settle();
  assert.equal(seen, ["a begins", "a ends", "b"]);
});

test("a task that throws is reported, and the next one is done", async () => {
  const seen: unknown[] = [], lane = new Lane((error) => seen.push((error as Error).message));
  lane.post(() => { throw new Error("one"); });
  lane.post(() => Promise.reject(new Error("two")));
  lane.post(() => void seen.push("done"));
  await settle();
  assert.equal(seen, ["one", "two", "done"]);
});

test("a task may post another, which comes last", async () => {
  const seen: string[] = [], lane = new Lane(() => assert.unreachable());
  lane.post(() => {
    lane.post(() => void seen.push("c"));
    seen.push("a");
  });
  lane.post(() => void seen.push("b"));
  await settle();
  assert.equal(seen, ["a", "b", "c"]);
});

test.run();
