// The end of an upgrade: the run, its deployment and what is deployed say so, each by compare-and-set, before the cluster's log does. Who leads
// next finds how far that has come, and goes on.
import type { KeyValue } from "../broker/broker.ts";
import type { FlowSeats } from "../cluster/placement-record.ts";
import { anywhere, type PlacePlan } from "../flow/plan.ts";
import { readRun, type RunRecord, writeRun } from "./run-record.ts";
import type { FlowCatalog } from "./flow-catalog.ts";
import { writeDeploymentNote } from "./deployment-note.ts";

export interface UpgradeRecords {
  /** Signature of the deployment that has that code. */
  readonly deploymentOf: (flow: string, code: string) => string | undefined;
  /** That code is what is deployed from now on. `true`: this node has heard so. */
  readonly redeployed: (flow: string, code: string) => Promise<boolean>;
  readonly catalog: FlowCatalog;
}

/** Once all of it stands: where stages may be by that code, if this node has it. @throws MillraceError UNREACHABLE */
export async function recordUpgrade({ name, run, code, upgrade }: FlowSeats, keys: KeyValue, { deploymentOf, redeployed, catalog }: UpgradeRecords): Promise<ReadonlyMap<string, PlacePlan> | undefined> {
  const to = upgrade?.is === "forward" ? upgrade.to : code, kept = await readRun(keys, name), id = deploymentOf(name, to);
  if (kept?.record.token !== run || id === undefined) return undefined;
  const record = upgradedTo(kept.record, to);
  if (record !== kept.record && (await writeRun(keys, name, record, kept.revision)) === undefined) return undefined;
  await writeDeploymentNote(keys, name, { id, run });
  if (!(await redeployed(name, to))) return undefined;
  return new Map(catalog.has(name) && catalog.flow(name).code === to ? catalog.flow(name).plan.stages.map((stage) => [stage.name, stage.place ?? anywhere]) : []);
}

function upgradedTo(record: RunRecord, to: string): RunRecord {
  const { upgrade, ...rest } = record;
  if (upgrade === undefined) return record;
  return to === upgrade.to ? { ...rest, code: to, shape: upgrade.shape } : rest;
}
