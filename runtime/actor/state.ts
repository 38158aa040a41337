// State by key of one actor's operators. In memory is what changed since the last fold, and what was used lately; the rest is
// in the store and read when a handler asks for it: a restart loads none of it.
import { plain } from "../event/codec.ts";
import { MillraceError } from "../event/errors.ts";
import type { Key } from "../event/event.ts";
import type { OperatorSpec, StateEntry } from "../flow/operator.ts";
import { readStateKey, stateKey } from "../journal/keys.ts";
import type { Body } from "../journal/record.ts";
import type { Store } from "../journal/store.ts";
import { type Changes, type Foldable, unseal } from "./change.ts";

/** The number of no operator: what an actor keeps of the dead letters that were settled, by frame and place (letters.ts). */
export const lettersOperator = 255;
/** Values that are kept in memory although they are folded. */
const cached = 200_000;

class StateValue implements StateEntry, Foldable {
  touched = 0;
  unfolded = false;
  readonly operator: number;
  readonly version: number;
  readonly key: Key;
  readonly part: number | undefined;
  value: unknown;
  /** The value as it is sent: what `plain` made of it. */
  sent: unknown;
  /** Whether it was let go of; a handler that waits for something may still have it. */
  isReleased = false;

  constructor(operator: number, version: number, key: Key, part: number | undefined, value: unknown, sent: unknown) {
    this.operator = operator;
    this.version = version;
    this.key = key;
    this.part = part;
    this.value = value;
    this.sent = sent;
  }

  storeKey(): Buffer {
    return stateKey(this.operator, this.key, this.part);
  }

  stored(): unknown {
    return this.value === undefined ? undefined : [this.version, this.sent];
  }

  restore(value: unknown, sent: unknown): void {
    this.value = value;
    this.sent = sent;
  }
}

type Parts = Map<number, StateValue>;

export class State {
  readonly #changes: Changes;
  readonly #specs: readonly OperatorSpec[];
  readonly #where: string;
  readonly #values: Map<Key, StateValue>[];
  readonly #parts: Map<Key, Parts>[];
  #size = 0;
  #store: Store | undefined;

  constructor(specs: readonly OperatorSpec[], changes: Changes, where: string) {
    this.#specs = specs;
    this.#changes = changes;
    this.#where = where;
    this.#values = specs.map(() => new Map());
    this.#parts = specs.map(() => new Map());
    this.#values[lettersOperator] = new Map();
    this.#parts[lettersOperator] = new Map();
  }

  /** From now on what is not in memory is looked for there. */
  readFrom(store: Store): void {
    this.#store = store;
  }

  entry(operator: number, key: Key, part?: number): StateEntry {
    return this.#find(operator, key, part) ?? this.#load(operator, key, part);
  }

  #find(operator: number, key: Key, part: number | undefined): StateValue | undefined {
    return part === undefined ? (this.#values[operator] as Map<Key, StateValue>).get(key) : (this.#parts[operator] as Map<Key, Parts>).get(key)?.get(part);
  }

