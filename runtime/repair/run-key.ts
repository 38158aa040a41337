// Which run a flow has: what the broker knows of it, or, where the broker went back behind it, what this data folder noted (P30).
import type { Broker } from "../broker/broker.ts";
import { MillraceError } from "../event/errors.ts";
import { checkNote, type RunNotes } from "../node/run-note.ts";
import { type KeptRun, readRun, type RunRecord } from "../node/run-record.ts";

export interface FoundRun {
  readonly record: RunRecord;
  /** What the broker has under the key now. */
  readonly kept: KeptRun | undefined;
  /** Whether the broker went back behind it: the record is of this data folder's note. */
  readonly isBehind: boolean;
}

/**
 * `undefined`: neither knows a run.
 * @throws MillraceError RUN_LOST where the note of an older Millrace does not hold the run itself, RUN_NEWER, RUN_UNREADABLE, UNREACHABLE
 */
export async function findRun(broker: Broker, notes: Pick<RunNotes, "read"> | undefined, flow: string): Promise<FoundRun | undefined> {
  const kept = await readRun(broker.keys, flow), note = await notes?.read(flow);
  try {
    checkNote(flow, note, kept);
  } catch (error) {
    if (!(error instanceof MillraceError) || error.code !== "BROKER_WENT_BACK" || note === undefined) throw error;
    if (note.record === undefined) throw new MillraceError("RUN_LOST", flow, `The server lost run ${note.token} of flow "${flow}", and this data folder knows no more of it than its name`, "Bring the server's store back, or begin a new run with --fresh.");
    return { record: note.record, kept, isBehind: true };
  }
  return kept === undefined ? undefined : { record: kept.record, kept, isBehind: false };
}
