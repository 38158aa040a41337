// What an actor promises those behind it: its watermark, and its end (PROTOCOL 9). A watermark goes with the events of a turn;
// alone it goes a few times a second, and only where somebody needs event time.
import type { Body } from "../journal/record.ts";
import type { Behaviour } from "./behaviour.ts";
import { laterMs } from "./limits.ts";
import type { Emitter } from "./emitter.ts";


/** What the turn that is being closed promises. */
export interface Promised {
  readonly watermark: number;
  /** Whether it goes also to those who get no events of this turn. */
  readonly alone: boolean;
  readonly ends: boolean;
}

export class OwnTime {
  readonly #emitter: Pick<Emitter, "outlets" | "isRouted">;
  #watermark = -Infinity;
  #ended = false;
  #changed = false;
  #aloneAt = -Infinity;

  #sealed: readonly [generation: string, count: number] | undefined;

  /** @param emitter of the actor; of its outlets only those with `eventTime` are told alone */
  constructor(emitter: Pick<Emitter, "outlets" | "isRouted">) {
    this.#emitter = emitter;
  }

  /** It is over, its stage goes on as that generation: nothing is taken, fired or retried any more (PROTOCOL 11). */
  get sealed(): readonly [generation: string, count: number] | undefined {
    return this.#sealed;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Whether somebody who needs event time was not told what could be promised now. */
  trails(behaviour: Behaviour): boolean {
    if (this.#ended || this.#sealed !== undefined) return false;
    const watermark = Math.max(this.#watermark, behaviour.watermark), { outlets } = this.#emitter;
    return outlets.some((outlet) => outlet.eventTime && outlet.watermark < watermark && this.#emitter.isRouted(outlet));
  }

  /**
   * @param mayEnd whether a record of this kind may hold the end
   * @param seals the generation that follows, where it is sealed by this record
   */
  close(behaviour: Behaviour, mayEnd: boolean, now: number, seals?: readonly [generation: string, count: number]): Promised {
    if (this.#sealed !== undefined) return { watermark: this.#watermark, alone: false, ends: false };
    const ends = mayEnd && !this.#ended && behaviour.finished, alone = ends || (this.trails(behaviour) && now - this.#aloneAt >= laterMs);
    const watermark = ends ? Infinity : Math.max(this.#watermark, behaviour.watermark);
    this.#changed = ends || seals !== undefined || watermark > this.#watermark;
    this.#sealed = seals;
    this.#watermark = watermark;
    this.#ended ||= ends;
    if (alone) this.#aloneAt = now;
    return { watermark, alone, ends };
  }

  write(body: Body, whole: boolean): void {
    if (whole || this.#changed) body.own = { watermark: this.#watermark === -Infinity ? null : this.#watermark, ended: this.#ended, caught: false, ...(this.#sealed === undefined ? {} : { sealed: this.#sealed }) };
  }

  /** After replay. */
  restore(own: NonNullable<Body["own"]>): void {
    this.#watermark = own.watermark ?? -Infinity;
    this.#ended = own.ended;
    this.#sealed = own.sealed;
  }
}
