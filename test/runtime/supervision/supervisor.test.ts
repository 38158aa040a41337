import { suite } from "uvu";
import * as assert from "uvu/assert";
import { UnavailableError } from "../../../runtime/event/errors.ts";
import { MemoryDecisionLog } from "../../../runtime/supervision/decision-log.ts";
import { settle } from "../../../runtime/testing/manual-clock.ts";
import { grow, plan, WaywardLog } from "./scripted-child.ts";

const test = suite("supervisor");

test("children are started in order, and the tree runs", async () => {
  const { news, node } = await grow({ stages: { a: 1, b: 2 } });
  assert.equal(news(), ["start f/a/0", "start f/b/0", "start f/b/1"]);
  assert.equal(
    [node("f"), node("f/b"), node("f/b/1")].map(({ id, kind, state, strategy, restarts, children }) => [id, kind, state, strategy, restarts, children.length]),
    [["f", "flow", "running.active", "one_for_one", 0, 1 + 1], ["f/b", "stage", "running.active", "one_for_one", 0, 2], ["f/b/1", "actor", "running.active", undefined, 0, 0]],
  );
});

test("one_for_one: a start that takes its time holds nobody up", async () => {
  const { news, child, state, elapse } = await grow({ prepare: ({ child }) => child("f/s/0").starts.push("hangs") });
  assert.equal([news(), state("f/s"), state("f/s/2")], [["start f/s/0", "start f/s/1", "start f/s/2"], "recovering", "running.active"]);
  child("f/s/0").started();
  await elapse(0);
  assert.equal([state("f/s"), state("f")], ["running.active", "running.active"]);
});

for (const strategy of ["one_for_all", "rest_for_one"] as const) {
  test(`${strategy}: each child is started when the one before it runs`, async () => {
    const { news, child, elapse } = await grow({ stages: { a: 2, b: 1 }, stage: { strategy }, flow: { strategy }, prepare: ({ child }) => ["f/a/0", "f/a/1"].forEach((id) => child(id).starts.push("hangs")) });
    assert.equal(news(), ["start f/a/0"]);
    child("f/a/0").started();
    await elapse(0);
    assert.equal(news(), ["start f/a/1"]);
    child("f/a/1").started();
    await elapse(0);
    assert.equal(news(), ["start f/b/0"]);
  });

  test(`${strategy}: one that fails to start holds the next ones up until it runs, one that is unavailable does not`, async () => {
    const { news, elapse } = await grow({ stage: { strategy }, prepare: ({ child }) => { child("f/s/0").starts.push(new Error("no")); child("f/s/1").starts.push(new UnavailableError("down")); } });
    await elapse(99);
    assert.equal(news().filter((one) => one.startsWith("start")), ["start f/s/0"]);
    await elapse(1);
    assert.equal(news().filter((one) => one.startsWith("start")), ["start f/s/0", "start f/s/1", "start f/s/2"]);
  });
}

test("a child that crashes is restarted after its backoff, and nobody else is touched", async () => {
  const { child, news, elapse, state, node } = await grow();
  news();
  child("f/s/1").crash();
  await elapse(99);
  assert.equal(news(), ["decided: restart in 100 ms (f/s/1)"]);
  assert.is(state("f/s/1"), "backing-off");
  await elapse(1);
  assert.equal(news(), ["start f/s/1"]);
  const { state: now, restarts, lastFailure } = node("f/s/1");
  assert.equal([now, restarts, lastFailure?.message, lastFailure?.decision], ["running.active", 1, "Error: boom", "restart in 100 ms"]);
});

test("a decision says when, who, about whom, in what context, why and what", async () => {
  const { child, decisions, clock, elapse } = await grow({ run: "k3v9x2ab" });
  child("f/s/1").crash("bad row", "f/a/0 #7[3]");
  await elapse(0);
  const [{ reason: { stack, ...reason }, ...decision }] = decisions as [(typeof decisions)[0]];
  assert.equal(decision, { at: clock.now(), run: "k3v9x2ab", supervisor: "f/s", context: "run", offender: "f/s/1", action: "restart", decision: "restart in 100 ms", delayMs: 100, restarts: 1 });
  assert.equal(reason, { class: "crash", message: "Error: bad row", event: "f/a/0 #7[3]" });
  assert.ok(stack?.[0]?.startsWith("at ") && stack.length <= 5);
});

