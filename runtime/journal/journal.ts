// An actor's journal: a local copy of its commit log since the last fold, and the folded state, in one store (P21). A prefix
// of the log (I4): each entry carries its sequence in the log, its length, its CRC and that of the one before.
import { crc32 } from "node:zlib";
import { decode, encode } from "../event/codec.ts";
import { MillraceError } from "../event/errors.ts";
import { brokenKey, foldedKey, headKey, rangeOf, recordKey, recordNumber, versionKey } from "./keys.ts";
import type { Store, StoreOperation } from "./store.ts";

/** A record as it stands in the log. */
export interface Entry {
  readonly n: number;
  /** Sequence in the log. */
  readonly seq: number;
  readonly bytes: Uint8Array;
}

export interface Head {
  readonly n: number;
  readonly seq: number;
  readonly crc: number;
}

/** The newest form of a journal that is read, and the one that is written. */
const journalVersion = 1;
/** Records removed in one batch. */
const trimStep = 256;
/** What stands before a record's bytes, and all of the head: 20 bytes and their CRC. */
const headSize = 24;
const isWhole = (view: Buffer): boolean => view.length >= headSize && crc32(view.subarray(0, 20)) === view.readUInt32BE(20);

export class Journal {
  readonly store: Store;
  readonly #where: string;
  #head: Head | undefined;
  /** Where the next trim begins; `undefined`: not known. */
  #trimmedTo: number | undefined;

  /** @throws MillraceError JOURNAL_NEWER (P25), JOURNAL_BROKEN where the head is unreadable */
  constructor(store: Store, where: string) {
    this.store = store;
    this.#where = where;
    const version = store.get(versionKey)?.[0] ?? journalVersion;
    if (version > journalVersion) throw new MillraceError("JOURNAL_NEWER", where, `The journal of ${where} has version ${version}, this program reads up to ${journalVersion}`, "Run a newer Millrace here; nothing was changed.");
    if (store.get(brokenKey) !== undefined) throw this.#broken("damage was found in it while it was in use");
    const head = store.get(headKey);
    if (head !== undefined) {
      const view = Buffer.from(head.buffer, head.byteOffset, head.byteLength);
      if (head.length !== headSize || !isWhole(view)) throw this.#broken("its head does not fit its CRC");
      this.#head = { n: Number(view.readBigUInt64BE(0)), seq: Number(view.readBigUInt64BE(8)), crc: view.readUInt32BE(16) };
    }
  }

  /** The newest record; `undefined` in a new journal. */
  get head(): Head | undefined {
    return this.#head;
  }

  /** Adds records in order; one batch, whole or absent. */
  async write(entries: readonly Entry[]): Promise<void> {
    const operations: StoreOperation[] = [];
    let head = this.#head;
    for (const { n, seq, bytes } of entries) {
      if (head !== undefined && n !== head.n + 1) throw this.#broken(`record ${n} does not follow ${head.n}`);
      const crc = crc32(bytes), value = Buffer.allocUnsafe(headSize + bytes.length);
      value.writeUInt32BE(head?.crc ?? 0, 0);
      value.writeUInt32BE(crc, 4);
      value.writeUInt32BE(bytes.length, 8);
      value.writeBigUInt64BE(BigInt(seq), 12);
      value.writeUInt32BE(crc32(value.subarray(0, 20)), 20);
      value.set(bytes, headSize);
      operations.push({ type: "put", key: recordKey(n), value });
      head = { n, seq, crc };
    }
    if (head === undefined) return;
    this.#head = head;
    operations.push({ type: "put", key: headKey, value: headBytes(head) });
    await this.store.write(operations);
  }

  /**
   * Records from number `from` on, which is there, checked: CRC, length, no hole, up to the head.
   * @throws MillraceError JOURNAL_BROKEN
   */
  async *read(from: number): AsyncGenerator<Entry & { readonly crc: number }> {
    const head = this.#head;
    if (head === undefined) {
      if ((await this.first()) !== undefined) throw this.#broken("its head is missing");
      return;
    }
    let expected = from, before: number | undefined;
    for await (const [key, value] of this.store.range(recordKey(from), rangeOf("r")[1])) {
      const n = recordNumber(key);
      if (n > head.n) break;
      if (n !== expected) throw this.#broken(`record ${expected} is missing`);
      const view = Buffer.from(value.buffer, value.byteOffset, value.byteLength), bytes = view.subarray(headSize);
      if (!isWhole(view) || view.readUInt32BE(8) !== bytes.length || crc32(bytes) !== view.readUInt32BE(4)) throw this.#broken(`record ${n} does not fit its CRC`);
      if (before !== undefined && view.readUInt32BE(0) !== before) throw this.#broken(`record ${n} does not follow the one before it`);
      before = view.readUInt32BE(4);
      expected = n + 1;
      yield { n, seq: Number(view.readBigUInt64BE(12)), bytes, crc: before };
    }
    if (expected !== head.n + 1 && from <= head.n) throw this.#broken(`records up to ${head.n} should be there, the last is ${expected === from ? "none" : expected - 1}`);
    if (before !== undefined && before !== head.crc) throw this.#broken("its head does not fit its newest record");
  }

