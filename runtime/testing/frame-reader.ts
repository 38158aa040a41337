// What actors sent into a stream, read from outside: frame by frame, each once, as a reader of theirs would take it (P16, P29).
import { rowInfo, typeOf } from "../actor/event-info.ts";
import type { FlowEvent } from "../event/event.ts";
import { decodeMessage, rowData } from "../event/frame.ts";
import { frozen } from "./frozen.ts";
import type { MemoryStream } from "./memory-stream.ts";

export class FrameReader {
  readonly #stream: MemoryStream;
  readonly #events: FlowEvent[] = [];
  readonly #taken = new Map<string, number>();
  #next = 1;

  constructor(stream: MemoryStream) {
    this.#stream = stream;
  }

  /** All events so far, in the order in which they were stored. */
  get events(): readonly FlowEvent[] {
    for (const { last } = this.#stream.bounds(); this.#next <= last; this.#next++) {
      const stored = this.#stream.at(this.#next);
      if (stored === undefined) continue;
      const frame = decodeMessage(stored.data), { from, generation, n, rows, shapes } = frame, channel = `${from}@${generation}`;
      if (frame.seq <= (this.#taken.get(channel) ?? 0)) continue;
      this.#taken.set(channel, frame.seq);
      for (const row of rows) this.#events.push(frozen({ ...rowInfo(from, generation, n, row, typeOf(frame, row)), data: rowData(row, shapes) }));
    }
    return this.#events;
  }
}
