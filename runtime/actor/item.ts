// What a processor handles next: an event of its mailbox, one that was held or waits, or a timer; and the words for it.
import type { EventInfo } from "../event/event.ts";
import { type Row, rowData } from "../event/frame.ts";
import type { HeldEvent } from "../journal/record.ts";
import type { Actor } from "./actor.ts";
import { eventId, heldInfo, heldOf, rowInfo, spread, typeOf } from "./event-info.ts";
import type { HeldEntry } from "./held.ts";
import type { OpenFrame } from "./intake.ts";
import type { Recalled } from "./letters.ts";
import type { DueTimer } from "./timers.ts";
import type { WaitingEntry } from "./waiting.ts";

export type Item =
  | { readonly kind: "row"; readonly open: OpenFrame; readonly index: number }
  | { readonly kind: "held"; readonly entry: HeldEntry }
  | { readonly kind: "waiting"; readonly entry: WaitingEntry }
  | { readonly kind: "timer"; readonly timer: DueTimer }
  | { readonly kind: "letter"; readonly letter: Recalled };

/** What came in as an event. */
type EventItem = Exclude<Item, { kind: "timer" | "letter" }>;

export function rowOf(item: EventItem): Row {
  return item.kind === "row" ? (item.open.frame.rows[item.index] as Row) : item.entry.event[5];
}

export function dataOf(item: Item): unknown {
  if (item.kind === "timer") return { timer: item.timer.name };
  if (item.kind === "letter") return item.letter.data;
  const row = rowOf(item);
  if (item.kind === "row") return rowData(row, item.open.frame.shapes);
  const shape = item.entry.event[6];
  return rowData(row, shape === null ? [] : spread(row, shape));
}

/** The event as it is kept. */
export function keptOf(item: Item, actor: Actor): HeldEvent {
  if (item.kind === "timer" || item.kind === "letter") {
    const { id, type, time, key, source } = infoOf(actor, item);
    return [source, actor.generation, 0, 0, 0, [0, time, key ?? null, [id, null, null], -1, dataOf(item)], null, type];
  }
  return item.kind === "row" ? heldOf(item.open.frame, rowOf(item)) : item.entry.event;
}

/** The same words for the same event, or timer, at each try. */
export function idOf(item: Item): string {
  if (item.kind === "row") return eventId(item.open.frame, item.index);
  if (item.kind === "waiting") return item.entry.id;
  if (item.kind === "letter") return item.letter.replay?.parks ?? `letter ${item.letter.name}`;
  if (item.kind === "timer") return `timer ${item.timer.operator} ${JSON.stringify(item.timer.key)} ${item.timer.name} ${item.timer.time}`;
  const [from, generation, , n, , row] = item.entry.event;
  return `${from}@${generation}.${n}.${row[0]}`;
}

export function infoOf(actor: Actor, item: Item): EventInfo {
  if (item.kind === "row") {
    const { frame } = item.open, row = rowOf(item);
    return rowInfo(frame.from, frame.generation, frame.n, row, typeOf(frame, row));
  }
  if (item.kind === "letter") return item.letter.event;
  if (item.kind !== "timer") return heldInfo(item.entry.event);
  const { key, name, time } = item.timer, { address, generation } = actor;
  return { id: `${address}@${generation}.timer.${time}.${name}.${String(key)}`, type: "timer", time, key, source: address };
}
