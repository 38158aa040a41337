// Events whose handler asked for a later try, and those of the same key behind them: order per key is kept (PROTOCOL 9, retry).
// With `park: "key"` also those that were given up, until a person has them replayed or dropped: they are due never (PROTOCOL 9, poison).
import { encode } from "../event/codec.ts";
import type { Key } from "../event/event.ts";
import type { Row } from "../event/frame.ts";
import { rangeOf } from "../journal/keys.ts";
import type { Body, HeldEvent } from "../journal/record.ts";
import type { Store } from "../journal/store.ts";
import { type Changes, type Foldable, unseal } from "./change.ts";
import { sentForm } from "./event-info.ts";
import { Heap, type HeapItem } from "./heap.ts";
import { waitingLimit } from "./limits.ts";

export class WaitingEntry implements Foldable, HeapItem {
  touched = 0;
  unfolded = false;
  heapIndex = -1;
  /** Its place in the order of event time. */
  readonly inTime: { readonly time: number; heapIndex: number };
  readonly id: string;
  readonly event: HeldEvent;
  /** Order of arrival among those of its key. */
  readonly place: number;
  /** As it is kept. */
  readonly bytes: number;
  due: number;
  attempt: number;
  waits = true;

  constructor(id: string, place: number, due: number, attempt: number, event: HeldEvent, bytes = encode(sentForm(event)).length) {
    this.bytes = bytes;
    this.id = id;
    this.place = place;
    this.due = due;
    this.attempt = attempt;
    this.event = event;
    this.inTime = { time: this.time, heapIndex: -1 };
  }

  /** Whether it holds its key until a person has decided. */
  get isParked(): boolean {
    return this.due === Infinity;
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
  /** In the order of their places; only the first may be tried. */
  readonly #byKey = new Map<Key, WaitingEntry[]>();
  /** Those that may be tried: the first of each key, and all without one. */
  readonly #first = new Heap<WaitingEntry>((a, b) => (a.due !== b.due ? a.due < b.due : a.place < b.place));
  readonly #inTime = new Heap<WaitingEntry["inTime"]>((a, b) => a.time < b.time);
  readonly #parked = new Set<WaitingEntry>();
  #places = 0;
  #bytes = 0;

  constructor(changes: Changes) {
    this.#changes = changes;
  }

  get size(): number {
    return this.#byId.size;
  }

  /** Whether nothing may be added: the actor takes nothing new. */
  get full(): boolean {
    return this.#byId.size >= waitingLimit.events || this.#bytes >= waitingLimit.bytes;
  }

  /** Least time of the events that wait: the actor's own watermark stays below it. */
  get earliest(): number {
    return this.#inTime.peek()?.time ?? Infinity;
  }

  /** Those that hold their keys until a person has decided. */
  get parked(): ReadonlySet<WaitingEntry> {
    return this.#parked;
  }

  /** How many wait of a key. */
  ofKey(key: Key): number {
    return this.#byKey.get(key)?.length ?? 0;
  }

  find(id: string): WaitingEntry | undefined {
    return this.#byId.get(id);
  }

  /** Whether an event of this key must queue behind one that waits. */
  blocks(key: Key | null): boolean {
    return this.#byKey.size > 0 && key !== null && this.#byKey.has(key);
  }

  /** `due` Infinity: until a person has decided. */
  add(id: string, due: number, attempt: number, event: HeldEvent): void {
    const entry = new WaitingEntry(id, this.#places++, due, attempt, event);
    this.#insert(entry);
    this.#changes.touch(entry, () => { entry.waits = false; this.#remove(entry); }, undefined);
  }

  /** Puts the try off. */
  postpone(entry: WaitingEntry, due: number, attempt: number): void {
    const { due: oldDue, attempt: oldAttempt } = entry;
    this.#move(entry, due, attempt);
    this.#changes.touch(entry, () => this.#move(entry, oldDue, oldAttempt), undefined);
  }

  done(entry: WaitingEntry): void {
    this.#remove(entry);
    entry.waits = false;
    this.#changes.touch(entry, () => { entry.waits = true; this.#insert(entry); }, undefined);
  }

  /** One that is due and is the first of its key. */
  due(now: number): WaitingEntry | undefined {
    const first = this.#first.peek();
    return first !== undefined && first.due <= now ? first : undefined;
  }

  /** When the next one is due; Infinity: none. */
  get nextDue(): number {
    return this.#first.peek()?.due ?? Infinity;
  }

  #move(entry: WaitingEntry, due: number, attempt: number): void {
    const { heapIndex } = entry;
    if (heapIndex >= 0) this.#first.remove(entry);
    entry.due = due;
    entry.attempt = attempt;
    if (heapIndex >= 0) this.#first.push(entry);
    this.#parked[entry.isParked ? "add" : "delete"](entry);
  }

  #insert(entry: WaitingEntry): void {
    this.#byId.set(entry.id, entry);
    this.#bytes += entry.bytes;
    this.#inTime.push(entry.inTime);
    if (entry.isParked) this.#parked.add(entry);
    if (entry.key === null) return this.#first.push(entry);
    const queue = this.#byKey.get(entry.key);
    if (queue === undefined) {
      this.#byKey.set(entry.key, [entry]);
      return this.#first.push(entry);
    }
    // Mostly the newest; one whose end is taken back goes where it was.
    let at = queue.length;
    while (at > 0 && (queue[at - 1] as WaitingEntry).place > entry.place) at--;
    queue.splice(at, 0, entry);
    if (at > 0) return;
    this.#first.remove(queue[1] as WaitingEntry);
    this.#first.push(entry);
  }

  #remove(entry: WaitingEntry): void {
    this.#byId.delete(entry.id);
    this.#bytes -= entry.bytes;
    this.#inTime.remove(entry.inTime);
    this.#parked.delete(entry);
    if (entry.heapIndex >= 0) this.#first.remove(entry);
    const queue = entry.key === null ? undefined : this.#byKey.get(entry.key);
    if (queue === undefined) return;
    const at = queue.indexOf(entry);
    queue.splice(at, 1);
    if (queue.length === 0) this.#byKey.delete(entry.key as Key);
    else if (at === 0) this.#first.push(queue[0] as WaitingEntry);
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
      } else this.#move(entry, waiting[0], waiting[1]);
      this.#changes.mark(entry);
    }
  }

  async load(store: Store, where: string): Promise<void> {
    for await (const [key, value] of store.range(...rangeOf("w"))) {
      const [place, due, attempt, event] = unseal(value, where) as [number, number, number, HeldEvent];
      const entry = new WaitingEntry(Buffer.from(key).subarray(1).toString(), place, due, attempt, event, value.length);
      this.#places = Math.max(this.#places, place + 1);
      this.#insert(entry);
    }
  }
}
