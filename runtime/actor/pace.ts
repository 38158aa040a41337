// How much an actor does at once: in a turn, and before it lets acks, and others of the event loop, in.
import type { Clock } from "../event/clock.ts";
import { type FairShare, sharedLimit } from "./fair-share.ts";
import { sliceMs, turnLimit } from "./limits.ts";

export class Pace {
  readonly #clock: Clock;
  readonly #share: FairShare | undefined;
  #isShared = false;
  #isIn = false;
  #since = 0;
  /** What a turn may have, in events, where nothing else limits it. */
  limit = turnLimit.events;

  constructor(clock: Clock, share: FairShare | undefined) {
    this.#clock = clock;
    this.#share = share;
  }

  /** Events that the open turn may have. */
  get turnEvents(): number {
    return this.#isShared ? Math.min(this.limit, sharedLimit.events) : this.limit;
  }

  /** So long it may work without letting others in, in ms. */
  get sliceMs(): number {
    return this.#isShared ? sharedLimit.roundMs : sliceMs;
  }

  /** It works from now on; false: its flow has worked for so long in this round of the event loop that it is the others' turn. */
  begin(): boolean {
    if (this.#share === undefined) return true;
    if (this.#share.isSpent) return false;
    this.#isShared = this.#share.isShared;
    if (this.#isShared) this.#since = this.#clock.monotonic();
    return true;
  }

  /** It has worked. */
  end(): void {
    if (this.#isShared) this.#share?.used(this.#clock.monotonic() - this.#since);
  }

  enter(): void {
    this.#isIn = true;
    this.#share?.enter();
  }

  close(): void {
    if (this.#isIn) this.#share?.leave();
    this.#isIn = false;
  }
}
