// The port to local storage: an ordered map of bytes, one for each actor. The journal (journal.ts) is written on this.

export type StoreOperation =
  | { readonly type: "put"; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly type: "del"; readonly key: Uint8Array };

export interface Store {
  /** Synchronous: the folded state is read where a handler needs it. */
  get(key: Uint8Array): Uint8Array | undefined;
  /**
   * All or nothing. Survives a kill of the process once it resolves. Calls are carried out in their order, one at a time.
   * After a failure every later call fails (JOURNAL_FAILED; JOURNAL_NO_ROOM: the disk is full): close, open again, recover. What the operations hold must stay as it is until the call settles.
   */
  write(operations: readonly StoreOperation[]): Promise<void>;
  /** Entries with gte <= key < lt in the order of their bytes, as of the call. */
  range(gte: Uint8Array, lt: Uint8Array, options?: { readonly reverse?: boolean; readonly limit?: number }): AsyncIterable<readonly [key: Uint8Array, value: Uint8Array]>;
  /** Waits for the writes that were called. */
  close(): Promise<void>;
}

/** Opens the stores of one data folder. Names are relative paths of safe segments (a-z 0-9 -); others reject with JOURNAL_NAME. */
export interface Stores {
  /** Rejects with JOURNAL_LOCKED while another process has it, JOURNAL_CORRUPT where it can no longer be read as a store, JOURNAL_NO_ROOM on a full disk, JOURNAL_FAILED otherwise. A new one is empty. */
  open(name: string): Promise<Store>;
  /** Whether there is one. */
  exists(name: string): Promise<boolean>;
  /** Deletes a closed one. */
  remove(name: string): Promise<void>;
  /** Puts a closed one aside, out of the way, for a person to look at; says where. */
  setAside(name: string): Promise<string>;
  /** Opens what is left of one that was put aside because it is corrupt: evidence, of which any part may be missing. Rejects where nothing can be read. */
  salvage?(aside: string): Promise<Store>;
}
