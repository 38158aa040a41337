// A repair from this machine: of what this data folder holds, and of what the nodes of a cluster hold, wherever they run (P31): each of those
// closes the flow for the time of the repair. What `millrace run` has must be stopped there: the lock of its folder tells.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Broker } from "../broker/broker.ts";
import { readConnection } from "../broker/nats-server/embedded.ts";
import { systemClock, systemRandom } from "../event/clock.ts";
import { MillraceError } from "../event/errors.ts";
import type { FlowPlan } from "../flow/plan.ts";
import { LevelStores } from "../journal/level-store.ts";
import { defaultName, type NodeOptions } from "../node/options.ts";
import { type NodeParts, realParts } from "../node/parts.ts";
import { refuseRunning } from "../node/run.ts";
import { type RunNote, RunNotes } from "../node/run-note.ts";
import { readRun } from "../node/run-record.ts";
import { streamsOf } from "../node/run-streams.ts";
import { HeldNodes, nodesKnown } from "./held-nodes.ts";
import type { NodeJournals } from "./journal-copy.ts";
import { repair } from "./repair.ts";
import type { RepairReport } from "./report.ts";
import { findRun } from "./run-key.ts";

export interface RepairHereOptions extends Pick<NodeOptions, "nats" | "dataDir"> {
  readonly dryRun?: boolean;
  /** Nodes whose journals are gone for good: what only they held is given up. Default none. */
  readonly without?: readonly string[];
  /** Told what is going on, a line a call. */
  readonly say?: (line: string) => void;
  readonly parts?: (options: NodeOptions) => Promise<NodeParts>;
}

/**
 * `flow`: its plan, or only its name: then streams that are gone cannot be made again.
 * @throws MillraceError DATA_FOLDER_BUSY where a node has the folder and gives no journals, FLOW_RUNNING, UNDER_REPAIR, what `repair` throws and
 *   what the way to NATS throws
 */
export async function repairHere(flow: FlowPlan | string, { nats, dataDir = ".millrace", dryRun = false, without = [], say = () => {}, parts: open }: RepairHereOptions): Promise<RepairReport> {
  // What is written again is synced before each ack.
  const options: NodeOptions = { ...(nats === undefined ? {} : { nats }), dataDir, fsync: "always" };
  const forbidden = new AbortController(), onFault = (error: Error): void => {
    say(error.message);
    // Who may not write would try again for ever.
    if (!dryRun && error instanceof MillraceError && error.code === "NATS_PERMISSION") forbidden.abort(error);
  };
  const place = await takePlace(options, open ?? ((of) => realParts(of, { say, onFault }))), { parts } = place, own = new RunNotes(parts.own);
  try {
    const { broker, retainMs } = parts.access, name = typeof flow === "string" ? flow : flow.name, node = defaultName(systemRandom);
    const copies = join(place.dataDir, "repair"), nodes = await nodesOf(broker, place.busy === undefined ? await own.read(name) : undefined, name);
    await rm(copies, { recursive: true, force: true });
    await using held = await HeldNodes.hold(name, nodes.filter((one) => !without.includes(one)), {
      broker, clock: systemClock, by: node, say, copies: (of) => new LevelStores(join(copies, String(nodes.indexOf(of)))),
    });
    if (place.busy !== undefined && held.names.length === 0) throw place.busy;
    const notes = { read: async (of: string) => newest([await own.read(of), ...held.notes]), write: own.write.bind(own) }, run = await findRun(broker, notes, name);
    if (run !== undefined && !held.names.includes(run.record.node)) await refuseRunning({ broker, node }, name, run.record);
    for (const { node: one, why } of held.away) say(`node ${one} was not asked: ${why}`);
    const replicas = (await replicasOf(broker, name)) ?? parts.access.replicas ?? 1, here: readonly NodeJournals[] = place.busy === undefined ? [{ node: "this node", stores: parts.journals }] : [];
    try {
      return await repair(name, {
        broker, notes, clock: systemClock, random: systemRandom, dryRun, signal: forbidden.signal, away: held.away.map((one) => one.node), journals: [...here, ...held.journals],
        specs: typeof flow === "string" ? undefined : (record) => streamsOf(flow, record, { replicas, retainMs: Math.max(1, retainMs) }),
      });
    } catch (error) {
      throw forbidden.signal.aborted ? forbidden.signal.reason : error;
    } finally {
      held.repaired();
      await rm(copies, { recursive: true, force: true });
    }
  } finally {
    await own.close();
    await place.close();
  }
}

interface Place {
  readonly parts: NodeParts;
  readonly dataDir: string;
  /** The folder that was named is a node's, which may be asked for its journals like any other. */
  readonly busy: Error | undefined;
  close(): Promise<void>;
}

async function takePlace(options: NodeOptions & { readonly dataDir?: string }, open: (options: NodeOptions) => Promise<NodeParts>): Promise<Place> {
  const { dataDir = ".millrace", nats } = options;
  try {
    const parts = await open(options);
    return { parts, dataDir, busy: undefined, close: () => parts.close() };
  } catch (busy) {
    if (!(busy instanceof MillraceError) || busy.code !== "DATA_FOLDER_BUSY") throw busy;
    // The server that the node has started, where no other is named.
    const connection = nats ?? (await readConnection(dataDir).catch(() => undefined));
    if (connection === undefined || connection === "embedded") throw busy;
    const folder = await mkdtemp(join(tmpdir(), "millrace-repair-")), clear = (): Promise<void> => rm(folder, { recursive: true, force: true });
    try {
      const parts = await open({ ...options, nats: connection, dataDir: folder });
      return { parts, dataDir: folder, busy, close: () => parts.close().finally(clear) };
    } catch (error) {
      await clear();
      throw error;
    }
  }
}

/** Whoever may have journals of it. What `millrace run` had that was killed lies in this folder, where this folder knows its run. */
async function nodesOf(broker: Broker, note: RunNote | undefined, flow: string): Promise<readonly string[]> {
  const known = await nodesKnown(broker), record = (await readRun(broker.keys, flow).catch(() => undefined))?.record, isHere = note !== undefined && (record === undefined || note.token === record.token);
  const names = [...known.keys()], mine = isHere ? (note.record ?? record)?.node : undefined;
  if (!isHere && record !== undefined && record.state === "running" && !known.has(record.node)) names.push(record.node);
  return names.filter((name) => name !== mine || known.get(name)?.beats === true).sort();
}

/** What is made again is made as what is there. */
async function replicasOf(broker: Broker, flow: string): Promise<1 | 3 | undefined> {
  const [stream] = await broker.list(`mr_actor_${flow}_`);
  return stream === undefined ? undefined : (await broker.describe(stream))?.replicas;
}

/** Revisions of a key only grow. */
function newest(notes: readonly (RunNote | undefined)[]): RunNote | undefined {
  return notes.reduce((best, note) => (note !== undefined && (best === undefined || note.revision > best.revision) ? note : best), undefined);
}