// Restart type × exit, carried out.
for (const [restart, exit, ends] of [
  ["permanent", "normal", "ended"], ["transient", "normal", "ended"], ["temporary", "normal", "ended"],
  ["permanent", "shutdown", "running.active"], ["transient", "shutdown", "stopped"], ["temporary", "shutdown", "stopped"],
  ["permanent", "crash", "running.active"], ["transient", "crash", "running.active"], ["temporary", "crash", "stopped"],
  ["permanent", "process", "running.active"], ["transient", "process", "running.active"], ["temporary", "process", "stopped"],
  ["permanent", "poison", "running.active"], ["transient", "poison", "running.active"], ["temporary", "poison", "stopped"],
  ["permanent", "unavailable", "running.active"], ["transient", "unavailable", "running.active"], ["temporary", "unavailable", "running.active"],
  ["permanent", "fenced", "fenced"], ["transient", "fenced", "fenced"], ["temporary", "fenced", "fenced"],
  ["permanent", "parked", "parked"], ["transient", "parked", "parked"], ["temporary", "parked", "parked"],
] as const) {
  test(`a ${restart} child that exits with ${exit} comes to be ${ends}`, async () => {
    const { child, elapse, state } = await grow({ stage: { restart } });
    child("f/s/1").exit({ class: exit });
    await elapse(5_000);
    assert.is(state("f/s/1"), ends);
    assert.is(child("f/s/1").runs, ends === "running.active" ? 2 : 1);
  });
}

// Strategy × position, carried out: siblings stop in reverse order before anything starts.
for (const stops of ["at once", "exits"] as const) for (const [strategy, failed, expected] of [
  ["one_for_one", 0, ["start 0"]],
  ["one_for_one", 2, ["start 2"]],
  ["one_for_all", 0, ["stop 2", "stop 1", "start 0", "start 1", "start 2"]],
  ["one_for_all", 1, ["stop 2", "stop 0", "start 0", "start 1", "start 2"]],
  ["one_for_all", 2, ["stop 1", "stop 0", "start 0", "start 1", "start 2"]],
  ["rest_for_one", 0, ["stop 2", "stop 1", "start 0", "start 1", "start 2"]],
  ["rest_for_one", 1, ["stop 2", "start 1", "start 2"]],
  ["rest_for_one", 2, ["start 2"]],
] as const) {
  test(`${strategy}: when child ${failed} fails: ${expected.join(", ")} (a stop ${stops === "exits" ? "is told as an exit, too" : "just resolves"})`, async () => {
    const { child, elapse, news, root } = await grow({ stage: { strategy } });
    for (const p of [0, 1, 2]) child(`f/s/${p}`).stops = stops;
    news();
    child(`f/s/${failed}`).crash();
    await elapse(200);
    assert.equal(news().slice(1).map((one) => one.replace("f/s/", "").replace(" 1000", "")), expected);
    assert.ok(root.snapshot("f/s").children.every(({ state }) => state === "running.active"));
  });
}

test("the flow's strategy goes by the order of its stages: rest_for_one restarts what is fed by the failed one", async () => {
  const { child, elapse, news } = await grow({ stages: { a: 1, b: 1, c: 1 }, stage: { intensity: 0 }, flow: { strategy: "rest_for_one" } });
  news();
  child("f/b/0").crash();
  await elapse(200);
  assert.equal(news(), ["decided: escalate (f/b/0)", "decided: restart in 100 ms, with f/c (f/b)", "stop f/c/0 1000", "start f/b/0", "start f/c/0"]);
});

test("a child that does not stop for its failed sibling is killed at its deadline, then all are started", async () => {
  const { child, elapse, news } = await grow({ stage: { strategy: "one_for_all" } });
  news();
  child("f/s/2").stops = "never";
  child("f/s/0").crash();
  await elapse(999);
  assert.equal(news(), ["decided: restart in 100 ms, with f/s/1, f/s/2 (f/s/0)", "stop f/s/2 1000"]);
  await elapse(1);
  assert.equal(news(), ["decided: kill it (f/s/2)", "kill f/s/2", "stop f/s/1 1000", "start f/s/0", "start f/s/1", "start f/s/2"]);
});

