// The flows of a cluster as a node knows them that leads it: which are to run, how their runs begin and end, and what their keys say. Where their
// actors are is no question here.
import type { Broker } from "../broker/broker.ts";
import type { FlowDirectory, WantedFlow } from "../cluster/leader.ts";
import { type LogTail, tailOf } from "../cluster/log-tail.ts";
import { beatMs, type Membership } from "../cluster/membership.ts";
import { type ClusterState, type FlowSeats, unplaced } from "../cluster/placement-record.ts";
import { lacksRoom } from "../cluster/placement-room.ts";
import { asError, MillraceError } from "../event/errors.ts";
import { anywhere } from "../flow/plan.ts";
import { askToBegin, type Begun } from "./begin-order.ts";
import { bounded } from "./bounded.ts";
import { modeOf, noteRun } from "./deployment-note.ts";
import type { FlowCatalog } from "./flow-catalog.ts";
import type { HostEnvironment } from "./hosted-flow.ts";
import { FlowRun, type RunEnvironment } from "./run.ts";
import { type KeptRun, readRun } from "./run-record.ts";
import { countsOf } from "./stage-generations.ts";
import { recordUpgrade } from "./upgrade-record.ts";

export interface PlacedDirectoryOptions {
  readonly host: Pick<HostEnvironment, "broker" | "clock" | "log">;
  readonly run: RunEnvironment;
  readonly membership: () => Membership;
  readonly placed: () => ClusterState;
  readonly catalog: FlowCatalog;
  /** A flow cannot be begun. */
  readonly refused: (flow: string, error: Error) => void;
  /** Its run was lost, as was told, and is there again. */
  readonly found: (flow: string) => void;
  /** Signature of the deployment that has that code. */
  readonly deploymentOf: (flow: string, code: string) => string | undefined;
  /** That code is what is deployed from now on. `true`: this node has heard so. */
  readonly redeployed: (flow: string, code: string) => Promise<boolean>;
}

const atOnce = 32;
/** The actors of a flow that was undeployed are waited for so long. In ms. */
const settleMs = 60_000;
/** That a run is lost is told again after so long. In ms. */
const toldAgainMs = 60_000;
/** What nodes tell of it is of after it was undeployed. In ms. */
const hearMs = 3 * beatMs;

export class PlacedDirectory implements FlowDirectory {
  readonly #options: PlacedDirectoryOptions;
  /** When it was told at last that the run of a flow is lost. Monotonic ms. */
  readonly #toldAt = new Map<string, number>();

  constructor(options: PlacedDirectoryOptions) {
    this.#options = options;
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
    const { catalog, refused, host: { clock, log } } = this.#options, isLost = error instanceof MillraceError && error.code === "BROKER_WENT_BACK", now = clock.monotonic();
    if (!catalog.has(flow)) return;
    // Nodes stay for who repairs it (P31), and look again.
    if (isLost && now - (this.#toldAt.get(flow) ?? -Infinity) >= toldAgainMs) {
      this.#toldAt.set(flow, now);
      log.error(error.message);
      if (catalog.isWanted(flow)) refused(flow, error);
    }
    if (isLost) return;
    catalog.done(flow);
    refused(flow, error);
  }

  async run(flow: string): Promise<{ readonly token: string; readonly code: string; readonly finished: boolean } | undefined> {
    const kept = await readRun(this.#broker.keys, flow);
    if (kept !== undefined && this.#toldAt.delete(flow)) this.#options.found(flow);
    return kept === undefined ? undefined : { token: kept.record.token, code: kept.record.code, finished: kept.record.state === "finished" };
  }

  async begin(name: string): Promise<Begun> {
    if (!this.#options.catalog.has(name)) return await this.#beginElsewhere(name);
    const flow = this.#options.catalog.flow(name), { plan, code } = flow, { run: env, membership } = this.#options, kept = await readRun(this.#broker.keys, name);
    const full = lacksRoom(this.#options.placed().flows.values(), name, plan.stages.reduce((sum, { parallelism }) => sum + parallelism, 0), this.#broker.maxPayload);
    if (full !== undefined) throw full;
    const mode = await modeOf(this.#broker.keys, flow, kept?.record);
    // Whoever of the cluster began it, it is the cluster's: no other node has it.
    const node = kept !== undefined && membership().node(kept.record.node) !== undefined ? kept.record.node : env.node;
    // Journals of runs before go where this one is opened: here actors of a newer one may have begun by then.
    const { record } = await FlowRun.begin({ ...env, node, removeOldJournals: () => Promise.resolve() }, plan, code, mode);
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
      if (!(error instanceof MillraceError) || (error.code !== "UNREACHABLE" && error.code !== "FLOW_TAKEN")) this.refused(name, error);
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
    await FlowRun.of(this.#options.run, name, kept).mark("finished");
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
      if (isOver || (await this.#all(name, kept, (tail) => tail !== "held"))) await FlowRun.of(this.#options.run, name, kept).mark("stopped");
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

  /** Whether the tails of the logs of all its actors are so. */
  async #all(name: string, { record }: KeptRun, are: (tail: LogTail) => boolean): Promise<boolean> {
    let all = true;
    const actors = record.stages.flatMap(({ name: stage, generation, parallelism }) => Array.from({ length: parallelism }, (_, partition) => ({ stage, generation, partition })));
    await bounded(actors, atOnce, async ({ stage, generation, partition }) => {
      if (all && !are(await tailOf(this.#broker, name, stage, generation, partition))) all = false;
    });
    return all;
  }

  get #broker(): Broker {
    return this.#options.host.broker;
  }
}
