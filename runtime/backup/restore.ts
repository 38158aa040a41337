// Restores a backup: looks at every byte of it before anything is written; then each flow's streams are made as they were, and at last its key
// tells of the run. Until then the key says that the run is being prepared, which is what an interrupted restore leaves: it is simply repeated.
import { join } from "node:path";
import { deadStream } from "../actor/environment.ts";
import type { Appended, Broker } from "../broker/broker.ts";
import { MillraceError } from "../event/errors.ts";
import { bounded } from "../node/bounded.ts";
import type { PlacementAnswer } from "../node/placement-questions.ts";
import { ask } from "../node/questions.ts";
import { refuseRunning } from "../node/run.ts";
import { type KeptRun, readRun, type RunRecord, writeRun } from "../node/run-record.ts";
import type { RunNotes } from "../node/run-note.ts";
import { createStreams } from "../node/run-streams.ts";
import { storyStream } from "../node/story.ts";
import { nodesKnown } from "../repair/held-nodes.ts";
import { readEntry, restoreDeployment } from "./deployment-copy.ts";
import { type FlowManifest, type Manifest, readManifest, type StreamManifest } from "./manifest.ts";
import { damaged, readStreamFile } from "./stream-file.ts";

const atOnce = 8, sayMs = 2_000, pingMs = 1_000;
/** Of one stream, on their way at a time. */
const ahead = { messages: 64, bytes: 8 * 1024 * 1024 } as const;
/** A server that restores may be slow; nothing waits for it but this. In ms. */
const appendMs = 20_000;

export interface RestoreOptions {
  readonly broker: Broker;
  readonly folder: string;
  /** Default: all that are in the backup. */
  readonly flows?: readonly string[] | undefined;
  /** Give up the run that is there. Default false. */
  readonly replace?: boolean;
  /** Deploy what was deployed, so that nodes go on with it by themselves. Default true. */
  readonly deploy?: boolean;
  readonly replicas: 1 | 3;
  /** Who does it. */
  readonly node: string;
  /** Of this data folder. */
  readonly notes: RunNotes;
  /** Deletes the journals of a flow in this data folder: they are of what was there before. */
  readonly removeJournals: (flow: string) => Promise<void>;
  readonly say?: (line: string) => void;
  /** Called after each step that has changed something. For tests. */
  readonly step?: (what: string) => void;
}

/**
 * @throws MillraceError BACKUP_MISSING, BACKUP_DAMAGED, BACKUP_NEWER, FLOW_UNKNOWN, RUN_EXISTS, FLOW_RUNNING, FLOW_DEPLOYED, TOO_LARGE, all of these before
 *   anything is changed; RESTORE_FAILED where the server does not take what it is given, UNREACHABLE
 */
export async function restore(options: RestoreOptions): Promise<Manifest> {
  const { folder, flows: wanted, say = () => {} } = options, manifest = await readManifest(folder), flows = chosen(manifest, wanted, folder);
  const before = new Map<string, KeptRun | undefined>();
  for (const { flow } of flows) before.set(flow, await checkTarget(flow, options));
  for (const { flow, streams } of flows) {
    say(`${flow}: ${streams.length} files are looked at`);
    await bounded(streams, atOnce, (stream) => checkStream(stream, options));
  }
  for (const flow of flows) await restoreFlow(flow, before.get(flow.flow), options);
  return { ...manifest, flows };
}

function chosen({ flows }: Manifest, wanted: readonly string[] | undefined, folder: string): readonly FlowManifest[] {
  const unknown = (wanted ?? []).find((name) => !flows.some(({ flow }) => flow === name));
  if (unknown !== undefined) throw new MillraceError("FLOW_UNKNOWN", folder, `The backup holds no flow "${unknown}"`, `It holds ${flows.map(({ flow }) => flow).join(", ") || "none"}.`);
  return wanted === undefined ? flows : flows.filter(({ flow }) => wanted.includes(flow));
}

async function checkTarget(flow: string, { broker, node, notes, replace }: RestoreOptions): Promise<KeptRun | undefined> {
  const kept = await readRun(broker.keys, flow), note = await notes.read(flow);
  if (kept !== undefined) await refuseRunning({ broker, node }, flow, kept.record);
  const nodes = await nodesThatRun(broker), deployed = nodes.length === 0 ? undefined : await readEntry(broker, flow);
  if (deployed !== undefined) throw new MillraceError("FLOW_DEPLOYED", flow, `Flow "${flow}" is deployed on this server, and nodes run`, `Undeploy it first (millrace undeploy ${flow}), or stop the nodes.`);
  // Who began its run need not be there any more: the cluster has it all the same.
  for (const name of nodes) if (await isPlaced(broker, name, flow)) throw new MillraceError("FLOW_RUNNING", flow, `Flow "${flow}" is placed on the nodes of a cluster, as node ${name} says`, "Stop these nodes first: their actors would go on with what they know beside what is restored.");
  if (replace === true) return kept;
  const exists = (what: string): MillraceError => new MillraceError("RUN_EXISTS", flow, what, "--replace gives it up for what is in the backup; or restore to another server and data folder (--nats, --data-dir).");
  if (kept !== undefined && kept.record.state !== "preparing") throw exists(`The server has run ${kept.record.token} of flow "${flow}", ${kept.record.state}`);
  if (kept === undefined && (await broker.list(`mr_actor_${flow}_`)).length > 0) throw exists(`The server has streams of flow "${flow}", whose run it does not know`);
  if (kept === undefined && note !== undefined && note.state !== "finished" && note.state !== "preparing") throw exists(`This data folder has journals of run ${note.token} of flow "${flow}", ${note.state}`);
  return kept;
}

