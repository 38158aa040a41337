// What this data folder knows of each flow's newest run, beside the broker: so that a broker that went back behind it, or is
// another one, is noticed before anything is begun anew or deleted (P30: the flow's key is not behind the run of my journal).
import { asError, MillraceError } from "../event/errors.ts";
import type { Store, Stores } from "../journal/store.ts";
import type { KeptRun, RunRecord, RunState } from "./run-record.ts";
import { givenTo } from "./stage-generations.ts";

export interface RunNote {
  readonly token: string;
  readonly state: RunState;
  /** Of the flow's key when this was true. Revisions only grow. */
  readonly revision: number;
  /** The run itself: what a broker that lost its key is given back (P31). */
  readonly record?: RunRecord;
}

export class RunNotes {
  readonly #stores: Stores;
  #store: Promise<Store> | undefined;

  /** `stores`: the node's own. */
  constructor(stores: Stores) {
    this.#stores = stores;
  }

  async read(flow: string): Promise<RunNote | undefined> {
    const value = (await this.#open()).get(Buffer.from(flow));
    return value === undefined ? undefined : (JSON.parse(Buffer.from(value).toString("utf8")) as RunNote);
  }

  async write(flow: string, { record, revision }: KeptRun): Promise<void> {
    const note: RunNote = { token: record.token, state: record.state, revision, record };
    await (await this.#open()).write([{ type: "put", key: Buffer.from(flow), value: Buffer.from(JSON.stringify(note)) }]);
  }

  async close(): Promise<void> {
    const store = this.#store;
    this.#store = undefined;
    await (await store)?.close();
  }

  #open(): Promise<Store> {
    return (this.#store ??= this.#stores.open("runs").catch((error: unknown) => {
      this.#store = undefined;
      throw asError(error);
    }));
  }
}

/** @throws MillraceError BROKER_WENT_BACK where the broker knows less of the flow than this data folder, of a run that has not finished */
export function checkNote(flow: string, note: RunNote | undefined, kept: KeptRun | undefined): void {
  if (note === undefined || note.state === "finished" || note.state === "preparing") return;
  if (kept !== undefined && (kept.revision > note.revision || (kept.revision === note.revision && kept.record.token === note.token))) return;
  const knows = kept === undefined ? "no run of it" : `run ${kept.record.token}`;
  throw new MillraceError("BROKER_WENT_BACK", flow, `The journals here are of run ${note.token} of flow "${flow}", which has not finished, and the server knows ${knows}`,
    "If this is another server, name the right one or another --data-dir. If it lost its data, millrace repair writes it again from the journals here; else bring its store back, or begin a new run with --fresh.");
}

/**
 * Of a run that this node is about to have a part of: what the key tells must not be older than what was noted (P30); else the note, from which the
 * key can be written again (P31), would be lost with it. Revisions say nothing: a repair gives out new ones.
 * @throws MillraceError BROKER_WENT_BACK
 */
export function checkNotBehind(flow: string, note: Pick<RunNote, "state" | "record"> | undefined, { record }: Pick<KeptRun, "record">): void {
  const noted = note?.record;
  if (noted === undefined || note?.state === "preparing" || !isBehind(record, noted, note?.state === "finished")) return;
  throw new MillraceError("BROKER_WENT_BACK", flow, noted.token === record.token ? `The key of flow "${flow}" tells of fewer generations of run ${record.token} than this data folder has noted` : `The key of flow "${flow}" tells of run ${record.token}, and this data folder has noted run ${noted.token}, which began later and has not finished`,
    "If this is another server, name the right one or another --data-dir. If it lost its data, millrace repair writes the key again from what nodes have noted; else bring its store back, or begin a new run with --fresh.");
}

function isBehind(record: RunRecord, noted: RunRecord, hasFinished: boolean): boolean {
  if (record.token !== noted.token) return !hasFinished && record.startedAt < noted.startedAt;
  return noted.stages.some(({ name }) => givenTo(record, name) < givenTo(noted, name));
}
