// A frame: the unit that is published, stored, numbered and deduplicated. PROTOCOL section 3 names its fields; a mailbox
// message is the round of the attempt to send (bin 8) and the frame, one after the other.
import { decode, encode, plain } from "./codec.ts";
import { MillraceError } from "./errors.ts";
import { isKey, type Key } from "./event.ts";
import { isTerm, type Term } from "./term.ts";

/** Version of the form of frames that is written, and the newest that is read. */
export const frameVersion = 1;
/** Most events in one frame. */
export const maxFrameEvents = 8_192;
/** Beyond so many shapes in one frame an event goes as one value: looking for its shape would cost more than it saves. */
const maxShapes = 64;

/**
 * What a sender says beside its events. Of live scaling (PROTOCOL 11), each with the generation that follows and its number of actors:
 * `barrier`: from here on it sends to that generation of its reader. `sealed`: it sends no more, its own stage goes on as that generation.
 */
export type Note = readonly ["end"] | readonly ["caught"] | readonly ["barrier", generation: string, count: number] | readonly ["sealed", generation: string, count: number] | readonly ["refused", generation: string];

/** An event as it stands in a frame: ordinal in its record, time, key, extra, index of its shape, values. */
export type Row = [k: number, time: number, key: Key | null, extra: Extra | null, shape: number, ...values: unknown[]];
/** What is not as usual: id, index of the type, id of the source event it descends from. */
export type Extra = readonly [id: string | null, type: number | null, origin: string | null];

export interface Frame {
  readonly from: string;
  readonly generation: string;
  readonly term: Term;
  /** Term of the frame before it on this channel; `null` for the first. */
  readonly before: Term | null;
  readonly seq: number;
  /** Number of the record that holds it. */
  readonly n: number;
  readonly edge: number;
  /** ms; `null`: none yet. */
  readonly watermark: number | null;
  readonly note: Note | null;
  readonly shapes: readonly (readonly string[])[];
  readonly types: readonly string[];
  readonly rows: readonly Row[];
}

/** Bytes of a frame. */
export function encodeFrame(f: Frame): Uint8Array {
  return encode([frameVersion, f.from, f.generation, f.term, f.before, f.seq, f.n, f.edge, f.watermark, f.note, f.shapes, f.types, f.rows]);
}

/** The mailbox message of a frame. */
export function message(round: Uint8Array, frame: Uint8Array): Uint8Array {
  const bytes = Buffer.allocUnsafe(10 + frame.length);
  bytes[0] = 0xc4;
  bytes[1] = 8;
  bytes.set(round, 2);
  bytes.set(frame, 10);
  return bytes;
}

/** The round of a mailbox message, a copy: kept as an anchor it must not keep the message; `undefined` where it is none. */
export function roundOf(data: Uint8Array): Uint8Array | undefined {
  return data.length > 10 && data[0] === 0xc4 && data[1] === 8 ? new Uint8Array(data.subarray(2, 10)) : undefined;
}

/**
 * The frame of a mailbox message.
 * @throws MillraceError FRAME_NEWER for a version newer than this program's, BYTES_REFUSED for anything that is no frame.
 */
export function decodeMessage(data: Uint8Array): Frame {
  if (data.length <= 10 || data[0] !== 0xc4 || data[1] !== 8) throw noFrame("it has no round");
  return decodeFrame(data.subarray(10));
}

/** The frame of bytes. Throws as `decodeMessage`. */
export function decodeFrame(bytes: Uint8Array): Frame {
  const f = decode(bytes);
  if (!Array.isArray(f) || !Number.isSafeInteger(f[0])) throw noFrame("it is no list that begins with a version");
  if ((f[0] as number) > frameVersion) throw new MillraceError("FRAME_NEWER", "frame", `A frame has version ${String(f[0])}, this program reads up to ${frameVersion}`, "Run a newer Millrace here; nothing was consumed.");
  const [, from, generation, term, before, seq, n, edge, watermark, note, shapes, types, rows] = f as unknown[];
  if (f.length < 13 || typeof from !== "string" || typeof generation !== "string" || !isTerm(term) || !(before === null || isTerm(before))) throw noFrame("its sender is not named");
  if (!isCount(seq) || !isCount(n) || !isCount(edge) || !(watermark === null || typeof watermark === "number")) throw noFrame("its numbers are none");
  if (note !== null && !isNote(note)) throw noFrame("its note is not known");
  if (!Array.isArray(shapes) || !shapes.every(isShape) || !Array.isArray(types) || !types.every(isText)) throw noFrame("its shapes or types are none");
  if (!Array.isArray(rows) || rows.length > maxFrameEvents) throw noFrame("it holds no list of events, or too many");
  for (const row of rows) if (!isRow(row, shapes as string[][], types.length)) throw noFrame("one of its events has the wrong form");
  return { from, generation, term, before, seq, n, edge, watermark, note: note as Note | null, shapes: shapes as string[][], types: types as string[], rows: rows as Row[] };
}

