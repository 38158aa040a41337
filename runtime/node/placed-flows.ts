// The flows of a node in a cluster: what the cluster's leader and host need of the node that they are part of.
import type { Broker } from "../broker/broker.ts";
import type { FlowDirectory, WantedFlow } from "../cluster/leader.ts";
import type { Hosting } from "../cluster/host.ts";
import { tailOf } from "../cluster/log-tail.ts";
import type { Membership } from "../cluster/membership.ts";
import type { NodeFlow } from "../cluster/node-record.ts";
import { anywhere } from "../cluster/placement.ts";
import type { FlowSeats, SeatState, StageSeats } from "../cluster/placement-record.ts";
import { MillraceError } from "../event/errors.ts";
import type { FlowPlan } from "../flow/plan.ts";
import type { Root } from "../supervision/root.ts";
import type { TreeNode } from "../supervision/tree.ts";
import { bounded } from "./bounded.ts";
import type { FlowWatch } from "./flow-end.ts";
import { HostedFlow, type HostEnvironment } from "./hosted-flow.ts";
import type { RunningNode } from "./node.ts";
import { FlowRun, type RunEnvironment } from "./run.ts";
import { readRun } from "./run-record.ts";

/** A flow that this node has the code of. */
export interface LoadedPlan {
  readonly plan: FlowPlan;
  /** Hash of its code. */
  readonly code: string;
  /** Its first placement waits for so many nodes that have its code. */
  readonly nodes: number;
}

export interface PlacedFlowsOptions {
  readonly node: RunningNode;
  readonly host: HostEnvironment;
  readonly run: RunEnvironment;
  readonly membership: () => Membership;
  readonly flows: readonly LoadedPlan[];
  /** An actor that was placed here belongs to another owner. */
  readonly fenced: (actor: string) => void;
  /** A flow cannot be begun. */
  readonly refused: (flow: string, error: Error) => void;
}

const atOnce = 32;
const unplaced: SeatState = { node: null, since: 0, from: null, standby: [] };

export class PlacedFlows implements Hosting, FlowDirectory {
  readonly #options: PlacedFlowsOptions;
  /** Flows of which the end was seen, or that were refused: not to be begun again by this node. */
  readonly #done = new Set<string>();
  readonly #open = new Map<string, HostedFlow>();
  /** Openings and closings of a flow come one after another. */
  readonly #turns = new Map<string, Promise<unknown>>();

  constructor(options: PlacedFlowsOptions) {
    this.#options = options;
  }

  wanted(): readonly WantedFlow[] {
    return this.#options.flows.filter(({ plan }) => !this.#done.has(plan.name)).map(({ plan: { name }, code, nodes }) => ({ name, code, nodes }));
  }

  /** The end of a flow was seen. */
  ended(flow: string): void {
    this.#done.add(flow);
  }

  refused(flow: string, error: Error): void {
    this.#done.add(flow);
    this.#options.refused(flow, error);
  }

  /** For the heartbeat. `hosted`: addresses of what is placed here. */
  figures(hosted: (flow: string) => readonly string[]): readonly NodeFlow[] {
    return this.#options.flows.map(({ plan: { name }, code }) => {
      const here = new Set(hosted(name)), states = this.#open.has(name) ? actorStates(this.#options.node, name, here) : [];
      return { name, code, hosted: here.size, ended: states.filter((state) => state === "ended").length, stuck: states.filter((state) => state === "parked").length };
    });
  }

  async run(flow: string): Promise<{ readonly token: string; readonly code: string; readonly finished: boolean } | undefined> {
    const kept = await readRun(this.#broker.keys, flow);
    return kept === undefined ? undefined : { token: kept.record.token, code: kept.record.code, finished: kept.record.state === "finished" };
  }

  async begin(name: string): Promise<{ readonly token: string; readonly stages: readonly StageSeats[] }> {
    const { plan, code } = this.#loaded(name), { run: env, membership } = this.#options, kept = await readRun(this.#broker.keys, name);
    // Whoever of the cluster began it, it is the cluster's: no other node has it.
    const node = kept !== undefined && membership().node(kept.record.node) !== undefined ? kept.record.node : env.node;
    const { record } = await FlowRun.begin({ ...env, node }, plan, code, "continue"), { change } = record;
    if (change !== undefined) throw new MillraceError("SCALE_UNDER_WAY", `${name}/${change.stage}`, `Stage "${change.stage}" is being scaled to ${change.parallelism}, and that is led by a node that has the whole flow`, "Run it with `millrace run` until that is done, then start it on several nodes.");
    return { token: record.token, stages: record.stages.map((stage) => ({ name: stage.name, place: anywhere, seats: Array.from({ length: stage.parallelism }, () => unplaced) })) };
  }

  async finish({ name, run: token }: FlowSeats): Promise<boolean> {
    const kept = await readRun(this.#broker.keys, name);
    if (kept?.record.token !== token) return false;
    if (kept.record.state === "finished") return true;
    let ended = true;
    const actors = kept.record.stages.flatMap(({ name: stage, generation, parallelism }) => Array.from({ length: parallelism }, (_, partition) => ({ stage, generation, partition })));
    await bounded(actors, atOnce, async ({ stage, generation, partition }) => {
      if (ended && (await tailOf(this.#broker, name, stage, generation, partition)) !== "ended") ended = false;
    });
    if (!ended) return false;
    await (await FlowRun.attach(this.#options.run, name, kept)).mark("finished");
    return true;
  }

  open(flow: FlowSeats): Promise<void> {
    return this.#inTurn(flow.name, async () => {
      await this.#close(flow.name);
      const { plan, code } = this.#loaded(flow.name), { node, host, run: env } = this.#options, kept = await readRun(this.#broker.keys, flow.name);
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

  async start(actor: string): Promise<void> {
    const { root } = this.#options.node, hosted = this.#actor(actor);
    if (hosted === undefined) throw new MillraceError("NOT_FOUND", actor, "Its flow is not open on this node", "It is tried again in a moment.");
    if (treeAt(root, actor) === undefined) await root.add(stageOf(actor), { kind: "actor", child: hosted.child });
    else await root.unpark(actor);
  }

  async stop(actor: string): Promise<void> {
    const { root } = this.#options.node;
    if (treeAt(root, actor) !== undefined) await root.remove(actor);
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

  #loaded(name: string): LoadedPlan {
    const found = this.#options.flows.find(({ plan }) => plan.name === name);
    if (found === undefined) throw new MillraceError("CODE_MISSING", name, `This node does not have the code of flow "${name}"`, "Start it with --flow and the flow's file.");
    return found;
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
