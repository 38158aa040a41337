// The flows of a node in a cluster, as far as it has a part of them: opens and closes them, and has those actors run that its host is told to.
import type { Broker } from "../broker/broker.ts";
import type { Done, Hosting, PlannedMove } from "../cluster/hosting.ts";
import { tailOf } from "../cluster/log-tail.ts";
import type { NodeFlow } from "../cluster/node-record.ts";
import type { FlowSeats } from "../cluster/placement-record.ts";
import { MillraceError } from "../event/errors.ts";
import { CodeExchange, type CodeExchangeOptions } from "./code-exchange.ts";
import { actorStates, treeAt } from "./tree-place.ts";
import type { FlowCatalog } from "./flow-catalog.ts";
import type { FlowWatch } from "./flow-end.ts";
import { askFor, warmHere } from "./hand-over.ts";
import type { HostedActor } from "./hosted-actor.ts";
import { HostedFlow, type HostEnvironment } from "./hosted-flow.ts";
import type { RunningNode } from "./node.ts";
import { MoveLedger } from "./move-ledger.ts";
import { PlacedRun } from "./placed-run.ts";
import { FlowRun, type RunEnvironment } from "./run.ts";
import { readRun, type RunRecord } from "./run-record.ts";
import { Standbys } from "./standbys.ts";

export interface PlacedFlowsOptions extends Pick<CodeExchangeOptions, "seats" | "running" | "changed"> {
  readonly node: RunningNode;
  readonly host: HostEnvironment;
  readonly run: RunEnvironment;
  readonly catalog: FlowCatalog;
  /** An actor that was placed here belongs to another owner. */
  readonly fenced: (actor: string) => void;
  /** The record of an open flow's run is another: a stage of it is scaled, or was. */
  readonly rerecorded: (flow: string, before: RunRecord, after: RunRecord) => void;
}

export class PlacedFlows implements Hosting {
  readonly #options: PlacedFlowsOptions;
  readonly #open = new Map<string, HostedFlow>();
  /** Those that are being closed. */
  readonly #closing = new Set<string>();
  readonly #codes: CodeExchange;
  /** Openings and closings of a flow come one after another. */
  readonly #turns = new Map<string, Promise<unknown>>();
  /** Actors that have stopped here since they are elsewhere, until their journals are closed. */
  readonly #leaving = new Map<string, Promise<void>>();
  /** Actors that were made ready for coming here, until they start here or do not come. */
  readonly #ready = new Map<string, { readonly hosted: HostedActor; looked?: Promise<void> }>();
  /** What moves to and from this node cost. */
  readonly moves: MoveLedger;
  /** What it keeps of actors that run elsewhere. */
  readonly standbys: Standbys;

  constructor(options: PlacedFlowsOptions) {
    this.#options = options;
    this.moves = new MoveLedger(options.host.clock);
    this.#codes = new CodeExchange({ ...options, moves: this.moves });
    this.standbys = new Standbys({ ...options.host, isHere: (actor) => treeAt(options.node.root, actor) !== undefined });
  }

  /** For the heartbeat. `hosted`: addresses of what is placed here. */
  figures(hosted: (flow: string) => readonly string[]): readonly NodeFlow[] {
    const { catalog, node: { root }, seats } = this.#options;
    return catalog.offered((name) => this.#open.has(name) || this.#closing.has(name), seats).map(({ plan: { name }, code }) => {
      const open = this.#open.get(name), here = new Set(hosted(name).filter((actor) => (open?.actors.get(actor)?.code ?? catalog.flow(name).code) === code)), states = open === undefined ? [] : actorStates(root, name, here);
      const wanted = this.#options.catalog.isWanted(name) ? { wanted: true as const } : {}, kept = this.standbys.copies(name);
      return { name, code, hosted: here.size, ended: states.filter((state) => state === "ended").length, stuck: states.filter((state) => state === "parked").length, ...(kept.length === 0 ? {} : { copies: { kept: kept.length, warm: kept.filter(({ state }) => state === "warm").length } }), ...wanted, ...this.#codes.figures(name, code) };
    });
  }

  /** What is open on this node. */
  get opened(): ReadonlyMap<string, HostedFlow> {
    return this.#open;
  }

  /** A record of the cluster's log came. */
  follow(): void {
    this.#codes.follow(this.#open.values());
  }

