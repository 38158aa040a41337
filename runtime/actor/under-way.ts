// One handler that is not done at once: waits for it, at most until its deadline. What comes after that is not heard.
import type { Clock } from "../event/clock.ts";
import type { EventScope } from "./chain.ts";
import { DeadlineError } from "./failure.ts";

/** What it came to: nothing thrown, or this. */
export type Settled = { readonly thrown: unknown } | undefined;

export class UnderWay {
  readonly #clock: Clock;
  readonly #deadlineMs: number;
  #current: object | undefined;
  #cancel = (): void => {};
  #waiting: (() => void)[] = [];

  constructor(clock: Clock, deadlineMs: number) {
    this.#clock = clock;
    this.#deadlineMs = deadlineMs;
  }

  get busy(): boolean {
    return this.#current !== undefined;
  }

  /** One at a time. */
  begin(result: Promise<void>, scope: EventScope, then: (failed: Settled) => void): void {
    const current = {};
    this.#current = current;
    const settle = (failed: Settled): void => {
      if (this.#current !== current) return;
      this.#release();
      then(failed);
    };
    this.#cancel = this.#clock.after(this.#deadlineMs, () => {
      const thrown = new DeadlineError(this.#deadlineMs);
      scope.abort(thrown);
      settle({ thrown });
    });
    result.then(() => settle(undefined), (thrown: unknown) => settle({ thrown }));
  }

  /** Resolves when none is under way. */
  settled(): Promise<void> {
    return this.busy ? new Promise((done) => { this.#waiting.push(done); }) : Promise.resolve();
  }

  close(): void {
    this.#release();
  }

  #release(): void {
    this.#cancel();
    this.#current = undefined;
    for (const done of this.#waiting.splice(0)) done();
  }
}
