// What an operator is to the engine: a description, and a function that opens it for one actor. Ready-made operators
// (actors/) are made of this and nothing else, so an author can write one too.
import type { Problem } from "../event/errors.ts";
import type { Key } from "../event/event.ts";
import type { Context } from "./context.ts";

/** The event at hand. Good until its handling is done; kept no longer. */
export interface Scope {
  readonly time: number;
  /** `undefined` where the event has none. */
  readonly key: Key | undefined;
  readonly type: string | undefined;
  /** What user functions are handed. */
  readonly ctx: Context;
  /** The same event at another time or of another type: for what is emitted with one. */
  at(time: number, type?: string): Scope;
}

/** One value of an actor's state. `value` is `undefined` where there is none; it is replaced, never changed in place. */
export interface StateEntry<V = unknown> {
  readonly key: Key;
  /** A part of the key's state, such as the start of a window; `undefined` where the operator keeps one value a key. */
  readonly part: number | undefined;
  readonly value: V | undefined;
}

/** What a step may use. One for each step of each actor. */
export interface StepEnvironment {
  /** Hands one event to the next step. A promise where that step is not done at once: wait for it before the next call. */
  readonly next: (data: unknown, scope: Scope) => void | Promise<void>;
  /** Sends by a further output of the stage. */
  readonly output: (name: string, data: unknown, scope: Scope) => void;
  /** Whether anything reads that further output. */
  readonly isRead: (name: string) => boolean;
  /** Gives an event up, with a stable code such as "LATE". */
  readonly deadLetter: (code: string, message: string, data: unknown, scope: Scope) => void;
  /** Adds one to the stage's count of late events. */
  readonly late: () => void;
  /** Nothing with this time or an earlier one comes any more; -Infinity: none yet. */
  readonly watermark: () => number;
  /** State of this operator, by key. Changes are committed with the turn. */
  readonly entry: (key: Key, part?: number) => StateEntry;
  readonly set: (entry: StateEntry, value: unknown) => void;
  /** A timer of this operator; the same key and name: moved. Wall-clock time where `clock` is "wall". */
  readonly setTimer: (key: Key, name: string, time: number, clock?: "event" | "wall") => void;
  readonly cancelTimer: (key: Key, name: string) => void;
  /** Wall clock, in ms. */
  readonly now: () => number;
}

/** An operator opened for one actor. What it throws decides what happens to the event (runtime/event/errors.ts). */
export interface Step {
  on(data: unknown, scope: Scope): void | Promise<void>;
  /** `scope` has the timer's time and key. */
  onTimer?(name: string, scope: Scope): void | Promise<void>;
}

/** Calls to other systems: how many at a time. */
export interface Calls {
  concurrency: number;
}

/** An operator as data. `open` is called once for each actor that runs it. */
export interface OperatorSpec {
  /** Such as "map". */
  readonly kind: string;
  /** Whether it works by key. */
  readonly keyed: boolean;
  /** "key": the one operator with state that a stage may have, its state goes by the stage's name; "own": state beside that. */
  readonly state?: "key" | "own";
  /** Whether it waits for event time: timers, windows. */
  readonly eventTime?: boolean;
  /** Names of further outputs. */
  readonly outputs?: readonly string[];
  readonly calls?: Calls;
  /** Version of the state's shape, default 1, and what brings an older one up to it. */
  readonly version?: number;
  readonly migrate?: (state: unknown, from: number) => unknown;
  /** Questions answered from committed state. `of` gets what the key's state is to a user: see `view`. */
  readonly queries?: Readonly<Record<string, (state: never, ...args: never[]) => unknown>>;
  /** A key's entries as its user sees them. Default: the value of the one entry. */
  readonly view?: (entries: readonly StateEntry[]) => unknown;
  /** What is wrong with its options; `where` is left empty and filled in by defineFlow. */
  readonly problems?: readonly Problem[];
  readonly open: (env: StepEnvironment) => Step;
}

const spec = Symbol.for("millrace.operator");

/** Makes an operator of its description. */
export function defineOperator<O>(description: OperatorSpec | readonly OperatorSpec[]): O {
  return { [spec]: Array.isArray(description) ? description : [description] } as O;
}

/** The steps of an operator, pipes flattened; `undefined` where the value is no operator. */
export function stepsOf(operator: unknown): readonly OperatorSpec[] | undefined {
  if (typeof operator !== "object" || operator === null) return undefined;
  return (operator as { [spec]?: readonly OperatorSpec[] })[spec];
}
