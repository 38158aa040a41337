// A new deploy of a flow that runs: its actors are to go over to the new code while it does. Here what is asked for from outside: the code is
// offered to the nodes, the leader is told, and what has come of it is looked at. It stands with the flow, so who asked may go away.
import { setTimeout as pause } from "node:timers/promises";
import type { Broker } from "../broker/broker.ts";
import type { Canary, FailedActor } from "../cluster/upgrade.ts";
import { bundleStream, hashOf, storeBundle } from "../deploy/bundle-store.ts";
import { readDeployment, writeDeployment } from "../deploy/deployments.ts";
import { alone, type Deployed, type Manifest, mostNext, signManifest } from "../deploy/manifest.ts";
import { MillraceError } from "../event/errors.ts";
import { fingerprintOf } from "../flow/fingerprint.ts";
import type { MoveReceipt } from "../node/move-receipt.ts";
import { moveReceipt } from "../node/move-receipt.ts";
import type { PlacementAnswer } from "../node/placement-questions.ts";
import type { Refusal } from "../node/refusal.ts";
import { readRun, type RunRecord } from "../node/run-record.ts";
import { checkUpgrade, checkWayBack, type Migration, migrationsOf } from "../node/upgrade-check.ts";
import { type DeployOrder, raced } from "./deployment-orders.ts";
import { askDeployments } from "./flows-report.ts";
import { askMoves, askPlacement, orderPlacement, watchPlacement } from "./placement-orders.ts";

type PlacedFlow = PlacementAnswer["flows"][number];

/** A flow that is deployed and runs. */
export interface RunningDeployment {
  readonly deployed: Deployed;
  readonly seq: number;
  readonly run: RunRecord;
  readonly placed: PlacedFlow;
}

/** `undefined`: it is not deployed, or nothing of it runs. @throws MillraceError DEPLOY_NOWHERE, UNREACHABLE */
export async function runningDeployment(broker: Broker, flow: string): Promise<RunningDeployment | undefined> {
  const { deployment, seq } = await readDeployment(broker, flow), run = (await readRun(broker.keys, flow))?.record;
  if (deployment?.kind !== "deployed" || run?.state !== "running") return undefined;
  const placed = await placedFlow(broker, flow);
  return placed === undefined || placed.ended ? undefined : { deployed: deployment, seq, run, placed };
}

/**
 * Gives the nodes code that the actors of a flow may go over to; nothing goes over yet. Again: changes nothing.
 * @throws MillraceError UPGRADE_REFUSED, SCALE_UNDER_WAY, UPGRADE_UNDER_WAY, DEPLOY_RACED, UNREACHABLE
 */
export async function offerCode(broker: Broker, { deployed, seq, run, placed }: RunningDeployment, { plan, bundle, key, file, millrace, now }: DeployOrder): Promise<Deployed> {
  const hash = hashOf(bundle), { name } = plan, { upgrade } = placed, before = deployed.next ?? [], same = before.find(({ manifest }) => manifest.hash === hash);
  if (upgrade !== undefined && upgrade.is !== "held" && upgrade.to !== hash) throw new MillraceError("UPGRADE_UNDER_WAY", name, `Flow "${name}" is ${upgrade.is === "back" ? "going back to the code that it had" : `going over to ${upgrade.to.slice(0, 12)}`}`, "One at a time: deploy this when that is done; `millrace flows` tells.");
  checkUpgrade(name, run, fingerprintOf(plan));
  const taking = await askDeployments(broker);
  await storeBundle(broker, name, bundle, taking.some(({ replicas }) => replicas === 3) ? 3 : 1);
  if (same !== undefined && same.key === key.publicKey) return same;
  const used = new Set([upgrade?.to, ...Object.values(upgrade?.over ?? {})]), next = before.filter(({ manifest }) => manifest.hash !== hash && used.has(manifest.hash));
  if (next.length >= mostNext) throw new MillraceError("UPGRADE_REFUSED", name, `Actors of flow "${name}" have ${next.length} codes already`, "Bring that to an end first: `millrace deploy --back` or `--continue`.");
  const at = Math.max(now, ...[deployed, ...before].map(({ manifest }) => manifest.at + 1));
  const manifest: Manifest = { name, hash, bytes: bundle.length, at, file, millrace, nodes: 1, mode: "continue" }, offered = signManifest(manifest, key);
  if (!(await writeDeployment(broker, { ...alone(deployed), next: [...next, offered] }, seq))) throw raced(name);
  return offered;
}

export interface OfferOutcome {
  readonly loaded: readonly string[];
  readonly refusals: readonly ({ readonly node: string } & Refusal["refused"])[];
  /** Nodes that have actors of the flow, and have not loaded it. */
  readonly lacking: readonly string[];
}

const lookMs = 100;

