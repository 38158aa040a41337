// The stores of a data folder in memory. A MemoryDisk outlives the processes that use it; a MemoryStores is one process's access
// to it and dies with kill(). A disk can be rolled back: snapshot(), restore().
import type { Store, StoreOperation, Stores } from "../journal/store.ts";
import { checkStoreName, storeFailed, storeLocked } from "../journal/failures.ts";

/**
 * Carries one write to the disk: `run` applies it and lets the caller know. Never called: the process died in it, before the write.
 * With an error: the write fails and the handle is poisoned. Calls for one store come one at a time. Default: in a microtask.
 */
export type DiskSchedule = (name: string, run: (failure?: Error) => void) => void;

/** Entries in the order of their keys. Keys are strings of one byte a character, whose order is that of the bytes. */
class Entries {
  readonly keys: string[];
  readonly values: Map<string, Uint8Array>;

  constructor(keys: string[] = [], values: Map<string, Uint8Array> = new Map()) {
    this.keys = keys;
    this.values = values;
  }

  copy(): Entries {
    return new Entries([...this.keys], new Map(this.values));
  }

  apply(operations: readonly StoreOperation[]): void {
    for (const operation of operations) {
      const key = text(operation.key);
      if (operation.type === "put") {
        if (!this.values.has(key)) this.keys.splice(this.position(key), 0, key);
        this.values.set(key, operation.value.slice());
      } else if (this.values.delete(key)) this.keys.splice(this.position(key), 1);
    }
  }

  /** Where a key is, or would be. */
  position(key: string): number {
    let low = 0;
    let high = this.keys.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.keys[middle] as string) < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

const text = (key: Uint8Array) => Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString("latin1");
const bytes = (key: string) => new Uint8Array(Buffer.from(key, "latin1"));

/** What is on the disk, as of a moment. */
export type DiskSnapshot = ReadonlyMap<string, unknown>;

export class MemoryDisk {
  readonly stores = new Map<string, Entries>();
  readonly locks = new Map<string, MemoryStore>();

  /** A copy of everything. */
  snapshot(): DiskSnapshot {
    return new Map([...this.stores].map(([name, entries]) => [name, entries.copy()]));
  }

  /** Goes back to a snapshot, which can be used again. No store may be open. */
  restore(snapshot: DiskSnapshot): void {
    if (this.locks.size > 0) throw new Error(`a store is open: ${[...this.locks.keys()].join(", ")}`);
    this.stores.clear();
    for (const [name, entries] of snapshot) this.stores.set(name, (entries as Entries).copy());
  }
}

/** One process's access to a disk. */
export class MemoryStores implements Stores {
  readonly #disk: MemoryDisk;
  readonly #schedule: DiskSchedule;
  readonly #open = new Set<MemoryStore>();
  #dead = false;

  constructor(disk: MemoryDisk = new MemoryDisk(), schedule: DiskSchedule = (_name, run) => queueMicrotask(run)) {
    this.#disk = disk;
    this.#schedule = schedule;
  }

  async open(name: string): Promise<MemoryStore> {
    checkStoreName(name);
    if (this.#dead) return new Promise(() => {});
    if (this.#disk.locks.has(name)) throw storeLocked(name);
    const entries = this.#disk.stores.get(name) ?? new Entries();
    this.#disk.stores.set(name, entries);
    const store = new MemoryStore(name, entries, this.#schedule, () => {
      this.#open.delete(store);
      if (this.#disk.locks.get(name) === store) this.#disk.locks.delete(name);
    });
    this.#open.add(store);
    this.#disk.locks.set(name, store);
    return store;
  }

  async exists(name: string): Promise<boolean> {
    checkStoreName(name);
    return this.#disk.stores.has(name);
  }

  async remove(name: string): Promise<void> {
    checkStoreName(name);
    if (this.#disk.locks.has(name)) throw storeLocked(name);
    if (!this.#dead) this.#disk.stores.delete(name);
  }

  async setAside(name: string): Promise<string> {
    checkStoreName(name);
    if (this.#disk.locks.has(name)) throw storeLocked(name);
    const entries = this.#disk.stores.get(name);
    if (!entries) throw storeFailed(name, "there is none to put aside");
    let n = 1;
    while (this.#disk.stores.has(`${name}.broken-${n}`)) n++;
    this.#disk.stores.delete(name);
    this.#disk.stores.set(`${name}.broken-${n}`, entries);
    return `${name}.broken-${n}`;
  }

  /** The process dies: its stores are free for others, and nothing it still does reaches the disk or settles. */
  kill(): void {
    this.#dead = true;
    for (const store of [...this.#open]) store.kill();
  }
}

export class MemoryStore implements Store {
  readonly #name: string;
  readonly #entries: Entries;
  readonly #schedule: DiskSchedule;
  readonly #released: () => void;
  #state: "open" | "closed" | "dead" = "open";
  #failure: Error | undefined;
  #writes: Promise<void> = Promise.resolve();

  constructor(name: string, entries: Entries, schedule: DiskSchedule, released: () => void) {
    this.#name = name;
    this.#entries = entries;
    this.#schedule = schedule;
    this.#released = released;
  }

  get(key: Uint8Array): Uint8Array | undefined {
    this.#check();
    return this.#entries.values.get(text(key))?.slice();
  }

  write(operations: readonly StoreOperation[]): Promise<void> {
    const copied = operations.map((operation) => operation.type === "put"
      ? { type: "put" as const, key: operation.key.slice(), value: operation.value.slice() }
      : { type: "del" as const, key: operation.key.slice() });
    const closed = this.#state === "closed";
    const written = this.#writes.then(() => {
      if (closed) throw storeFailed(this.#name, "it is closed");
      return this.#write(copied);
    });
    this.#writes = written.catch(() => {});
    return written;
  }

  range(gte: Uint8Array, lt: Uint8Array, options: { readonly reverse?: boolean; readonly limit?: number } = {}): AsyncIterable<readonly [Uint8Array, Uint8Array]> {
    this.#check();
    // Taken whole at the call: writes that come while it is read are not seen.
    const keys = this.#entries.keys.slice(this.#entries.position(text(gte)), this.#entries.position(text(lt)));
    if (options.reverse) keys.reverse();
    const found = keys.slice(0, options.limit).map((key) => [bytes(key), this.#entries.values.get(key) as Uint8Array] as const);
    return (async function* () {
      for (const [key, value] of found) yield [key, value.slice()] as const;
    })();
  }

  async close(): Promise<void> {
    if (this.#state !== "open") return;
    this.#state = "closed";
    await this.#writes;
    this.#released();
  }

  /** As when its process dies: its lock is gone, and a write that has not reached the disk never does, nor settles. */
  kill(): void {
    if (this.#state === "dead") return;
    this.#state = "dead";
    this.#released();
  }

  #write(operations: readonly StoreOperation[]): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#state === "dead") return;
      if (this.#failure) return reject(storeFailed(this.#name, "an earlier write failed", this.#failure));
      this.#schedule(this.#name, (failure) => {
        if (this.#state === "dead") return;
        if (failure) {
          this.#failure = failure;
          return reject(storeFailed(this.#name, failure.message, failure));
        }
        this.#entries.apply(operations);
        resolve();
      });
    });
  }

  #check(): void {
    if (this.#state === "closed") throw storeFailed(this.#name, "it is closed");
    if (this.#failure) throw storeFailed(this.#name, "an earlier write failed", this.#failure);
  }
}