test("what a killed life still says is not heard", async () => {
  const { child, elapse, state, news } = await grow({ stage: { strategy: "one_for_all" } });
  const late = child("f/s/2"), run = late.run;
  late.stops = "never";
  child("f/s/0").crash();
  await elapse(1_000);
  news();
  run?.exit({ class: "fenced" });
  run?.report({ type: "pause" });
  await elapse(0);
  assert.equal(news(), []);
  assert.is(state("f/s/2"), "running.active");
});

test("a stop that fails after its child was killed and started again does not touch the new life", async () => {
  const { child, elapse, state, news } = await grow({ stage: { strategy: "one_for_all" } });
  child("f/s/2").stops = "never";
  child("f/s/0").crash();
  await elapse(1_000);
  news();
  child("f/s/2").failStop(new Error("too late"));
  await elapse(0);
  assert.equal([news(), state("f/s/2")], [[], "running.active"]);
});

test("a start that fails counts, waits longer each time, and never loops", async () => {
  const { child, elapse, news } = await grow({ prepare: ({ child }) => child("f/s/1").starts.push(new Error("no"), new Error("no"), new Error("no")) });
  news();
  await settle();
  assert.is(child("f/s/1").runs, 1);
  await elapse(100);
  assert.equal(news(), ["start f/s/1", "decided: restart in 200 ms (f/s/1)"]);
  await elapse(199);
  assert.equal(news(), []);
  await elapse(1);
  assert.equal(news(), ["start f/s/1", "decided: restart in 400 ms (f/s/1)"]);
  await elapse(400);
  assert.equal(news(), ["start f/s/1"]);
});

test("with no backoff at all a failing start still goes by messages: an order to stop gets in between, and wins", async () => {
  const { child, clock, root, elapse, state } = await grow({ stage: { intensity: 1_000, backoff: { minMs: 0, maxMs: 0, factor: 1, jitter: 0 } }, prepare: ({ child }) => child("f/s/0").starts.push(...(Array(1_000).fill(new Error("no")) as Error[])) });
  for (let i = 0; i < 5; i++) {
    await settle();
    clock.advance(1);
  }
  const before = child("f/s/0").runs;
  assert.ok(before >= 3 && before <= 10, `${before} starts`);
  const stopped = root.stop();
  await elapse(10);
  await stopped;
  assert.ok(child("f/s/0").runs <= before + 1);
  assert.is(state("f/s/0"), "stopped");
});

test("a start that hangs is ended after its limit and counts as a crash", async () => {
  const { elapse, news, decisions } = await grow({ options: { startMs: 5_000 }, prepare: ({ child }) => child("f/s/1").starts.push("hangs") });
  news();
  await elapse(4_999);
  assert.equal(news(), []);
  await elapse(1);
  assert.equal(news(), ["kill f/s/1", "decided: restart in 100 ms (f/s/1)"]);
  assert.equal([decisions[0]?.reason.code, decisions[0]?.context], ["START_TIMEOUT", "start"]);
});

test("progress gives a start its time anew", async () => {
  const { child, elapse, news, state } = await grow({ options: { startMs: 5_000 }, prepare: ({ child }) => child("f/s/1").starts.push("hangs") });
  news();
  await elapse(4_000);
  child("f/s/1").run?.report({ type: "claimed" });
  assert.is(state("f/s/1"), "recovering");
  await elapse(4_999);
  assert.equal(news(), []);
});

test("a quiet period gives the shortest wait and the whole budget again", async () => {
  const { child, elapse, news } = await grow();
  const failAfter = async (ms: number): Promise<string[]> => {
    await elapse(ms);
    news();
    child("f/s/0").crash();
    await elapse(2_000);
    return news().filter((one) => one.startsWith("decided"));
  };
  assert.equal(await failAfter(0), ["decided: restart in 100 ms (f/s/0)"]);
  assert.equal(await failAfter(0), ["decided: restart in 200 ms (f/s/0)"]);
  assert.equal(await failAfter(10_000), ["decided: restart in 100 ms (f/s/0)"]);
});

test("budgets are each child's own: siblings that fail once each cost nobody's", async () => {
  const { child, elapse, state } = await grow({ stages: { s: 5 }, stage: { intensity: 1 } });
  for (let p = 0; p < 5; p++) child(`f/s/${p}`).crash();
  await elapse(200);
  assert.equal([0, 1, 2, 3, 4].map((p) => state(`f/s/${p}`)), Array(5).fill("running.active"));
  assert.is(state("f/s"), "running.active");
});

