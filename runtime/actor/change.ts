// What an actor keeps entry by entry (state, timers, held and waiting events), and what changed of it: in the turn, for the
// record; since the newest snapshot, for the fold. An event that fails takes its changes back.
import { crc32 } from "node:zlib";
import { decode, encode } from "../event/codec.ts";
import { MillraceError } from "../event/errors.ts";

/** One entry of the folded space. */
export interface Foldable {
  /** Turn that touched it last: a number of `Changes`. */
  touched: number;
  /** Whether it changed since the newest snapshot. */
  unfolded: boolean;
  /** Its key in the store. */
  storeKey(): Buffer;
  /** What is stored under it; `undefined`: removed. */
  stored(): unknown;
  /** Takes a change back: what was handed to `touch`. */
  restore(a: unknown, b: unknown): void;
}

export type FoldedEntry = readonly [key: Uint8Array, value: Uint8Array | null];

/** A stored value with its CRC in front: LevelDB does not notice a flipped byte. */
export function seal(value: unknown): Uint8Array {
  const bytes = encode(value), sealed = Buffer.allocUnsafe(4 + bytes.length);
  sealed.writeUInt32BE(crc32(bytes), 0);
  sealed.set(bytes, 4);
  return sealed;
}

/** @throws MillraceError JOURNAL_BROKEN */
export function unseal(sealed: Uint8Array, where: string): unknown {
  const view = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.byteLength), bytes = view.subarray(4);
  if (view.length < 4 || crc32(bytes) !== view.readUInt32BE(0)) throw new MillraceError("JOURNAL_BROKEN", where, `A folded entry of ${where} does not fit its CRC`, "It is set aside and built anew from the commit log.");
  return decode(bytes);
}

export class Changes {
  /** Number of the open turn. */
  turn = 1;
  /** Takes no more: what a handler does that is over has no effect. */
  sealed = false;
  readonly #inTurn: Foldable[] = [];
  #sinceSnapshot: Foldable[] = [];
  /** Removed as of the snapshot that is being written. */
  #removed: Foldable[] = [];
  // Triples of entry and what restores it, flat: this is touched for each event.
  readonly #undo: unknown[] = [];

  /** Notes that an entry changes; `entry.restore(a, b)` takes the change back if the event at hand fails. */
  touch(entry: Foldable, a: unknown, b: unknown): void {
    if (this.sealed) throw new Error("this handler is over: its event failed");
    this.#undo.push(entry, a, b);
    this.mark(entry);
  }

  /** The same, where there is nothing to take back. */
  mark(entry: Foldable): void {
    if (entry.touched !== this.turn) {
      entry.touched = this.turn;
      this.#inTurn.push(entry);
    }
    if (!entry.unfolded) {
      entry.unfolded = true;
      this.#sinceSnapshot.push(entry);
    }
  }

  /** The event at hand is done: what it did stays. */
  keep(): void {
    this.#undo.length = 0;
  }

  /** The event at hand failed: what it did is taken back, newest first. */
  revert(): void {
    while (this.#undo.length > 0) {
      const b = this.#undo.pop(), a = this.#undo.pop();
      (this.#undo.pop() as Foldable).restore(a, b);
    }
  }

  /** Whether the event at hand changed anything so far. */
  get hasPartial(): boolean {
    return this.#undo.length > 0;
  }

  get dirty(): boolean {
    return this.#inTurn.length > 0;
  }

  /** Ends the turn: what changed in it. */
  close(): readonly Foldable[] {
    const changed = this.#inTurn.splice(0);
    this.turn++;
    return changed;
  }

  /** How many entries changed since the newest snapshot. */
  get unfolded(): number {
    return this.#sinceSnapshot.length;
  }

  /** What changed since the newest snapshot, as it is now; the next snapshot begins here. Values are replaced, never changed in place, so they can be written later. */
  capture(): readonly (readonly [key: () => Buffer, value: unknown])[] {
    const changed = this.#sinceSnapshot;
    this.#sinceSnapshot = [];
    return changed.map((entry) => {
      const value = entry.stored();
      entry.unfolded = false;
      if (value === undefined) this.#removed.push(entry);
      return [() => entry.storeKey(), value] as const;
    });
  }

  /** What snapshots have removed for good, once they are accepted. */
  takeRemoved(): readonly Foldable[] {
    const removed = this.#removed.filter((entry) => !entry.unfolded && entry.stored() === undefined);
    this.#removed = [];
    return removed;
  }
}
