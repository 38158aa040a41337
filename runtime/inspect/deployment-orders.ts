// Deploying a flow, and undeploying it: what is written for the nodes to follow. Nodes carry it out by themselves, so who ordered it may go
// away, and may order the same again.
import { setTimeout as pause } from "node:timers/promises";
import type { Broker } from "../broker/broker.ts";
import { hashOf, otherBundles, removeBundles, storeBundle } from "../deploy/bundle-store.ts";
import { readDeployment, writeDeployment } from "../deploy/deployments.ts";
import { type Deployed, type Deployment, type Manifest, mostBundleBytes, signManifest } from "../deploy/manifest.ts";
import type { SigningKey } from "../deploy/nkey.ts";
import { MillraceError } from "../event/errors.ts";
import { fingerprintOf } from "../flow/fingerprint.ts";
import type { FlowPlan } from "../flow/plan.ts";
import { refuseRunning } from "../node/run.ts";
import { changedError, choose, type RunMode } from "../node/run-choice.ts";
import { readRun } from "../node/run-record.ts";
import { askDeployments, type FlowLine, flowsOn } from "./flows-report.ts";

export interface DeployOrder {
  readonly plan: FlowPlan;
  readonly bundle: Uint8Array;
  readonly key: SigningKey;
  /** What the bundle was made of, for people. */
  readonly file: string;
  /** Version of Millrace. */
  readonly millrace: string;
  readonly mode: RunMode;
  /** Wall clock, ms since the epoch. */
  readonly now: number;
}

export interface DeployOutcome {
  readonly deployment: Deployed;
  /** `same`: it was deployed already, and nothing was changed. `repaired`: so, but its bundle was damaged or gone, and is whole again. */
  readonly is: "deployed" | "same" | "repaired";
  /** Names of the nodes that trust the key. */
  readonly nodes: readonly string[];
}

const lookMs = 200;
/** The leader waits for nodes that have its code, and makes streams: no longer than that, in ms. */
const begunMs = 25_000;

/**
 * @throws MillraceError BUNDLE_TOO_LARGE; FLOW_DEPLOYED with another code; FLOW_STOPPING, FLOW_RUNNING without having been deployed; RUN_CHANGED; DEPLOY_NOWHERE;
 *   DEPLOY_RACED; UNREACHABLE
 */
export async function deployFlow(broker: Broker, order: DeployOrder): Promise<DeployOutcome> {
  const { plan: { name }, bundle, key } = order, hash = hashOf(bundle);
  if (bundle.length > mostBundleBytes) throw new MillraceError("BUNDLE_TOO_LARGE", name, `The bundle of flow "${name}" has ${bundle.length} bytes, more than ${mostBundleBytes}`, "Read large data from a file or a topic instead of importing them.");
  const { deployment: before, seq } = await readDeployment(broker, name), taking = await askDeployments(broker);
  const trusting = taking.filter(({ trusted }) => trusted.includes(key.publicKey)).map(({ node }) => node), replicas = taking.some((node) => node.replicas === 3) ? 3 : 1;
  if (before?.kind === "deployed" && before.manifest.hash !== hash) throw deployedOtherwise(before, hash);
  const kept = before?.kind === "deployed" ? await sameAgain(broker, before, bundle, replicas, seq, key.publicKey) : undefined;
  if (kept !== undefined) return { ...kept, nodes: trusting };
  await refuseConflict(broker, order, hash, before);
  await storeBundle(broker, name, bundle, replicas);
  const at = Math.max(order.now, before === undefined ? 0 : (before.kind === "deployed" ? before.manifest.at : before.at) + 1);
  const manifest: Manifest = { name, hash, bytes: bundle.length, at, file: order.file, millrace: order.millrace, nodes: Math.max(1, trusting.length), mode: order.mode };
  const deployment = signManifest(manifest, key), others = await otherBundles(broker, name, hash);
  if (!(await writeDeployment(broker, deployment, seq))) throw raced(name);
  await removeBundles(broker, others);
  return { deployment, is: "deployed", nodes: trusting };
}

/** `undefined`: it is to be signed anew, since it was signed by another key and nothing of it runs. */
async function sameAgain(broker: Broker, before: Deployed, bundle: Uint8Array, replicas: 1 | 3, seq: number, key: string): Promise<Omit<DeployOutcome, "nodes"> | undefined> {
  const { name, hash } = before.manifest, run = (await readRun(broker.keys, name))?.record;
  if (before.key !== key && !(run?.code === hash && run.state === "running")) return undefined;
  if (!(await storeBundle(broker, name, bundle, replicas))) return { deployment: before, is: "same" };
  // Nodes that refused it look at it again.
  if (!(await writeDeployment(broker, before, seq))) throw raced(name);
  return { deployment: before, is: "repaired" };
}

