// One channel out of an actor, to one mailbox or chain: gathers a turn's events into frames and numbers them 1, 2, 3 …
import type { Key } from "../event/event.ts";
import { encodeFrame, type Extra, type Frame, maxFrameEvents, type Note, type Row, RowBuffer } from "../event/frame.ts";
import type { Term } from "../event/term.ts";
import type { Target } from "../journal/record.ts";
import type { Delivery } from "./delivery.ts";

/** What a frame aims at, in bytes (PROTOCOL 3). */
const frameBytes = 256 * 1024;
const firstGuess = 120;

interface Segment {
  readonly edge: number;
  readonly rows: RowBuffer;
}

export interface FrameHead {
  readonly from: string;
  readonly generation: string;
  readonly term: Term;
  readonly n: number;
}

export class Outlet {
  readonly target: Target;
  readonly delivery: Delivery;
  /** Whether anything behind it needs event time. */
  readonly eventTime: boolean;
  /** Number and term of the newest frame. */
  seq = 0;
  term: Term | null = null;
  /** Watermark that went out last; -Infinity: none. */
  watermark = -Infinity;
  #segments: Segment[] = [];
  #open: Segment | undefined;
  #bytesPerEvent = firstGuess;

  constructor(target: Target, delivery: Delivery, eventTime: boolean) {
    this.target = target;
    this.delivery = delivery;
    this.eventTime = eventTime;
  }

  get id(): string {
    return outletId(this.target);
  }

  /**
   * Whether each frame is either settled or still in a record. A frame leaves the log only when a record says that it is settled (P23): where
   * one is neither, that record was lost, and its reader would wait for it for ever (P30). As of the newest record, before anything is sent.
   */
  get isWhole(): boolean {
    const { retired, settled, firstUnsettled } = this.delivery;
    return retired || firstUnsettled === (settled < this.seq ? settled + 1 : undefined);
  }

  add(edge: number, k: number, time: number, key: Key | null, data: unknown, id: string | null, type: string | null): void {
    let open = this.#open;
    if (open === undefined || open.edge !== edge || open.rows.rows.length * this.#bytesPerEvent > frameBytes || open.rows.rows.length >= maxFrameEvents) {
      open = this.#open = { edge, rows: new RowBuffer() };
      this.#segments.push(open);
    }
    const extra: Extra | null = id === null && type === null ? null : [id, type === null ? null : open.rows.type(type), null];
    open.rows.add(k, time, key, extra, data);
  }

  /** Takes back the events with ordinal `k` and above. */
  undo(k: number): void {
    for (const segment of this.#segments) segment.rows.undo(k);
  }

  /** About how many bytes of events are gathered. */
  get gathered(): number {
    let events = 0;
    for (const segment of this.#segments) events += segment.rows.rows.length;
    return events * this.#bytesPerEvent;
  }

  /**
   * Ends the turn: its frames, numbered. Of them only the last carries the new watermark, and the note. An event that no
   * frame can hold goes to `tooLarge`.
   */
  close(head: FrameHead, watermark: number, note: Note | null, limit: number, tooLarge: (row: Row, shapes: readonly string[][]) => void): { readonly seq: number; readonly bytes: Uint8Array }[] {
    const frames: { seq: number; bytes: Uint8Array }[] = [];
    const segments = this.#segments.filter((segment) => segment.rows.rows.length > 0);
    this.#segments = [];
    this.#open = undefined;
    segments.forEach((segment, i) => {
      const last = i === segments.length - 1;
      this.#pack(head, segment.edge, segment.rows, segment.rows.rows, last ? watermark : this.watermark, last ? note : null, limit, frames, tooLarge);
    });
    if (frames.length === 0 && (note !== null || watermark > this.watermark)) this.#pack(head, 0, new RowBuffer(), [], watermark, note, limit, frames, tooLarge);
    if (frames.length > 0) this.watermark = watermark;
    return frames;
  }

  #pack(head: FrameHead, edge: number, buffer: RowBuffer, rows: readonly Row[], watermark: number, note: Note | null, limit: number, frames: { seq: number; bytes: Uint8Array }[], tooLarge: (row: Row, shapes: readonly string[][]) => void): void {
    const frame: Frame = {
      from: head.from, generation: head.generation, term: head.term, n: head.n, before: this.term, seq: this.seq + 1, edge,
      watermark: watermark === -Infinity ? null : watermark, note, shapes: buffer.shapes, types: buffer.types, rows,
    };
    const bytes = encodeFrame(frame);
    if (bytes.length > limit && rows.length > 0) {
      if (rows.length === 1) {
        tooLarge(rows[0] as Row, buffer.shapes);
        if (note !== null || watermark > this.watermark) this.#pack(head, edge, buffer, [], watermark, note, limit, frames, tooLarge);
        return;
      }
      const half = rows.length >> 1;
      this.#pack(head, edge, buffer, rows.slice(0, half), this.watermark, null, limit, frames, tooLarge);
      this.#pack(head, edge, buffer, rows.slice(half), watermark, note, limit, frames, tooLarge);
      return;
    }
    if (rows.length > 0) this.#bytesPerEvent = Math.max(8, (3 * this.#bytesPerEvent + bytes.length / rows.length) / 4);
    this.seq++;
    this.term = head.term;
    frames.push({ seq: this.seq, bytes });
  }
}

export function outletId(target: Target): string {
  return typeof target === "string" ? target : target.join("/");
}
