// A warm copy of a journal folds what its owner has folded: from the owner's snapshots, not from the records, so that it needs to know
// nothing of what a record means. Values are absolute, so a half fold is simply folded over (P22): the mark comes last.
import { crc32 } from "node:zlib";
import { decode } from "../event/codec.ts";
import type { Journal } from "./journal.ts";
import { keyName, rangeOf } from "./keys.ts";
import { entriesOf, putEntries, type ReadingOptions } from "./recovery.ts";
import type { Body } from "./record.ts";
import type { Store, StoreOperation } from "./store.ts";

type Entry = readonly [key: Uint8Array, value: Uint8Array | null];
type Snapshot = NonNullable<Body["snapshot"]>;

/** Kinds of entries in the order in which a base holds them. */
const letters = ["s", "t", "w", "o", "i"] as const;
/** Entries removed in one batch. */
const step = 1_000;

/**
 * Makes the folded state of a journal that of a snapshot record, of which the journal has all records before. `false`: chunks of it are gone,
 * as a newer snapshot has replaced it; nothing that counts was changed. Rejects where the broker or the store fails.
 */
export async function foldSnapshot({ where, chunks, took }: ReadingOptions, journal: Journal, body: Body): Promise<boolean> {
  const as = body.snapshot as Snapshot, has = journal.folded() as { readonly n: number; readonly body: Body } | undefined;
  if (has !== undefined && has.n >= as.n) return true;
  const known = has?.body.snapshot?.chunks ?? [];
  const goesOn = known.length > 0 && as.chunks.length >= known.length && known.every(([seq, crc], at) => as.chunks[at]?.[0] === seq && as.chunks[at]?.[1] === crc);
  const sweep = goesOn ? undefined : new Sweep(journal.store);
  if (sweep !== undefined && as.entries !== undefined) await sweep.put(as.entries);
  let pieces: Uint8Array[] = [];
  for (const [seq, crc, entries] of as.chunks.slice(goesOn ? known.length : 0)) {
    const chunk = (await chunks.get(seq))?.data;
    if (chunk === undefined || crc32(chunk) !== crc) return false;
    took?.(chunk.length);
    pieces.push(chunk);
    // The next one goes on with it.
    if (entries === 0) continue;
    const its = entriesOf(where, seq, decode(Buffer.concat(pieces)));
    pieces = [];
    if (sweep === undefined) await putEntries(journal.store, its);
    else await sweep.put(its);
  }
  await sweep?.finish();
  await journal.store.write([journal.foldedMark(as.n, body)]);
  return true;
}

/**
 * Puts a base and the deltas after it over a space that holds older state. A base is in the order of its keys: what lies between two of them and
 * is not in it is removed. What is not in that order, such as a delta, is put after all of the rest was removed: it holds what is to be there.
 */
class Sweep {
  readonly #store: Store;
  /** Up to where the space was swept: a kind, and a key in it that is the next to look at. */
  #letter = 0;
  #from: Uint8Array = rangeOf(letters[0])[0];
  #isOver = false;

  constructor(store: Store) {
    this.#store = store;
  }

  async put(entries: readonly Entry[]): Promise<void> {
    if (entries.length === 0) return;
    if (!this.#isOver && this.#follows(entries)) await this.#sweepTo(entries);
    else await this.finish();
    await putEntries(this.#store, entries);
  }

  /** Removes all that is left. */
  async finish(): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    await this.#remove(this.#from, this.#end, none);
    while (this.#next()) await this.#remove(this.#from, this.#end, none);
  }

  #follows(entries: readonly Entry[]): boolean {
    let letter = this.#letter, from = this.#from;
    for (const [key] of entries) {
      const its = letterOf(key);
      if (its < letter || (its === letter && Buffer.compare(key, from) < 0)) return false;
      [letter, from] = [its, key];
    }
    return true;
  }

  async #sweepTo(entries: readonly Entry[]): Promise<void> {
    const kept = new Set(entries.map(([key]) => keyName(key)));
    for (const [at, [key]] of entries.entries()) {
      const following = entries[at + 1]?.[0], letter = letterOf(key);
      // To the last of its kind at once.
      if (following !== undefined && letterOf(following) === letter) continue;
      for (; this.#letter < letter; this.#next()) await this.#remove(this.#from, this.#end, kept);
      const after = Buffer.concat([key, zero]);
      await this.#remove(this.#from, after, kept);
      this.#from = after;
    }
  }

  get #end(): Uint8Array {
    return rangeOf(letters[this.#letter] as string)[1];
  }

  #next(): boolean {
    if (this.#letter + 1 >= letters.length) return false;
    this.#from = rangeOf(letters[++this.#letter] as string)[0];
    return true;
  }

  async #remove(from: Uint8Array, to: Uint8Array, kept: ReadonlySet<string>): Promise<void> {
    let operations: StoreOperation[] = [];
    for await (const [key] of this.#store.range(from, to)) {
      if (kept.has(keyName(key))) continue;
      operations.push({ type: "del", key });
      if (operations.length < step) continue;
      await this.#store.write(operations);
      operations = [];
    }
    if (operations.length > 0) await this.#store.write(operations);
  }
}

const none: ReadonlySet<string> = new Set(), zero = Buffer.from([0]);
/** -1 of a kind that a snapshot of this version does not have: it is in no order, and is put as it is. */
const letterOf = (key: Uint8Array): number => letters.indexOf(String.fromCharCode(key[0] ?? 0) as "s");
