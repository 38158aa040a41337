// How much an actor does at once: in a turn, and before it lets acks, and others of the event loop, in.
import type { Clock } from "../event/clock.ts";
import type { EventLoopShares, FairShare, ShareLimit } from "./fair-share.ts";
import { sliceMs, turnLimit } from "./limits.ts";

export class Pace {
  readonly #clock: Clock;
  readonly #shares: EventLoopShares | undefined;
  readonly #flow: string;
  /** While it runs. */
  #share: FairShare | undefined;
  #kept: ShareLimit | undefined;
  /** While it starts. */
  #awaited: (() => void) | undefined;
  #waits = false;
  /** Since when it works, monotonic ms; `undefined`: nobody else is here. */
  #since: number | undefined;
  /** What a turn may have, in events, where nothing else limits it. */
  limit = turnLimit.events;

  /** @param shares of its event loop; `undefined`: its flow is alone there */
  constructor(clock: Clock, shares: EventLoopShares | undefined, flow: string) {
    this.#clock = clock;
    this.#shares = shares;
    this.#flow = flow;
  }

  /** Events that the open turn may have. */
  get turnEvents(): number {
    return this.#kept === undefined ? this.limit : Math.min(this.limit, this.#kept.events);
  }

  /** So long it may work without letting others in, in ms. */
  get sliceMs(): number {
    return this.#kept?.roundMs ?? sliceMs;
  }

  /** It works from now on; false: its flow has worked for so long in this round of the event loop that it is the others' turn; `later` is called then. */
  begin(later: () => void): boolean {
    this.#since = this.#kept = undefined;
    if (this.#share === undefined || this.#shares?.isShared !== true) return true;
    const now = this.#clock.monotonic();
    if (this.#share.isSpent(now)) {
      if (!this.#waits) this.#share.whenOver(() => { this.#waits = false; later(); });
      this.#waits = true;
      return false;
    }
    this.#since = now;
    this.#kept = this.#share.bound;
    return true;
  }

  /** It has worked. */
  end(): void {
    if (this.#since !== undefined) this.#share?.used(this.#since, this.#clock.monotonic());
  }

  /** It takes over and replays: others let it, in short rounds. */
  starts(): void {
    this.#awaited ??= this.#shares?.hurry();
  }

  #started(): void {
    this.#awaited?.();
    this.#awaited = undefined;
  }

  /** It runs. */
  enter(): void {
    this.#started();
    this.#share ??= this.#shares?.enter(this.#flow);
  }

  close(): void {
    this.#started();
    if (this.#share !== undefined) this.#shares?.leave(this.#flow);
    this.#share = undefined;
  }
}