  /** The newest record's bytes. @throws MillraceError JOURNAL_BROKEN */
  async last(): Promise<Entry | undefined> {
    if (this.#head === undefined) return undefined;
    for await (const entry of this.read(this.#head.n)) return entry;
    throw this.#broken("its newest record is missing");
  }

  /** Number of the oldest record that is kept; `undefined` where there is none. */
  async first(): Promise<number | undefined> {
    const [gte, lt] = rangeOf("r");
    for await (const [key] of this.store.range(gte, lt, { limit: 1 })) {
      const n = recordNumber(key);
      if (Number.isNaN(n)) throw this.#broken("a record has a key that is none");
      return n;
    }
    return undefined;
  }

  /** Removes records before number `n`. */
  async trim(n: number): Promise<void> {
    let from = this.#trimmedTo ?? (await this.first()) ?? n;
    while (from < n) {
      // They follow each other without a hole: nothing is read. In small steps, since each holds up the event loop.
      const operations: StoreOperation[] = [];
      for (const to = Math.min(n, from + trimStep); from < to; from++) operations.push({ type: "del", key: recordKey(from) });
      await this.store.write(operations);
      // Whoever asked LevelDB for the first one would step over all that was removed, again and again.
      this.#trimmedTo = from;
    }
  }

  /** Number up to which state is folded, and the fields of a turn's body as of it; `undefined` before the first fold. */
  folded(): { readonly n: number; readonly body: unknown } | undefined {
    const value = this.store.get(foldedKey);
    if (value === undefined) return undefined;
    const view = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    if (view.length < 4 || crc32(view.subarray(4)) !== view.readUInt32BE(0)) throw this.#broken("its folded state does not fit its CRC");
    const marked = decode(view.subarray(4));
    if (!Array.isArray(marked) || !Number.isSafeInteger(marked[0]) || typeof marked[1] !== "object" || marked[1] === null) throw this.#broken("its folded state is none");
    return { n: marked[0] as number, body: marked[1] as unknown };
  }

  /** What marks the state as folded up to `n`: to be written last. */
  foldedMark(n: number, body: unknown): StoreOperation {
    const bytes = encode([n, body]), value = Buffer.allocUnsafe(4 + bytes.length);
    value.writeUInt32BE(crc32(bytes), 0);
    value.set(bytes, 4);
    return { type: "put", key: foldedKey, value };
  }

  /** Damage was found in an entry while it was in use: the next owner builds it anew from the log. */
  async markBroken(): Promise<void> {
    await this.store.write([{ type: "put", key: brokenKey, value: Buffer.from([1]) }]);
  }

  /** Begins anew after state was loaded from a snapshot: the head is the record before which nothing is kept here. */
  async begin(head: Head): Promise<void> {
    this.#head = head;
    this.#trimmedTo = undefined;
    await this.store.write([{ type: "put", key: headKey, value: headBytes(head) }]);
  }

  #broken(what: string): MillraceError {
    return new MillraceError("JOURNAL_BROKEN", this.#where, `The journal of ${this.#where} is damaged: ${what}`, "It is set aside and built anew from the commit log.");
  }
}

/** Whether an error says that a journal is damaged. */
export function isBroken(error: unknown): boolean {
  return error instanceof MillraceError && error.code === "JOURNAL_BROKEN";
}

/** All records of a store that are whole in themselves, in order, whatever else of it is damaged; `before`: CRC of the one before each. */
export async function* wholeRecords(store: Store, from = 0): AsyncGenerator<Entry & { readonly crc: number; readonly before: number }> {
  for await (const [key, value] of store.range(recordKey(from), rangeOf("r")[1])) {
    const view = Buffer.from(value.buffer, value.byteOffset, value.byteLength), bytes = view.subarray(headSize), crc = crc32(bytes), n = recordNumber(key);
    if (Number.isNaN(n) || !isWhole(view) || view.readUInt32BE(4) !== crc || view.readUInt32BE(8) !== bytes.length) continue;
    yield { n, seq: Number(view.readBigUInt64BE(12)), bytes, crc, before: view.readUInt32BE(0) };
  }
}

/** Of a damaged journal the newest record that is whole: what it says of the log counts (P24). */
export async function newestWhole(store: Store): Promise<Head | undefined> {
  for await (const [key, value] of store.range(...rangeOf("r"), { reverse: true })) {
    const view = Buffer.from(value.buffer, value.byteOffset, value.byteLength), crc = crc32(view.subarray(headSize));
    if (!Number.isNaN(recordNumber(key)) && isWhole(view) && view.readUInt32BE(4) === crc) return { n: recordNumber(key), seq: Number(view.readBigUInt64BE(12)), crc };
  }
  return undefined;
}

function headBytes(head: Head): Buffer {
  const bytes = Buffer.allocUnsafe(headSize);
  bytes.writeBigUInt64BE(BigInt(head.n), 0);
  bytes.writeBigUInt64BE(BigInt(head.seq), 8);
  bytes.writeUInt32BE(head.crc, 16);
  bytes.writeUInt32BE(crc32(bytes.subarray(0, 20)), 20);
  return bytes;
}
