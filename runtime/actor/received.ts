// An event as a sink gets it. What is known of it beside the data is put together when it is asked for.
import type { EventInfo, FlowEvent, Key } from "../event/event.ts";
import { type Frame, type Row, rowData } from "../event/frame.ts";
import type { HeldEvent } from "../journal/record.ts";
import { heldInfo, rowInfo, spread, typeOf } from "./event-info.ts";

export class Received implements FlowEvent {
  readonly data: unknown;
  readonly time: number;
  readonly #frame: Frame | HeldEvent;
  readonly #row: Row;

  constructor(data: unknown, frame: Frame | HeldEvent, row: Row) {
    this.data = data;
    this.time = row[1];
    this.#frame = frame;
    this.#row = row;
  }

  get #info(): EventInfo {
    const frame = this.#frame;
    return "rows" in frame ? rowInfo(frame.from, frame.generation, frame.n, this.#row, typeOf(frame, this.#row)) : heldInfo(frame);
  }

  get id(): string { return this.#info.id; }
  get type(): string { return this.#info.type; }
  get key(): Key { return this.#info.key as Key; }
  get source(): string { return this.#info.source; }
}

/** Of an event that was held. */
export function received(event: HeldEvent): Received {
  const row = event[5];
  return new Received(rowData(row, event[6] === null ? [] : spread(row, event[6])), event, row);
}
