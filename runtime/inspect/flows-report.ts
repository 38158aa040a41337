// Which flows there are in a cluster: what was deployed and what has come of it on each node, and what runs without having been deployed.
import type { Broker } from "../broker/broker.ts";
import { nameOf, readDeployments } from "../deploy/deployments.ts";
import type { NodeRecord } from "../cluster/node-record.ts";
import { MillraceError } from "../event/errors.ts";
import { bounded } from "../node/bounded.ts";
import type { DeployedFlow, DeploymentsHere } from "../node/deployed-flows.ts";
import { readDeploymentNote } from "../node/deployment-note.ts";
import { readNodes } from "../node/membership.ts";
import { ask } from "../node/questions.ts";
import type { PlacementAnswer } from "../node/placement-questions.ts";
import type { Refusal } from "../node/refusal.ts";
import { readRun } from "../node/run-record.ts";
import { askTree } from "./inquiry.ts";
import { askPlacement } from "./placement-orders.ts";

/**
 * - `waiting`: no run of it has begun. - `running`: its actors run, or will again when there are nodes. - `finished`: all its sources have ended.
 * - `stopping`: it was undeployed, and its actors have not all stopped. - `stopped`: in order; it goes on when it is started again.
 * - `refused`: no node has loaded it, or no run of it can be begun.
 */
export type FlowState = "waiting" | "running" | "finished" | "stopping" | "stopped" | "refused";

export interface FlowLine {
  readonly name: string;
  readonly state: FlowState;
  /** Of its code. */
  readonly hash: string;
  /** Public key of who signed it, when (ms since the epoch), and of which file it was made; `null`: it was not deployed. */
  readonly key: string | null;
  readonly at: number | null;
  readonly file: string | null;
  readonly run: string | null;
  readonly actors: number;
  /** Nodes that have its code. */
  readonly loaded: readonly string[];
  readonly refusals: readonly ({ readonly node: string } & Refusal["refused"])[];
  /** Its actors go over to another code, or return: where that stands. `over`: how many have another code. */
  readonly upgrade: (Pick<UpgradeAnswer, "to" | "is" | "failed" | "waits"> & { readonly over: number }) | null;
}

type UpgradeAnswer = NonNullable<PlacementAnswer["flows"][number]["upgrade"]>;

export interface TakingNode extends DeploymentsHere {
  readonly node: string;
}

export interface FlowsReport {
  readonly flows: readonly FlowLine[];
  /** Those that answer, with the keys that they trust; none: they take no deployed flows. */
  readonly nodes: readonly { readonly node: string; readonly trusted: readonly string[] }[];
}

const answerMs = 5_000;
const atOnce = 16;

/** What the nodes of the cluster say of deployments. @throws MillraceError UNREACHABLE where NATS itself does not answer */
export async function askDeployments(broker: Broker): Promise<readonly TakingNode[]> {
  const found: TakingNode[] = [];
  await bounded(await readNodes(broker.keys), atOnce, async ({ name: node }) => {
    const answer = await heard(() => ask(broker, node, { what: "flows" }, answerMs)) as DeploymentsHere | undefined;
    if (Array.isArray(answer?.flows) && Array.isArray(answer.trusted) && Array.isArray(answer.undeployed)) found.push({ ...answer, candidates: answer.candidates ?? [], node });
  });
  return found.sort((a, b) => (a.node < b.node ? -1 : 1));
}

/** @throws MillraceError UNREACHABLE */
export async function flowsOn(broker: Broker): Promise<FlowsReport> {
  const nodes = await askDeployments(broker), placement = await heard(() => askPlacement(broker)), members = placement?.nodes ?? [];
  const lines = new Map<string, FlowLine>();
  for (const flow of await deployedOn(broker, nodes)) lines.set(`${flow.name}@${flow.hash}`, { ...(await deployedLine(broker, flow, nodes, members)), upgrade: upgradeOf(placement, flow.name) });
  for (const given of [...givenOn(members), ...(await aloneOn(broker, nodes))]) {
    const at = `${given.name}@${given.hash}`;
    if (lines.has(at)) continue;
    const run = (await readRun(broker.keys, given.name))?.record, stops = nodes.some(({ undeployed }) => undeployed.some(({ name, hash }) => name === given.name && hash === given.hash));
    if (run?.code !== given.hash || (run.state !== "running" && given.actors === 0)) continue;
    lines.set(at, { ...given, key: null, at: null, file: null, refusals: [], upgrade: null, run: run.token, state: stops ? "stopping" : run.state === "preparing" ? "waiting" : run.state });
  }
  return { flows: [...lines.values()].sort((a, b) => (a.name < b.name ? -1 : 1)), nodes: nodes.map(({ node, trusted }) => ({ node, trusted })) };
}

