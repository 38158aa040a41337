// Orders by address.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { FlowPlan } from "../../../runtime/flow/plan.ts";
import { grow, plan, ScriptedChild, WaywardLog, type World } from "./scripted-child.ts";

const test = suite("root");
const why = { code: "BROKER_WENT_BACK", message: "the broker lost what it had acknowledged", remedy: "Run millrace doctor." };

/** The code that a promise rejects with. */
async function codeOf({ elapse }: World, promise: Promise<unknown>): Promise<string> {
  const code = promise.then(() => "none", (error: { code: string }) => error.code);
  await elapse(0);
  return await code;
}
async function done({ elapse }: World, promise: Promise<unknown>, ms = 0): Promise<void> {
  await Promise.all([promise, elapse(ms)]);
}

test("an address that is not there is refused, by every order", async () => {
  const world = await grow(), { root } = world;
  for (const order of [() => root.terminate("f/x"), () => root.remove("f/x"), () => root.park("f/x", why), () => root.unpark("f/x")]) assert.is(await codeOf(world, order()), "NOT_FOUND");
  assert.throws(() => root.snapshot("f/x"), /NOT_FOUND/);
  assert.throws(() => root.fail("f/x", { class: "process" }), /NOT_FOUND/);
  assert.throws(() => root.add("f/s/0", { kind: "actor", child: new ScriptedChild("f/s/0/1", []) }), /NOT_FOUND/);
});

test("one that is stopped by order stays stopped, also when its stage is restarted, until it is started by order", async () => {
  const world = await grow({ stage: { intensity: 0 } }), { root, news, state, child, elapse } = world;
  news();
  await done(world, root.terminate("f/s/1"));
  assert.equal([news(), state("f/s/1")], [["decided: stop it (f/s/1)", "stop f/s/1 1000"], "stopped"]);
  child("f/s/0").crash();
  await elapse(200);
  assert.equal([state("f/s/0"), state("f/s/1")], ["running.active", "stopped"]);
  await done(world, root.unpark("f/s/1"));
  assert.is(state("f/s/1"), "running.active");
});

test("a stage that is stopped by order stops all its actors; it is started as a whole", async () => {
  const world = await grow({ stages: { s: 2, t: 1 } }), { root, news, state } = world;
  news();
  await done(world, root.terminate("f/s"));
  assert.equal([news(), state("f/s"), state("f/t")], [["decided: stop it (f/s)", "stop f/s/1 1000", "stop f/s/0 1000"], "stopped", "running.active"]);
  assert.is(await codeOf(world, root.unpark("f/s/0")), "NOT_RUNNING");
  await done(world, root.unpark("f/s"));
  assert.equal(["f/s", "f/s/0", "f/s/1"].map(state), Array(3).fill("running.active"));
});

test("what is below one that does not run can be forgotten, and does not come back with it", async () => {
  const world = await grow(), { root, state, elapse } = world;
  await done(world, root.park("f", why));
  await done(world, root.remove("f/s/1"));
  assert.throws(() => root.snapshot("f/s/1"), /NOT_FOUND/);
  await done(world, root.unpark("f"));
  await elapse(100);
  assert.equal(["f", "f/s", "f/s/0", "f/s/2"].map(state), Array(4).fill("running.active"));
  assert.throws(() => root.snapshot("f/s/1"), /NOT_FOUND/);
});

test("a flow that is parked by order stops first, keeps the reason, and starts with all that is parked in it", async () => {
  const world = await grow(), { root, child, state, node, news, elapse } = world;
  child("f/s/1").exit({ class: "parked" });
  await elapse(0);
  news();
  await done(world, root.park("f", why));
  assert.equal(news(), ["decided: park it until a person has looked (f)", "stop f/s/2 1000", "stop f/s/0 1000"]);
  assert.equal([state("f"), node("f").why, state("f/s/0")], ["parked", why, "stopped"]);
  await done(world, root.unpark("f"));
  assert.equal(["f", "f/s", "f/s/0", "f/s/1"].map(state), Array(4).fill("running.active"));
});

test("unpark of what runs starts what is parked below it; where nothing is, it is refused", async () => {
  const world = await grow({ stages: { s: 2, t: 1 } }), { root, child, state, elapse } = world;
  for (const id of ["f/s/1", "f/t/0"]) child(id).exit({ class: "parked" });
  await elapse(0);
  await done(world, root.unpark("f"));
  assert.equal([state("f/s/1"), state("f/t/0")], ["running.active", "running.active"]);
  for (const id of ["f", "f/s/0"]) assert.is(await codeOf(world, root.unpark(id)), "NOT_PARKED");
});

test("what has ended is not started again", async () => {
  const world = await grow(), { root, child, elapse } = world;
  child("f/s/1").exit({ class: "normal" });
  await elapse(0);
  assert.is(await codeOf(world, root.unpark("f/s/1")), "NOT_PARKED");
});

test("one that backs off or is unavailable is tried at once by order, with a new budget", async () => {
  const world = await grow({ stage: { intensity: 1 } }), { root, child, elapse, state, news } = world;
  child("f/s/0").crash();
  child("f/s/1").exit({ class: "unavailable", retryAfterMs: 60_000 });
  await elapse(0);
  for (const id of ["f/s/0", "f/s/1"]) {
    await done(world, root.unpark(id));
    assert.is(state(id), "running.active");
  }
  news();
  child("f/s/0").crash();
  await elapse(0);
  assert.equal(news(), ["decided: restart in 100 ms (f/s/0)"]);
});

