// An actor's lifecycle as a chart: State × Event → State, and nothing else. The only importer of xstate, which is used for
// its pure transitions: no interpreter, no `after`, nothing restored. Whoever drives an actor sends what happened and shows
// the state; every event has an answer in every state: it moves, it is ignored for a reason, or it is refused with one.
// Stages and flows go through the same chart: for them, recovering means that their children are started.
import { assign, getNextTransitions, setup, transition } from "xstate";
import { MillraceError } from "../event/errors.ts";

export type StateName =
  | "idle" | "claiming" | "recovering" | "running.active" | "running.paused" | "draining" | "stopped" | "ended"
  | "backing-off" | "unavailable.claiming" | "unavailable.recovering" | "unavailable.running" | "parked" | "fenced";

/** Why it is not running. */
export interface Why {
  readonly code?: string;
  readonly message: string;
  /** What a person can do. */
  readonly remedy?: string;
}

type Plain = "start" | "claimed" | "recovered" | "drain" | "drained" | "stop" | "end" | "restart" | "available" | "unpark" | "pause" | "resume";
type Explained = "claimRefused" | "fence" | "failed" | "unavailable" | "park";

/** What happened, or what is asked for (start, pause, resume, drain, park, unpark). */
export type LifecycleEvent = { [T in Plain]: { readonly type: T } }[Plain] | { [T in Explained]: { readonly type: T; readonly why: Why } }[Explained];

export type EventName = LifecycleEvent["type"];

/** Where an actor is in its life. Plain data. */
export interface Lifecycle {
  readonly state: StateName;
  /** It is to be paused when it runs; kept over restarts. */
  readonly paused: boolean;
  /** Of the last failure until it runs again; of being parked, fenced or unavailable. */
  readonly why: Why | null;
}

/** What an event comes to: a move (also one that only changes `paused` or `why`), or the reason why there is none. */
export type Answer = { readonly answer: "moves" } | { readonly answer: "ignored" | "refused"; readonly because: string };

const ignored = (description: string) => ({ description, meta: { answer: "ignored" as const } });
const refused = (description: string) => ({ description, meta: { answer: "refused" as const } });
const noteWhy = { actions: "noteWhy" } as const;
const run = [{ guard: "isToPause", target: "#running.paused", actions: "clearWhy" }, { target: "#running.active", actions: "clearWhy" }] as const;
const notePause = { pause: { actions: "notePause", description: "it will be paused when it runs" }, resume: { actions: "noteResume", description: "it will not be paused when it runs" } } as const;

// What may happen to any actor that is at work.
const atWork = {
  start: ignored("it is started already"),
  drain: "#draining",
  stop: "#stopped",
  end: "#ended",
  failed: { target: "#backing-off", ...noteWhy },
  fence: { target: "#fenced", ...noteWhy },
  park: { target: "#parked", ...noteWhy },
  available: ignored("nothing was said to be down"),
} as const;
const unavailable = (back: "claiming" | "recovering" | "running") => ({ target: `#unavailable.${back}`, ...noteWhy }) as const;
// Whatever else comes for an actor that does not work comes too late.
const atRest = {
  drain: ignored("it does not run"),
  stop: ignored("it does not run"),
} as const;