/** The newest of each, as nodes tell of them; where none answers, as they are stored. */
async function deployedOn(broker: Broker, nodes: readonly TakingNode[]): Promise<readonly Omit<DeployedFlow, "state" | "refusal">[]> {
  const newest = new Map<string, DeployedFlow>();
  for (const flow of nodes.flatMap(({ flows }) => flows)) if ((newest.get(flow.name)?.at ?? 0) <= flow.at) newest.set(flow.name, flow);
  if (nodes.some(({ trusted }) => trusted.length > 0)) return [...newest.values()];
  return (await readDeployments(broker)).flatMap((deployment) => {
    if (deployment.kind === "undeployed") return [];
    const { manifest: { hash, at, file }, key, signature } = deployment;
    return [{ name: nameOf(deployment), hash, at, file, key, signature }];
  });
}

async function deployedLine(broker: Broker, { name, hash, key, at, file, signature }: Omit<DeployedFlow, "state" | "refusal">, nodes: readonly TakingNode[], members: readonly NodeRecord[]): Promise<Omit<FlowLine, "upgrade">> {
  const here = nodes.flatMap(({ node, flows }) => flows.filter((flow) => flow.name === name && flow.signature === signature).map((flow) => ({ node, ...flow })));
  const loaded = here.filter(({ state }) => state === "loaded").map(({ node }) => node), refusals = here.flatMap(({ node, refusal }) => (refusal === undefined ? [] : [{ node, ...refusal }]));
  const note = await readDeploymentNote(broker.keys, name), run = (await readRun(broker.keys, name))?.record, begun = run !== undefined && note?.id === signature && note.run === run.token;
  const isRefused = here.some((flow) => flow.state === "loaded" && flow.refusal !== undefined) || (loaded.length === 0 && refusals.length > 0);
  const state: FlowState = begun ? (run.state === "preparing" ? "waiting" : run.state) : isRefused ? "refused" : "waiting";
  const codes = new Set([hash, ...nodes.flatMap(({ candidates }) => candidates.filter((one) => one.name === name).map((one) => one.hash))]);
  const actors = members.flatMap(({ flows }) => flows).reduce((sum, flow) => sum + (flow.name === name && codes.has(flow.code) ? flow.hosted : 0), 0);
  return { name, state, hash, key, at, file, run: begun ? run.token : null, actors, loaded, refusals };
}

function upgradeOf(placement: PlacementAnswer | undefined, flow: string): FlowLine["upgrade"] {
  const upgrade = placement?.flows.find(({ name, ended }) => name === flow && !ended)?.upgrade;
  return upgrade === undefined ? null : { to: upgrade.to, is: upgrade.is, failed: upgrade.failed, waits: upgrade.waits, over: Object.keys(upgrade.over).length };
}

type Given = Pick<FlowLine, "name" | "hash" | "actors" | "loaded">;

/** By `--flow`, or undeployed and not stopped yet. */
function givenOn(members: readonly NodeRecord[]): readonly Given[] {
  const found = new Map<string, { name: string; hash: string; actors: number; loaded: string[] }>();
  for (const { name: node, flows } of members) {
    for (const { name, code, hosted } of flows) {
      const line = found.get(`${name}@${code}`) ?? { name, hash: code, actors: 0, loaded: [] };
      line.actors += hosted;
      line.loaded.push(node);
      found.set(`${name}@${code}`, line);
    }
  }
  return [...found.values()];
}

/** Of nodes that are of no cluster: `millrace run`, programs. */
async function aloneOn(broker: Broker, clustered: readonly TakingNode[]): Promise<readonly Given[]> {
  const found: Given[] = [], alone = (await readNodes(broker.keys)).filter(({ name }) => !clustered.some(({ node }) => node === name));
  await bounded(alone, atOnce, async ({ name: node }) => {
    const report = await heard(() => askTree(broker, node));
    for (const { name, code } of report?.flows ?? []) found.push({ name, hash: code, loaded: [node], actors: report?.lines.filter(({ kind, id }) => kind === "actor" && id.startsWith(`${name}/`)).length ?? 0 });
  });
  return found;
}

/** `undefined`: nobody answers, or who answers is of no cluster. */
async function heard<T>(question: () => Promise<T>): Promise<T | undefined> {
  try {
    return await question();
  } catch (error) {
    if (error instanceof MillraceError && ["NOT_FOUND", "UNREACHABLE", "REQUEST_FAILED", "NO_CLUSTER"].includes(error.code)) return undefined;
    throw error;
  }
}