async function refuseConflict(broker: Broker, { plan, mode }: DeployOrder, hash: string, before: Deployment | undefined): Promise<void> {
  const run = (await readRun(broker.keys, plan.name))?.record;
  if (run === undefined || (run.code === hash && run.upgrade === undefined)) return;
  if (run.state === "running" && before?.kind === "undeployed" && before.hash === run.code) throw new MillraceError("FLOW_STOPPING", plan.name, `Flow "${plan.name}" was undeployed and is stopping yet`, "Wait until `millrace undeploy` says that it has stopped, then deploy again.");
  await refuseRunning({ broker, node: "" }, plan.name, run);
  // What its sources read is looked at by the node that begins the run.
  const choice = choose(plan.name, run, { code: hash, inputs: run.inputs, shape: fingerprintOf(plan) }, mode);
  if (choice.is === "changed") throw changedError(choice.change, mode);
}

/**
 * Has a flow stopped everywhere, in order. Gives the hash of the code that was deployed, and whether it was undeployed before.
 * @throws MillraceError FLOW_NOT_DEPLOYED, DEPLOY_NOWHERE, DEPLOY_RACED, UNREACHABLE
 */
export async function undeployFlow(broker: Broker, name: string, now: number): Promise<{ readonly hash: string; readonly before: boolean }> {
  const { deployment, seq } = await readDeployment(broker, name);
  if (deployment === undefined) throw new MillraceError("FLOW_NOT_DEPLOYED", name, `No flow "${name}" is deployed`, "Look with `millrace flows`; one that a node was started with (--flow) ends with that node.");
  if (deployment.kind === "undeployed") return { hash: deployment.hash, before: true };
  const { hash, at } = deployment.manifest, bundles = await otherBundles(broker, name);
  if (!(await writeDeployment(broker, { kind: "undeployed", name, hash, at: Math.max(now, at + 1) }, seq))) throw raced(name);
  await removeBundles(broker, bundles);
  return { hash, before: false };
}

/** Until its run is on record as stopped or finished, and which; "stopped", too, where there was none. `undefined`: not within `timeoutMs`, or nobody is there who would see to it. */
export async function stoppedWithin(broker: Broker, flow: string, hash: string, timeoutMs: number): Promise<"stopped" | "finished" | undefined> {
  for (const until = performance.now() + timeoutMs; ; await pause(lookMs)) {
    const run = (await readRun(broker.keys, flow))?.record;
    if (run === undefined || run.code !== hash || (run.state !== "running" && run.state !== "preparing")) return run?.code === hash && run.state === "finished" ? "finished" : "stopped";
    if (performance.now() > until) return undefined;
  }
}

/** What has become of a deployment once each node has loaded or refused it and a run has begun or cannot be, or when `timeoutMs` is over. */
export async function takenWithin(broker: Broker, { deployment: { signature, manifest: { name, hash } }, nodes }: DeployOutcome, timeoutMs: number): Promise<FlowLine | undefined> {
  let loadedAt: number | undefined;
  for (const until = performance.now() + timeoutMs; ; await pause(lookMs)) {
    const taking = await askDeployments(broker), settled = (node: string): boolean => {
      const flow = taking.find((its) => its.node === node)?.flows.find((its) => its.signature === signature);
      return flow !== undefined && flow.state !== "loading";
    };
    // Those that do not trust it say so, too.
    const wanted = [...nodes, ...taking.filter(({ trusted }) => trusted.length > 0).map(({ node }) => node)], now = performance.now();
    if (!wanted.every(settled) && now < until) continue;
    const line = (await flowsOn(broker)).flows.find((flow) => flow.name === name && flow.hash === hash);
    loadedAt ??= now;
    if (line === undefined || line.loaded.length === 0 || line.state !== "waiting" || now > Math.min(until, loadedAt + begunMs)) return line;
  }
}

function deployedOtherwise({ manifest: { name, hash, at }, key }: Deployed, wanted: string): MillraceError {
  return new MillraceError("FLOW_DEPLOYED", name, `Flow "${name}" is deployed already with another code: ${hash.slice(0, 12)}, signed by ${key} at ${new Date(at).toISOString()}; this is ${wanted.slice(0, 12)}`,
    `First \`millrace undeploy ${name}\`: it stops in order, its journals stay. Then deploy again, with --resume to go on where it was, or --fresh to begin anew.`);
}

export function raced(flow: string): MillraceError {
  return new MillraceError("DEPLOY_RACED", flow, `Somebody else has just deployed or undeployed flow "${flow}"`, "Look with `millrace flows`, then try again.");
}
