// The flows of a node in a cluster: what the cluster's leader and host need of the node that they are part of.
import type { Broker } from "../broker/broker.ts";
import type { FlowDirectory, WantedFlow } from "../cluster/leader.ts";
import type { Done, Hosting, PlannedMove } from "../cluster/host.ts";
import { type LogTail, tailOf } from "../cluster/log-tail.ts";
import type { Membership } from "../cluster/membership.ts";
import type { NodeFlow } from "../cluster/node-record.ts";
import { anywhere } from "../cluster/placement.ts";
import type { FlowSeats, SeatState } from "../cluster/placement-record.ts";
import { asError, MillraceError } from "../event/errors.ts";
import type { Root } from "../supervision/root.ts";
import type { TreeNode } from "../supervision/tree.ts";
import { askToBegin, type Begun } from "./begin-order.ts";
import { bounded } from "./bounded.ts";
import { modeOf, noteRun } from "./deployment-note.ts";
import type { FlowCatalog } from "./flow-catalog.ts";
import type { FlowWatch } from "./flow-end.ts";
import { askFor, warmHere } from "./hand-over.ts";
import { HostedFlow, type HostEnvironment } from "./hosted-flow.ts";
import type { RunningNode } from "./node.ts";
import { MoveLedger } from "./move-ledger.ts";
import { FlowRun, type RunEnvironment } from "./run.ts";
import { type KeptRun, readRun } from "./run-record.ts";

export interface PlacedFlowsOptions {
  readonly node: RunningNode;
  readonly host: HostEnvironment;
  readonly run: RunEnvironment;
  readonly membership: () => Membership;
  readonly catalog: FlowCatalog;
  /** An actor that was placed here belongs to another owner. */
  readonly fenced: (actor: string) => void;
  /** A flow cannot be begun. */
  readonly refused: (flow: string, error: Error) => void;
}

const atOnce = 32;
/** The actors of a flow that was undeployed are waited for so long. In ms. */
const settleMs = 60_000;
const unplaced: SeatState = { node: null, since: 0, from: null, standby: [] };

export class PlacedFlows implements Hosting, FlowDirectory {
  readonly #options: PlacedFlowsOptions;
  readonly #open = new Map<string, HostedFlow>();
  /** Openings and closings of a flow come one after another. */
  readonly #turns = new Map<string, Promise<unknown>>();
  /** What moves to and from this node cost. */
  readonly moves: MoveLedger;

  constructor(options: PlacedFlowsOptions) {
    this.#options = options;
    this.moves = new MoveLedger(options.host.broker, options.host.clock);
  }

  wanted(): readonly WantedFlow[] {
    const { catalog, membership } = this.#options, others = new Map<string, WantedFlow>();
    for (const { flows } of membership().nodes) for (const { name, code, wanted } of flows) if (wanted === true && !catalog.has(name) && catalog.isDeployed(name, code)) others.set(name, { name, code, nodes: 1 });
    return [...catalog.wanted, ...others.values()];
  }

  /** The end of a flow was seen. */
  ended(flow: string): void {
    this.#options.catalog.done(flow);
  }

