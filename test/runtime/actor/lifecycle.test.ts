import { suite } from "uvu";
import * as assert from "uvu/assert";
import { getShortestPaths } from "xstate/graph";
import { ask, chart, describe, display, initial, next, type EventName, type Lifecycle, type LifecycleEvent, type StateName } from "../../../runtime/actor/lifecycle.ts";

const test = suite("lifecycle");

const why = { code: "SOME_CODE", message: "some reason", remedy: "some remedy" };
const event = (type: EventName): LifecycleEvent => (["claimRefused", "fence", "failed", "unavailable", "park"].includes(type) ? { type, why } : { type }) as LifecycleEvent;
const at = (state: StateName, paused = false): Lifecycle => ({ state, paused, why: null });

// Every event in every state. A name is where it moves to; "=" is a move that stays (a note of pause or of a reason);
// "i" is ignored, "r" refused. Columns:
const events: readonly EventName[] = ["start", "claimed", "claimRefused", "recovered", "drain", "drained", "stop", "end", "failed", "restart", "unavailable", "available", "fence", "park", "unpark", "pause", "resume"];
const table: Readonly<Record<StateName, string>> = {
  //                        start    claimed    claimRefused recovered      drain    drained stop    end   failed      restart  unavailable            available      fence  park   unpark pause          resume
  "idle":                   "claiming r         r            r              i        r       stopped r     r           r        r                      r              r      parked r      =              =",
  "claiming":               "i        recovering fenced      r              draining r       stopped ended backing-off r        unavailable.claiming   i              fenced parked r      =              =",
  "recovering":             "i        r         r            running.active draining r       stopped ended backing-off r        unavailable.recovering i              fenced parked r      =              =",
  "running.active":         "i        r         r            r              draining r       stopped ended backing-off r        unavailable.running    i              fenced parked r      running.paused i",
  "running.paused":         "i        r         r            r              draining r       stopped ended backing-off r        unavailable.running    i              fenced parked r      i              running.active",
  "draining":               "r        i         i            i              i        stopped stopped ended stopped     r        i                      i              fenced parked r      r              r",
  "stopped":                "claiming r         r            r              i        r       i       r     r           r        r                      r              r      parked r      r              r",
  "ended":                  "r        r         r            r              i        r       i       r     r           r        r                      r              r      r      r      r              r",
  "backing-off":            "r        r         r            r              stopped  r       stopped r     r           claiming r                      r              r      parked r      =              =",
  "unavailable.claiming":   "r        r         r            r              draining r       stopped ended backing-off claiming =                      claiming       fenced parked r      =              =",
  "unavailable.recovering": "r        r         r            r              draining r       stopped ended backing-off claiming =                      recovering     fenced parked r      =              =",
  "unavailable.running":    "r        r         r            r              draining r       stopped ended backing-off claiming =                      running.active fenced parked r      =              =",
  "parked":                 "r        r         r            r              i        r       i       r     r           r        r                      r              r      i      idle   r              r",
  "fenced":                 "r        r         r            r              i        r       i       r     r           r        r                      r              i      parked idle   r              r",
};
const states = Object.keys(table) as StateName[];

for (const state of states) {
  test(`${state} answers every event as the table says`, () => {
    const cells = table[state].split(/\s+/);
    assert.is(cells.length, events.length);
    for (const [index, type] of events.entries()) {
      const cell = cells[index] as string, from = at(state), answer = ask(from, type), what = `${type} in ${state}`;
      if (cell === "i") {
        assert.is(answer.answer, "ignored", what);
        assert.is(next(from, event(type)), from, what);
      } else if (cell === "r") {
        assert.is(answer.answer, "refused", what);
        assert.throws(() => next(from, event(type), "f/s/0"), (error: { code: string; where: string; message: string }) => error.code === "LIFECYCLE_REFUSED" && error.where === "f/s/0" && error.message.includes(state), what);
      } else {
        assert.equal(answer, { answer: "moves" }, what);
        assert.is(next(from, event(type)).state, cell === "=" ? state : cell, what);
      }
      if (answer.answer !== "moves") assert.ok(answer.because.length > 10, `${what} has a reason`);
    }
  });
}

test("the table has every state and every event of the chart", () => {
  assert.equal([...states].sort(), describe().states.map(({ name }) => name).sort());
  assert.equal([...events].sort(), [...chart.events].sort());
});

test("an unknown event is refused, not taken for nothing", () => {
  assert.is(ask(initial(), "explode" as EventName).answer, "refused");
  assert.throws(() => next(initial(), { type: "explode" } as never), /LIFECYCLE_REFUSED/);
});