  #load(operator: number, key: Key, part: number | undefined): StateValue {
    const stored = this.#store?.get(stateKey(operator, key, part));
    return this.#put(stored === undefined ? new StateValue(operator, this.#version(operator), key, part, undefined, undefined) : this.#read(operator, key, part, stored));
  }

  #read(operator: number, key: Key, part: number | undefined, stored: Uint8Array): StateValue {
    const [version, value] = unseal(stored, this.#where) as [number, unknown];
    return this.#upgraded(operator, version, key, part, value);
  }

  #upgraded(operator: number, version: number, key: Key, part: number | undefined, value: unknown): StateValue {
    const wanted = this.#version(operator), spec = this.#specs[operator] as OperatorSpec;
    if (version === wanted) return new StateValue(operator, wanted, key, part, value, plain(value));
    if (version > wanted) throw new MillraceError("STATE_OLDER", this.#where, `State of ${this.#where} was written by version ${version}, this code has version ${wanted}`, "Run the newer code, or start the flow anew with --fresh.");
    if (spec.migrate === undefined) throw new MillraceError("MIGRATE_MISSING", this.#where, `State of ${this.#where} has version ${version}, this code ${wanted} and no migrate`, "Give the operator migrate(state, from).");
    const migrated = spec.migrate(value, version);
    return new StateValue(operator, wanted, key, part, migrated, plain(migrated));
  }

  #version(operator: number): number {
    return this.#specs[operator]?.version ?? 1;
  }

  #put(value: StateValue): StateValue {
    if (this.#find(value.operator, value.key, value.part) === undefined) this.#size++;
    value.isReleased = false;
    if (value.part === undefined) (this.#values[value.operator] as Map<Key, StateValue>).set(value.key, value);
    else {
      const byKey = this.#parts[value.operator] as Map<Key, Parts>;
      let parts = byKey.get(value.key);
      if (parts === undefined) byKey.set(value.key, (parts = new Map()));
      parts.set(value.part, value);
    }
    return value;
  }

  /** @throws MillraceError UNSERIALIZABLE */
  set(entry: StateEntry, value: unknown): void {
    const kept = entry as StateValue, sent = value === undefined ? undefined : plain(value);
    if (kept.isReleased) this.#put(kept);
    this.#changes.touch(kept, kept.value, kept.sent);
    kept.value = value;
    kept.sent = sent;
  }

  /** All parts of a key that have a value, by part; of an operator without parts its one value. */
  async ofKey(operator: number, key: Key): Promise<readonly StateEntry[]> {
    const gte = stateKey(operator, key, undefined), lt = Buffer.concat([gte, Buffer.alloc(9, 255)]);
    if (this.#store !== undefined) for await (const [bytes] of this.#store.range(gte, lt)) this.entry(operator, key, readStateKey(bytes).part);
    const single = (this.#values[operator] as Map<Key, StateValue>).get(key), parts = (this.#parts[operator] as Map<Key, Parts>).get(key);
    const all = [...(single === undefined ? [] : [single]), ...(parts?.values() ?? [])].filter((value) => value.value !== undefined);
    return all.sort((a, b) => (a.part ?? 0) - (b.part ?? 0));
  }

  /** What a record says of these entries. */
  rows(changed: readonly Foldable[]): NonNullable<Body["state"]> {
    const rows: (readonly [number, number, Key, number | null, unknown?])[] = [];
    for (const value of changed) {
      if (!(value instanceof StateValue)) continue;
      if (value.value === undefined) rows.push([value.operator, value.version, value.key, value.part ?? null]);
      else rows.push([value.operator, value.version, value.key, value.part ?? null, value.sent]);
    }
    return rows;
  }

  /** Replay: applies what a record says (I7). */
  apply(rows: NonNullable<Body["state"]>): void {
    for (const row of rows) {
      const [operator, version, key, part] = row, place = part ?? undefined;
      if (this.#values[operator] === undefined) throw new MillraceError("STATE_OLDER", this.#where, `State of ${this.#where} is of its operator ${operator + 1}, this code has ${this.#specs.length}`, "Run the code that wrote it, or start the flow anew with --fresh.");
      let kept = this.#find(operator, key, place);
      if (row.length === 5) {
        const read = this.#upgraded(operator, version, key, place, row[4]);
        if (kept === undefined) kept = this.#put(read);
        else { kept.value = read.value; kept.sent = read.sent; }
      } else {
        kept ??= this.#put(new StateValue(operator, this.#version(operator), key, place, undefined, undefined));
        kept.value = kept.sent = undefined;
      }
      this.#changes.mark(kept);
    }
  }

  /** A snapshot was accepted: what it folded is in the store. Lets go of what it removed, and, when there is a lot, of all that is folded. */
  release(store: Store): void {
    this.readFrom(store);
    for (const value of this.#changes.takeRemoved()) if (value instanceof StateValue) this.#drop(value);
    if (this.#size < cached) return;
    for (const values of this.#values.filter((its) => its !== undefined)) for (const value of values.values()) if (!value.unfolded) this.#drop(value);
    for (const byKey of this.#parts.filter((its) => its !== undefined)) for (const parts of byKey.values()) for (const value of parts.values()) if (!value.unfolded) this.#drop(value);
  }

  #drop(value: StateValue): void {
    const { operator, key, part } = value;
    if (this.#find(operator, key, part) !== value) return;
    this.#size--;
    value.isReleased = true;
    if (part === undefined) return void (this.#values[operator] as Map<Key, StateValue>).delete(key);
    const byKey = this.#parts[operator] as Map<Key, Parts>, parts = byKey.get(key) as Parts;
    parts.delete(part);
    if (parts.size === 0) byKey.delete(key);
  }
}
