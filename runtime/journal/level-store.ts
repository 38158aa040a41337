// Local storage on LevelDB, a folder for each store. The only file that imports "level".
import { access, readdir, rename, rm } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { Level } from "level";
import { asError } from "../event/errors.ts";
import { checkStoreName, storeCorrupt, storeFailed, storeLocked } from "./failures.ts";
import type { Store, StoreOperation, Stores } from "./store.ts";

type Database = Level<Uint8Array, Uint8Array>;
/** The types of "level" do not tell of it: of what it gives in Node, classic-level. */
const repairer = Level as unknown as { repair(location: string): Promise<void> };
type Entry = readonly [key: Uint8Array, value: Uint8Array];

export interface LevelOptions {
  /** Bytes of a store's write buffer; up to twice that is held in memory. Default 4 MiB. */
  readonly writeBufferBytes?: number;
  /** Bytes of a store's cache of blocks, filled as it is read. A node may hold a thousand stores. Default 1 MiB. */
  readonly cacheBytes?: number;
}

const WRITE_BUFFER_BYTES = 4 * 1024 * 1024;
const CACHE_BYTES = 1024 * 1024;
const RANGE_PAGE = 1_000;
const RANGE_BYTES = 256 * 1024;

// Of this process. LevelDB must not be asked for one that is open here: it opens and closes the lock file before it looks into its
// own table, and POSIX takes the lock from the process with that.
const openFolders = new Set<string>();

export class LevelStores implements Stores {
  readonly #folder: string;
  readonly #options: LevelOptions;

  /** Stores under a data folder, which is made with the first one. */
  constructor(folder: string, options: LevelOptions = {}) {
    this.#folder = resolve(folder);
    this.#options = options;
  }

  async open(name: string): Promise<Store> {
    const path = this.#path(name);
    if (openFolders.has(path)) throw storeLocked(name);
    openFolders.add(path);
    const database: Database = new Level<Uint8Array, Uint8Array>(path, {
      keyEncoding: "view",
      valueEncoding: "view",
      writeBufferSize: this.#options.writeBufferBytes ?? WRITE_BUFFER_BYTES,
      cacheSize: this.#options.cacheBytes ?? CACHE_BYTES,
      // Measured with records of 20 KB: a quarter less time of the CPU for each write, for two to three times the disk.
      compression: false,
    });
    try {
      await database.open();
    } catch (thrown) {
      openFolders.delete(path);
      throw says(thrown, "LEVEL_LOCKED") ? storeLocked(name, thrown) : says(thrown, "LEVEL_CORRUPTION") ? storeCorrupt(name, reason(thrown), thrown) : storeFailed(name, reason(thrown), thrown);
    }
    return new LevelStore(name, database, () => openFolders.delete(path));
  }

  async exists(name: string): Promise<boolean> {
    return isThere(join(this.#path(name), "CURRENT"));
  }

  async remove(name: string): Promise<void> {
    const path = await this.#closed(name);
    await rm(path, { recursive: true, force: true }).catch((thrown) => {
      throw storeFailed(name, reason(thrown), thrown);
    });
  }

  async setAside(name: string): Promise<string> {
    const path = await this.#closed(name);
    try {
      const taken = (await readdir(dirname(path))).flatMap((entry) => {
        const number = entry.startsWith(`${basename(path)}.broken-`) ? Number(entry.slice(entry.lastIndexOf("-") + 1)) : Number.NaN;
        return Number.isInteger(number) ? [number] : [];
      });
      const aside = `.broken-${Math.max(0, ...taken) + 1}`;
      await rename(path, path + aside);
      return name + aside;
    } catch (thrown) {
      throw storeFailed(name, `it cannot be put aside: ${reason(thrown)}`, thrown);
    }
  }

  async salvage(aside: string): Promise<Store> {
    const path = await this.#closed(aside);
    await repairer.repair(path).catch((thrown: unknown) => {
      throw storeFailed(aside, `nothing of it can be read: ${reason(thrown)}`, thrown);
    });
    return await this.open(aside);
  }

  #path(name: string): string {
    checkStoreName(name);
    return join(this.#folder, ...name.split("/"));
  }

  /** The path of a store that nobody has open. */
  async #closed(name: string): Promise<string> {
    const path = this.#path(name);
    if (openFolders.has(path)) throw storeLocked(name);
    if (!(await isThere(path))) return path;
    // LevelDB takes the lock before it finds that there is one already: this tells of other processes and changes nothing.
    const probe = new Level(path, { createIfMissing: false, errorIfExists: true });
    openFolders.add(path);
    try {
      await probe.open();
      await probe.close();
    } catch (thrown) {
      if (says(thrown, "LEVEL_LOCKED")) throw storeLocked(name, thrown);
    } finally {
      openFolders.delete(path);
    }
    return path;
  }
}

interface Write {
  readonly operations: readonly StoreOperation[];
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

class LevelStore implements Store {
  readonly #name: string;
  readonly #database: Database;
  readonly #released: () => void;
  // LevelDB gives no order to writes that are under way at the same time: one at a time, the others wait here.
  readonly #queue: Write[] = [];
  #isWriting = false;
  #failure: Error | undefined;
  #closing: Promise<void> | undefined;
  #idle: (() => void) | undefined;

