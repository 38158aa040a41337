// A node of a cluster: joins, hosts what is placed here, leads when it comes to that, leaves in order. A node without a cluster
// (node.ts alone) has none of it: no heartbeat, no lease, all its actors on itself.
import { Heartbeat } from "../cluster/heartbeat.ts";
import { Host } from "../cluster/host.ts";
import { Leader } from "../cluster/leader.ts";
import { Lease } from "../cluster/lease.ts";
import type { Membership } from "../cluster/membership.ts";
import { PlacementLog } from "../cluster/placement-log.ts";
import type { ClusterState } from "../cluster/placement-record.ts";
import { MillraceError } from "../event/errors.ts";
import { labelForm } from "../flow/option-table.ts";
import { codeOfShape, type HostEnvironment } from "./hosted-flow.ts";
import type { NodeWatch, RunningNode } from "./node.ts";
import { checkNodeOptions, type NodeOptions, plansOf } from "./options.ts";
import { type BundleLoader, DeployedFlows } from "./deployed-flows.ts";
import { answerBegin } from "./begin-order.ts";
import { FlowCatalog } from "./flow-catalog.ts";
import { answerHolds, FlowHolds } from "./flow-hold.ts";
import { LeftJournals } from "./left-journals.ts";
import { PlacedDirectory } from "./placed-directory.ts";
import { PlacedFlows } from "./placed-flows.ts";
import { PlacedScalings } from "./placed-scalings.ts";
import { answerPlacement } from "./placement-questions.ts";
import type { RunEnvironment } from "./run.ts";
import { treeAt } from "./tree-place.ts";

export interface ClusterNodeOptions extends Omit<NodeOptions, "run"> {
  /** How much it takes, against the others. Default 1. */
  readonly weight?: number;
  /** What it offers to actors that ask for it, such as "zone=a". Default: nothing. */
  readonly labels?: readonly string[];
  /** Most actors that it takes. Default: no limit. */
  readonly capacity?: number;
  /** The first placement of its flows waits for so many nodes that have their code, at most 15 s. Default 1. */
  readonly nodes?: number;
  /** Flows that one of these public keys signed run here, when they are deployed. Default: none is taken. */
  readonly deployed?: { readonly trusted: readonly string[]; readonly load: BundleLoader };
  /** Of Millrace. */
  readonly version: string;
}

const mostLabels = 64;

/** @throws MillraceError OPTION_INVALID, and what startNode throws */
export async function startClusterNode(options: ClusterNodeOptions, watch: NodeWatch, startNode: (options: NodeOptions, watch: NodeWatch) => Promise<RunningNode>): Promise<ClusterNode> {
  checkClusterOptions(options);
  const plans = plansOf(options.flows ?? []).map((plan) => watch.plan?.(plan) ?? plan), loaded = plans.map((plan) => ({ plan, code: watch.code?.(plan) ?? codeOfShape(plan), nodes: options.nodes ?? 1 }));
  const node = await startNode({ ...options, flows: [] }, watch), { hostEnvironment: host, parts: { removeOldJournals } } = node;
  const catalog = new FlowCatalog(loaded);
  const cluster = new ClusterNode(node, host, catalog, { ...host, notes: node.notes, removeOldJournals, ask: watch.ask }, options);
  try {
    await cluster.start();
    return cluster;
  } catch (error) {
    await cluster.stop();
    throw error;
  }
}

function checkClusterOptions(options: ClusterNodeOptions): void {
  checkNodeOptions(options);
  const { weight = 1, labels = [], capacity = 1, nodes = 1 } = options;
  const hold = (fine: boolean, option: string, value: unknown, remedy: string): void => {
    if (!fine) throw new MillraceError("OPTION_INVALID", `node.${option}`, `${option} is ${JSON.stringify(value)}`, remedy);
  };
  hold(weight > 0 && weight <= 1_000, "weight", weight, "Give a number above 0, at most 1,000.");
  hold(labels.length <= mostLabels && labels.every((label) => labelForm.test(label)), "labels", labels, `Give at most ${mostLabels} of 1 to 63 letters, digits and . _ = / -, such as zone=a.`);
  hold(Number.isInteger(capacity) && capacity >= 0, "capacity", capacity, "Give a whole number of actors.");
  hold(Number.isInteger(nodes) && nodes >= 1, "nodes", nodes, "Give a whole number from 1.");
}