/** The chart. For tests and tools; the runtime uses the functions below. */
export const chart = setup({
  types: {
    context: {} as { readonly paused: boolean; readonly why: Why | null },
    events: {} as LifecycleEvent,
    meta: {} as { readonly answer?: "ignored" | "refused" },
  },
  guards: { isToPause: ({ context }) => context.paused },
  actions: {
    noteWhy: assign({ why: ({ context, event }) => ("why" in event ? event.why : context.why) }),
    clearWhy: assign({ why: null }),
    notePause: assign({ paused: true }),
    noteResume: assign({ paused: false }),
  },
}).createMachine({
  id: "lifecycle",
  context: { paused: false, why: null },
  initial: "idle",
  // The answer in every state that says nothing else.
  on: {
    start: refused("it cannot be started from here"),
    claimed: refused("only an actor that is claiming waits for its claim"),
    claimRefused: refused("only an actor that is claiming waits for its claim"),
    recovered: refused("only an actor that is recovering can be done with it"),
    drain: refused("it cannot be drained from here"),
    drained: refused("only an actor that is draining can be done with it"),
    stop: refused("it cannot be stopped from here"),
    end: refused("only an actor at work can come to its end"),
    failed: refused("only an actor at work can fail"),
    restart: refused("only an actor that is backing off or unavailable waits to be restarted"),
    unavailable: refused("only an actor at work can miss what it needs"),
    available: refused("only an actor that is unavailable waits for what it needs"),
    fence: refused("only an actor at work can be fenced"),
    park: refused("it cannot be parked from here"),
    unpark: refused("it is neither parked nor fenced"),
    pause: refused("it does not run; start it first"),
    resume: refused("it does not run; start it first"),
  },
  states: {
    idle: {
      description: "not started yet",
      on: { start: "claiming", ...atRest, ...notePause, stop: "stopped", park: { target: "parked", ...noteWhy } },
    },
    claiming: {
      description: "taking its log over from whoever held it (P5)",
      on: { ...atWork, ...notePause, claimed: "recovering", claimRefused: { target: "fenced", ...noteWhy }, unavailable: unavailable("claiming") },
    },
    recovering: {
      description: "making its journal equal to the log, and its state from both (P24)",
      on: { ...atWork, ...notePause, recovered: run, unavailable: unavailable("recovering") },
    },
    running: {
      id: "running",
      initial: "active",
      on: { ...atWork, unavailable: unavailable("running") },
      states: {
        active: { description: "at work", on: { pause: { target: "paused", actions: "notePause" }, resume: ignored("it is not paused") } },
        paused: { description: "takes nothing new until a person resumes it", on: { resume: { target: "active", actions: "noteResume" }, pause: ignored("it is paused already") } },
      },
    },
    draining: {
      id: "draining",
      description: "takes nothing new, commits what it has, and sends what it owes",
      on: {
        start: refused("it is being stopped; start it when it is"),
        drain: ignored("it is draining already"),
        drained: "stopped",
        stop: "stopped",
        end: "ended",
        failed: { target: "stopped", ...noteWhy },
        fence: { target: "fenced", ...noteWhy },
        park: { target: "parked", ...noteWhy },
        claimed: ignored("it is being stopped"),
        claimRefused: ignored("it is being stopped"),
        recovered: ignored("it is being stopped"),
        unavailable: ignored("it is being stopped; its deadline bounds the wait"),
        available: ignored("it is being stopped"),
        pause: refused("it is being stopped"),
        resume: refused("it is being stopped"),
      },
    },
    stopped: {
      id: "stopped",
      description: "not running; starts where its log ends",
      on: { ...atRest, start: "claiming", park: { target: "parked", ...noteWhy } },
    },
    ended: {
      id: "ended",
      description: "all its inputs have ended and all that it sent is settled: done for this run",
      on: { ...atRest, start: refused("it is done for this run; a new run begins it anew"), park: refused("it is done for this run") },
    },
    "backing-off": {
      id: "backing-off",
      description: "failed; waits for its supervisor to restart it",
      on: { ...notePause, restart: "claiming", drain: "stopped", stop: "stopped", park: { target: "parked", ...noteWhy }, start: refused("it failed and waits to be restarted") },
    },
    unavailable: {
      id: "unavailable",
      description: "something that it needs is down; it is tried again without spending a restart",
      on: { ...atWork, ...notePause, restart: "claiming", unavailable: noteWhy, start: refused("something that it needs is down; it is tried again by itself") },
      initial: "claiming",
      states: {
        claiming: { description: "suspended while claiming", on: { available: { target: "#lifecycle.claiming", actions: "clearWhy" } } },
        recovering: { description: "suspended while recovering", on: { available: { target: "#lifecycle.recovering", actions: "clearWhy" } } },
        running: { description: "suspended while running", on: { available: run } },
      },
    },
    parked: {
      id: "parked",
      description: "gave up; waits for a person",
      on: { ...atRest, unpark: { target: "idle", actions: "clearWhy" }, park: ignored("it is parked already; the first reason stands"), start: refused("it is parked; unpark it first") },
    },
    fenced: {
      id: "fenced",
      description: "another owner has claimed its log (P4)",
      on: { ...atRest, unpark: { target: "idle", actions: "clearWhy" }, fence: ignored("it is fenced already"), park: { target: "parked", ...noteWhy }, start: refused("another owner has it; unpark it to claim it again") },
    },
  },
});