test("a budget that is spent is handed up: the stage stops in reverse order, and its supervisor's decides", async () => {
  const { child, elapse, news, state, node } = await grow({ stages: { s: 3, t: 1 }, stage: { intensity: 0 } });
  news();
  child("f/s/1").crash("bad luck");
  await elapse(0);
  assert.equal(news(), ["decided: escalate (f/s/1)", "stop f/s/2 1000", "stop f/s/0 1000", "decided: restart in 100 ms (f/s)"]);
  assert.is(state("f/s"), "backing-off");
  await elapse(100);
  assert.equal(news(), ["start f/s/0", "start f/s/1", "start f/s/2"]);
  assert.equal([state("f/s"), node("f/s").restarts, state("f/t/0")], ["running.active", 1, "running.active"]);
  assert.match(node("f/s").lastFailure?.message ?? "", /f\/s\/1 failed more than 0 times .*bad luck/);
});

test("a stage that was restarted gives its children a new budget", async () => {
  const { child, elapse, news } = await grow({ stage: { intensity: 1 } });
  for (const expected of ["restart in 100 ms", "escalate", "restart in 100 ms"]) {
    news();
    child("f/s/1").crash();
    await elapse(1_000);
    assert.is(news()[0], `decided: ${expected} (f/s/1)`);
  }
});

test("what the flow cannot manage parks the flow at the root, and only it", async () => {
  const { child, elapse, news, state, node } = await grow({ flows: ["f", "g"], stages: { a: 1, b: 1 }, stage: { intensity: 0 }, flow: { intensity: 0 } });
  news();
  child("f/b/0").crash("bad luck");
  await elapse(60_000);
  assert.equal(news(), ["decided: escalate (f/b/0)", "decided: escalate (f/b)", "stop f/a/0 1000", "decided: park it until a person has looked (f)"]);
  assert.equal([state("f"), state("f/a"), state("f/a/0"), state("f/b/0"), state("g"), state("g/b/0")], ["parked", "stopped", "stopped", "stopped", "running.active", "running.active"]);
  const { why } = node("f");
  assert.is(why?.code, "INTENSITY_EXCEEDED");
  assert.match(why?.message ?? "", /f\/b failed .*bad luck/);
  assert.match(why?.remedy ?? "", /millrace.log/);
});

test("a parked flow is started again by order, with a new budget", async () => {
  const { child, elapse, news, root, state } = await grow({ stage: { intensity: 0 }, flow: { intensity: 0 } });
  child("f/s/1").crash();
  await elapse(10);
  news();
  const unparked = root.unpark("f");
  await elapse(0);
  await unparked;
  assert.equal(news(), ["decided: start it (f)", "start f/s/0", "start f/s/1", "start f/s/2"]);
  assert.equal([state("f"), state("f/s/1")], ["running.active", "running.active"]);
});

test("poison spends no budget and gives back what its event had cost", async () => {
  const { child, elapse, state, decisions, node } = await grow({ stage: { intensity: 1 } });
  for (let round = 0; round < 4; round++) {
    child("f/s/0").crash("bad row", `event ${round}`);
    await elapse(2_000);
    child("f/s/0").crash("bad row", `event ${round}`);
    await elapse(2_000);
    child("f/s/0").exit({ class: "poison", event: `event ${round}`, error: new Error("bad row") });
    await elapse(2_000);
  }
  assert.equal([state("f/s/0"), state("f/s"), node("f/s/0").restarts], ["running.active", "running.active", 12]);
  assert.match(decisions[2]?.decision ?? "", /give up event 0 as a dead letter, restart in 400 ms/);
});

test("an event that a child gave up by itself is decided and told, and its crashes cost nothing", async () => {
  const { child, elapse, state, news } = await grow({ stage: { intensity: 1 } });
  for (let round = 0; round < 3; round++) {
    news();
    child("f/s/0").crash("bad row", `event ${round}`);
    await elapse(2_000);
    child("f/s/0").run?.poisoned(`event ${round}`, new Error("bad row"));
    await elapse(0);
    assert.is(news().at(-1), `decided: give up event ${round} as a dead letter (f/s/0)`);
  }
  assert.equal([state("f/s/0"), state("f/s")], ["running.active", "running.active"]);
});

