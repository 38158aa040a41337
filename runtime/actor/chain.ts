// The operators of a stage, opened for one actor and chained: each hands what it gives to the next; the last one emits.
import type { EventInfo, Key } from "../event/event.ts";
import type { Context, Logger } from "../flow/context.ts";
import type { OperatorSpec, Scope, Step, StepEnvironment } from "../flow/operator.ts";
import type { Actor } from "./actor.ts";
import type { Cancellations } from "./cancellations.ts";

/** What is known of the event at hand; asked for only when a handler wants it. */
export type Describe = () => EventInfo;

/** The event at hand, and what a handler may know of it. Written anew for each event, good until its handling is done. */
export class EventScope implements Scope, Context {
  time = 0;
  key: Key | undefined;
  type: string | undefined;
  attempt = 1;
  describe: Describe = () => { throw new Error("there is no event at hand"); };
  /** Where what it causes is kept, if it runs ahead. */
  effects: (() => void | Promise<void>)[] | undefined;
  readonly actor: string;
  readonly log: Logger;
  readonly now: () => number;
  readonly #cancellations: Cancellations;
  #own: AbortController | undefined;

  constructor(of: { readonly actor: string; readonly log: Logger; readonly now: () => number; readonly cancellations: Cancellations }) {
    this.actor = of.actor;
    this.log = of.log;
    this.now = of.now;
    this.#cancellations = of.cancellations;
  }

  get ctx(): Context {
    return this;
  }

  get event(): EventInfo {
    return this.describe();
  }

  /** Made when it is asked for: most handlers never do. */
  get signal(): AbortSignal {
    return (this.#own ??= this.#cancellations.open()).signal;
  }

  /** The event's deadline is past, or it runs again later. */
  abort(reason: Error): void {
    this.#own?.abort(reason);
    this.close();
  }

  /** No event uses it any more. */
  close(): void {
    if (this.#own !== undefined) this.#cancellations.close(this.#own);
  }

  reset(time: number, key: Key | undefined, attempt: number, describe: Describe): this {
    this.time = time;
    this.key = key;
    this.type = undefined;
    this.attempt = attempt;
    this.describe = describe;
    // Kept from event to event unless it was aborted.
    if (this.#own?.signal.aborted === true) this.#own = undefined;
    return this;
  }

  /** Shares the context with the event that it is made of. */
  at(time: number, type: string | undefined = this.type): Scope {
    return { time, key: this.key, type, ctx: this, at: (another, anotherType) => this.at(another, anotherType ?? type) };
  }
}

/** A scope for the events of an actor. */
export function scopeOf({ address, env }: Actor, cancellations: Cancellations): EventScope {
  return new EventScope({ actor: address, log: env.log, now: () => env.clock.now(), cancellations });
}

/** What can be asked of a chain while it handles. */
export interface ChainHost {
  readonly actor: Actor;
  /** Event time as operators see it: with `order: "time"` it follows the events that are let go. */
  readonly watermark: () => number;
  /** Timers that are set after all inputs have ended stay. */
  readonly stays: () => boolean;
}

type Give = (data: unknown, scope: Scope) => void | Promise<void>;
/** Carries an effect out now, or when the event is let go. */
type Aside = (effect: () => void, scope: Scope) => void;
export const atOnce: Aside = (effect) => effect();

export interface Chain {
  /** Handles one event with the steps from `from` on. */
  readonly push: Give;
  /** Handles an event that had come as far as that step. */
  readonly enter: (operator: number, data: unknown, scope: Scope) => void | Promise<void>;
  /** Fires a timer of a step. */
  readonly fire: (operator: number, name: string, scope: Scope) => void | Promise<void>;
}

/** Opens steps `from` up to `to`; what the last one gives goes to `give`, further outputs and dead letters to `aside`. */
export function openChain(host: ChainHost, specs: readonly OperatorSpec[], from: number, to: number, give: Give, aside: Aside): Chain {
  const steps: (Step | undefined)[] = [];
  let next: Give = give;
  for (let i = to - 1; i >= from; i--) {
    const step = (specs[i] as OperatorSpec).open(environment(host, i, next, aside));
    steps[i] = step;
    next = (data, scope) => step.on(data, scope);
  }
  const first = steps[from];
  return {
    push: first === undefined ? give : (data, scope) => first.on(data, scope),
    enter: (operator, data, scope) => steps[operator]?.on(data, scope),
    fire: (operator, name, scope) => steps[operator]?.onTimer?.(name, scope),
  };
}

function environment({ actor, watermark, stays }: ChainHost, operator: number, next: Give, aside: Aside): StepEnvironment {
  const { emitter, env } = actor, { state, timers } = actor.memory;
  return {
    next,
    output: (name, data, scope) => { if (emitter.isRead(name)) aside(() => emitter.emit(name, data, scope.time, scope.key, scope.type), scope); },
    isRead: (name) => emitter.isRead(name),
    deadLetter: (code, message, data, scope) => {
      const replay = { step: operator, timer: null, time: scope.time, type: scope.type ?? null, parks: null };
      aside(() => emitter.deadLetter(code, new Error(message), scope.ctx.attempt, scope.ctx.event, data, replay), scope);
    },
    late: () => { emitter.counts.late++; },
    watermark,
    entry: (key, part) => state.entry(operator, key, part),
    set: (entry, value) => {
      state.set(entry, value);
      if (value === undefined && entry.part === undefined) timers.forget(operator, entry.key);
    },
    setTimer: (key, name, time, clock) => timers.set(operator, key, name, time, clock === "wall", stays()),
    cancelTimer: (key, name) => timers.cancel(operator, key, name),
    now: () => env.clock.now(),
  };
}