type Value = string | { readonly [name: string]: string };
type Snapshot = ReturnType<typeof chart.resolveState>;

const nameOf = (value: Value): StateName => (typeof value === "string" ? value : Object.entries(value)[0]!.join(".")) as StateName;

function snapshotOf({ state, paused, why }: Lifecycle): Snapshot {
  const [outer, inner] = state.split(".") as [string, string | undefined];
  return chart.resolveState({ value: (inner === undefined ? outer : { [outer]: inner }) as never, context: { paused, why } });
}

/** Where every actor begins. */
export function initial(): Lifecycle {
  return { state: "idle", paused: false, why: null };
}

// The answers by state: they depend on nothing else, and a node with a thousand actors asks often when all of them start.
const answers = new Map<StateName, ReadonlyMap<string, Answer>>();

function answersIn(state: StateName): ReadonlyMap<string, Answer> {
  const known = answers.get(state);
  if (known !== undefined) return known;
  const found = new Map<string, Answer>();
  for (const { eventType, meta, description } of getNextTransitions(snapshotOf({ ...initial(), state }))) {
    // In order of precedence; those that are ignored or refused have no guard, so the first one speaks for all.
    if (found.has(eventType)) continue;
    const answer = (meta as { answer?: "ignored" | "refused" } | undefined)?.answer;
    found.set(eventType, answer === undefined ? { answer: "moves" } : { answer, because: description ?? "" });
  }
  answers.set(state, found);
  return found;
}

/** What an event would come to, and why. */
export function ask({ state }: Pick<Lifecycle, "state">, event: EventName): Answer {
  return answersIn(state).get(event) ?? { answer: "refused", because: "there is no such event" };
}

/**
 * The state after an event. One that is ignored gives back the same object.
 * @throws MillraceError LIFECYCLE_REFUSED where the event has no place in this state: `because` of `ask`.
 */
export function next(at: Lifecycle, event: LifecycleEvent, where = "lifecycle"): Lifecycle {
  const answer = ask(at, event.type);
  if (answer.answer === "ignored") return at;
  if (answer.answer === "refused") throw new MillraceError("LIFECYCLE_REFUSED", where, `"${event.type}" in state ${at.state}: ${answer.because}`, "Ask for something that its state allows; `millrace tree` shows the state.");
  const [{ value, context }] = transition(chart, snapshotOf(at), event);
  return { state: nameOf(value as Value), paused: context.paused, why: context.why };
}

/** The state in one word for people: "running", "paused", "unavailable" … */
export function display(state: StateName): string {
  return state === "running.active" ? "running" : state === "running.paused" ? "paused" : state.startsWith("unavailable") ? "unavailable" : state;
}

export interface ChartState {
  readonly name: StateName;
  readonly label: string;
  readonly description: string;
}

export interface ChartMove {
  readonly from: StateName;
  readonly event: EventName;
  readonly to: StateName;
  /** Holds only so: "isToPause". */
  readonly guard?: string;
}

/** The chart as data, for printing and drawing: its states, and every move from one into another. */
export function describe(): { readonly initial: StateName; readonly states: readonly ChartState[]; readonly moves: readonly ChartMove[] } {
  const states: ChartState[] = [], moves: ChartMove[] = [];
  for (const [outer, node] of Object.entries(chart.states)) {
    const inner = Object.entries(node.states);
    for (const [suffix, leaf] of inner.length === 0 ? [["", node] as const] : inner) {
      const name = (suffix === "" ? outer : `${outer}.${suffix}`) as StateName;
      states.push({ name, label: display(name), description: leaf.description ?? "" });
      const seen = new Set<string>();
      for (const taken of getNextTransitions(snapshotOf({ ...initial(), state: name }))) {
        const guard = typeof taken.guard === "string" ? taken.guard : undefined, key = taken.eventType;
        if (seen.has(key)) continue;
        if (guard === undefined) seen.add(key);
        const [target] = taken.target ?? [];
        if (target === undefined) continue;
        moves.push({ from: name, event: key as EventName, to: target.path.join(".") as StateName, ...(guard === undefined ? {} : { guard }) });
      }
    }
  }
  return { initial: "idle", states, moves };
}