test("an outage spends no budget: the child is suspended, tried again by its own backoff, and its siblings go on", async () => {
  const { child, elapse, state, news, node } = await grow({ stage: { intensity: 0, strategy: "one_for_all" } });
  news();
  child("f/s/1").starts.push(...(Array(6).fill(new UnavailableError("no database")) as Error[]));
  child("f/s/1").exit({ class: "unavailable", error: new UnavailableError("no database") });
  await elapse(0);
  assert.is(state("f/s/1"), "unavailable.running");
  assert.match(node("f/s/1").why?.message ?? "", /no database/);
  await elapse(70_000);
  // Once decided, however often it is tried: 1, 2, 4, 8, 16 and 32 s.
  assert.equal(news(), ["decided: suspend; try again in 1100 ms, then less often, until it is available (f/s/1)", ...(Array(6).fill("start f/s/1") as string[])]);
  assert.equal([state("f/s/0"), node("f/s/1").restarts], ["running.active", 0]);
  await elapse(70_000);
  assert.is(state("f/s/1"), "running.active");
});

test("the author says when an unavailable child is tried again", async () => {
  const { child, elapse, news } = await grow();
  news();
  child("f/s/1").starts.push(new UnavailableError("down", { retryAfter: "7s" }));
  child("f/s/1").exit({ class: "unavailable", retryAfterMs: 5_000 });
  await elapse(4_999);
  assert.is(news().length, 1);
  await elapse(1);
  assert.is(news()[0], "start f/s/1");
  await elapse(6_999);
  assert.equal(news(), []);
  await elapse(1);
  assert.equal(news(), ["start f/s/1"]);
});

test("when what was down is back, all that is suspended is tried at once", async () => {
  const { child, elapse, news, root } = await grow({ stages: { s: 1, t: 1 } });
  for (const id of ["f/s/0", "f/t/0"]) child(id).exit({ class: "unavailable", retryAfterMs: 600_000 });
  child("f/t/0").crash();
  await elapse(0);
  news();
  root.retrySuspended();
  await elapse(0);
  assert.equal(news(), ["start f/s/0", "start f/t/0"]);
});

test("a child that suspends itself in place is shown so, and is not restarted", async () => {
  const { child, elapse, news, state, node } = await grow();
  news();
  child("f/s/1").run?.report({ type: "unavailable", why: { code: "UNREACHABLE", message: "NATS does not answer" } });
  await elapse(3_600_000);
  assert.equal([state("f/s/1"), node("f/s/1").why?.code, news()], ["unavailable.running", "UNREACHABLE", []]);
  child("f/s/1").run?.report({ type: "available" });
  assert.is(state("f/s/1"), "running.active");
});

test("a start that waits in place for what is down costs no budget at its limit", async () => {
  const { child, elapse, decisions } = await grow({ options: { startMs: 5_000 }, stage: { intensity: 0 }, prepare: ({ child }) => child("f/s/1").starts.push("hangs") });
  child("f/s/1").run?.report({ type: "unavailable", why: { message: "NATS does not answer" } });
  await elapse(5_000);
  assert.equal(decisions.map(({ action, reason }) => [action, reason.class]), [["suspend", "unavailable"]]);
});

test("a fenced child is left to its new owner, and started only by order", async () => {
  const { child, elapse, state, root, news } = await grow({ stage: { strategy: "one_for_all", intensity: 0 } });
  news();
  child("f/s/1").exit({ class: "fenced" });
  await elapse(3_600_000);
  assert.equal([state("f/s/1"), news()], ["fenced", ["decided: leave it to its new owner (f/s/1)"]]);
  const unparked = root.unpark("f/s/1");
  await elapse(0);
  await unparked;
  assert.is(state("f/s/1"), "running.active");
});

test("a parked child keeps its code and reason, its siblings go on, and a group restart leaves it alone", async () => {
  const { child, elapse, state, node, news } = await grow({ stage: { strategy: "one_for_all" } });
  news();
  child("f/s/1").exit({ class: "parked", error: Object.assign(new Error("history forked"), { code: "HISTORY_FORKED" }) });
  await elapse(0);
  assert.equal([node("f/s/1").why?.code, state("f/s/0")], ["HISTORY_FORKED", "running.active"]);
  child("f/s/0").crash();
  await elapse(200);
  assert.equal(news().slice(2), ["stop f/s/2 1000", "start f/s/0", "start f/s/2"]);
  assert.is(state("f/s/1"), "parked");
});

