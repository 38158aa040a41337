// I8: a decision is in the log before it is carried out; and what a log that hangs or fails means.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { grow, WaywardLog, type Shape, type World } from "./scripted-child.ts";

const test = suite("environment");

async function growWith(log: WaywardLog, shape: Shape = {}): Promise<World> {
  const world = await grow({ log, ...shape });
  world.news();
  return world;
}

for (const [what, shape, act, carriedOut] of [
  ["a restart", {}, (w: World) => w.child("f/s/1").crash(), ["start f/s/1"]],
  ["the stop of a group", { stage: { strategy: "one_for_all" } }, (w: World) => w.child("f/s/1").crash(), ["stop f/s/2 1000", "stop f/s/0 1000", "start f/s/0", "start f/s/1", "start f/s/2"]],
  ["an escalation", { stage: { intensity: 0 }, flow: { intensity: 0 } }, (w: World) => w.child("f/s/1").crash(), ["stop f/s/2 1000", "stop f/s/0 1000"]],
  ["a try again of what is unavailable", {}, (w: World) => w.child("f/s/1").exit({ class: "unavailable", retryAfterMs: 5 }), ["start f/s/1"]],
  ["an order to stop one", {}, (w: World) => void w.root.terminate("f/s/1"), ["stop f/s/1 1000"]],
  ["an order to park one", {}, (w: World) => void w.root.park("f/s/1", { message: "look at it" }), ["stop f/s/1 1000"]],
] as const) {
  test(`${what} waits for a log that hangs, and is carried out when it answers`, async () => {
    const log = new WaywardLog(), world = await growWith(log, shape);
    log.mode = "hangs";
    act(world);
    await world.elapse(4_000);
    assert.equal(world.news(), []);
    log.release();
    await world.elapse(200);
    assert.equal(world.news().filter((one) => !one.startsWith("decided")), carriedOut);
  });

  test(`${what} is refused by a log that fails, tried again, and carried out when the log is mended`, async () => {
    const log = new WaywardLog(), world = await growWith(log, shape);
    log.mode = "fails";
    act(world);
    await world.elapse(120_000);
    assert.equal(world.news(), []);
    assert.ok(log.attempts.length > 5 && log.attempts.length < 20, `${log.attempts.length} tries in two minutes`);
    assert.is(new Set(log.attempts).size, 1, "the same decision each time");
    assert.ok(world.faults.length >= log.attempts.length && world.faults.every((one) => one.endsWith("disk full")));
    log.mode = "works";
    await world.elapse(40_000);
    assert.equal(world.news().filter((one) => !one.startsWith("decided")), carriedOut);
  });
}

test("an append that hangs is tried again after its limit, with the same decision, and told of", async () => {
  const log = new WaywardLog(), world = await growWith(log);
  log.mode = "hangs";
  world.child("f/s/1").crash();
  await world.elapse(4_999);
  assert.is(log.attempts.length, 1);
  await world.elapse(150);
  assert.is(log.attempts.length, 2);
  assert.is(log.attempts[0], log.attempts[1]);
  assert.match(world.faults[0] ?? "", /f\/s\/1: the log of decisions did not answer within 5000 ms/);
});

test("while a decision waits for the log its child is shown as backing off, and the others go on", async () => {
  const log = new WaywardLog(), world = await growWith(log, { stages: { s: 2, t: 1 } });
  log.mode = "hangs";
  world.child("f/s/1").crash();
  await world.elapse(1_000);
  assert.equal(["f/s/1", "f/s/0", "f/t/0", "f"].map(world.state), ["backing-off", "running.active", "running.active", "running.active"]);
});

test("a decision is told only when it is in the log, and before it is carried out", async () => {
  const log = new WaywardLog(), world = await growWith(log);
  log.mode = "hangs";
  world.child("f/s/1").crash();
  await world.elapse(10);
  assert.equal(world.decisions, []);
  log.release();
  await world.elapse(100);
  assert.equal(world.news(), ["decided: restart in 100 ms (f/s/1)", "start f/s/1"]);
});

test("the wait until the restart begins when the decision is in the log", async () => {
  const log = new WaywardLog(), world = await growWith(log);
  log.mode = "hangs";
  world.child("f/s/1").crash();
  await world.elapse(3_000);
  log.release();
  await world.elapse(99);
  assert.not(world.news().includes("start f/s/1"));
  await world.elapse(1);
  assert.ok(world.news().includes("start f/s/1"));
});

test.run();
