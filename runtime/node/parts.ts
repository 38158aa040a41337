// What a node stands on: NATS, local storage, and the data folder that is its own. Real ones here; tests put twins in their place.
import { join } from "node:path";
import { lockDataFolder } from "../broker/nats-server/data-folder-lock.ts";
import { LevelStores } from "../journal/level-store.ts";
import type { Stores } from "../journal/store.ts";
import { type Access, connectTo, startOwn } from "./connection.ts";
import { journalsIn, journalsOf, removeOldJournals } from "./journal-folder.ts";
import type { NodeOptions } from "./options.ts";

export interface NodeParts {
  readonly access: Access;
  /** Of the actors' journals. */
  readonly journals: Stores;
  /** Of the node's own. */
  readonly own: Stores;
  readonly removeOldJournals: (flow: string, token: string) => Promise<void>;
  /** Names of the journals of a flow. Default: none is known of, so what actors leave stays. */
  readonly journalsOf?: (flow: string) => Promise<readonly string[]>;
  /** After everything else: NATS is let go of, and the data folder. */
  close(): Promise<void>;
}

export interface PartsWatch {
  readonly say: (line: string) => void;
  readonly onFault: (error: Error, final: boolean) => void;
}

/** @throws MillraceError DATA_FOLDER_BUSY, DATA_FOLDER_INVALID, and what the way to NATS throws */
export async function realParts({ nats = "embedded", dataDir = ".millrace", fsync = "always" }: NodeOptions, watch: PartsWatch): Promise<NodeParts> {
  const stores = {
    journals: new LevelStores(journalsIn(dataDir)),
    own: new LevelStores(join(dataDir, "node")),
    removeOldJournals: (flow: string, token: string) => removeOldJournals(dataDir, flow, token),
    journalsOf: (flow: string) => journalsOf(dataDir, flow),
  };
  if (nats === "embedded") {
    // Its server's lock is the lock of the folder.
    const access = await startOwn({ dataDir, fsync, ...watch });
    return { ...stores, access, close: () => access.close() };
  }
  const lock = await lockDataFolder(dataDir);
  try {
    const access = await connectTo(nats, (error) => watch.onFault(error, false));
    return { ...stores, access, close: () => access.close().finally(() => lock.release()) };
  } catch (error) {
    await lock.release();
    throw error;
  }
}