  refused(flow: string, error: Error): void {
    // A node that has its code has refused it, and tells.
    if (!this.#options.catalog.has(flow)) return;
    this.#options.catalog.done(flow);
    this.#options.refused(flow, error);
  }

  /** For the heartbeat. `hosted`: addresses of what is placed here. */
  figures(hosted: (flow: string) => readonly string[]): readonly NodeFlow[] {
    return this.#options.catalog.offered((name) => this.#open.has(name)).map(({ plan: { name }, code }) => {
      const here = new Set(hosted(name)), states = this.#open.has(name) ? actorStates(this.#options.node, name, here) : [];
      const wanted = this.#options.catalog.isWanted(name) ? { wanted: true as const } : {};
      return { name, code, hosted: here.size, ended: states.filter((state) => state === "ended").length, stuck: states.filter((state) => state === "parked").length, ...wanted };
    });
  }

  async run(flow: string): Promise<{ readonly token: string; readonly code: string; readonly finished: boolean } | undefined> {
    const kept = await readRun(this.#broker.keys, flow);
    return kept === undefined ? undefined : { token: kept.record.token, code: kept.record.code, finished: kept.record.state === "finished" };
  }

  async begin(name: string): Promise<Begun> {
    if (!this.#options.catalog.has(name)) return await this.#beginElsewhere(name);
    const flow = this.#options.catalog.flow(name), { plan, code } = flow, { run: env, membership } = this.#options, kept = await readRun(this.#broker.keys, name);
    const mode = await modeOf(this.#broker.keys, flow, kept?.record);
    // Whoever of the cluster began it, it is the cluster's: no other node has it.
    const node = kept !== undefined && membership().node(kept.record.node) !== undefined ? kept.record.node : env.node;
    const { record } = await FlowRun.begin({ ...env, node }, plan, code, mode), { change } = record;
    await noteRun(this.#broker.keys, flow, record);
    if (change !== undefined) throw new MillraceError("SCALE_UNDER_WAY", `${name}/${change.stage}`, `Stage "${change.stage}" is being scaled to ${change.parallelism}, and that is led by a node that has the whole flow`, "Run it with `millrace run` until that is done, then start it on several nodes.");
    return { token: record.token, stages: record.stages.map((stage) => ({ name: stage.name, place: anywhere, seats: Array.from({ length: stage.parallelism }, () => unplaced) })) };
  }

  /** For a leader that does not have its code. @throws MillraceError what `begin` throws, CODE_MISSING */
  async beginHere(name: string, code: string): Promise<Begun> {
    const { catalog } = this.#options;
    if (!catalog.isWanted(name) || !catalog.isDeployed(name, code)) throw new MillraceError("CODE_MISSING", name, `Flow "${name}" is not to run by this node's deployments`, "It is looked at again in a moment.");
    try {
      return await this.begin(name);
    } catch (thrown) {
      const error = asError(thrown);
      if (!(error instanceof MillraceError) || error.code !== "UNREACHABLE") this.refused(name, error);
      throw error;
    }
  }

  async #beginElsewhere(name: string): Promise<Begun> {
    const { catalog, membership } = this.#options;
    for (const node of membership().nodes) for (const flow of node.flows) if (flow.name === name && flow.wanted === true && catalog.isDeployed(name, flow.code)) return await askToBegin(this.#broker, node.name, name, flow.code);
    throw new MillraceError("UNREACHABLE", name, `No node has the code of flow "${name}" any more`, "It is looked at again in a moment.");
  }

  async finish({ name, run: token }: FlowSeats): Promise<boolean> {
    const kept = await readRun(this.#broker.keys, name);
    if (kept?.record.token !== token) return false;
    if (kept.record.state === "finished") return true;
    if (!(await this.#all(name, kept, (tail) => tail === "ended"))) return false;
    await (await FlowRun.attach(this.#options.run, name, kept)).mark("finished");
    return true;
  }

  stops({ name, code }: FlowSeats): boolean {
    return this.#options.catalog.stopping(name, code) !== undefined;
  }

  async settle({ name, run: token, code }: FlowSeats): Promise<void> {
    const withdrawal = this.#options.catalog.stopping(name, code), { clock, log } = this.#options.host, kept = await readRun(this.#broker.keys, name);
    if (withdrawal === undefined) return;
    if (kept?.record.token === token && kept.record.code === code && kept.record.state === "running") {
      withdrawal.until ??= clock.monotonic() + settleMs;
      if (await this.#all(name, kept, (tail) => tail !== "held")) await (await FlowRun.attach(this.#options.run, name, kept)).mark("stopped");
      else if (clock.monotonic() < withdrawal.until) return;
      // One whose node was killed never lets go; who resumes the run takes its log over.
      else log.warn(`${name} was undeployed, and not all of its actors stopped in order; nothing is lost: deployed again they go on from their logs`);
    }
    withdrawal.settled = true;
  }

  /** Whether the tails of the logs of all its actors are so. */
  async #all(name: string, { record }: KeptRun, are: (tail: LogTail) => boolean): Promise<boolean> {
    let all = true;
    const actors = record.stages.flatMap(({ name: stage, generation, parallelism }) => Array.from({ length: parallelism }, (_, partition) => ({ stage, generation, partition })));
    await bounded(actors, atOnce, async ({ stage, generation, partition }) => {
      if (all && !are(await tailOf(this.#broker, name, stage, generation, partition))) all = false;
    });
    return all;
  }

  open(flow: FlowSeats): Promise<void> {
    return this.#inTurn(flow.name, async () => {
      await this.#close(flow.name);
      const { plan, code } = this.#options.catalog.flow(flow.name), { node, host, run: env } = this.#options, kept = await readRun(this.#broker.keys, flow.name);
      if (kept === undefined || kept.record.token !== flow.run) throw new MillraceError("RUN_MISSING", flow.name, `Run ${flow.run} of flow "${flow.name}" is not the one that its key tells of`, "It is looked at again in a moment; `millrace doctor` tells which runs there are.");
      if (kept.record.code !== code) throw new MillraceError("RUN_CHANGED", flow.name, `This node has another code of flow "${flow.name}" than run ${flow.run}`, "Start the node with the flow's file as it was when the run began.");
      const hosted = new HostedFlow(host, plan, await FlowRun.attach(env, flow.name, kept));
      await node.host(hosted, this.#watch(), true);
      this.#open.set(flow.name, hosted);
    });
  }

  close(flow: string): Promise<void> {
    return this.#inTurn(flow, () => this.#close(flow));
  }

  async start(actor: string, move?: PlannedMove): Promise<void> {
    const { root } = this.#options.node, hosted = this.#actor(actor);
    if (hosted === undefined) throw new MillraceError("NOT_FOUND", actor, "Its flow is not open on this node", "It is tried again in a moment.");
    const arrived = move === undefined ? undefined : this.moves.arriving(hosted, move);
    if (treeAt(root, actor) === undefined) await root.add(stageOf(actor), { kind: "actor", child: hosted.child });
    else await root.unpark(actor);
    arrived?.();
  }

  async stop(actor: string, movedBy?: number): Promise<void> {
    const { root } = this.#options.node, hosted = this.#actor(actor);
    if (treeAt(root, actor) === undefined) return;
    await root.remove(actor);
    if (hosted !== undefined && movedBy !== undefined) this.moves.departed(hosted, movedBy);
  }

  async warm(actor: string): Promise<void> {
    const hosted = this.#actor(actor);
    if (hosted !== undefined) await warmHere(hosted, this.#options.host);
  }

  handOver(actor: string, from: string, since: number): Promise<Done | null | undefined> {
    return askFor(actor, from, since, this.#options.host);
  }

  async released(actor: string): Promise<boolean> {
    const [flow, stage, partition] = actor.split("/") as [string, string, string], generation = this.#open.get(flow)?.generationOf(stage);
    return generation !== undefined && (await tailOf(this.#broker, flow, stage, generation, Number(partition))) !== "held";
  }

  get #broker(): Broker {
    return this.#options.host.broker;
  }

  #actor(address: string) {
    return this.#open.get(address.slice(0, address.indexOf("/")))?.actors.get(address);
  }

  async #close(flow: string): Promise<void> {
    if (this.#open.delete(flow)) await this.#options.node.forget(flow);
  }

  #inTurn(flow: string, task: () => Promise<void>): Promise<void> {
    const turn = (this.#turns.get(flow) ?? Promise.resolve()).then(task);
    this.#turns.set(flow, turn.catch(() => {}));
    return turn;
  }

  /** That the part of a flow on one node is over says nothing about the flow; that an actor belongs to another is the host's to judge. */
  #watch(): FlowWatch {
    return {
      finished: false,
      failure: undefined,
      ended: () => {},
      failed: (error) => {
        if (error instanceof MillraceError && error.code === "FLOW_TAKEN") this.#options.fenced(error.where);
      },
      stopped: () => Promise.resolve(),
    };
  }
}

function stageOf(actor: string): string {
  return actor.slice(0, actor.lastIndexOf("/"));
}

function treeAt(root: Root, id: string): TreeNode | undefined {
  try {
    return root.snapshot(id);
  } catch (error) {
    if (error instanceof MillraceError && error.code === "NOT_FOUND") return undefined;
    throw error;
  }
}

function actorStates({ root }: RunningNode, flow: string, of: ReadonlySet<string>): readonly string[] {
  const tree = treeAt(root, flow);
  // What its supervisor has given up is stuck with it.
  return (tree?.children ?? []).flatMap((stage) => stage.children.filter(({ id }) => of.has(id)).map(({ state }) => (stage.state === "parked" || tree?.state === "parked" ? "parked" : state)));
}
