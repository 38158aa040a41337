// Events whose handler asked for a later try, and those of the same key behind them: order per key is kept (PROTOCOL 9, retry).
import type { Key } from "../event/event.ts";
import type { Row } from "../event/frame.ts";
import { rangeOf } from "../journal/keys.ts";
import type { Body, HeldEvent } from "../journal/record.ts";
import type { Store } from "../journal/store.ts";
import { type Changes, type Foldable, unseal } from "./change.ts";
import { sentForm } from "./event-info.ts";

/** With so many waiting the actor takes nothing new. */
export const maxWaiting = 10_000;

export class WaitingEntry implements Foldable {
  touched = 0;
  unfolded = false;
  readonly id: string;
  readonly event: HeldEvent;
  /** Order of arrival among those of its key. */
  readonly place: number;
  due: number;
  attempt: number;
  waits = true;

  constructor(id: string, place: number, due: number, attempt: number, event: HeldEvent) {
    this.id = id;
    this.place = place;
    this.due = due;
    this.attempt = attempt;
    this.event = event;
  }

  get key(): Key | null {
    return (this.event[5] as Row)[2];
  }

  get time(): number {
    return (this.event[5] as Row)[1];
  }

  storeKey(): Buffer {
    return Buffer.from(`w${this.id}`);
  }

  stored(): unknown {
    return this.waits ? [this.place, this.due, this.attempt, sentForm(this.event)] : undefined;
  }

  restore(undo: unknown): void {
    (undo as () => void)();
  }
}

export class WaitingEvents {
  readonly #changes: Changes;
  readonly #byId = new Map<string, WaitingEntry>();
  readonly #byKey = new Map<Key, WaitingEntry[]>();
  #places = 0;
  /** Kept until something is added or goes: it is asked for with every event. */
  #earliest: number | undefined;

  constructor(changes: Changes) {
    this.#changes = changes;
  }

  get size(): number {
    return this.#byId.size;
  }

  /** Least time of the events that wait: the actor's own watermark stays below it. */
  get earliest(): number {
    if (this.#earliest === undefined) {
      this.#earliest = Infinity;
      for (const entry of this.#byId.values()) this.#earliest = Math.min(this.#earliest, entry.time);
    }
    return this.#earliest;
  }

  /** Whether an event of this key must queue behind one that waits. */
  blocks(key: Key | null): boolean {
    return this.#byKey.size > 0 && key !== null && this.#byKey.has(key);
  }

  add(id: string, due: number, attempt: number, event: HeldEvent): void {
    const entry = new WaitingEntry(id, this.#places++, due, attempt, event);
    this.#insert(entry);
    this.#changes.touch(entry, () => { entry.waits = false; this.#remove(entry); }, undefined);
  }

  /** Puts the try off. */
  postpone(entry: WaitingEntry, due: number, attempt: number): void {
    const { due: oldDue, attempt: oldAttempt } = entry;
    entry.due = due;
    entry.attempt = attempt;
    this.#changes.touch(entry, () => { entry.due = oldDue; entry.attempt = oldAttempt; }, undefined);
  }

  done(entry: WaitingEntry): void {
    this.#remove(entry);
    entry.waits = false;
    this.#changes.touch(entry, () => { entry.waits = true; this.#insert(entry); }, undefined);
  }

  /** One that is due and is the first of its key. */
  due(now: number): WaitingEntry | undefined {
    let first: WaitingEntry | undefined;
    for (const entry of this.#byId.values()) {
      if (entry.due > now || (first !== undefined && first.due <= entry.due)) continue;
      if (entry.key === null || this.#byKey.get(entry.key)?.[0] === entry) first = entry;
    }
    return first;
  }

  /** When the next one is due; Infinity: none waits. */
  get nextDue(): number {
    let next = Infinity;
    for (const entry of this.#byId.values()) if (entry.key === null || this.#byKey.get(entry.key)?.[0] === entry) next = Math.min(next, entry.due);
    return next;
  }

  #insert(entry: WaitingEntry): void {
    this.#earliest = undefined;
    this.#byId.set(entry.id, entry);
    if (entry.key === null) return;
    const queue = this.#byKey.get(entry.key);
    if (queue === undefined) this.#byKey.set(entry.key, [entry]);
    else {
      queue.push(entry);
      queue.sort((a, b) => a.place - b.place);
    }
  }

  #remove(entry: WaitingEntry): void {
    this.#earliest = undefined;
    this.#byId.delete(entry.id);
    const queue = entry.key === null ? undefined : this.#byKey.get(entry.key);
    if (queue === undefined) return;
    queue.splice(queue.indexOf(entry), 1);
    if (queue.length === 0) this.#byKey.delete(entry.key as Key);
  }

  rows(changed: readonly Foldable[]): NonNullable<Body["waiting"]> {
    const rows: (readonly [string, (readonly [number, number, HeldEvent])?])[] = [];
    for (const entry of changed) {
      if (!(entry instanceof WaitingEntry)) continue;
      rows.push(entry.waits ? [entry.id, [entry.due, entry.attempt, sentForm(entry.event)]] : [entry.id]);
    }
    return rows;
  }

  apply(rows: NonNullable<Body["waiting"]>): void {
    for (const [id, waiting] of rows) {
      let entry = this.#byId.get(id);
      if (waiting === undefined) {
        if (entry === undefined) continue;
        this.#remove(entry);
        entry.waits = false;
      } else if (entry === undefined) {
        entry = new WaitingEntry(id, this.#places++, waiting[0], waiting[1], waiting[2]);
        this.#insert(entry);
      } else {
        entry.due = waiting[0];
        entry.attempt = waiting[1];
      }
      this.#changes.mark(entry);
    }
  }

  async load(store: Store, where: string): Promise<void> {
    for await (const [key, value] of store.range(...rangeOf("w"))) {
      const [place, due, attempt, event] = unseal(value, where) as [number, number, number, HeldEvent];
      const entry = new WaitingEntry(Buffer.from(key).subarray(1).toString(), place, due, attempt, event);
      this.#places = Math.max(this.#places, place + 1);
      this.#insert(entry);
    }
  }
}
