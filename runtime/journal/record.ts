// A commit record: all that one turn did. PROTOCOL section 4 names its fields. A record is in the log (the truth) and in the
// journal (a copy); replay applies it and runs no handler (I7).
import { decode, encode } from "../event/codec.ts";
import { MillraceError } from "../event/errors.ts";
import type { Key } from "../event/event.ts";
import type { Row } from "../event/frame.ts";
import { isTerm, type Term } from "../event/term.ts";
import { checkBody } from "./body-form.ts";

/** Version of the form of records that is written, and the newest that is read. */
export const recordVersion = 1;

export type RecordKind = "claim" | "turn" | "snapshot" | "seal" | "stop" | "attempt" | "part";

/** A mailbox: `[stage, generation, partition, input]`; or the subject of a chain. */
export type Target = readonly [stage: string, generation: string, partition: number, input: number] | string;

/** An event that waits to be tried again, or for an earlier one of its key. */
export interface Waiting {
  readonly id: string;
  readonly due: number;
  readonly attempt: number;
  readonly event: HeldEvent;
}

/** An event kept with what it was sent with: `[from, generation, seq, n, edge, row, shape, type]`. */
export type HeldEvent = readonly [from: string, generation: string, seq: number, n: number, edge: number, row: Row, shape: readonly string[] | null, type: string | null];

/** Fields of a turn: what it changed. Of a snapshot: all of it. Fields that hold nothing are left out. */
export interface Body {
  node?: string;
  k?: number;
  inputs?: (readonly [input: number, position: number, round: Uint8Array | null, from: string | null, seq: number])[];
  cursors?: (readonly [input: number, from: string, generation: string, seq: number, term: Term | null, done: number, begun: Term | null, starts: readonly (readonly [seq: number, term: Term])[]])[];
  /** `barrier`: the sender goes on with that generation of this stage. */
  channels?: (readonly [input: number, from: string, generation: string, watermark: number | null, caught: boolean, ended: boolean, barrier?: readonly [generation: string, count: number]])[];
  /** Of a stage that feeds this one: of its lower generations nothing is taken any more. */
  floors?: (readonly [input: number, stage: string, generation: string])[];
  /** `sealed`: it is over, its stage goes on as that generation. */
  own?: { watermark: number | null; ended: boolean; caught: boolean; sealed?: readonly [generation: string, count: number] };
  tries?: { k: number; events: (readonly [event: string, count: number])[] };
  /** Which generation of a reader its frames go to: the actor's own decision, which a failover repeats. */
  routing?: (readonly [stage: string, generation: string, count: number])[];
  /** Plans that were being taken back and that it did not follow. */
  refused?: (readonly [stage: string, generation: string])[];
  /** Without a value: removed. */
  state?: (readonly [operator: number, version: number, key: Key, part: number | null, value?: unknown])[];
  /** Without a time: removed. `stays`: set after all inputs had ended. */
  timers?: (readonly [operator: number, key: Key, name: string, time?: number, wall?: boolean, stays?: boolean])[];
  waiting?: (readonly [id: string, waiting?: readonly [due: number, attempt: number, event: HeldEvent]])[];
  held?: (readonly [id: Uint8Array, event?: HeldEvent])[];
  out?: (readonly [target: Target, seq: number, frame: Uint8Array])[];
  /** Term of the newest frame of a channel, and its number: what `before` of the next one is. */
  sent?: (readonly [target: Target, seq: number, term: Term])[];
  settled?: (readonly [target: Target, seq: number, at: number])[];
  source?: (readonly [split: string, position: unknown, ended: boolean, watermark: number | null])[];
  /**
   * The batch begun: its number, how many events, the mark of the batch before it, and where it begins (positions and cursors
   * before it). `written`: no new batch; `mark` is that of batch `number`.
   */
  sink?: { number: number; events: number; mark: unknown; written: boolean; from: { inputs: NonNullable<Body["inputs"]>; cursors: NonNullable<Body["cursors"]> } };
  /** Of a sink, in snapshots and seals: the targets of partitions that this generation has not, each with its last batch and that one's mark. */
  targets?: (readonly [partition: number, batch: number, mark: unknown])[];
  /** `settled`: dead letters that were replayed or dropped; left out while there are none. */
  counts?: { in: number; out: number; late: number; deadLetters: number; settled?: number };
  /** Of a snapshot: number it is as of; the entries of the folded space, or where its chunks are. */
  snapshot?: { n: number; entries?: (readonly [key: Uint8Array, value: Uint8Array | null])[]; chunks: (readonly [seq: number, crc: number, entries: number])[] };
  /** Of a seal: its state in sections, one for each actor of the next generation, each as the entries of a snapshot are. */
  seal?: { generation: string; sections: readonly Section[] };
  part?: { index: number; count: number; bytes: Uint8Array };
}

