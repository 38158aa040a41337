// Which run a deployment has come to, under the key `deployment.<flow>`: so that a deployment begins one run, whoever leads the cluster and
// however often nodes are started, and what it says about an interrupted run counts once.
import type { KeyValue } from "../broker/broker.ts";
import { MillraceError } from "../event/errors.ts";
import type { LoadedPlan } from "./flow-catalog.ts";
import type { RunMode } from "./run-choice.ts";
import type { RunRecord } from "./run-record.ts";

export interface DeploymentNote {
  /** Of the deployment: its signature. */
  readonly id: string;
  /** Token of its run. */
  readonly run: string;
}

const version = 1;
const tries = 10;

const keyOf = (flow: string): string => `deployment.${flow}`;

/** `undefined`: none, or it is not understood, which is the same: a run is then begun as after a first deployment. @throws MillraceError UNREACHABLE */
export async function readDeploymentNote(keys: KeyValue, flow: string): Promise<DeploymentNote | undefined> {
  return (await read(keys, flow)).note;
}

/** How the run of a flow is to be begun. @throws MillraceError FLOW_FINISHED where the run of this deployment has, UNREACHABLE */
export async function modeOf(keys: KeyValue, { plan: { name }, deployment }: LoadedPlan, record: RunRecord | undefined): Promise<RunMode> {
  if (deployment === undefined) return "continue";
  const note = await readDeploymentNote(keys, name);
  if (note?.id !== deployment.id) return deployment.mode;
  if (record?.token === note.run && record.state === "finished") throw new MillraceError("FLOW_FINISHED", name, `Flow "${name}" has finished`, "Undeploy it, and deploy it again for another run.");
  return "continue";
}

/** Takes note of the run that a deployment has come to. @throws MillraceError UNREACHABLE */
export async function noteRun(keys: KeyValue, { plan: { name }, deployment }: LoadedPlan, { token }: RunRecord): Promise<void> {
  if (deployment !== undefined) await writeDeploymentNote(keys, name, { id: deployment.id, run: token });
}

/** @throws MillraceError UNREACHABLE */
export async function writeDeploymentNote(keys: KeyValue, flow: string, note: DeploymentNote): Promise<void> {
  for (let attempt = 0; attempt < tries; attempt++) {
    const { note: before, revision } = await read(keys, flow);
    if (before?.id === note.id && before.run === note.run) return;
    if ((await keys.set(keyOf(flow), Buffer.from(JSON.stringify({ version, ...note })), revision)) !== undefined) return;
  }
  throw new MillraceError("UNREACHABLE", flow, `The key ${keyOf(flow)} is written by many`, "It is tried again in a moment.");
}

async function read(keys: KeyValue, flow: string): Promise<{ readonly note: DeploymentNote | undefined; readonly revision: number }> {
  const kept = await keys.get(keyOf(flow));
  if (kept === undefined) return { note: undefined, revision: 0 };
  try {
    const { id, run } = JSON.parse(Buffer.from(kept.value).toString("utf8")) as Partial<Record<keyof DeploymentNote, unknown>>;
    if (typeof id === "string" && typeof run === "string") return { note: { id, run }, revision: kept.revision };
  } catch {
    // Not ours: written anew.
  }
  return { note: undefined, revision: kept.revision };
}