  open(flow: FlowSeats): Promise<void> {
    return this.#inTurn(flow.name, async () => {
      await this.#close(flow.name);
      const { plan, code } = this.#options.catalog.flow(flow.name, flow.code), { node, host, run: env } = this.#options, kept = await readRun(this.#broker.keys, flow.name);
      if (kept === undefined || kept.record.token !== flow.run) throw new MillraceError("RUN_MISSING", flow.name, `Run ${flow.run} of flow "${flow.name}" is not the one that its key tells of`, "It is looked at again in a moment; `millrace doctor` tells which runs there are.");
      if (kept.record.code !== code && kept.record.code !== flow.upgrade?.to) throw new MillraceError("RUN_CHANGED", flow.name, `This node has another code of flow "${flow.name}" than run ${flow.run}`, "Start the node with the flow's file as it was when the run began.");
      const its = new PlacedRun(await FlowRun.attach(env, flow.name, kept), host.clock), hosted = new HostedFlow(host, plan, its, code);
      its.onChanged = (before) => {
        hosted.adopt();
        this.#options.rerecorded(flow.name, before, its.record);
      };
      await node.host(hosted, this.#watch(), true);
      this.#open.set(flow.name, hosted);
    });
  }

  close(flow: string): Promise<void> {
    return this.#inTurn(flow, () => this.#close(flow));
  }

  async start(actor: string, move: PlannedMove | undefined, code: string): Promise<void> {
    await this.#leaving.get(actor);
    try {
      await this.#start(actor, move, code);
    } finally {
      await this.cool(actor);
    }
  }

  async #start(actor: string, move: PlannedMove | undefined, code: string): Promise<void> {
    const { root } = this.#options.node, flow = this.#flowOf(actor), ready = this.#ready.get(actor);
    // Of which generation it is others may have decided.
    await (ready?.looked ?? look(flow));
    const before = flow.actors.get(actor);
    if (before === undefined) throw notOpen(actor);
    const hosted = await this.#codes.make(flow, before, code);
    await this.standbys.release(actor);
    if (ready?.hosted !== hosted) await this.cool(actor);
    await hosted.check();
    const arrived = move === undefined ? undefined : this.moves.arriving(hosted, move);
    if (treeAt(root, actor) === undefined) await root.add(stageOf(actor), { kind: "actor", child: this.#codes.child(flow, hosted) });
    else await root.unpark(actor).catch(unlessItRuns);
    arrived?.();
  }

  exchange(actor: string, code: string, since: number): Promise<void> {
    return this.#codes.exchange(this.#flowOf(actor), actor, code, since);
  }

  async stop(actor: string, movedBy?: number): Promise<void> {
    const { root } = this.#options.node, hosted = this.#actor(actor);
    if (treeAt(root, actor) === undefined) return;
    await root.remove(actor);
    // One that is stopped since its stage was scaled is asked about yet.
    if (hosted === undefined || movedBy === undefined) return;
    this.moves.departed(hosted, movedBy);
    // Where it goes nobody waits for that.
    const leaving = hosted.closed().then(() => {
      this.#open.get(hosted.flow)?.leave(hosted);
      if (this.#leaving.get(actor) === leaving) this.#leaving.delete(actor);
    });
    this.#leaving.set(actor, leaving);
  }

  async warm(actor: string): Promise<void> {
    await this.#leaving.get(actor);
    await this.cool(actor);
    await this.standbys.release(actor);
    const hosted = this.#actor(actor);
    if (hosted === undefined) return;
    this.#ready.set(actor, { hosted });
    await warmHere(hosted, this.#options.host);
  }

  async cool(actor: string): Promise<void> {
    const ready = this.#ready.get(actor);
    this.#ready.delete(actor);
    await ready?.hosted.cool();
  }

  hurry(): () => void {
    return this.#options.host.shares.hurry();
  }

  standsStill(): () => void {
    return this.#options.host.shares.standsStill();
  }

  handOver(actor: string, from: string, since: number): Promise<Done | null | undefined> {
    const ready = this.#ready.get(actor), flow = this.#open.get(actor.slice(0, actor.indexOf("/")));
    if (ready !== undefined && flow !== undefined) {
      ready.looked = look(flow);
      // Whoever starts it hears of that.
      ready.looked.catch(() => {});
    }
    return askFor(actor, from, since, this.#options.host);
  }

  async released(actor: string): Promise<boolean> {
    const [flow, stage, partition] = actor.split("/") as [string, string, string], generation = this.#open.get(flow)?.divisionOf(stage)?.generation;
    return generation !== undefined && (await tailOf(this.#broker, flow, stage, generation, Number(partition))) !== "held";
  }

  get #broker(): Broker {
    return this.#options.host.broker;
  }

  #flowOf(address: string): HostedFlow {
    const flow = this.#open.get(address.slice(0, address.indexOf("/")));
    if (flow === undefined) throw notOpen(address);
    return flow;
  }

  #actor(address: string) {
    return this.#open.get(address.slice(0, address.indexOf("/")))?.actors.get(address);
  }

  async #close(flow: string): Promise<void> {
    if (!this.#open.delete(flow)) return;
    this.#closing.add(flow);
    for (const [actor, { hosted }] of this.#ready) if (hosted.flow === flow) await this.cool(actor);
    await this.#options.node.forget(flow).finally(() => this.#closing.delete(flow));
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

/** What its run's record says now is adopted. @throws MillraceError UNREACHABLE */
const look = async ({ run }: HostedFlow): Promise<void> => void (run instanceof PlacedRun && (await run.look()));

const notOpen = (actor: string): MillraceError => new MillraceError("NOT_FOUND", actor, "Its flow is not open on this node", "It is tried again in a moment.");

/** A person was faster, or it has ended. */
function unlessItRuns(error: unknown): void {
  if (!(error instanceof MillraceError) || error.code !== "NOT_PARKED") throw error;
}

function stageOf(actor: string): string {
  return actor.slice(0, actor.lastIndexOf("/"));
}