function isNote(note: unknown): boolean {
  if (!Array.isArray(note)) return false;
  const [what, generation, count] = note as unknown[];
  if (what === "end" || what === "caught") return true;
  return isText(generation) && (what === "refused" || ((what === "barrier" || what === "sealed") && isCount(count) && count > 0));
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isText = (value: unknown): value is string => typeof value === "string";
const isShape = (value: unknown): boolean => Array.isArray(value) && value.length <= 4_096 && value.every((key) => typeof key === "string" && key !== "__proto__");

function isRow(row: unknown, shapes: readonly string[][], types: number): row is Row {
  if (!Array.isArray(row) || row.length < 5 || typeof row[0] !== "number" || typeof row[1] !== "number") return false;
  const shape = row[4] as number, extra = row[3] as unknown, key = row[2] as unknown;
  if (key !== null && !isKey(key)) return false;
  if (shape === -1 ? row.length !== 6 : !isCount(shape) || shape >= shapes.length || row.length !== 5 + (shapes[shape] as string[]).length) return false;
  if (extra === null) return true;
  if (!Array.isArray(extra) || extra.length !== 3) return false;
  const [id, type, origin] = extra as unknown[];
  return (id === null || isText(id)) && (type === null || (isCount(type) && type < types)) && (origin === null || isText(origin));
}

function noFrame(why: string): MillraceError {
  return new MillraceError("BYTES_REFUSED", "frame", `A message in a mailbox is no frame: ${why}`, "Look at who publishes to the subjects of actors; only nodes may.");
}

/** The data of a row. */
export function rowData(row: Row, shapes: readonly (readonly string[])[]): unknown {
  const shape = row[4];
  if (shape === -1) return row[5];
  const keys = shapes[shape] as readonly string[], data: Record<string, unknown> = {};
  for (let i = 0; i < keys.length; i++) data[keys[i] as string] = row[5 + i];
  return data;
}

/** Gathers events for one frame: finds their shapes, makes their rows. */
export class RowBuffer {
  readonly rows: Row[] = [];
  readonly shapes: string[][] = [];
  readonly types: string[] = [];
  #keys: string[] | undefined;
  #shape = -1;

  /** @throws MillraceError UNSERIALIZABLE */
  add(k: number, time: number, key: Key | null, extra: Extra | null, data: unknown): void {
    if (typeof data !== "object" || data === null || Object.getPrototypeOf(data) !== Object.prototype) {
      this.rows.push([k, time, key, extra, -1, plain(data)]);
      return;
    }
    const from = data as Record<string, unknown>;
    const shape = this.#fits(from) ? this.#shape : this.#find(from);
    if (shape < 0) {
      this.rows.push([k, time, key, extra, -1, plain(data)]);
      return;
    }
    const keys = this.#keys as string[], row = new Array(5 + keys.length) as unknown as Row;
    for (let i = 0; i < keys.length; i++) {
      const value = from[keys[i] as string];
      if (value === undefined) return this.#without(k, time, key, extra, from);
      row[5 + i] = typeof value === "number" ? value : plain(value);
    }
    row[0] = k; row[1] = time; row[2] = key; row[3] = extra; row[4] = shape;
    this.rows.push(row);
  }

  /** A property that is `undefined` is one that is not there. */
  #without(k: number, time: number, key: Key | null, extra: Extra | null, from: Record<string, unknown>): void {
    this.add(k, time, key, extra, Object.fromEntries(Object.entries(from).filter(([, value]) => value !== undefined)));
  }

  #fits(data: Record<string, unknown>): boolean {
    const keys = this.#keys;
    if (keys === undefined) return false;
    let i = 0;
    for (const name in data) if (name !== keys[i++]) return false;
    return i === keys.length;
  }

  #find(data: Record<string, unknown>): number {
    const keys = Object.keys(data);
    if (keys.includes("__proto__")) throw new MillraceError("UNSERIALIZABLE", "codec", "A property named __proto__ cannot be sent", "Give it another name.");
    let shape = this.shapes.findIndex((known) => known.length === keys.length && known.every((name, i) => name === keys[i]));
    if (shape < 0 && this.shapes.length === maxShapes) return -1;
    if (shape < 0) shape = this.shapes.push(keys) - 1;
    this.#keys = this.shapes[shape] as string[];
    this.#shape = shape;
    return shape;
  }

  /** Index of an event type in this frame. */
  type(name: string): number {
    const found = this.types.indexOf(name);
    return found >= 0 ? found : this.types.push(name) - 1;
  }

  /** Takes back the events with ordinal `k` and above: what an event that failed had emitted. */
  undo(k: number): void {
    while (this.rows.length > 0 && (this.rows[this.rows.length - 1] as Row)[0] >= k) this.rows.pop();
  }
}
