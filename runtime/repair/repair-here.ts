// A repair from this data folder: takes it, gets to NATS, and lets go of both at the end. The flow must be stopped here: the lock of the
// folder tells; and nowhere else may it run.
import { systemClock, systemRandom } from "../event/clock.ts";
import type { FlowPlan } from "../flow/plan.ts";
import { readNodes } from "../node/membership.ts";
import { defaultName, type NodeOptions } from "../node/options.ts";
import { type NodeParts, realParts } from "../node/parts.ts";
import { refuseRunning } from "../node/run.ts";
import { RunNotes } from "../node/run-note.ts";
import { streamsOf } from "../node/run-streams.ts";
import { repair } from "./repair.ts";
import type { RepairReport } from "./report.ts";
import { findRun } from "./run-key.ts";

export interface RepairHereOptions extends Pick<NodeOptions, "nats" | "dataDir"> {
  readonly dryRun?: boolean;
  /** Told what is going on while a nats-server is fetched or an old one ended, a line a call. */
  readonly say?: (line: string) => void;
  readonly parts?: (options: NodeOptions) => Promise<NodeParts>;
}

/**
 * `flow`: its plan, or only its name: then streams that are gone cannot be made again.
 * @throws MillraceError DATA_FOLDER_BUSY, FLOW_RUNNING, what `repair` throws and what the way to NATS throws
 */
export async function repairHere(flow: FlowPlan | string, { nats, dataDir, dryRun = false, say = () => {}, parts: open }: RepairHereOptions): Promise<RepairReport> {
  // What is written again is synced before each ack.
  const options: NodeOptions = { ...(nats === undefined ? {} : { nats }), ...(dataDir === undefined ? {} : { dataDir }), fsync: "always" };
  const parts = await (open ?? ((of) => realParts(of, { say, onFault: (error) => say(error.message) })))(options), notes = new RunNotes(parts.own);
  try {
    const { broker, retainMs } = parts.access, name = typeof flow === "string" ? flow : flow.name, node = defaultName(systemRandom), run = await findRun(broker, notes, name);
    if (run !== undefined) await refuseRunning({ broker, node }, name, run.record);
    const away = (await readNodes(broker.keys)).map((entry) => entry.name).filter((one) => one !== run?.record.node);
    return await repair(name, {
      broker, notes, node, clock: systemClock, random: systemRandom, dryRun, away, journals: [{ node: "this node", stores: parts.journals }],
      specs: typeof flow === "string" ? undefined : (record) => streamsOf(flow, record, { replicas: 1, retainMs: Math.max(1, retainMs) }),
    });
  } finally {
    await notes.close();
    await parts.close();
  }
}
