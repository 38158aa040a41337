// Timers of one actor: fired in order of (time, key, name), event time by the watermark, wall-clock ones by absolute deadline
// (PROTOCOL 9). All of them are in memory. Stored by name, not by time, so that half a fold over a timer that
// moved leaves no second one behind.
import type { Key } from "../event/event.ts";
import { rangeOf, stateKey } from "../journal/keys.ts";
import type { Body } from "../journal/record.ts";
import type { Store } from "../journal/store.ts";
import { type Changes, type Foldable, unseal } from "./change.ts";
import { Heap, type HeapItem } from "./heap.ts";

export interface DueTimer {
  readonly operator: number;
  readonly key: Key;
  readonly name: string;
  readonly time: number;
}

class TimerEntry implements Foldable, HeapItem, DueTimer {
  touched = 0;
  unfolded = false;
  heapIndex = -1;
  readonly operator: number;
  readonly key: Key;
  readonly name: string;
  readonly wall: boolean;
  readonly time: number;
  stays: boolean;
  /** Whether it is set; a timer that moves is removed and another one is set. */
  set = true;
  readonly #timers: Timers;

  constructor(timers: Timers, operator: number, key: Key, name: string, time: number, wall: boolean, stays: boolean) {
    this.#timers = timers;
    this.operator = operator;
    this.key = key;
    this.name = name;
    this.time = time;
    this.wall = wall;
    this.stays = stays;
  }

  storeKey(): Buffer {
    return Buffer.concat([Buffer.from("t"), stateKey(this.operator, this.key, undefined).subarray(1), Buffer.from(this.name)]);
  }

  stored(): unknown {
    // Several may have had this name since the last fold, the one that is set may be any of them: a move may be taken back.
    const its = this.set ? this : this.#timers.find(this.operator, this.key, this.name);
    return its === undefined ? undefined : [its.operator, its.key, its.name, its.time, its.wall, its.stays];
  }

  restore(undo: unknown): void {
    (undo as () => void)();
  }
}

function keyId(operator: number, key: Key): string {
  return `${operator}${typeof key === "number" ? "#" : "$"}${key}`;
}

/** Numbers come before texts. */
function compareKeys(a: Key, b: Key): number {
  if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
  return a < b ? -1 : a > b ? 1 : 0;
}

function before(a: TimerEntry, b: TimerEntry): boolean {
  if (a.time !== b.time) return a.time < b.time;
  const keys = compareKeys(a.key, b.key);
  if (keys !== 0) return keys < 0;
  return a.name !== b.name ? a.name < b.name : a.operator < b.operator;
}

export class Timers {
  readonly #changes: Changes;
  /** By operator and key, then by name. */
  readonly #byKey = new Map<string, Map<string, TimerEntry>>();
  #size = 0;
  readonly #event = new Heap<TimerEntry>(before);
  readonly #wall = new Heap<TimerEntry>(before);

  constructor(changes: Changes) {
    this.#changes = changes;
  }

  /** `stays`: all inputs had ended before it was set. */
  set(operator: number, key: Key, name: string, time: number, wall: boolean, stays: boolean): void {
    const old = this.find(operator, key, name);
    if (old !== undefined && old.time === time && old.wall === wall) return;
    if (old !== undefined) this.#remove(old);
    const timer = new TimerEntry(this, operator, key, name, time, wall, stays);
    this.#add(timer);
    this.#changes.touch(timer, () => { timer.set = false; this.#drop(timer); }, undefined);
  }

  cancel(operator: number, key: Key, name: string): void {
    const timer = this.find(operator, key, name);
    if (timer !== undefined) this.#remove(timer);
  }

  /** Cancels all timers of a key: its state is forgotten. */
  forget(operator: number, key: Key): void {
    for (const timer of [...(this.#byKey.get(keyId(operator, key))?.values() ?? [])]) this.#remove(timer);
  }

  /** The one that is set. */
  find(operator: number, key: Key, name: string): TimerEntry | undefined {
    return this.#byKey.get(keyId(operator, key))?.get(name);
  }

  #remove(timer: TimerEntry): void {
    timer.set = false;
    this.#drop(timer);
    this.#changes.touch(timer, () => { timer.set = true; this.#add(timer); }, undefined);
  }

  #add(timer: TimerEntry): void {
    const id = keyId(timer.operator, timer.key);
    let named = this.#byKey.get(id);
    if (named === undefined) this.#byKey.set(id, (named = new Map()));
    named.set(timer.name, timer);
    this.#size++;
    // One that stays is in no heap: it never fires.
    if (!timer.stays) (timer.wall ? this.#wall : this.#event).push(timer);
  }

  #drop(timer: TimerEntry): void {
    const id = keyId(timer.operator, timer.key), named = this.#byKey.get(id);
    if (named?.get(timer.name) !== timer) return;
    named.delete(timer.name);
    if (named.size === 0) this.#byKey.delete(id);
    this.#size--;
    if (timer.heapIndex >= 0) (timer.wall ? this.#wall : this.#event).remove(timer);
  }

  /** Time of the first event-time timer. */
  get nextEvent(): number {
    return this.#event.peek()?.time ?? Infinity;
  }

  /** Deadline of the first wall-clock timer. */
  get nextWall(): number {
    return this.#wall.peek()?.time ?? Infinity;
  }

  /** Timers that are set and did not fire: after the end of all inputs what the summary counts. */
  get pending(): number {
    return this.#size;
  }

  /** The first timer that is due; it is taken away when `fired` is called. */
  due(watermark: number, now: number): DueTimer | undefined {
    const event = this.#event.peek();
    if (event !== undefined && event.time <= watermark) return event;
    const wall = this.#wall.peek();
    return wall !== undefined && wall.time <= now ? wall : undefined;
  }

  /** Takes a due timer away, before its handler runs: that may set it again. */
  fired(timer: DueTimer): void {
    this.#remove(timer as TimerEntry);
  }

  rows(changed: readonly Foldable[]): NonNullable<Body["timers"]> {
    const rows: (readonly [number, Key, string, number?, boolean?, boolean?])[] = [];
    for (const timer of changed) {
      if (!(timer instanceof TimerEntry)) continue;
      // A timer that was set again under the same name stands for the one that was removed.
      if (timer.set) rows.push([timer.operator, timer.key, timer.name, timer.time, timer.wall, timer.stays]);
      else if (this.find(timer.operator, timer.key, timer.name) === undefined) rows.push([timer.operator, timer.key, timer.name]);
    }
    return rows;
  }

  apply(rows: NonNullable<Body["timers"]>): void {
    for (const [operator, key, name, time, wall, stays] of rows) {
      const old = this.find(operator, key, name);
      if (old !== undefined) {
        old.set = false;
        this.#drop(old);
        this.#changes.mark(old);
      }
      if (time === undefined) continue;
      const timer = new TimerEntry(this, operator, key, name, time, wall === true, stays === true);
      this.#add(timer);
      this.#changes.mark(timer);
    }
  }

  /** Loads the folded ones. */
  async load(store: Store, where: string): Promise<void> {
    for await (const [, value] of store.range(...rangeOf("t"))) {
      const [operator, key, name, time, wall, stays] = unseal(value, where) as [number, Key, string, number, boolean, boolean];
      this.#add(new TimerEntry(this, operator, key, name, time, wall, stays));
    }
  }
}
