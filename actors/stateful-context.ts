import { instant, MillraceError, millis, sortOf, type Context, type Duration, type EmitOptions, type EventInfo, type Key, type Logger, type Scope, type StepEnvironment, type Time } from "../runtime/index.ts";
import { afterwards } from "./cancellation.ts";

/**
 * What a handler of `stateful` gets, made for each event: what is kept beyond its handler is of no use to a later event, and
 * says so. `emit`, `timer` and `cancelTimer` are bound, so that they can be taken out of it.
 */
export class HandlerContext implements Context {
  readonly #env: StepEnvironment;
  readonly #scope: Scope;
  readonly #hasOnTimer: boolean;
  #isOver = false;
  #waits: AbortSignal | undefined;
  /** Asked for once: it may be made by asking, and the scope is another event's when this one was given up. */
  #signal: AbortSignal | undefined;
  /** Of what was emitted into steps that are not done at once: all of it, in order. */
  #pending: Promise<void> | undefined;

  constructor(env: StepEnvironment, scope: Scope, hasOnTimer: boolean) {
    this.#env = env;
    this.#scope = scope;
    this.#hasOnTimer = hasOnTimer;
  }

  get key(): Key {
    return this.#scope.key as Key;
  }

  get event(): EventInfo {
    return this.#scope.ctx.event;
  }

  get actor(): string {
    return this.#scope.ctx.actor;
  }

  get attempt(): number {
    return this.#scope.ctx.attempt;
  }

  get signal(): AbortSignal {
    return (this.#signal ??= this.#scope.ctx.signal);
  }

  get log(): Logger {
    return this.#scope.ctx.log;
  }

  now(): number {
    return this.#scope.ctx.now();
  }

  get emit(): (data: unknown, options?: EmitOptions) => void {
    return (data, options) => {
      this.#mustBeOpen("emit");
      const scope = options === undefined ? this.#scope : this.#placed(options);
      const pending = this.#pending === undefined ? this.#env.next(data, scope) : afterwards(this.#pending, this, () => this.#env.next(data, scope));
      if (pending === undefined) return;
      // What it fails with is told at the end of the handler; until then nobody looks.
      pending.catch(() => undefined);
      this.#pending = pending;
    };
  }

  get timer(): (name: string, when: Duration | { at: Time }, options?: { clock?: "event" | "wall" }) => void {
    return (name, when, { clock = "event" } = {}) => {
      this.#mustBeOpen("timer");
      if (!this.#hasOnTimer) throw this.#error("TIMER_UNHANDLED", `stateful sets timer ${JSON.stringify(name)} and has no onTimer`, "Give it onTimer(state, timer, ctx).");
      if (typeof name !== "string") throw this.#error("TIMER_INVALID", `The name of a timer is ${sortOf(name)}`, "Give a text.");
      if (clock !== "event" && clock !== "wall") throw this.#error("TIMER_INVALID", `The clock of timer ${JSON.stringify(name)} is ${sortOf(clock)}`, 'Give "event" or "wall".');
      this.#env.setTimer(this.key, name, this.#timeOf(name, when, clock), clock);
    };
  }

  get cancelTimer(): (name: string) => void {
    return (name) => {
      this.#mustBeOpen("cancelTimer");
      this.#env.cancelTimer(this.key, name);
    };
  }

  /** The handler is not done at once: what it does after its event was given up is refused. */
  expectWait(): void {
    this.#waits = this.signal;
  }

  /** The handler is done. A promise where what it emitted is not. */
  end(): void | Promise<void> {
    this.#isOver = true;
    return this.#pending;
  }

  /** The handler failed: throws what it threw, after what it had emitted is done with, so that one event is at hand at a time. */
  fail(thrown: unknown): Promise<never> | never {
    this.#isOver = true;
    const again = () => { throw thrown; };
    if (this.#pending !== undefined) return this.#pending.then(again, again);
    throw thrown;
  }

  #timeOf(name: string, when: Duration | { at: Time }, clock: "event" | "wall"): number {
    const isAt = typeof when === "object" && when !== null;
    const time = isAt ? instant(when.at) : millis(when);
    if (time === undefined) throw this.#error("TIMER_INVALID", `Timer ${JSON.stringify(name)} is set to ${isAt ? `{ at: ${sortOf(when.at)} }` : sortOf(when)}`, 'Give a duration such as "10m", or { at: time }.');
    return isAt ? time : time + (clock === "wall" ? this.#env.now() : this.#scope.time);
  }

  #placed({ time, type }: EmitOptions): Scope {
    const at = time === undefined ? this.#scope.time : instant(time);
    if (at === undefined) throw this.#error("TIME_INVALID", `emit was given ${sortOf(time)} as the time of an event`, "Give ms since the epoch, a Date, or an ISO 8601 text with its zone.");
    return this.#scope.at(at, type);
  }

  #mustBeOpen(called: string): void {
    this.#waits?.throwIfAborted();
    if (this.#isOver) throw this.#error("CONTEXT_OVER", `ctx.${called} was called after its handler was done`, "Await in the handler all that it starts.");
  }

  #error(code: string, message: string, remedy: string): MillraceError {
    return new MillraceError(code, this.actor, message, remedy);
  }
}
