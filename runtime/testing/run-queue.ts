// Decides what runs next. Each actor's steps (messages, writes, tasks) wait in a lane of its own and run in order; which actor is
// next is chance, seeded: the same seed gives the same interleaving.
import type { Random } from "../event/clock.ts";

export class Lane {
  readonly #queue: RunQueue;
  readonly steps: (() => void)[] = [];
  #closed = false;
  /** Place among those that have steps; -1: not there. */
  place = -1;

  constructor(queue: RunQueue) {
    this.#queue = queue;
  }

  add(step: () => void): void {
    if (this.#closed) return;
    this.steps.push(step);
    this.#queue.ready(this);
  }

  /** What waits never runs, and nothing more is taken. */
  close(): void {
    this.#closed = true;
    this.steps.length = 0;
    this.#queue.leave(this);
  }
}

export class RunQueue {
  readonly #random: Random;
  readonly #ready: Lane[] = [];

  constructor(random: Random) {
    this.#random = random;
  }

  lane(): Lane {
    return new Lane(this);
  }

  get isEmpty(): boolean {
    return this.#ready.length === 0;
  }

  /** Runs one step; false where there is none. */
  step(): boolean {
    const { length } = this.#ready;
    if (length === 0) return false;
    const lane = this.#ready[length === 1 ? 0 : Math.floor(this.#random.next() * length)] as Lane, step = lane.steps.shift() as () => void;
    if (lane.steps.length === 0) this.leave(lane);
    step();
    return true;
  }

  ready(lane: Lane): void {
    if (lane.place < 0) lane.place = this.#ready.push(lane) - 1;
  }

  leave(lane: Lane): void {
    if (lane.place < 0) return;
    const last = this.#ready.pop() as Lane;
    if (last !== lane) {
      this.#ready[lane.place] = last;
      last.place = lane.place;
    }
    lane.place = -1;
  }
}
