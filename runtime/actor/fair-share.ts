// Several flows in one event loop: in each round of it a flow works only for so long, so that what came in for another is looked at soon. An
// event of a calm flow goes through ten rounds and more, and as often through the server: beside one a busy flow works in short rounds, with
// time in between for both. A flow that is alone is not held up.
import type { Clock } from "../event/clock.ts";

export interface ShareLimit {
  /** Work in a round of the event loop, all actors of the flow together, in ms. */
  roundMs: number;
  /** Events in a turn, whose record is encoded in one go. */
  events: number;
  /** How long a round lasts at least, in ms. */
  pauseMs: number;
}

/** A busy flow beside one that is calm: that worked within the last second, for less than its part of the time, and was seldom held up. */
export const besideCalm: ShareLimit = { roundMs: 0.2, events: 40, pauseMs: 6 };
/** Any other: short rounds would only slow both down. */
export const besideBusy: ShareLimit = { roundMs: 2, events: 1_024, pauseMs: 0 };
/** While an actor is waited for that takes over, or stops for another node to, which is many small steps: each of them waits for a round. */
export const besideAwaited: ShareLimit = { roundMs: 1, events: 1_024, pauseMs: 0 };

/** So often it is looked at how much each flow works, in ms. */
const windowMs = 100;
/** Of what each has when all take as much: who works less is calm. */
const calmShare = 0.7;
/** How much the last window counts for how much one works: a burst makes nobody busy. */
const newestCounts = 0.3;
/** Who is held up so often in a window is busy, however little it works. */
const oftenHeldUp = 5;
/** Who has not worked for so long, in ms, is not waited for. */
const restsAfterMs = 1_000;

/** The flows that work in one event loop. */
export class EventLoopShares {
  readonly #clock: Clock;
  readonly #soon: (call: () => void) => void;
  readonly #shares = new Map<string, FairShare>();
  #windowSince = -Infinity;
  /** How many actors are waited for here now: they begin a life, or are to end one in a planned move. */
  awaited = 0;
  /** Of these, those that stand still; and who waits for that to be over. */
  #still = 0;
  readonly #ready: (() => void)[] = [];

  /** @param soon calls in a later round of the event loop */
  constructor(clock: Clock, soon: (call: () => void) => void) {
    this.#clock = clock;
    this.#soon = soon;
  }

  /** How many flows have an actor at work here. */
  get flows(): number {
    return this.#shares.size;
  }

  /** Whether who works is not alone here: there are other flows, or an actor that is waited for. */
  get isShared(): boolean {
    return this.flows > 1 || this.awaited > 0;
  }

  /** An actor of that flow is at work here until it leaves, in the share of all of its flow. */
  enter(flow: string): FairShare {
    let share = this.#shares.get(flow);
    if (share === undefined) this.#shares.set(flow, share = new FairShare(this));
    share.actors++;
    return share;
  }

  /** The last one takes the share with it: of flows that have gone nothing is kept. */
  leave(flow: string): void {
    const share = this.#shares.get(flow);
    if (share !== undefined && --share.actors === 0) this.#shares.delete(flow);
  }

  /** Somebody waits for an actor: all others work in short rounds, until what it gives is called; again does nothing. */
  hurry(): () => void {
    this.awaited++;
    return once(() => { this.awaited--; });
  }

  /** An actor stands still in a planned move, here or on its way here: the same, and what is made ready for later waits. */
  standsStill(): () => void {
    const over = this.hurry();
    this.#still++;
    return once(() => {
      over();
      if (--this.#still === 0) for (const go of this.#ready.splice(0)) go();
    });
  }

  /** Resolves when no actor stands still; `undefined`: none does. */
  get calm(): Promise<void> | undefined {
    return this.#still === 0 ? undefined : new Promise((go) => { this.#ready.push(go); });
  }

  /** Calls when what came in meanwhile has been looked at, and not before its time. */
  later(pauseMs: number, call: () => void): void {
    if (pauseMs === 0) this.#soon(call);
    else this.#clock.after(pauseMs, call);
  }

  /** How calm each of them was in the window that is over. */
  look(now: number): void {
    if (now - this.#windowSince < windowMs) return;
    const shares = [...this.#shares.values()], past = Math.min(now - this.#windowSince, restsAfterMs);
    this.#windowSince = now;
    for (const share of shares) share.endWindow(now, past, calmShare / Math.max(2, this.flows));
    for (const share of shares) {
      const others = shares.filter((other) => other !== share && other.mood !== "resting");
      // A calm one that had to wait for another calm one would look busy, and wait the longer for it.
      share.limit = others.length === 0 ? undefined : share.mood === "busy" && others.some(({ mood }) => mood === "calm") ? besideCalm : besideBusy;
    }
  }
}

/** Whatever is called, it is done once. */
function once(work: () => void): () => void {
  let isDone = false;
  return () => {
    if (!isDone) work();
    isDone = true;
  };
}

export class FairShare {
  readonly #shares: EventLoopShares;
  /** In the round that is under way. A round is the flow's own: one that is held back in long ones holds nobody else up. */
  #usedMs = 0;
  #inRound = false;
  /** Who goes on when the round is over. */
  #waiting: (() => void)[] = [];
  #windowMs = 0;
  #heldUp = 0;
  /** For which part of the time, as an average of the last windows. */
  #works = 0;
  #workedAt = -Infinity;
  /** How many actors of it are at work here. */
  actors = 0;
  mood: "resting" | "calm" | "busy" = "resting";
  /** What it has to keep to; `undefined`: nothing. */
  limit: ShareLimit | undefined;

  constructor(shares: EventLoopShares) {
    this.#shares = shares;
  }

  /** What holds now. */
  get bound(): ShareLimit | undefined {
    return this.limit ?? (this.#shares.awaited > 0 ? besideAwaited : undefined);
  }

  /** Whether it has worked for so long in this round that it is the others' turn. Monotonic ms. */
  isSpent(now: number): boolean {
    this.#shares.look(now);
    const { bound } = this, isSpent = bound !== undefined && this.#usedMs >= bound.roundMs;
    if (isSpent) this.#heldUp++;
    return isSpent;
  }

  /** Calls when the round is over. */
  whenOver(call: () => void): void {
    this.#waiting.push(call);
  }

  /** It has worked from then until now, monotonic ms. */
  used(since: number, now: number): void {
    this.#usedMs += now - since;
    this.#windowMs += now - since;
    this.#workedAt = now;
    if (this.#inRound) return;
    this.#inRound = true;
    this.#shares.later(this.bound?.pauseMs ?? 0, () => {
      this.#inRound = false;
      this.#usedMs = 0;
      for (const call of this.#waiting.splice(0)) call();
    });
  }

  /**
   * @param past how long the window was, in ms
   * @param calmShare of the time, for who is calm
   */
  endWindow(now: number, past: number, calmShare: number): void {
    this.#works += newestCounts * (Math.min(1, this.#windowMs / past) - this.#works);
    const isCalm = this.#heldUp < oftenHeldUp && this.#works <= calmShare;
    this.mood = now - this.#workedAt > restsAfterMs ? "resting" : isCalm ? "calm" : "busy";
    this.#windowMs = 0;
    this.#heldUp = 0;
  }
}