/** Entries of the folded space, or where their chunks are. */
export interface Section {
  readonly entries?: (readonly [key: Uint8Array, value: Uint8Array | null])[];
  readonly chunks: (readonly [seq: number, crc: number, entries: number])[];
}

export interface CommitRecord {
  readonly kind: RecordKind;
  readonly n: number;
  readonly term: Term;
  /** Sequence in the log of the record that it extends; 0: none. */
  readonly previous: number;
  /** Hash of the flow's code. */
  readonly code: string;
  readonly body: Body;
}

/** Whether nobody writes behind it any more, but to claim the log and stop: its actor was sealed, or has ended. */
export function isFinal({ kind, body }: CommitRecord): boolean {
  return kind === "seal" || (kind === "stop" && body.own?.ended === true);
}

export function encodeRecord(r: CommitRecord): Uint8Array {
  return encode([recordVersion, r.kind, r.n, r.term, r.previous, r.code, r.body]);
}

const kinds: readonly string[] = ["claim", "turn", "snapshot", "seal", "stop", "attempt", "part"];

/**
 * The record of bytes.
 * @throws MillraceError RECORD_NEWER (P25), BYTES_REFUSED
 */
export function decodeRecord(bytes: Uint8Array): CommitRecord {
  const r = decode(bytes);
  if (!Array.isArray(r) || !Number.isSafeInteger(r[0])) throw noRecord("it is no list that begins with a version");
  if ((r[0] as number) > recordVersion) throw new MillraceError("RECORD_NEWER", "commit log", `A record has version ${String(r[0])}, this program reads up to ${recordVersion}`, "Run a newer Millrace here; nothing was changed.");
  const [, kind, n, term, previous, code, body] = r as unknown[];
  if (!kinds.includes(kind as string) || !Number.isSafeInteger(n) || !isTerm(term) || !Number.isSafeInteger(previous) || typeof code !== "string" || typeof body !== "object" || body === null || Array.isArray(body)) throw noRecord("its head is none");
  const record: CommitRecord = { kind: kind as RecordKind, n: n as number, term, previous: previous as number, code, body: body as Body };
  // What others of a body is looked at when it is applied: a log is read more often than that.
  if (kind === "part" || kind === "snapshot" || kind === "seal") checkBody("commit log", record);
  return record;
}

function noRecord(why: string): MillraceError {
  return new MillraceError("BYTES_REFUSED", "commit log", `A message in a commit log is no record: ${why}`, "Look at who publishes to the subjects of actors; only nodes may.");
}

/** One message of a record: its number, and its bytes, which name the sequence that it extends. */
export interface RecordMessage {
  readonly n: number;
  readonly bytes: (previous: number) => Uint8Array;
}

/** A record as the messages that carry it: itself, or parts with numbers of their own where it is larger than `limit` bytes (P6). */
export function messagesOf(record: Omit<CommitRecord, "previous">, previous: number, limit: number): readonly RecordMessage[] {
  const whole = encodeRecord({ ...record, previous });
  if (whole.length <= limit) return [{ n: record.n, bytes: (at) => (at === previous ? whole : encodeRecord({ ...record, previous: at })) }];
  const size = limit - 512, count = Math.ceil(whole.length / size);
  return Array.from({ length: count }, (_, index) => {
    const n = record.n + index, bytes = whole.subarray(index * size, (index + 1) * size);
    return { n, bytes: (at) => encodeRecord({ ...record, kind: "part", n, previous: at, body: { part: { index, count, bytes } } }) };
  });
}

/** Puts parts together again. Feed it every record in order; what it gives is what there is to apply. */
export class Assembler {
  #parts: Uint8Array[] = [];
  #first: CommitRecord | undefined;

  take(record: CommitRecord): CommitRecord | undefined {
    if (record.kind !== "part") {
      this.#parts = [];
      return record;
    }
    const { part } = record.body;
    if (part === undefined) throw noRecord("it is a part of none");
    if (part.index === 0) { this.#parts = []; this.#first = record; }
    // A part that does not follow the one before belongs to a run of parts that another record interrupted: void.
    if (part.index !== this.#parts.length) { this.#parts = []; return undefined; }
    this.#parts.push(part.bytes);
    if (this.#parts.length < part.count) return undefined;
    const whole = decodeRecord(Buffer.concat(this.#parts));
    this.#parts = [];
    if (whole.n !== this.#first?.n) throw noRecord("its parts do not belong together");
    return whole;
  }
}
