// What an actor promises those behind it: its watermark, and its end (PROTOCOL 9). A watermark goes with the events of a turn;
// alone it goes a few times a second, and only where somebody needs event time.
import type { Body } from "../journal/record.ts";
import type { Behaviour } from "./behaviour.ts";
import { laterMs } from "./limits.ts";
import type { Outlet } from "./outlet.ts";


/** What the turn that is being closed promises. */
export interface Promised {
  readonly watermark: number;
  /** Whether it goes also to those who get no events of this turn. */
  readonly alone: boolean;
  readonly ends: boolean;
}

export class OwnTime {
  readonly #outlets: readonly Outlet[];
  #watermark = -Infinity;
  #ended = false;
  #changed = false;
  #aloneAt = -Infinity;

  /** @param outlets those of the actor; of them only those with `eventTime` are told alone */
  constructor(outlets: readonly Outlet[]) {
    this.#outlets = outlets.filter(({ eventTime }) => eventTime);
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Whether somebody who needs event time was not told what could be promised now. */
  trails(behaviour: Behaviour): boolean {
    if (this.#ended || this.#outlets.length === 0) return false;
    const watermark = Math.max(this.#watermark, behaviour.watermark);
    return this.#outlets.some((outlet) => outlet.watermark < watermark);
  }

  /** @param mayEnd whether a record of this kind may hold the end */
  close(behaviour: Behaviour, mayEnd: boolean, now: number): Promised {
    const ends = mayEnd && !this.#ended && behaviour.finished, alone = ends || (this.trails(behaviour) && now - this.#aloneAt >= laterMs);
    const watermark = ends ? Infinity : Math.max(this.#watermark, behaviour.watermark);
    this.#changed = ends || watermark > this.#watermark;
    this.#watermark = watermark;
    this.#ended ||= ends;
    if (alone) this.#aloneAt = now;
    return { watermark, alone, ends };
  }

  write(body: Body, whole: boolean): void {
    if (whole || this.#changed) body.own = { watermark: this.#watermark === -Infinity ? null : this.#watermark, ended: this.#ended, caught: false };
  }

  /** After replay. */
  restore(own: NonNullable<Body["own"]>): void {
    this.#watermark = own.watermark ?? -Infinity;
    this.#ended = own.ended;
  }
}
