// How often events were begun that crashed their actor, and unclean ends in a row (PROTOCOL 9, poison).
import type { Body } from "../journal/record.ts";

/** Events that are remembered: more than one only where events wait for a later try. */
const remembered = 64;

export class Tries {
  /** Unclean ends in a row; from 2 on the actor works event by event. */
  k = 0;
  readonly #counts = new Map<string, number>();
  /** The try at hand is counted already. */
  #counted: string | undefined;
  #moved = false;

  get size(): number {
    return this.#counts.size;
  }

  /** Tries begun of an event that did not come to an end, before the one at hand. */
  of(event: string): number {
    const count = this.#counts.get(event) ?? 0;
    return event === this.#counted ? count - 1 : count;
  }

  /** Counts the try before it begins, so that it counts also where the process dies in it. */
  attempt(event: string): void {
    this.begin(event);
    this.#counted = event;
  }

  /** Counts the try at hand, unless that is done. */
  begin(event: string): void {
    if (event === this.#counted) return;
    this.#counts.set(event, this.of(event) + 1);
    if (this.#counts.size > remembered) this.#counts.delete(this.#counts.keys().next().value as string);
    this.#moved = true;
  }

  /** The try at hand is taken back: what failed was not the event. */
  withdraw(event: string): void {
    if (event !== this.#counted) return;
    this.#counted = undefined;
    const count = (this.#counts.get(event) ?? 0) - 1;
    if (count > 0) this.#counts.set(event, count);
    else this.#counts.delete(event);
    this.#moved = true;
  }

  /** The event is past. */
  done(event: string): void {
    if (event === this.#counted) this.#counted = undefined;
    if (this.#counts.size > 0 && this.#counts.delete(event)) this.#moved = true;
  }

  /** All that was in flight is past: the deaths were no event's fault. */
  calm(): void {
    if (this.k === 0) return;
    this.k = 0;
    this.#moved = true;
  }

  get moved(): boolean {
    return this.#moved;
  }

  /** Small: written whole where it changed, and in every record while the count is not 0. */
  write(body: Body): void {
    if (!this.#moved && this.k === 0 && this.#counts.size === 0) return;
    body.tries = { k: this.k, events: [...this.#counts] };
    this.#moved = false;
  }

  apply(body: Body): void {
    if (body.tries === undefined) return;
    this.k = body.tries.k;
    this.#counts.clear();
    for (const [event, count] of body.tries.events) this.#counts.set(event, count);
  }
}