// All shortest paths of the chart itself, replayed through the functions that the runtime uses.
const nameOf = (value: unknown): string => (typeof value === "string" ? value : Object.entries(value as object)[0]!.join("."));
const paths = getShortestPaths(chart, {
  events: events.map(event) as never,
  serializeState: ({ value, context }) => JSON.stringify([value, context.paused, context.why !== null]),
});

test("every state is reached by a shortest path", () => {
  assert.equal([...new Set(paths.map(({ state }) => nameOf(state.value)))].sort(), [...states].sort());
});

test("along all shortest paths each step is a move, and ends in the state that the chart gives", () => {
  assert.ok(paths.length >= 30);
  for (const { steps, state } of paths) {
    let life = initial();
    for (const step of steps.slice(1)) {
      assert.equal(ask(life, (step.event as LifecycleEvent).type), { answer: "moves" });
      life = next(life, step.event as LifecycleEvent);
      assert.is(life.state, nameOf(step.state.value));
    }
    assert.equal(life, { state: nameOf(state.value) as StateName, paused: state.context.paused, why: state.context.why });
  }
});

test("from every reachable state but ended an actor can be brought to run again", () => {
  for (const { state } of paths) {
    const name = nameOf(state.value);
    if (name === "ended") continue;
    let life: Lifecycle = { state: name as StateName, paused: false, why: null };
    for (let steps = 0; life.state !== "running.active"; steps++) {
      assert.ok(steps < 8, `${name} gets stuck in ${life.state}`);
      const way = (["available", "claimed", "recovered", "drained", "unpark", "start", "restart", "resume"] as const).find((type) => ask(life, type).answer === "moves");
      assert.ok(way, `${life.state} has a way on`);
      life = next(life, { type: way as "start" });
    }
  }
});

test("from every reachable state an actor can be stopped, or does not run", () => {
  for (const { state, } of paths) {
    const name = nameOf(state.value) as StateName, life = next({ state: name, paused: false, why: null }, { type: "stop" });
    assert.ok(["stopped", "idle", "ended", "parked", "fenced"].includes(life.state), name);
  }
});

test("unavailable goes back to where it was: claiming, recovering, running or paused", () => {
  for (const [state, paused] of [["claiming", false], ["recovering", false], ["running.active", false], ["running.paused", true]] as const) {
    const away = next(at(state, paused), event("unavailable"));
    assert.equal(away.why, why);
    assert.equal(next(away, { type: "available" }), { state, paused, why: null });
  }
});

test("an order to pause is kept over a failure, and carried out when the actor runs again", () => {
  let life = next(next(initial(), { type: "start" }), { type: "pause" });
  for (const type of ["claimed", "recovered"] as const) life = next(life, { type });
  assert.is(life.state, "running.paused");
  for (const step of [event("failed"), { type: "restart" }, { type: "claimed" }, { type: "recovered" }] as LifecycleEvent[]) life = next(life, step);
  assert.is(life.state, "running.paused");
  life = next(life, event("unavailable"));
  life = next(next(life, { type: "resume" }), { type: "available" });
  assert.is(life.state, "running.active");
});

test("the reason of a failure is shown until the actor runs again", () => {
  let life = next(at("running.active"), event("failed"));
  for (const type of ["restart", "claimed"] as const) {
    assert.equal(life.why, why);
    life = next(life, { type });
  }
  assert.equal(life.why, why);
  assert.is(next(life, { type: "recovered" }).why, null);
});

test("the chart describes itself as data: each state with a text, each move with its states", () => {
  const { initial: first, states: shown, moves } = JSON.parse(JSON.stringify(describe())) as ReturnType<typeof describe>;
  assert.is(first, "idle");
  assert.ok(shown.every(({ description, label }) => description.length > 5 && label.length > 3));
  assert.ok(moves.every(({ from, to }) => states.includes(from) && states.includes(to)));
  const of = (from: StateName, name: EventName) => moves.filter((move) => move.from === from && move.event === name);
  assert.equal(of("idle", "start"), [{ from: "idle", event: "start", to: "claiming" }]);
  assert.equal(of("recovering", "recovered").map(({ to, guard }) => [to, guard]), [["running.paused", "isToPause"], ["running.active", undefined]]);
  assert.equal(of("ended", "start"), []);
  // What it says is what happens.
  for (const { from, event: name, to, guard } of moves) assert.is(next(at(from, guard !== undefined), event(name)).state, to);
});

test("states have names for people", () => {
  assert.equal((["running.active", "running.paused", "unavailable.recovering", "backing-off"] as const).map(display), ["running", "paused", "unavailable", "backing-off"]);
});

test.run();