test("when all children have ended the stage has ended, then the flow, and nothing is restarted", async () => {
  const { child, elapse, state, news, states } = await grow({ stages: { a: 1, b: 2 } });
  news();
  for (const id of ["f/a/0", "f/b/1", "f/b/0"]) child(id).exit({ class: "normal" });
  await elapse(3_600_000);
  assert.equal([state("f/b"), state("f"), state("node"), news()].map(String), ["ended", "ended", "running.active", ""]);
  assert.equal(states.slice(-6), ["f/a/0 ended", "f/b/1 ended", "f/b/0 ended", "f/a ended", "f/b ended", "f ended"]);
});

test("children that ended stay so when their stage is restarted", async () => {
  const { child, elapse, news } = await grow({ stage: { intensity: 0 } });
  child("f/s/0").exit({ class: "normal" });
  await elapse(0);
  news();
  child("f/s/1").crash();
  await elapse(100);
  assert.equal(news().filter((one) => one.startsWith("start")), ["start f/s/1", "start f/s/2"]);
});

test("what a child reports out of turn is refused to the child, and changes nothing", async () => {
  const { child, state, faults } = await grow();
  assert.throws(() => child("f/s/0").run?.report({ type: "claimed" }), /LIFECYCLE_REFUSED/);
  assert.equal([state("f/s/0"), faults.length], ["running.active", 0]);
});

test("an observer that throws changes nothing, and is told of", async () => {
  const faults: string[] = [];
  const { child, elapse, state } = await grow({ options: { observer: { onDecision: () => { throw new Error("bad observer"); }, onState: () => { throw new Error("bad observer"); }, onFault: (error) => faults.push(error.message) } } });
  child("f/s/0").crash();
  await elapse(100);
  assert.is(state("f/s/0"), "running.active");
  assert.ok(faults.length > 3 && faults.every((one) => one === "bad observer"));
});

test("no more actors are started at the same time than the node allows", async () => {
  const { news, child, elapse } = await grow({ stages: { s: 3, t: 2 }, options: { startsAtOnce: 2 }, prepare: ({ child }) => ["f/s/0", "f/s/1"].forEach((id) => child(id).starts.push("hangs")) });
  assert.equal(news(), ["start f/s/0", "start f/s/1"]);
  child("f/s/0").crash();
  await elapse(0);
  assert.equal(news().sort(), ["decided: restart in 100 ms (f/s/0)", "start f/s/2", "start f/t/0", "start f/t/1"]);
});

test("counts of restarts and the last failure are read back after a restart of the node; another run begins at none", async () => {
  const log = new MemoryDecisionLog(), first = await grow({ log, run: "run-a" });
  for (let i = 0; i < 2; i++) {
    first.child("f/s/1").crash();
    await first.elapse(2_000);
  }
  first.root.kill();
  const again = await grow({ log, run: "run-a" });
  assert.equal([again.node("f/s/1").restarts, again.node("f/s/1").lastFailure?.message, again.node("f/s/0").restarts], [2, "Error: boom", 0]);
  again.child("f/s/1").crash();
  await again.elapse(0);
  assert.is(again.decisions[0]?.restarts, 3);
  again.root.kill();
  const other = await grow({ log, run: "run-b" });
  assert.equal([other.node("f/s/1").restarts, other.node("f/s/1").lastFailure], [0, undefined]);
  assert.is((await other.root.decisions("f/s/1")).length, 3);
});

test("a node starts although the log cannot be read, and says so", async () => {
  const log = new WaywardLog();
  log.read = () => Promise.reject(new Error("unreadable"));
  const { state, faults } = await grow({ log });
  assert.is(state("f/s/0"), "running.active");
  assert.ok(faults.includes("f/s/0: unreadable"));
});

test("a plan that cannot be kept is refused before anything is started", async () => {
  const { faults, news } = await grow({ stage: { backoff: { ...plan.backoff, minMs: 9_999 } } }).catch((error: Error) => ({ faults: [error.message], news: () => [] }));
  assert.match(faults[0] ?? "", /SPEC_INVALID.*backoff.maxMs, which is 1600/);
  assert.equal(news(), []);
});

test.run();
