// Time that a test moves by hand. Wall clock and monotonic clock move together; the wall clock can also be set, as clocks on
// real machines are.
import type { Clock } from "../event/clock.ts";

/** More calls within one move of time are timers that set each other without end. */
const most = 1_000_000;

interface Timer {
  readonly at: number;
  readonly call: () => void;
}

export class ManualClock implements Clock {
  #monotonic = 0;
  #wall: number;
  /** By time, and by the order in which they were set. */
  readonly #timers: Timer[] = [];

  /** `now`: where the wall clock begins, ms since the epoch. Default 2024-01-01T00:00:00Z. */
  constructor(now = 1_704_067_200_000) {
    this.#wall = now;
  }

  now(): number {
    return this.#wall;
  }

  monotonic(): number {
    return this.#monotonic;
  }

  after(ms: number, call: () => void): () => void {
    const timer: Timer = { at: this.#monotonic + Math.max(0, ms), call };
    const before = this.#timers.findLastIndex(({ at }) => at <= timer.at);
    this.#timers.splice(before + 1, 0, timer);
    return () => {
      const at = this.#timers.indexOf(timer);
      if (at >= 0) this.#timers.splice(at, 1);
    };
  }

  /** How many timers are set. */
  get pending(): number {
    return this.#timers.length;
  }

  /** ms until the next timer; `undefined` where none is set. */
  get next(): number | undefined {
    const [timer] = this.#timers;
    return timer === undefined ? undefined : timer.at - this.#monotonic;
  }

  /** Moves time on and calls what falls due, each at its own time, in order; also what those calls set. */
  advance(ms: number): void {
    const until = this.#monotonic + ms;
    for (let calls = 0; this.#fireNext(until); ) limit(++calls);
    this.#moveTo(until);
  }

  /** The same, and lets promises settle before the first call and after each. */
  async elapse(ms: number): Promise<void> {
    const until = this.#monotonic + ms;
    await settle();
    for (let calls = 0; this.#fireNext(until); await settle()) limit(++calls);
    this.#moveTo(until);
  }

  /** The monotonic clock alone moves on, at once: what was set before and is due now is called, once, late. Says how many. */
  jump(ms: number): number {
    this.#monotonic += ms;
    const due = this.#timers.filter(({ at }) => at <= this.#monotonic);
    let calls = 0;
    for (const timer of due) {
      const place = this.#timers.indexOf(timer);
      // Cancelled by one before it.
      if (place < 0) continue;
      this.#timers.splice(place, 1);
      calls++;
      timer.call();
    }
    return calls;
  }

  /** Sets the wall clock alone, as an administrator or NTP does; no timer is due by it. */
  setWall(now: number): void {
    this.#wall = now;
  }

  #fireNext(until: number): boolean {
    const [timer] = this.#timers;
    if (timer === undefined || timer.at > until) return false;
    this.#timers.shift();
    this.#moveTo(timer.at);
    timer.call();
    return true;
  }

  #moveTo(at: number): void {
    this.#wall += at - this.#monotonic;
    this.#monotonic = at;
  }
}

function limit(calls: number): void {
  if (calls > most) throw new Error(`more than ${most} timers fell due within one move of the clock: something sets a timer of 0 ms again and again`);
}

/** Resolves when all promises that can settle without timers or I/O have. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
