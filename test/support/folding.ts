// What a snapshot does with changed entries: writes them into the store's key space.
import { type Changes, seal } from "../../runtime/actor/change.ts";
import type { Store, StoreOperation } from "../../runtime/journal/store.ts";

/** Folds what changed since the last fold; `share`: only so much of it, as a crash in the middle leaves it. */
export async function fold(changes: Changes, store: Store, share = 1): Promise<void> {
  const all = changes.capture().map(([key, value]): StoreOperation => (value === undefined ? { type: "del", key: key() } : { type: "put", key: key(), value: seal(value) }));
  await store.write(all.slice(0, Math.floor(all.length * share)));
}
