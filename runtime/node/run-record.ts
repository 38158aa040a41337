// A run of a flow as it is kept under the key `flow.<name>` (PROTOCOL 2): one life of the flow in one NATS account.
import type { KeyValue } from "../broker/broker.ts";
import { MillraceError } from "../event/errors.ts";
import type { FlowFingerprint } from "../flow/fingerprint.ts";

/** Version of the form that is written, and the newest that is read. */
const version = 1;

/**
 * - `preparing`: its streams are being made, those of the run before deleted; no actor has begun.
 * - `running`: actors run, or did until their node was killed. `stopped`: they were stopped in order. Both are interrupted when no node has it.
 * - `finished`: the last record of every actor says that it has ended, and all that they sent is settled.
 */
export type RunState = "preparing" | "running" | "stopped" | "finished";

export interface RunRecord {
  readonly token: string;
  readonly state: RunState;
  /** Hash of the flow's code. */
  readonly code: string;
  /** Node that has it, or had it last. */
  readonly node: string;
  /** Wall clock, ms since the epoch. */
  readonly startedAt: number;
  /** Fingerprints of what its sources read; a source that has none is not in it. */
  readonly inputs: readonly { readonly stage: string; readonly fingerprint: string }[];
  readonly shape: FlowFingerprint;
  /** `given`: number of the newest generation that was given out, where that is another. `withdrawn`: those that never came to be. */
  readonly stages: readonly { readonly name: string; readonly generation: string; readonly parallelism: number; readonly given?: number; readonly withdrawn?: readonly string[] }[];
  /** A stage that is being scaled, and to what (PROTOCOL 11). */
  readonly change?: RunChangeRecord;
  /** Actors have gone over to another code, or are about to: to which, and the shape of it; `code` and `shape` are what they leave. */
  readonly upgrade?: { readonly to: string; readonly shape: FlowFingerprint };
}

export interface RunChangeRecord {
  readonly stage: string;
  readonly generation: string;
  readonly parallelism: number;
  /** Who has not gone over to it refuses to. */
  readonly takenBack: boolean;
  /** It was taken back in vain: who refused follows after all, and it is not taken back again. */
  readonly stands?: boolean;
  /** Of a flow that is placed over nodes: †all old actors are sealed, the new ones may start. Nodes know it from here. */
  readonly started?: boolean;
}

export interface KeptRun {
  readonly record: RunRecord;
  readonly revision: number;
}

const keyOf = (flow: string): string => `flow.${flow}`;

/** @throws MillraceError RUN_NEWER, RUN_UNREADABLE, UNREACHABLE */
export async function readRun(keys: KeyValue, flow: string): Promise<KeptRun | undefined> {
  const kept = await keys.get(keyOf(flow));
  return kept === undefined ? undefined : { record: parse(flow, kept.value), revision: kept.revision };
}

/** By compare-and-set: `undefined` where another node was faster. @throws MillraceError UNREACHABLE */
export async function writeRun(keys: KeyValue, flow: string, record: RunRecord, expected: number): Promise<KeptRun | undefined> {
  const revision = await keys.set(keyOf(flow), Buffer.from(JSON.stringify({ version, ...record })), expected);
  return revision === undefined ? undefined : { record, revision };
}

function parse(flow: string, value: Uint8Array): RunRecord {
  let read: Partial<RunRecord> & { readonly version?: unknown };
  try {
    read = JSON.parse(Buffer.from(value).toString("utf8")) as typeof read;
  } catch (error) {
    throw unreadable(flow, error);
  }
  if (typeof read !== "object" || read === null || typeof read.version !== "number") throw unreadable(flow);
  if (read.version > version) throw new MillraceError("RUN_NEWER", flow, `The run of flow "${flow}" was written by a newer Millrace`, "Run that version here; nothing was changed.");
  const { token, state, code, node, startedAt, inputs, shape, stages, change, upgrade } = read;
  if (typeof token !== "string" || typeof state !== "string" || typeof code !== "string" || typeof node !== "string" || typeof startedAt !== "number" || !Array.isArray(inputs) || !Array.isArray(shape?.stages) || !Array.isArray(stages)) throw unreadable(flow);
  return { token, state, code, node, startedAt, inputs, shape, stages, ...(change === undefined ? {} : { change }), ...(upgrade === undefined ? {} : { upgrade }) };
}

function unreadable(flow: string, cause?: unknown): MillraceError {
  return new MillraceError("RUN_UNREADABLE", flow, `What is kept under the key flow.${flow} is no run of a flow`, "Look who else writes to the bucket KV_millrace; delete the key to begin anew.", cause === undefined ? {} : { cause });
}
