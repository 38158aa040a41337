import type { Context, EventInfo, Logger } from "../runtime/index.ts";

/** What the handler of one call gets: the event's context, with a signal that aborts at the call's time-out, too. */
export class CallContext implements Context {
  #outer!: Context;
  #outerSignal: AbortSignal | undefined;
  #triesBefore = 0;
  #controller: AbortController | undefined;
  #aborted = false;
  #reason: unknown;

  begin(outer: Context, triesBefore: number): void {
    this.#outer = outer;
    this.#outerSignal = undefined;
    this.#triesBefore = triesBefore;
    this.#controller = undefined;
  }

  abort(reason: unknown): void {
    this.#aborted = true;
    this.#reason = reason;
    this.#controller?.abort(reason);
  }

  /** The event's own. Asked for once: it may be made by asking. */
  get outerSignal(): AbortSignal {
    return (this.#outerSignal ??= this.#outer.signal);
  }

  get event(): EventInfo {
    return this.#outer.event;
  }

  get actor(): string {
    return this.#outer.actor;
  }

  get attempt(): number {
    return this.#outer.attempt + this.#triesBefore;
  }

  /** Made when it is first asked for: most handlers never do. */
  get signal(): AbortSignal {
    if (this.#controller !== undefined) return this.#controller.signal;
    const controller = new AbortController(), outer = this.outerSignal;
    this.#controller = controller;
    if (this.#aborted) controller.abort(this.#reason);
    else if (outer.aborted) controller.abort(outer.reason);
    return controller.signal;
  }

  get log(): Logger {
    return this.#outer.log;
  }

  now(): number {
    return this.#outer.now();
  }
}
