// The flows of a node in a cluster: what the cluster's leader and host need of the node that they are part of.
import type { Broker } from "../broker/broker.ts";
import type { FlowDirectory, WantedFlow } from "../cluster/leader.ts";
import type { Done, Hosting, PlannedMove } from "../cluster/host.ts";
import { type LogTail, tailOf } from "../cluster/log-tail.ts";
import { beatMs, type Membership } from "../cluster/membership.ts";
import type { NodeFlow } from "../cluster/node-record.ts";
import type { FlowSeats, SeatState } from "../cluster/placement-record.ts";
import { asError, MillraceError } from "../event/errors.ts";
import { anywhere } from "../flow/plan.ts";
import { CodeExchange, type CodeExchangeOptions } from "./code-exchange.ts";
import { askToBegin, type Begun } from "./begin-order.ts";
import { bounded } from "./bounded.ts";
import { actorStates, treeAt } from "./tree-place.ts";
import { modeOf, noteRun } from "./deployment-note.ts";
import { recordUpgrade } from "./upgrade-record.ts";
import type { FlowCatalog } from "./flow-catalog.ts";
import type { FlowWatch } from "./flow-end.ts";
import { askFor, warmHere } from "./hand-over.ts";
import { HostedFlow, type HostEnvironment } from "./hosted-flow.ts";
import type { RunningNode } from "./node.ts";
import { MoveLedger } from "./move-ledger.ts";
import { PlacedRun } from "./placed-run.ts";
import { FlowRun, type RunEnvironment } from "./run.ts";
import { type KeptRun, readRun, type RunRecord } from "./run-record.ts";
import { countsOf } from "./stage-generations.ts";
import { Standbys } from "./standbys.ts";

export interface PlacedFlowsOptions extends Pick<CodeExchangeOptions, "seats" | "running" | "changed"> {
  readonly node: RunningNode;
  readonly host: HostEnvironment;
  readonly run: RunEnvironment;
  readonly membership: () => Membership;
  readonly catalog: FlowCatalog;
  /** An actor that was placed here belongs to another owner. */
  readonly fenced: (actor: string) => void;
  /** The record of an open flow's run is another: a stage of it is scaled, or was. */
  readonly rerecorded: (flow: string, before: RunRecord, after: RunRecord) => void;
  /** A flow cannot be begun. */
  readonly refused: (flow: string, error: Error) => void;
  /** Signature of the deployment that has that code. */
  readonly deploymentOf: (flow: string, code: string) => string | undefined;
  /** That code is what is deployed from now on. `true`: this node has heard so. */
  readonly redeployed: (flow: string, code: string) => Promise<boolean>;
}

const atOnce = 32;
/** The actors of a flow that was undeployed are waited for so long. In ms. */
const settleMs = 60_000;
/** What nodes tell of it is of after it was undeployed. In ms. */
const hearMs = 3 * beatMs;
const unplaced: SeatState = { node: null, since: 0, from: null, standby: [] };

export class PlacedFlows implements Hosting, FlowDirectory {
  readonly #options: PlacedFlowsOptions;
  readonly #open = new Map<string, HostedFlow>();
  /** Those that are being closed. */
  readonly #closing = new Set<string>();
  readonly #codes: CodeExchange;
  /** Openings and closings of a flow come one after another. */
  readonly #turns = new Map<string, Promise<unknown>>();
  /** What moves to and from this node cost. */
  readonly moves: MoveLedger;
  /** What it keeps of actors that run elsewhere. */
  readonly standbys: Standbys;