export class ClusterNode implements AsyncDisposable {
  readonly node: RunningNode;
  /** Resolves when all the flows that it was started with have ended, or when it was stopped. Rejects where one cannot be begun, and with NODE_NAME_TAKEN where another node has its name. */
  readonly done: Promise<void>;
  readonly heartbeat: Heartbeat;
  readonly placements: PlacementLog;
  readonly lease: Lease;
  readonly host: Host;
  readonly #flows: PlacedFlows;
  readonly #directory: PlacedDirectory;
  readonly #deployed: DeployedFlows;
  readonly #leader: Leader;
  readonly #scalings: PlacedScalings;
  readonly #holds: FlowHolds;
  readonly #left: LeftJournals;
  /** Flows that it was started with and that have not ended yet, by the run that was there before. */
  readonly #awaited = new Map<string, string | undefined>();
  #settle: { readonly resolve: () => void; readonly reject: (error: Error) => void } = { resolve: () => {}, reject: () => {} };
  #stopping: Promise<void> | undefined;
  #started = false;

  constructor(node: RunningNode, env: HostEnvironment, catalog: FlowCatalog, run: RunEnvironment, { weight = 1, labels = [], capacity, version, deployed }: ClusterNodeOptions) {
    const { broker, clock, random, log, replicas } = env, { name } = node, life = Buffer.from(random.bytes(8)).toString("hex");
    this.node = node;
    this.done = new Promise((resolve, reject) => { this.#settle = { resolve, reject }; });
    // Who does not look at `done` is not to die of it.
    this.done.catch(() => {});
    const given = new Set(catalog.wanted.map((flow) => flow.name));
    const membership = (): Membership => this.heartbeat.membership;
    this.#flows = new PlacedFlows({
      node, host: env, run, catalog, seats: (flow) => this.placements.state.flows.get(flow), running: (flow) => this.host.running(flow), changed: () => this.#tellOfUpgrades(),
      rerecorded: (flow, before, after) => this.#scalings.changed(flow, before, after), fenced: (actor) => this.host.fenced(actor),
    });
    this.#directory = new PlacedDirectory({
      host: env, run, catalog, membership, placed: () => this.placements.state, deploymentOf: (flow, code) => this.#deployed.deploymentOf(flow, code)?.signature, redeployed: (flow, code) => this.#deployed.settle(flow, code),
      refused: (flow, error) => (given.has(flow) ? this.#settle.reject(error) : this.#deployed.refuse(flow, error)), found: (flow) => this.#deployed.found(flow),
    });
    this.#deployed = new DeployedFlows({
      broker, clock, log, replicas, catalog, load: deployed?.load, trusted: new Set(deployed?.trusted), given,
      admit: (plan) => void env.isolation?.(plan),
      changed: () => { this.heartbeat.tell(); this.#leader.poke(); },
    });
    this.heartbeat = new Heartbeat({
      broker, clock, log, replicas, self: { name, life, weight, labels, ...(capacity === undefined ? {} : { capacity }), version, startedAt: node.startedAt },
      flows: () => this.#flows.figures((flow) => this.host.hosted(flow)),
      onTwin: () => this.#settle.reject(new MillraceError("NODE_NAME_TAKEN", name, `A node named ${name} is there already`, "Give this one another --name.")),
      onChange: (of, change) => {
        if (change !== "changed") log.info(`node ${of}: ${change}`);
        this.#leader.changed(change);
      },
    });
    this.placements = new PlacementLog({ broker, clock, random, log, replicas, onRecord: () => this.#follow() });
    this.lease = new Lease(this.placements, this.heartbeat.membership, { name, life });
    this.host = new Host({ node: name, clock, log, membership: this.heartbeat.membership, hosting: this.#flows, onRunning: () => this.#tellOfUpgrades(), isHeld: (flow) => this.#holds.isHeld(flow) });
    this.#holds = new FlowHolds({ node: name, broker, clock, stores: env.stores, notes: node.notes, close: (flow) => this.#closeForRepair(flow), open: () => this.#follow() });
    this.#left = new LeftJournals({
      ...env, notes: node.notes, journalsOf: node.parts.journalsOf ?? (() => Promise.resolve([])), placed: () => this.placements.state, isHere: (actor) => treeAt(node.root, actor) !== undefined,
      isHeld: (flow) => this.#holds.isHeld(flow), aside: (actor, work) => this.#flows.standbys.aside(actor, work),
    });
    this.#leader = new Leader({ clock, log, lease: this.lease, placements: this.placements, membership: this.heartbeat.membership, directory: this.#directory });
    this.#scalings = new PlacedScalings({ node, host: env, run, catalog, membership, placed: () => this.placements.state, open: () => this.#flows.opened, reseat: () => this.#leader.poke() });
  }

  async start(): Promise<void> {
    await this.placements.start();
    for (const { name } of this.#directory.wanted()) this.#awaited.set(name, this.placements.state.flows.get(name)?.ended === true ? this.placements.state.flows.get(name)?.run : undefined);
    answerPlacement(this.node, { placements: this.placements, membership: this.heartbeat.membership, leader: this.#leader, host: this.host, moves: this.#flows.moves });
    this.#scalings.start();
    answerHolds(this.node, this.#holds);
    answerBegin(this.node, (flow, code) => this.#directory.beginHere(flow, code));
    this.node.questions.answer("copies", () => Promise.resolve(this.#flows.standbys.copies()));
    this.node.questions.answer("flows", () => Promise.resolve(this.#deployed.report));
    await this.heartbeat.start();
    this.#started = true;
    this.#follow();
    this.#leader.start();
    this.#left.start();
    await this.#deployed.start();
  }

  /** Leaves in order: its actors commit and stop, then it says that it has left, and they go on elsewhere. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #stop(): Promise<void> {
    this.host.stop();
    this.#leader.stop();
    try {
      await this.#deployed.stop();
      await this.#scalings.stop();
      await this.#left.stop();
      await this.#flows.standbys.stop();
      await this.node.root.stop();
      await this.heartbeat.stop();
      await this.placements.stop();
    } finally {
      await this.node.stop();
      this.#settle.resolve();
    }
  }

  /** What actors that go over to another code have come to is told at once: the next one waits for it. */
  #tellOfUpgrades(): void {
    if ([...this.placements.state.flows.values()].some(({ upgrade }) => upgrade !== undefined)) this.heartbeat.tell();
  }

  /** Its actors and its warm copies here: who repairs it reads their journals. */
  async #closeForRepair(flow: string): Promise<void> {
    const { standbys } = this.#flows, copies = standbys.copies(flow);
    this.host.reopen(flow);
    await Promise.all([this.#flows.close(flow), this.#left.idle, ...copies.map(({ actor }) => standbys.release(actor))]);
  }

  #unheld(): ClusterState {
    const { state } = this.placements, flows = new Map([...state.flows].filter(([flow]) => !this.#holds.isHeld(flow)));
    return flows.size === state.flows.size ? state : { ...state, flows };
  }

  #follow(): void {
    if (!this.#started || this.#stopping !== undefined) return;
    this.#flows.standbys.follow(this.#unheld());
    this.host.follow(this.placements.state);
    this.#flows.follow();
    for (const [flow, before] of this.#awaited) {
      const seats = this.placements.state.flows.get(flow);
      if (seats?.ended !== true || seats.run === before) continue;
      this.#directory.ended(flow);
      this.#awaited.delete(flow);
      if (this.#awaited.size === 0) this.#settle.resolve();
    }
    this.#leader.poke();
  }
}