  constructor(name: string, database: Database, released: () => void) {
    this.#name = name;
    this.#database = database;
    this.#released = released;
  }

  get(key: Uint8Array): Uint8Array | undefined {
    this.#check();
    return this.#database.getSync(key);
  }

  write(operations: readonly StoreOperation[]): Promise<void> {
    if (this.#closing) return Promise.reject(storeFailed(this.#name, "it is closed"));
    return new Promise((resolve, reject) => {
      this.#queue.push({ operations, resolve, reject });
      if (!this.#isWriting) void this.#writeAll();
    });
  }

  range(gte: Uint8Array, lt: Uint8Array, options: { readonly reverse?: boolean; readonly limit?: number } = {}): AsyncIterable<Entry> {
    this.#check();
    // The iterator holds a snapshot of LevelDB from here on.
    const iterator = this.#database.iterator({ gte, lt, reverse: options.reverse === true, limit: options.limit ?? -1, highWaterMarkBytes: RANGE_BYTES });
    return { [Symbol.asyncIterator]: () => new Pages(this.#name, iterator) };
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    if (this.#isWriting) await new Promise<void>((idle) => { this.#idle = idle; });
    try {
      await this.#database.close();
    } catch (thrown) {
      throw storeFailed(this.#name, reason(thrown), thrown);
    } finally {
      this.#released();
    }
  }

  async #writeAll(): Promise<void> {
    this.#isWriting = true;
    for (let write = this.#queue.shift(); write; write = this.#queue.shift()) {
      try {
        if (this.#failure) throw this.#failure;
        await this.#database.batch(write.operations as StoreOperation[]);
        write.resolve();
      } catch (thrown) {
        const isFirst = this.#failure === undefined;
        // LevelDB may have written half a record, and would write on behind it: what comes after could not be read back.
        this.#failure ??= asError(thrown);
        write.reject(storeFailed(this.#name, isFirst ? reason(thrown) : "an earlier write failed", this.#failure));
      }
    }
    this.#isWriting = false;
    this.#idle?.();
  }

  #check(): void {
    if (this.#closing) throw storeFailed(this.#name, "it is closed");
    if (this.#failure) throw storeFailed(this.#name, "an earlier write failed", this.#failure);
  }
}

/** Goes through a range. An entry of a page that is there costs no more than a promise: state is read by the hundred thousand. */
class Pages implements AsyncIterator<Entry> {
  readonly #name: string;
  readonly #iterator: ReturnType<Database["iterator"]>;
  #page: readonly Entry[] = [];
  #at = 0;

  constructor(name: string, iterator: ReturnType<Database["iterator"]>) {
    this.#name = name;
    this.#iterator = iterator;
  }

  next(): Promise<IteratorResult<Entry>> {
    const value = this.#page[this.#at++];
    return value === undefined ? this.#more() : Promise.resolve({ done: false, value });
  }

  async return(): Promise<IteratorResult<Entry>> {
    await this.#iterator.close();
    return { done: true, value: undefined };
  }

  async #more(): Promise<IteratorResult<Entry>> {
    try {
      this.#page = (await this.#iterator.nextv(RANGE_PAGE)) as unknown as readonly Entry[];
    } catch (thrown) {
      await this.#iterator.close();
      throw storeFailed(this.#name, reason(thrown), thrown);
    }
    this.#at = 1;
    const [value] = this.#page;
    return value === undefined ? await this.return() : { done: false, value };
  }
}

function isThere(path: string): Promise<boolean> {
  return access(path).then(() => true, () => false);
}

// Level tells why it did not open in the cause.
function says(thrown: unknown, code: string): boolean {
  const error = asError(thrown) as Error & { code?: string };
  return error.code === code || (error.cause !== undefined && says(error.cause, code));
}

function reason(thrown: unknown): string {
  const error = asError(thrown);
  return error.cause === undefined ? error.message : reason(error.cause);
}