  constructor(options: PlacedFlowsOptions) {
    this.#options = options;
    this.moves = new MoveLedger(options.host.broker, options.host.clock);
    this.#codes = new CodeExchange({ ...options, moves: this.moves });
    this.standbys = new Standbys({ ...options.host, isHere: (actor) => treeAt(options.node.root, actor) !== undefined });
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
    const { catalog, node: { root }, seats } = this.#options;
    return catalog.offered((name) => this.#open.has(name) || this.#closing.has(name), seats).map(({ plan: { name }, code }) => {
      const open = this.#open.get(name), here = new Set(hosted(name).filter((actor) => (open?.actors.get(actor)?.code ?? catalog.flow(name).code) === code)), states = open === undefined ? [] : actorStates(root, name, here);
      const wanted = this.#options.catalog.isWanted(name) ? { wanted: true as const } : {}, kept = this.standbys.copies(name);
      return { name, code, hosted: here.size, ended: states.filter((state) => state === "ended").length, stuck: states.filter((state) => state === "parked").length, ...(kept.length === 0 ? {} : { copies: { kept: kept.length, warm: kept.filter(({ state }) => state === "warm").length } }), ...wanted, ...this.#codes.figures(name, code) };
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
    const { record } = await FlowRun.begin({ ...env, node }, plan, code, mode);
    await noteRun(this.#broker.keys, flow, record);
    return { token: record.token, stages: [...countsOf(record)].map(([stage, count]) => ({ name: stage, place: plan.stages.find(({ name: its }) => its === stage)?.place ?? anywhere, seats: Array.from({ length: count }, () => unplaced) })) };
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
    // A stage that is being scaled comes to its end as the one generation or the other.
    if (kept.record.change !== undefined) return false;
    if (!(await this.#all(name, kept, (tail) => tail === "ended"))) return false;
    await (await FlowRun.attach(this.#options.run, name, kept)).mark("finished");
    return true;
  }

  async counts({ name, run: token }: FlowSeats): Promise<ReadonlyMap<string, number>> {
    const kept = await readRun(this.#broker.keys, name).catch((error: unknown) => {
      // What cannot be read changes nothing, and keeps nobody else from a node.
      if (error instanceof MillraceError && error.code !== "UNREACHABLE") return undefined;
      throw error;
    });
    return kept?.record.token === token ? countsOf(kept.record) : new Map();
  }

  /** What runs of its flows are begun and gone on with by. */
  get runs(): RunEnvironment {
    return this.#options.run;
  }

  /** What is open on this node. */
  get opened(): ReadonlyMap<string, HostedFlow> {
    return this.#open;
  }

  stops(flow: FlowSeats): boolean {
    return this.#stopping(flow) !== undefined;
  }

  /** What was undeployed has the code of a flow, or the one that it was going over to. */
  #stopping({ name, code, upgrade }: FlowSeats) {
    const { catalog } = this.#options;
    return catalog.stopping(name, code) ?? (upgrade === undefined ? undefined : catalog.stopping(name, upgrade.to));
  }

  async settle(flow: FlowSeats): Promise<void> {
    const { name, run: token, code, upgrade } = flow, withdrawal = this.#stopping(flow), { clock, log } = this.#options.host, kept = await readRun(this.#broker.keys, name);
    if (withdrawal === undefined) return;
    if (kept?.record.token === token && [code, upgrade?.to].includes(kept.record.code) && kept.record.state === "running") {
      withdrawal.until ??= clock.monotonic() + settleMs;
      // One whose node was killed never lets go; it does not work any more either, and who resumes the run takes its log over.
      const isOver = clock.monotonic() >= withdrawal.until - settleMs + hearMs && this.#isNowhere(flow);
      if (isOver || (await this.#all(name, kept, (tail) => tail !== "held"))) await (await FlowRun.attach(this.#options.run, name, kept)).mark("stopped");
      else if (clock.monotonic() < withdrawal.until) return;
      else log.warn(`${name} was undeployed, and not all of its actors stopped in order; nothing is lost: deployed again they go on from their logs`);
    }
    withdrawal.settled = true;
  }

  /** Whether no node that is there has anything of it open: what does not say so has gone. */
  #isNowhere({ name, code, upgrade }: FlowSeats): boolean {
    return !this.#options.membership().nodes.some(({ flows }) => flows.some((its) => its.name === name && (its.code === code || its.code === upgrade?.to)));
  }

  upgraded(flow: FlowSeats) {
    return recordUpgrade(flow, this.#broker.keys, this.#options);
  }

  /** A record of the cluster's log came. */
  follow(): void {
    this.#codes.follow(this.#open.values());
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
    const { root } = this.#options.node, flow = this.#flowOf(actor);
    // Of which generation it is others may have decided.
    if (flow.run instanceof PlacedRun) await flow.run.look();
    const before = flow.actors.get(actor);
    if (before === undefined) throw notOpen(actor);
    const hosted = await this.#codes.make(flow, before, code);
    await this.standbys.release(actor);
    const arrived = move === undefined ? undefined : this.moves.arriving(hosted, move);
    if (treeAt(root, actor) === undefined) await root.add(stageOf(actor), { kind: "actor", child: this.#codes.child(flow, hosted) });
    else await root.unpark(actor);
    arrived?.();
  }

  exchange(actor: string, code: string, since: number): Promise<void> {
    return this.#codes.exchange(this.#flowOf(actor), actor, code, since);
  }

  async stop(actor: string, movedBy?: number): Promise<void> {
    const { root } = this.#options.node, hosted = this.#actor(actor);
    if (treeAt(root, actor) === undefined) return;
    await root.remove(actor);
    if (hosted !== undefined && movedBy !== undefined) this.moves.departed(hosted, movedBy);
  }

  async warm(actor: string): Promise<void> {
    const hosted = this.#actor(actor);
    await this.standbys.release(actor);
    if (hosted !== undefined) await warmHere(hosted, this.#options.host);
  }

  handOver(actor: string, from: string, since: number): Promise<Done | null | undefined> {
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

const notOpen = (actor: string): MillraceError => new MillraceError("NOT_FOUND", actor, "Its flow is not open on this node", "It is tried again in a moment.");

function stageOf(actor: string): string {
  return actor.slice(0, actor.lastIndexOf("/"));
}
