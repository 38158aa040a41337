// Decides what happens next. Everything that can happen waits in a lane: what is in one lane happens in order, which lane is
// next is chance. After each step all promises settle, so an execution is a list of steps and depends on the seed alone.
import { ManualClock } from "../../runtime/testing/manual-clock.ts";
import type { Chance } from "./chance.ts";

/** Whose steps they are: while it is paused they wait, when it is dead they never happen. */
export interface Owner {
  readonly paused: boolean;
  readonly dead: boolean;
}

export class Lane {
  readonly name: string;
  readonly owner: Owner | undefined;
  readonly steps: (() => void)[] = [];
  /** Chosen rarely: what waits in it comes late. */
  readonly slow: boolean;
  /** Place among those that may be chosen; -1: not there. */
  place = -1;

  constructor(name: string, owner: Owner | undefined, slow: boolean) {
    this.name = name;
    this.owner = owner;
    this.slow = slow;
  }
}

export class Scheduler {
  readonly clock = new ManualClock(1_704_067_200_000);
  readonly chance: Chance;
  /** Share of the lanes that are slow. */
  slowShare = 0;
  /** Share of steps at which time goes on although something could happen. */
  hurry = 0;
  steps = 0;
  /** Name of the lane of the newest step. */
  last = "";
  trace: ((line: string) => void) | undefined;
  readonly #ready: Lane[] = [];
  readonly #all = new Set<Lane>();
  readonly #later: { readonly at: number; readonly lane?: RegExp; readonly name: string; readonly step: () => void }[] = [];

  constructor(chance: Chance) {
    this.chance = chance;
  }

  /** A lane. Without an owner nobody's pause or death touches it. */
  lane(name: string, owner: Owner | undefined, slow = false): Lane {
    return new Lane(name, owner, slow || (this.slowShare > 0 && this.chance.hits(this.slowShare)));
  }

  /** The next step of a lane. */
  add(lane: Lane, step: () => void): void {
    if (lane.owner?.dead === true) return;
    lane.steps.push(step);
    if (lane.place < 0 && lane.owner?.paused !== true) this.#enter(lane);
    this.#all.add(lane);
  }

  /** A step that keeps no order with any other. */
  alone(name: string, owner: Owner | undefined, step: () => void): void {
    this.add(this.lane(name, owner), step);
  }

  /** A step after `ms`. Returns what cancels it. */
  after(ms: number, name: string, owner: Owner | undefined, step: () => void): () => void {
    let live = true;
    const cancel = this.clock.after(ms, () => {
      if (live) this.alone(name, owner, () => { if (live) { live = false; step(); } });
    });
    return () => { live = false; cancel(); };
  }

  /** A step after so many others, or when nothing else can happen. */
  afterSteps(count: number, name: string, step: () => void): void {
    const at = this.steps + count, before = this.#later.findLastIndex((other) => other.at <= at);
    this.#later.splice(before + 1, 0, { at, name, step });
  }

  /** A step right after the next one of such a lane, or when nothing else can happen. */
  afterLane(lane: RegExp, name: string, step: () => void): void {
    this.#later.push({ at: Infinity, lane, name, step });
  }

  /** Forgets what waits in a lane. */
  clear(lane: Lane): void {
    lane.steps.length = 0;
    this.#leave(lane);
    this.#all.delete(lane);
  }

  /** An owner was paused, resumed or killed. */
  changed(owner: Owner): void {
    for (const lane of [...this.#all]) {
      if (lane.owner !== owner) continue;
      if (owner.dead) this.clear(lane);
      else if (owner.paused) this.#leave(lane);
      else if (lane.place < 0 && lane.steps.length > 0) this.#enter(lane);
    }
  }

  /** Whether something can happen without time going on. */
  get busy(): boolean {
    return this.#ready.length > 0 || this.#later.length > 0;
  }

  /** One step; time goes on where nothing else can happen. False: nothing will ever happen again. */
  step(): boolean {
    const { chance } = this, met = this.#later.findIndex(({ at, lane }) => at <= this.steps || lane?.test(this.last) === true || (this.#ready.length === 0 && (at < Infinity || this.clock.pending === 0))), later = this.#later[met];
    if (later !== undefined) {
      this.#later.splice(met, 1);
      this.steps++;
      this.trace?.(later.name);
      later.step();
      return true;
    }
    if (this.#ready.length === 0 || (this.hurry > 0 && this.clock.pending > 0 && chance.hits(this.hurry))) return this.#tick();
    let lane = this.#ready[chance.below(this.#ready.length)] as Lane;
    for (let i = 0; i < 3 && lane.slow && !chance.hits(0.1); i++) lane = this.#ready[chance.below(this.#ready.length)] as Lane;
    const step = lane.steps.shift() as () => void;
    if (lane.steps.length === 0) { this.#leave(lane); this.#all.delete(lane); }
    this.steps++;
    this.last = lane.name;
    this.trace?.(lane.name);
    step();
    return true;
  }

  #tick(): boolean {
    const { next } = this.clock;
    if (next === undefined) return false;
    this.steps++;
    this.clock.advance(next);
    return true;
  }

  #enter(lane: Lane): void {
    lane.place = this.#ready.push(lane) - 1;
  }

  #leave(lane: Lane): void {
    if (lane.place < 0) return;
    const last = this.#ready.pop() as Lane;
    if (last !== lane) { this.#ready[lane.place] = last; last.place = lane.place; }
    lane.place = -1;
  }
}

type Tick = (() => void) | undefined;
const tick = (process as unknown as { readonly _tickCallback: Tick })._tickCallback;

/**
 * Runs a generator that yields wherever promises are to settle. Node has an old call that settles them at once, six times
 * faster than a turn of its event loop; where it is gone, the turn does.
 */
export async function settling<T>(run: Generator<void, T>): Promise<T> {
  if (tick === undefined) {
    for (;;) {
      const { done, value } = run.next();
      if (done === true) return value;
      await new Promise<void>((resolve) => { setImmediate(resolve); });
    }
  }
  return new Promise((resolve, reject) => {
    // Not from within a promise: there the call does nothing.
    setImmediate(() => {
      try {
        for (;;) {
          const { done, value } = run.next();
          if (done === true) return resolve(value);
          tick();
        }
      } catch (error) {
        reject(error);
      }
    });
  });
}
