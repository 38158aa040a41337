// One wake-up that moves: sets the clock only when the time changes.
import type { Clock } from "../event/clock.ts";

/** Longest wait that a timer of Node keeps, in ms. */
const longestMs = 2 ** 31 - 1;

export class Alarm {
  readonly #clock: Clock;
  readonly #call: () => void;
  #at = Infinity;
  #cancel = (): void => {};

  constructor(clock: Clock, call: () => void) {
    this.#clock = clock;
    this.#call = call;
  }

  /** Rings at a monotonic time in ms; Infinity: not at all. */
  set(at: number): void {
    if (at === this.#at) return;
    this.#cancel();
    this.#at = at;
    if (at === Infinity) return;
    this.#cancel = this.#clock.after(Math.min(longestMs, Math.max(0, at - this.#clock.monotonic())), () => {
      this.#at = Infinity;
      this.#call();
    });
  }

  close(): void {
    this.#cancel();
  }
}
