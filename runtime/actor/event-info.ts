// What is known of an event beside its data, put together from what it was sent with; and an event as it is kept.
import { plain } from "../event/codec.ts";
import type { EventInfo } from "../event/event.ts";
import type { Frame, Row } from "../event/frame.ts";
import type { HeldEvent } from "../journal/record.ts";

/** The same words for the same event at each try. */
export function eventId(frame: Frame, index: number): string {
  return `${frame.from}@${frame.generation}.${frame.n}.${(frame.rows[index] as Row)[0]}`;
}

/** What is known of an event: the usual id, type and source where the frame says nothing else. */
export function rowInfo(from: string, generation: string, n: number, row: Row, type: string | null): EventInfo {
  const [k, time, key, extra] = row, usual = from.slice(0, from.lastIndexOf("/")).replace("/", ".");
  return { id: extra?.[0] ?? `${from}@${generation}.${n}.${k}`, type: type ?? usual, time, source: from, ...(key === null ? {} : { key }) };
}

/** An event's type where it is not the usual one. */
export function typeOf(frame: Frame, row: Row): string | null {
  const type = row[3]?.[1];
  return type == null ? null : (frame.types[type] ?? null);
}

/** An event kept with what it was sent with. */
export function heldOf(frame: Frame, row: Row): HeldEvent {
  const shape = row[4];
  return [frame.from, frame.generation, frame.seq, frame.n, frame.edge, row, shape === -1 ? null : (frame.shapes[shape] ?? null), typeOf(frame, row)];
}

/** A kept event as it goes into a record: with its values in their wire form. Itself, where they are. */
export function sentForm(event: HeldEvent): HeldEvent {
  const row = event[5];
  let sent: Row | undefined;
  for (let i = 5; i < row.length; i++) {
    const value = row[i], its = plain(value);
    if (its !== value && !Object.is(its, value)) (sent ??= row.slice() as Row)[i] = its;
  }
  return sent === undefined ? event : (event.with(5, sent) as unknown as HeldEvent);
}

export function heldInfo(event: HeldEvent): EventInfo {
  return rowInfo(event[0], event[1], event[3], event[5], event[7]);
}

/** The one shape that a kept event has, where its row looks for it. */
export function spread(row: Row, shape: readonly string[]): readonly (readonly string[])[] {
  const shapes: (readonly string[])[] = [];
  shapes[row[4]] = shape;
  return shapes;
}
