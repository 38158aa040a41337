// Several flows in one event loop: in each round of it a flow works only for so long, so that what came in for another is looked at soon.
// A flow that is alone is not held up.

/** Of a flow that is not alone: ms of work in a round, and events in a turn, whose record is encoded in one go. */
export const sharedLimit = { roundMs: 2, events: 1_024 };

/** The flows that work in one event loop. */
export class EventLoopShares {
  readonly #soon: (call: () => void) => void;
  readonly #shares = new Map<string, FairShare>();
  #armed = false;
  /** Number of the round. */
  round = 0;
  /** How many flows have an actor at work here. */
  flows = 0;

  constructor(soon: (call: () => void) => void) {
    this.#soon = soon;
  }

  of(flow: string): FairShare {
    let share = this.#shares.get(flow);
    if (share === undefined) this.#shares.set(flow, share = new FairShare(this));
    return share;
  }

  /** The round ends when what came in meanwhile has been looked at. */
  arm(): void {
    if (this.#armed) return;
    this.#armed = true;
    this.#soon(() => { this.#armed = false; this.round++; });
  }
}

export class FairShare {
  readonly #shares: EventLoopShares;
  #actors = 0;
  #round = -1;
  #usedMs = 0;

  constructor(shares: EventLoopShares) {
    this.#shares = shares;
  }

  enter(): void {
    if (this.#actors++ === 0) this.#shares.flows++;
  }

  leave(): void {
    if (--this.#actors === 0) this.#shares.flows--;
  }

  /** Whether other flows work here, too. */
  get isShared(): boolean {
    return this.#shares.flows > 1;
  }

  /** Whether it has worked for so long in this round that it is the others' turn. */
  get isSpent(): boolean {
    return this.isShared && this.#round === this.#shares.round && this.#usedMs >= sharedLimit.roundMs;
  }

  /** It has worked for so long. */
  used(ms: number): void {
    if (!this.isShared) return;
    if (this.#round !== this.#shares.round) {
      this.#round = this.#shares.round;
      this.#usedMs = 0;
    }
    this.#usedMs += ms;
    this.#shares.arm();
  }
}
