// A restore to the server, and with the data folder, of this machine: takes the folder, gets to NATS, and lets go of both at the end.
import { systemRandom } from "../event/clock.ts";
import { defaultName, type NodeOptions } from "../node/options.ts";
import { type NodeParts, realParts } from "../node/parts.ts";
import { RunNotes } from "../node/run-note.ts";
import type { Manifest } from "./manifest.ts";
import { restore, type RestoreOptions } from "./restore.ts";

export interface RestoreHereOptions extends Pick<NodeOptions, "nats" | "dataDir">, Pick<RestoreOptions, "folder" | "flows" | "replace" | "deploy" | "say"> {
  readonly parts?: (options: NodeOptions) => Promise<NodeParts>;
}

/** @throws MillraceError DATA_FOLDER_BUSY, what `restore` throws and what the way to NATS throws */
export async function restoreHere({ nats, dataDir, say = () => {}, parts: open, ...its }: RestoreHereOptions): Promise<Manifest> {
  // What is written is synced before each ack.
  const options: NodeOptions = { ...(nats === undefined ? {} : { nats }), ...(dataDir === undefined ? {} : { dataDir }), fsync: "always" };
  const parts = await (open ?? ((of) => realParts(of, { say, onFault: (error) => say(error.message) })))(options), notes = new RunNotes(parts.own);
  try {
    const { broker, replicas = 1 } = parts.access;
    // No run has that token: all journals of the flow go.
    return await restore({ ...its, say, broker, replicas, notes, node: defaultName(systemRandom), removeJournals: (flow) => parts.removeOldJournals(flow, "none") });
  } finally {
    await notes.close();
    await parts.close();
  }
}