test("an order to park that overtakes a decision wins", async () => {
  const world = await grow(), { root, child, elapse, state } = world;
  child("f/s/1").crash();
  await done(world, root.park("f/s/1", why));
  await elapse(60_000);
  assert.equal([state("f/s/1"), child("f/s/1").runs], ["parked", 1]);
});

test("of orders that come close together the newest stands", async () => {
  const world = await grow(), { root, child, elapse, state } = world;
  child("f/s/1").stops = "never";
  void root.park("f/s/1", why);
  await elapse(500);
  void root.terminate("f/s/1");
  await elapse(1_000);
  assert.is(state("f/s/1"), "stopped");
  await done(world, root.unpark("f/s/1"));
  assert.is(state("f/s/1"), "running.active");
});

test("an order to start that overtakes a decision wins: what was to be left stopped runs", async () => {
  const log = new WaywardLog(), world = await grow({ log, stage: { restart: "temporary" } }), { root, child, elapse, state } = world;
  log.mode = "hangs";
  child("f/s/1").crash();
  await elapse(10);
  log.mode = "works";
  const unparked = root.unpark("f/s/1");
  await elapse(10);
  log.release();
  await done(world, unparked);
  assert.is(state("f/s/1"), "running.active");
});

test("one that hangs can be failed from outside: it is killed and restarted", async () => {
  const { root, news, elapse, decisions } = await grow();
  news();
  root.fail("f/s/1", { class: "process", error: new Error("the worker is out of memory") });
  await elapse(100);
  assert.equal(news(), ["kill f/s/1", "decided: restart in 100 ms (f/s/1)", "start f/s/1"]);
  assert.is(decisions[0]?.reason.class, "process");
});

test("a child that is added is started as the last, and supervised; one that is removed is stopped and forgotten", async () => {
  const world = await grow({ stage: { strategy: "rest_for_one" } }), { root, news, elapse, child } = world, told: string[] = [];
  const added = new ScriptedChild("f/s/3", told);
  await done(world, root.add("f/s", { kind: "actor", child: added }));
  assert.equal([told, root.snapshot("f/s").children.map(({ id }) => id)], [["start f/s/3"], ["f/s/0", "f/s/1", "f/s/2", "f/s/3"]]);
  added.crash();
  await elapse(100);
  assert.is(added.runs, 2);
  news();
  await done(world, root.remove("f/s/2"));
  child("f/s/1").crash();
  await elapse(200);
  assert.equal(news(), ["decided: stop it (f/s/2)", "stop f/s/2 1000", "decided: restart in 100 ms, with f/s/3 (f/s/1)", "start f/s/1"]);
  assert.throws(() => root.snapshot("f/s/2"), /NOT_FOUND/);
});

test("rules of a newer code hold from then on: for the next failure and for who is added, not for what is spent", async () => {
  const world = await grow({ stage: { intensity: 1 } }), { root, news, elapse, child, state } = world;
  child("f/s/1").crash();
  await elapse(200);
  news();
  root.replan({ name: "f", supervision: plan, stages: [{ name: "s", supervision: { ...plan, strategy: "rest_for_one", intensity: 2, restart: "temporary" } }, { name: "new", supervision: plan }] } as unknown as FlowPlan);
  assert.is(root.snapshot("f/s").strategy, "rest_for_one");
  child("f/s/2").crash();
  await elapse(200);
  assert.equal([news(), state("f/s/2")], [["decided: leave it stopped (f/s/2)"], "stopped"]);
  root.replan({ name: "f", supervision: plan, stages: [{ name: "s", supervision: { ...plan, strategy: "one_for_one", intensity: 2 } }] } as unknown as FlowPlan);
  child("f/s/1").crash();
  await elapse(200);
  assert.equal(news(), ["decided: restart in 200 ms (f/s/1)", "start f/s/1"], "a second time within its period, as is allowed now");
  assert.throws(() => root.replan({ name: "f", supervision: { ...plan, intensity: -1 }, stages: [] } as unknown as FlowPlan), /SPEC_INVALID/);
});

test("a child with an id that is there already is refused", async () => {
  const world = await grow();
  assert.is(await codeOf(world, world.root.add("f/s", { kind: "actor", child: new ScriptedChild("f/s/0", []) })), "SPEC_INVALID");
});

test("the last child that keeps a stage from its end may be removed: then it has ended", async () => {
  const world = await grow(), { root, child, state } = world;
  for (const id of ["f/s/0", "f/s/1"]) child(id).exit({ class: "normal" });
  await done(world, root.remove("f/s/2"));
  assert.is(state("f"), "ended");
});

test("the tree is plain data, and says when something is tried again", async () => {
  const { root, child, elapse, clock } = await grow();
  child("f/s/1").crash();
  await elapse(0);
  const tree = root.snapshot();
  assert.equal(JSON.parse(JSON.stringify(tree)), tree);
  assert.equal([tree.id, tree.kind, tree.children[0]?.kind, tree.children[0]?.children[0]?.kind], ["node", "root", "flow", "stage"]);
  assert.is(root.snapshot("f/s/1").nextTryAt, clock.now() + 100);
});

test("decisions about an address are there to be asked for, newest last", async () => {
  const { root, child, elapse } = await grow();
  for (const message of ["first", "second"]) {
    child("f/s/1").crash(message);
    await elapse(1_000);
  }
  assert.equal((await root.decisions("f/s/1")).map(({ reason }) => reason.message), ["Error: first", "Error: second"]);
  assert.equal(await root.decisions("f/x"), []);
});

test.run();
