// Events that a stage with `order: "time"` holds until the watermark has passed them. What is held is state†: it is in the
// record with the position after it (PROTOCOL 8, order "time"; models/timeorder.mjs).
import { encode } from "../event/codec.ts";
import type { Row } from "../event/frame.ts";
import { heldKey, rangeOf, stateKey } from "../journal/keys.ts";
import type { Body, HeldEvent } from "../journal/record.ts";
import type { Store } from "../journal/store.ts";
import { type Changes, type Foldable, unseal } from "./change.ts";
import { sentForm } from "./event-info.ts";
import { Heap, type HeapItem } from "./heap.ts";

export class HeldEntry implements Foldable, HeapItem {
  touched = 0;
  unfolded = false;
  heapIndex = -1;
  readonly time: number;
  /** Its key in the store, which sorts as the events do. */
  readonly id: Buffer;
  readonly event: HeldEvent;
  held = true;

  constructor(time: number, id: Buffer, event: HeldEvent) {
    this.time = time;
    this.id = id;
    this.event = event;
  }

  storeKey(): Buffer {
    return this.id;
  }

  stored(): unknown {
    return this.held ? sentForm(this.event) : undefined;
  }

  restore(undo: unknown): void {
    (undo as () => void)();
  }
}

/** Sorts by (time, key, sender, seq, index), what has no key by (time, encoded data): it does not depend on timing. */
function orderKey(event: HeldEvent): Buffer {
  const [from, , seq, , , row] = event, [k, time, key] = row as Row;
  const head = key === null ? Buffer.concat([Buffer.from([111, 0, 3]), encode(sentForm(event)[5].slice(5))]) : stateKey(0, key, undefined);
  const place = Buffer.allocUnsafe(16);
  place.writeDoubleBE(seq, 0);
  place.writeDoubleBE(k, 8);
  return heldKey(time, Buffer.concat([head.subarray(2), Buffer.from(`${from}\0`), place]));
}

export class Held {
  readonly #changes: Changes;
  readonly #heap = new Heap<HeldEntry>((a, b) => (a.time !== b.time ? a.time < b.time : Buffer.compare(a.id, b.id) < 0));
  // Replay removes by id; built only while it runs.
  #byId: Map<string, HeldEntry> | undefined;

  constructor(changes: Changes) {
    this.#changes = changes;
  }

  get size(): number {
    return this.#heap.size;
  }

  /** Time of the first event held. */
  get next(): number {
    return this.#heap.peek()?.time ?? Infinity;
  }

  add(event: HeldEvent): void {
    const entry = new HeldEntry((event[5] as Row)[1], orderKey(event), event);
    this.#heap.push(entry);
    this.#changes.touch(entry, () => { entry.held = false; this.#heap.remove(entry); }, undefined);
  }

  /** The first one, if the watermark has passed it; it stays until `release`. */
  due(watermark: number): HeldEntry | undefined {
    const first = this.#heap.peek();
    return first !== undefined && first.time <= watermark ? first : undefined;
  }

  release(entry: HeldEntry): void {
    this.#heap.remove(entry);
    entry.held = false;
    this.#changes.touch(entry, () => { entry.held = true; this.#heap.push(entry); }, undefined);
  }

  /** Takes one out of the order; it is kept as state until it is forgotten. */
  take(entry: HeldEntry): void {
    this.#heap.remove(entry);
  }

  forget(entry: HeldEntry): void {
    entry.held = false;
    this.#changes.mark(entry);
  }

  rows(changed: readonly Foldable[]): NonNullable<Body["held"]> {
    const rows: (readonly [Uint8Array, HeldEvent?])[] = [];
    for (const entry of changed) if (entry instanceof HeldEntry) rows.push(entry.held ? [entry.id, sentForm(entry.event)] : [entry.id]);
    return rows;
  }

  apply(rows: NonNullable<Body["held"]>): void {
    this.#byId ??= new Map([...this.#heap].map((entry) => [entry.id.toString("latin1"), entry]));
    for (const [id, event] of rows) {
      const bytes = Buffer.from(id), name = bytes.toString("latin1"), known = this.#byId.get(name);
      if (event === undefined) {
        if (known === undefined) continue;
        known.held = false;
        this.#heap.remove(known);
        this.#byId.delete(name);
        this.#changes.mark(known);
      } else if (known === undefined) {
        const entry = new HeldEntry((event[5] as Row)[1], bytes, event);
        this.#heap.push(entry);
        this.#byId.set(name, entry);
        this.#changes.mark(entry);
      }
    }
  }

  /** Replay is over. */
  replayed(): void {
    this.#byId = undefined;
  }

  async load(store: Store, where: string): Promise<void> {
    for await (const [key, value] of store.range(...rangeOf("o"))) {
      const event = unseal(value, where) as HeldEvent;
      this.#heap.push(new HeldEntry((event[5] as Row)[1], Buffer.from(key), event));
    }
  }
}
