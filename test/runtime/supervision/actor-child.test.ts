import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { ActorEvents } from "../../../runtime/actor/environment.ts";
import type { Exit } from "../../../runtime/actor/exit.ts";
import { initial, next, type Lifecycle, type LifecycleEvent } from "../../../runtime/actor/lifecycle.ts";
import { ActorChild } from "../../../runtime/supervision/actor-child.ts";
import type { Run } from "../../../runtime/supervision/child.ts";
import { ManualClock, settle } from "../../../runtime/testing/manual-clock.ts";

const test = suite("actor-child");

/** One life of an actor that a test holds in its hands. */
class Life {
  readonly events: ActorEvents;
  started = (): void => {};
  failed = (_: Error): void => {};
  readonly asked: string[] = [];
  constructor(events: ActorEvents) {
    this.events = events;
  }
  start(): Promise<void> {
    return new Promise((resolve, reject) => [this.started, this.failed] = [resolve, reject]);
  }
  stop(): Promise<void> {
    this.asked.push("stop");
    return Promise.resolve();
  }
  exit(exit: Exit): void {
    this.asked.push(`exit ${exit.class}`);
  }
}

function make() {
  const lives: Life[] = [], clock = new ManualClock();
  const child = new ActorChild("f/s/0", clock, (events) => {
    const life = new Life(events);
    lives.push(life);
    return life;
  });
  return { child, lives, clock };
}

class Recorder implements Run {
  lifecycle: Lifecycle = next(initial(), { type: "start" });
  readonly told: string[] = [];
  report(event: LifecycleEvent): void {
    this.told.push(event.type);
    this.lifecycle = next(this.lifecycle, event);
  }
  poisoned(event: string): void {
    this.told.push(`poisoned ${event}`);
  }
  exit(exit: Exit): void {
    this.told.push(`exit ${exit.class}`);
  }
}

test("the states that the engine names become the events that the lifecycle knows", async () => {
  const { child, lives } = make(), run = new Recorder();
  void child.start(run);
  await settle();
  const { events } = lives[0] as Life, seen: string[] = [];
  for (const state of ["claiming", "unavailable.claiming", "recovering", "unavailable.claiming", "running.active", "unavailable.running", "unavailable.running", "running.active", "draining"] as const) {
    events.onState(state);
    seen.push(run.lifecycle.state);
  }
  assert.equal(seen, ["claiming", "unavailable.claiming", "recovering", "unavailable.recovering", "running.active", "unavailable.running", "unavailable.running", "running.active", "running.active"]);
});

test("why it is unavailable is said: by the handler's error, or NATS", async () => {
  const { child, lives } = make(), run = new Recorder();
  void child.start(run);
  await settle();
  const { events } = lives[0] as Life;
  events.onState("unavailable.claiming");
  assert.is(run.lifecycle.why?.code, "UNREACHABLE");
  events.onState("unavailable.running", new Error("no database"));
  assert.is(run.lifecycle.why?.message, "no database");
});

test("each start is a new life; exits and poison are passed on", async () => {
  const { child, lives } = make(), first = new Recorder(), second = new Recorder();
  const started = child.start(first);
  await settle();
  lives[0]?.started();
  await started;
  lives[0]?.events.onPoison("e", new Error("no"));
  lives[0]?.events.onExit({ class: "crash" });
  void child.start(second);
  await settle();
  assert.equal([first.told, lives.length, child.actor === lives[1]], [["poisoned e", "exit crash"], 2, true]);
});

test("a start that fails rejects, and the next life need not wait", async () => {
  const { child, lives } = make();
  const started = child.start(new Recorder()).then(() => "runs", (error: Error) => error.message);
  await settle();
  lives[0]?.failed(new Error("no"));
  assert.is(await started, "no");
  void child.start(new Recorder());
  await settle();
  assert.is(lives.length, 2);
});

test("a new life waits until a killed one has closed its journal, but not for ever", async () => {
  for (const closes of [true, false]) {
    const { child, lives, clock } = make();
    void child.start(new Recorder());
    await settle();
    child.kill();
    assert.equal(lives[0]?.asked, ["exit shutdown"]);
    void child.start(new Recorder());
    await clock.elapse(4_999);
    assert.is(lives.length, 1);
    if (closes) lives[0]?.events.onExit({ class: "shutdown" });
    await clock.elapse(closes ? 0 : 1);
    await settle();
    assert.equal([lives.length, clock.pending], [2, 0]);
  }
});

test("a start that is overtaken by a stop while it waits begins no life", async () => {
  const { child, lives } = make(), run = new Recorder();
  void child.start(new Recorder());
  await settle();
  child.kill();
  void child.start(run);
  await child.stop();
  lives[0]?.events.onExit({ class: "shutdown" });
  await settle();
  assert.equal([lives.length, run.told], [1, ["exit shutdown"]]);
});

test.run();