/** Names of those that answer; of a cluster's also where the server has lost the list of them. */
async function nodesThatRun(broker: Broker): Promise<readonly string[]> {
  const there: string[] = [];
  await bounded([...(await nodesKnown(broker)).keys()], atOnce, async (name) => {
    if (await ask(broker, name, { what: "ping" }, pingMs).then(() => true, () => false)) there.push(name);
  });
  return there.sort();
}

async function isPlaced(broker: Broker, node: string, flow: string): Promise<boolean> {
  // One that is of no cluster does not know the question.
  const answer = (await ask(broker, node, { what: "placement" }, pingMs).catch(() => undefined)) as Partial<PlacementAnswer> | null | undefined;
  return answer?.flows?.some(({ name, ended }) => name === flow && !ended) === true;
}

/** Every message, and that there are as many as there should be. */
async function checkStream({ file, first, last, bytes, sha256, spec, largest }: StreamManifest, { broker, folder }: RestoreOptions): Promise<void> {
  const path = join(folder, file);
  let next = first;
  for await (const { seq } of readStreamFile(path, { bytes, sha256 })) if (seq !== next++) throw damaged(path, `message ${next - 1} is missing`);
  if (next !== last + 1) throw damaged(path, `it has ${next - first} messages, and there were ${last - first + 1}`);
  if (largest > broker.maxPayload) throw new MillraceError("TOO_LARGE", spec.name, `A message of ${largest} bytes is above the limit of this server, ${broker.maxPayload}`, "Raise max_payload on the server; nothing was changed.");
}

async function restoreFlow({ flow, run, streams, deployment }: FlowManifest, before: KeptRun | undefined, options: RestoreOptions): Promise<void> {
  const { broker, notes, node, removeJournals, replicas, deploy = true, say = () => {}, step } = options;
  const begun = await written(flow, { ...run, state: "preparing", node }, before, options);
  step?.("key");
  const ours = streams.map(({ spec }) => spec.name).filter((name) => name.startsWith("mr_code_"));
  for (const name of [...(await broker.list(`mr_actor_${flow}_`)), ...ours, deadStream(flow), storyStream(flow)]) await broker.remove(name);
  await removeJournals(flow);
  step?.("removed");
  let done = 0, saidAt = performance.now();
  say(`${flow}: ${streams.length} streams are written`);
  await bounded(streams, atOnce, async (stream) => {
    await restoreStream(stream, options);
    done++;
    if (performance.now() - saidAt > sayMs) {
      saidAt = performance.now();
      say(`${flow}: ${done} of ${streams.length} streams are written`);
    }
    step?.(stream.spec.name);
  });
  // As it was, but nobody has it: who starts it resumes it.
  const state = run.state === "running" ? "stopped" : run.state;
  await notes.write(flow, await written(flow, { ...run, state }, begun, options));
  step?.("run");
  if (deployment !== undefined && deploy) await restoreDeployment(broker, flow, deployment, replicas);
  step?.("done");
}

async function written(flow: string, record: RunRecord, before: KeptRun | undefined, { broker }: RestoreOptions): Promise<KeptRun> {
  const kept = await writeRun(broker.keys, flow, record, before?.revision ?? 0);
  if (kept === undefined) throw new MillraceError("FLOW_TAKEN", flow, `Another node has just started flow "${flow}", or restores it`, "Leave it to that one, or stop it and restore again.");
  return kept;
}

async function restoreStream({ spec, file, first, last, bytes, sha256 }: StreamManifest, { broker, folder, replicas }: RestoreOptions): Promise<void> {
  const count = last - first + 1, { maxMessages } = spec;
  // What came in while it was copied may be more than there was room for at once; a higher limit stays (P15).
  await createStreams(broker, [{ ...spec, replicas, ...(first > 1 ? { firstSequence: first } : {}), ...(maxMessages === undefined ? {} : { maxMessages: Math.max(maxMessages, count + 1) }) }]);
  const underWay: { readonly seq: number; readonly bytes: number; readonly outcome: Promise<Appended> }[] = [];
  let held = 0;
  const settle = async (): Promise<void> => {
    const { seq, bytes: its, outcome } = underWay.shift() as (typeof underWay)[number], at = await outcome;
    held -= its;
    if (at !== seq) throw failed(spec.name, typeof at === "number" ? `message ${seq} was stored as ${at}` : `message ${seq} was not stored (${at})`);
  };
  for await (const { seq, subject, data } of readStreamFile(join(folder, file), { bytes, sha256 })) {
    while (underWay.length >= ahead.messages || (held > 0 && held + data.length > ahead.bytes)) await settle();
    held += data.length;
    underWay.push({ seq, bytes: data.length, outcome: broker.stream(spec.name, subject === "" ? spec.subject : subject).append(data, undefined, appendMs) });
  }
  while (underWay.length > 0) await settle();
  const there = await broker.stream(spec.name, spec.subject).bounds();
  if (there.last !== last || there.first !== first) throw failed(spec.name, `it has messages ${there.first} to ${there.last}, and there should be ${first} to ${last}`);
}

const failed = (stream: string, why: string): MillraceError => new MillraceError("RESTORE_FAILED", stream, `The stream ${stream} could not be restored: ${why}`, "See that the server is well and has room (millrace doctor), then give the same command again: it begins anew.");