/** What has come of it once each node has loaded or refused it, or when `timeoutMs` is over. */
export async function offeredWithin(broker: Broker, { signature, manifest: { name } }: Deployed, timeoutMs: number): Promise<OfferOutcome> {
  for (const until = performance.now() + timeoutMs; ; await pause(lookMs)) {
    const taking = (await askDeployments(broker)).filter(({ trusted }) => trusted.length > 0), needed = new Set(Object.values((await placedFlow(broker, name))?.actors ?? {}).filter((node) => node !== null));
    const heard = taking.flatMap(({ node, candidates, flows }) => [...candidates, ...flows].filter((one) => one.signature === signature && one.state !== "loading").map((one) => ({ node, ...one })));
    const loaded = heard.filter(({ state }) => state === "loaded").map(({ node }) => node), lacking = [...needed].filter((node) => !loaded.includes(node)).sort();
    if (heard.length < taking.length && performance.now() < until) continue;
    return { loaded, lacking, refusals: heard.flatMap(({ node, refusal }) => (refusal === undefined ? [] : [{ node, ...refusal }])) };
  }
}

/** Takes an offer back that nobody has gone over to. @throws MillraceError UNREACHABLE */
export async function withdrawOffer(broker: Broker, { signature, manifest: { name, hash } }: Deployed): Promise<void> {
  const { deployment, seq } = await readDeployment(broker, name);
  if (deployment?.kind !== "deployed" || deployment.next === undefined) return;
  const next = deployment.next.filter((one) => one.signature !== signature);
  if (await writeDeployment(broker, next.length === 0 ? alone(deployment) : { ...deployment, next }, seq)) await broker.remove(bundleStream(name, hash));
}

/** Begins it, or goes on with one that is held. Number of the record by which it stands. @throws MillraceError as decideUpgrade does, NO_CLUSTER, UNREACHABLE */
export function orderUpgrade(broker: Broker, flow: string, to: string, canary: Canary | null): Promise<number> {
  return orderPlacement(broker, { action: "upgrade", flow, to, canary });
}

/** Has those that went over return. @throws MillraceError STATE_OLDER, NOTHING_TO_DO, as orderUpgrade does */
export async function orderWayBack(broker: Broker, flow: string): Promise<number> {
  const placed = await placedFlow(broker, flow), run = (await readRun(broker.keys, flow))?.record;
  if (run !== undefined && placed?.upgrade !== undefined) checkWayBack(flow, run, Object.keys(placed.upgrade.over));
  return await orderPlacement(broker, { action: "downgrade", flow });
}

/** Which stages' state is of a newer shape under the code of an upgrade: for their actors there is no way back. @throws MillraceError UNREACHABLE */
export async function migrationsUnderWay(broker: Broker, flow: string): Promise<readonly Migration[]> {
  const run = (await readRun(broker.keys, flow))?.record;
  return run === undefined ? [] : migrationsOf(run);
}

export interface UpgradeState {
  /** - `under way`: it goes on by itself. - `canary`, `failed`: it is held. - `upgraded`: all have the new code. - `back`: all have the one before. - `ended`: the flow has. */
  readonly is: "under way" | "canary" | "failed" | "upgraded" | "back" | "ended";
  /** Of the flow, and of the code that it goes over to. */
  readonly code: string;
  readonly to: string | null;
  /** Which actors have another code than the flow's. */
  readonly over: readonly string[];
  readonly actors: number;
  readonly failed: FailedActor | null;
  readonly waits: string | null;
}

/** What there is of it now; `undefined`: no such flow is placed. `to`: the code that is meant, where it has come to its end. `n`: number of the newest record that must have been read. */
export async function upgradeState(broker: Broker, flow: string, to: string | undefined, n: number): Promise<UpgradeState | undefined> {
  const answer = await watchPlacement(broker), placed = answer.flows.find(({ name }) => name === flow);
  if (placed === undefined) return undefined;
  const { upgrade, code, ended, actors } = placed, told = { code, to: upgrade?.to ?? to ?? null, over: Object.keys(upgrade?.over ?? {}), actors: Object.keys(actors).length, failed: upgrade?.failed ?? null, waits: upgrade?.waits ?? null };
  if (answer.n < n) return { ...told, is: "under way" };
  if (upgrade === undefined || ended) return { ...told, is: ended ? "ended" : code === to ? "upgraded" : "back" };
  return { ...told, is: upgrade.is !== "held" ? "under way" : upgrade.failed === null ? "canary" : "failed" };
}

/** What it cost, of actors that went over by records after `since`, where they were. */
export async function upgradeReceipt(broker: Broker, flow: string, since: number): Promise<MoveReceipt> {
  const nodes = (await askPlacement(broker)).nodes.map(({ name }) => name), arrivals = await askMoves(broker, nodes, since);
  return moveReceipt(new Map([...arrivals].map(([node, its]) => [node, its.filter(({ from }) => from === node)])), ({ actor, since: at }) => at > since && actor.startsWith(`${flow}/`));
}

/** Number of the record that began the upgrade that is under way. */
export async function begunAt(broker: Broker, flow: string): Promise<number | undefined> {
  return (await placedFlow(broker, flow))?.upgrade?.since;
}

async function placedFlow(broker: Broker, flow: string): Promise<PlacedFlow | undefined> {
  return (await askPlacement(broker)).flows.find(({ name }) => name === flow);
}
