// Keys of a journal's entries, as bytes in the order that their values have: h head, f folded, b broken, r record, s state, t timer,
// w waiting, o held (PROTOCOL P21).
import { MillraceError } from "../event/errors.ts";
import type { Key } from "../event/event.ts";

const prefix = (letter: string): number => letter.charCodeAt(0);
export const headKey = Buffer.from("h");
export const foldedKey = Buffer.from("f");
/** There where damage was found while the journal was in use. */
export const brokenKey = Buffer.from("b");
/** Version of the form of a journal, one byte; a journal without it has version 1. */
export const versionKey = Buffer.from("v");

/** Key of record `n`. */
export function recordKey(n: number): Buffer {
  const key = Buffer.allocUnsafe(9);
  key[0] = prefix("r");
  key.writeBigUInt64BE(BigInt(n), 1);
  return key;
}

/** Number of the record with this key; NaN of one that is no record's. */
export function recordNumber(key: Uint8Array): number {
  if (key.length !== 9) return NaN;
  return Number(Buffer.from(key.buffer, key.byteOffset, key.byteLength).readBigUInt64BE(1));
}

/** 8 bytes that sort as the numbers do (IEEE 754 with the sign turned over). */
function writeOrdered(target: Buffer, value: number, at: number): number {
  target.writeDoubleBE(value, at);
  if ((target[at] as number) & 0x80) for (let i = 0; i < 8; i++) target[at + i] = ~(target[at + i] as number) & 0xff;
  else target[at] = (target[at] as number) | 0x80;
  return at + 8;
}

function readOrdered(source: Buffer, at: number): number {
  const copy = Buffer.from(source.subarray(at, at + 8));
  if ((copy[0] as number) & 0x80) copy[0] = (copy[0] as number) & 0x7f;
  else for (let i = 0; i < 8; i++) copy[i] = ~(copy[i] as number) & 0xff;
  return copy.readDoubleBE(0);
}

function keySize(key: Key): number {
  return typeof key === "number" ? 9 : 3 + Buffer.byteLength(key) + zeros(key);
}

function zeros(text: string): number {
  let count = 0;
  for (let at = text.indexOf("\0"); at >= 0; at = text.indexOf("\0", at + 1)) count++;
  return count;
}

// A text ends with 0 0; a 0 inside it is written as 0 255, so that one key is never the beginning of another.
function writeKey(target: Buffer, key: Key, at: number): number {
  if (typeof key === "number") {
    target[at] = 1;
    return writeOrdered(target, key, at + 1);
  }
  target[at++] = 2;
  if (!key.includes("\0")) at += target.write(key, at, "utf8");
  else for (const byte of Buffer.from(key)) { target[at++] = byte; if (byte === 0) target[at++] = 255; }
  target[at] = target[at + 1] = 0;
  return at + 2;
}

function readKey(source: Buffer, at: number): readonly [key: Key, at: number] {
  if (source[at] === 1) return [readOrdered(source, at + 1), at + 9];
  const bytes: number[] = [];
  let i = at + 1;
  for (; !(source[i] === 0 && source[i + 1] === 0); i++) {
    if (i + 1 >= source.length) throw new RangeError("a key without its end");
    bytes.push(source[i] as number);
    if (source[i] === 0) i++;
  }
  return [Buffer.from(bytes).toString("utf8"), i + 2];
}

/** Key of a value of state: operator, key and, where the operator keeps several a key, part. */
export function stateKey(operator: number, key: Key, part: number | undefined): Buffer {
  const bytes = Buffer.allocUnsafe(2 + keySize(key) + (part === undefined ? 0 : 8));
  bytes[0] = prefix("s");
  bytes[1] = operator;
  const at = writeKey(bytes, key, 2);
  if (part !== undefined) writeOrdered(bytes, part, at);
  return bytes;
}

/** What `stateKey` was made of. @throws MillraceError JOURNAL_BROKEN for any other bytes */
export function readStateKey(bytes: Uint8Array): { readonly operator: number; readonly key: Key; readonly part: number | undefined } {
  const source = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    const [key, at] = readKey(source, 2);
    return { operator: source[1] as number, key, part: at === source.length ? undefined : readOrdered(source, at) };
  } catch (cause) {
    throw new MillraceError("JOURNAL_BROKEN", "journal", `${source.toString("hex", 0, 40)} is no key of an entry of state`, "Remove this journal's folder: it is built anew from the commit log.", { cause });
  }
}

/** Key of a held event: sorted by time, then by `id`. */
export function heldKey(time: number, id: Uint8Array): Buffer {
  // Kept for as long as its event is held: one out of the pool would hold 8 KiB.
  const bytes = Buffer.allocUnsafeSlow(9 + id.length);
  bytes[0] = prefix("o");
  writeOrdered(bytes, time, 1);
  bytes.set(id, 9);
  return bytes;
}

/** First and last (exclusive) key of all entries of a kind. */
export function rangeOf(letter: string): readonly [gte: Buffer, lt: Buffer] {
  return [Buffer.from(letter), Buffer.from([prefix(letter) + 1])];
}

/** A key as one of a set or a map. */
export function keyName(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString("latin1");
}
