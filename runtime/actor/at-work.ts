// Who is at work in this thread, written where another thread can read it while this one stands still: a cell each turn or slice of
// work, none an event.
import type { Behaviour } from "./behaviour.ts";

/** First cells of the shared ones: a count that goes up while the event loop turns, and the seat of who is at work (0: nobody). */
export const cell = { beat: 0, current: 1, first: 2 } as const;

export interface Seats {
  /** `cell.first` + seat is 1 while something of that actor is under way that was not done at once. */
  readonly cells: Int32Array;
  /** The seat of an actor, the same for all its lives; 0: there is none left. */
  seatOf(address: string): number;
}

export class AtWork {
  readonly #cells: Int32Array | undefined;
  readonly #seat: number;

  /** Without seats nobody looks. */
  constructor(seats: Seats | undefined, address: string) {
    this.#seat = seats?.seatOf(address) ?? 0;
    this.#cells = this.#seat === 0 ? undefined : seats?.cells;
  }

  /** Lets it work, and tells so. */
  work(behaviour: Behaviour): void {
    if (this.#cells === undefined) return behaviour.work();
    this.begin();
    try {
      behaviour.work();
    } finally {
      this.end(behaviour);
    }
  }

  begin(): void {
    if (this.#cells !== undefined) this.#cells[cell.current] = this.#seat;
  }

  end({ busy }: { readonly busy: boolean }): void {
    if (this.#cells === undefined) return;
    this.#cells[cell.current] = 0;
    this.#cells[cell.first + this.#seat] = busy ? 1 : 0;
  }

  close(): void {
    if (this.#cells !== undefined) this.#cells[cell.first + this.#seat] = 0;
  }
}
