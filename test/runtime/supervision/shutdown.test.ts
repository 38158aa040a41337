// How a tree is stopped: order, deadlines, and what an order to stop overtakes.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { settle } from "../../../runtime/testing/manual-clock.ts";
import { grow, WaywardLog } from "./scripted-child.ts";

const test = suite("shutdown");
const stages = { a: 2, b: 1, c: 1 };
/** Whether a promise has settled by now. */
async function settled(promise: Promise<unknown>): Promise<boolean> {
  let done = false;
  void promise.then(() => (done = true));
  await settle();
  return done;
}

test("one_for_one: all are told to stop in reverse start order, and waited for together", async () => {
  const { root, news, state } = await grow({ stages });
  news();
  await root.stop();
  assert.equal(news(), ["stop f/c/0 1000", "stop f/b/0 1000", "stop f/a/1 1000", "stop f/a/0 1000"]);
  assert.equal(["node", "f", "f/a", "f/a/0"].map(state), Array(4).fill("stopped"));
});

for (const strategy of ["one_for_all", "rest_for_one"] as const) {
  test(`${strategy}: each is stopped only when the one started after it has`, async () => {
    const { root, news, child, elapse } = await grow({ stages, stage: { strategy }, flow: { strategy } });
    news();
    child("f/b/0").stops = "never";
    child("f/a/1").stops = "never";
    const stopped = root.stop();
    await elapse(0);
    assert.equal(news(), ["stop f/c/0 1000", "stop f/b/0 1000"]);
    await elapse(1_000);
    assert.equal(news(), ["decided: kill it (f/b/0)", "kill f/b/0", "stop f/a/1 1000"]);
    await elapse(1_000);
    assert.equal(news(), ["decided: kill it (f/a/1)", "kill f/a/1", "stop f/a/0 1000"]);
    await stopped;
  });
}

test("a child that hangs is killed at its deadline, not before, and holds nobody up for longer", async () => {
  const { root, news, child, elapse, decisions, state } = await grow({ stages });
  news();
  child("f/b/0").stops = "never";
  const stopped = root.stop();
  await elapse(999);
  assert.is(await settled(stopped), false);
  assert.not(news().some((one) => one.startsWith("kill")));
  await elapse(1);
  assert.ok(await settled(stopped));
  assert.equal(news(), ["decided: kill it (f/b/0)", "kill f/b/0"]);
  assert.equal([decisions[0]?.context, decisions[0]?.reason, state("f/b/0")], ["stop", { class: "deadline", message: "did not stop within 1000 ms" }, "stopped"]);
});

test("a deadline for the whole tree brings those of the actors forward", async () => {
  const { root, news, child, elapse } = await grow({ stages, flow: { strategy: "rest_for_one" } });
  news();
  child("f/c/0").stops = "never";
  child("f/a/0").stops = "never";
  const stopped = root.stop(400);
  await elapse(400);
  await stopped;
  assert.equal(news(), ["stop f/c/0 400", "decided: kill it (f/c/0)", "kill f/c/0", "stop f/b/0 0", "stop f/a/1 0", "stop f/a/0 0", "decided: kill it (f/a/0)", "kill f/a/0"]);
});

test("a second order with a shorter deadline is kept", async () => {
  const { root, news, child, elapse } = await grow({ stages: { a: 1 } });
  child("f/a/0").stops = "never";
  const stopped = root.stop();
  await elapse(100);
  news();
  child("f/a/0").stops = "at once";
  const sooner = root.stop(50);
  await elapse(50);
  assert.equal([await settled(stopped), await settled(sooner), news()], [true, true, ["decided: kill it (f/a/0)", "kill f/a/0"]]);
});

test("kill ends everything at once, also what is being stopped", async () => {
  const { root, news, child, state } = await grow({ stages });
  child("f/c/0").stops = "never";
  const stopped = root.stop();
  await settle();
  news();
  root.kill();
  assert.ok(await settled(stopped));
  assert.ok(news().includes("kill f/c/0"));
  assert.equal(["f", "f/c", "f/c/0"].map(state), Array(3).fill("stopped"));
});

test("a stop that throws is a kill, and is told of", async () => {
  const { root, news, child, faults } = await grow({ stages: { a: 1 } });
  child("f/a/0").stops = new Error("stuck");
  await root.stop();
  assert.equal([news().at(-1), faults], ["kill f/a/0", ["f/a/0: stuck"]]);
});

test("an order to stop during a pending restart wins", async () => {
  const { root, child, elapse, state, clock } = await grow({ stages });
  child("f/b/0").crash();
  await elapse(50);
  await root.stop();
  await elapse(60_000);
  assert.equal([child("f/b/0").runs, state("f/b/0"), clock.pending], [1, "stopped", 0]);
});

test("an order to stop during a pending restart of a group wins", async () => {
  const { root, child, elapse, clock } = await grow({ stages, stage: { strategy: "one_for_all" } });
  child("f/a/1").stops = "never";
  child("f/a/0").crash();
  await elapse(10);
  const stopped = root.stop();
  await elapse(60_000);
  await stopped;
  assert.equal([child("f/a/0").runs, child("f/a/1").runs, clock.pending], [1, 1, 0]);
});

test("an order to stop during a start that hangs gives that up", async () => {
  const { root, child, news, elapse, state } = await grow({ stages, prepare: ({ child }) => child("f/b/0").starts.push("hangs") });
  child("f/b/0").stops = "never";
  news();
  const stopped = root.stop();
  await elapse(1_000);
  await stopped;
  assert.equal([news().slice(-2), state("f/b/0"), child("f/b/0").runs], [["decided: kill it (f/b/0)", "kill f/b/0"], "stopped", 1]);
});

test("an order to stop while the log of decisions hangs wins, and the decision is not carried out", async () => {
  const log = new WaywardLog(), { root, child, news, elapse, decisions } = await grow({ stages, log });
  log.mode = "hangs";
  child("f/b/0").crash();
  await elapse(0);
  news();
  await root.stop();
  assert.equal(news(), ["stop f/c/0 1000", "stop f/a/1 1000", "stop f/a/0 1000"]);
  log.release();
  await elapse(60_000);
  assert.equal([child("f/b/0").runs, decisions], [1, []]);
});

test("a log that hangs does not keep a child alive that missed its deadline for more than a second", async () => {
  const log = new WaywardLog(), { root, child, news, elapse } = await grow({ stages: { a: 1 }, log });
  log.mode = "hangs";
  child("f/a/0").stops = "never";
  const stopped = root.stop();
  await elapse(1_999);
  assert.not(news().includes("kill f/a/0"));
  await elapse(1);
  assert.ok(await settled(stopped));
  assert.ok(news().includes("kill f/a/0"));
});

test("an order to stop while a supervisor gives up joins it: each is stopped once", async () => {
  const { root, child, news, elapse } = await grow({ stages, stage: { intensity: 0 }, flow: { intensity: 0 } });
  child("f/a/1").stops = "never";
  news();
  child("f/a/0").crash();
  await elapse(0);
  const stopped = root.stop();
  await elapse(1_000);
  await stopped;
  const told = news();
  assert.is(new Set(told).size, told.length);
  assert.equal(told.filter((one) => one.startsWith("start")), []);
});

test("a child that ends while it drains has ended, one that crashes then is stopped, and nothing is decided", async () => {
  const { root, child, state, decisions, elapse } = await grow({ stages });
  for (const id of ["f/a/0", "f/a/1"]) child(id).stops = "never";
  const stopped = root.stop();
  await settle();
  child("f/a/0").exit({ class: "normal" });
  child("f/a/1").crash();
  await elapse(0);
  assert.ok(await settled(stopped));
  assert.equal([state("f/a/0"), state("f/a/1"), decisions], ["ended", "stopped", []]);
});

test("a tree that was stopped is started again, with what had ended left as it is", async () => {
  const { root, child, news, elapse, state } = await grow({ stages });
  child("f/b/0").exit({ class: "normal" });
  await elapse(0);
  await root.stop();
  news();
  const started = root.start();
  await elapse(0);
  await started;
  assert.equal(news(), ["start f/a/0", "start f/a/1", "start f/c/0"]);
  assert.equal(["f", "f/b", "f/b/0"].map(state), ["running.active", "ended", "ended"]);
});

test("stopping twice, or what never started, is no error", async () => {
  const { root, news } = await grow({ stages });
  await root.stop();
  news();
  await root.stop();
  root.kill();
  assert.equal(news(), []);
});

test.run();
