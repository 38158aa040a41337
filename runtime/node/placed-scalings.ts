// Scaling on a node of a cluster: answers what its own actors have done, keeps what it knows of the runs of its flows fresh, and leads the scaling
// of those flows that are this node's to lead: the cluster's leader's, where it has their code, else the first node's by name that has it.
import type { Clock } from "../event/clock.ts";
import type { ClusterState, FlowSeats } from "../cluster/placement-record.ts";
import { countOf, lacksRoom } from "../cluster/placement-room.ts";
import type { Membership } from "../cluster/membership.ts";
import { asError, MillraceError } from "../event/errors.ts";
import type { FlowCatalog } from "./flow-catalog.ts";
import type { HostedActor } from "./hosted-actor.ts";
import type { HostedFlow, HostEnvironment } from "./hosted-flow.ts";
import { LagWatch } from "./lag-watch.ts";
import { stanceOf } from "./local-scaling.ts";
import type { RunningNode } from "./node.ts";
import { PlacedRun } from "./placed-run.ts";
import { type GenerationAnswer, PlacedScaling } from "./placed-scaling.ts";
import type { Question } from "./questions.ts";
import { FlowRun, type RunEnvironment } from "./run.ts";
import { checkNotBehind } from "./run-note.ts";
import { readRun, type RunRecord } from "./run-record.ts";
import type { Change, Upstream } from "./scale-step.ts";
import { viewOf } from "./scale-view.ts";
import { FlowScaling } from "./scaling.ts";

export interface PlacedScalingsOptions {
  readonly node: RunningNode;
  readonly host: HostEnvironment;
  readonly run: RunEnvironment;
  readonly catalog: FlowCatalog;
  readonly membership: () => Membership;
  readonly placed: () => ClusterState;
  /** What is open on this node, by flow. */
  readonly open: () => ReadonlyMap<string, HostedFlow>;
  /** The number of seats may be another. */
  readonly reseat: () => void;
}

const lookMs = 1_000;
/** A commit that takes longer is waited for with the next look. In ms. */
const commitMs = 1_000;
/** Journals of generations that are over go after so long, in ms: by then nobody reads in them. */
const journalMs = 10_000;

export class PlacedScalings {
  readonly #options: PlacedScalingsOptions;
  readonly #lags = new WeakMap<HostedFlow, LagWatch>();
  /** By flow: run and code that the scaling in `node.scalings` is of. */
  readonly #led = new Map<string, string>();
  readonly #cancels = new Set<() => void>();
  #stopped = false;

  constructor(options: PlacedScalingsOptions) {
    this.#options = options;
  }

  start(): void {
    this.#options.node.orders.answer("generation", (question) => this.#answer(question));
    this.#later();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const cancel of this.#cancels) cancel();
    await Promise.all([...this.#options.node.scalings.values()].map((scaling) => scaling.close()));
    this.#options.node.scalings.clear();
  }

  /** The record of an open flow's run is another: what generations that are over have left here goes. */
  changed(flow: string, before: RunRecord, { stages }: RunRecord): void {
    const { host: { stores, log } } = this.#options;
    for (const { name, generation, parallelism } of before.stages) {
      if (stages.find((stage) => stage.name === name)?.generation === generation) continue;
      this.#after(journalMs, () => void (async () => {
        for (let p = 0; p < parallelism; p++) await stores.remove(`${flow}/${name}/${generation}/${p}`);
      })().catch((error: unknown) => log.debug("journals of a generation that is over could not be removed", { stage: `${flow}/${name}`, reason: asError(error).message })));
    }
  }

  #later(): void {
    this.#after(lookMs, () => void this.#look().finally(() => this.#later()));
  }

  async #look(): Promise<void> {
    const { open, placed } = this.#options, { flows } = placed();
    for (const [name, { run }] of open()) if (run instanceof PlacedRun) await this.#apart(name, () => run.look());
    for (const name of [...this.#led.keys()]) if (!this.#leads(flows.get(name))) this.#leave(name);
    for (const flow of flows.values()) if (this.#leads(flow)) await this.#apart(flow.name, async () => await (await this.#lead(flow))?.look());
  }

  /** What is wrong with one flow keeps no other from being scaled. */
  async #apart(flow: string, look: () => Promise<void>): Promise<void> {
    const { node, host: { log } } = this.#options;
    await look().catch((error: unknown) => log.debug("what of a flow is to be scaled could not be looked at", { flow, node: node.name, reason: asError(error).message }));
  }

  #leads(flow: FlowSeats | undefined): flow is FlowSeats {
    const { node, membership, placed, catalog } = this.#options, { leader } = placed();
    if (flow === undefined || flow.ended || this.#stopped) return false;
    const able = membership().nodes.filter(({ flows }) => flows.some(({ name, code }) => name === flow.name && code === flow.code)).map(({ name }) => name);
    const leads = leader !== undefined && able.includes(leader.node) ? leader.node : able[0];
    return leads === node.name && catalog.has(flow.name);
  }

  #leave(name: string): void {
    const { scalings } = this.#options.node;
    this.#led.delete(name);
    void scalings.get(name)?.close();
    scalings.delete(name);
  }

  /** `undefined`: its run is another by now. @throws MillraceError UNREACHABLE, CODE_MISSING */
  async #lead(flow: FlowSeats): Promise<FlowScaling | undefined> {
    const { name, run: token, code } = flow, { node: { scalings }, host, catalog, membership, reseat } = this.#options, id = `${token}@${code}`;
    if (this.#led.get(name) === id) return scalings.get(name);
    this.#leave(name);
    const kept = await readRun(host.broker.keys, name), { plan } = catalog.flow(name, code);
    if (kept?.record.token !== token || kept.record.state !== "running" || this.#stopped) return undefined;
    const { notes } = this.#options.run;
    checkNotBehind(name, await notes.read(name), kept);
    await notes.write(name, kept);
    const run = FlowRun.of(this.#options.run, name, kept), obstacle = (to?: { readonly stage: string; readonly count: number }): MillraceError | undefined => this.#obstacle(name, to);
    const scaling = new FlowScaling(host, new PlacedScaling({ broker: host.broker, membership, obstacle, reseat }, plan, run));
    if (this.#stopped) return undefined;
    this.#led.set(name, id);
    scalings.set(name, scaling);
    scaling.resume();
    return scaling;
  }

  #obstacle(name: string, to?: { readonly stage: string; readonly count: number }): MillraceError | undefined {
    const { host: { broker }, placed } = this.#options, { flows } = placed(), flow = flows.get(name), more = (to?.count ?? 0) - (flow?.stages.find((one) => one.name === to?.stage)?.seats.length ?? 0);
    // Fewer can be had whatever room there is.
    const lack = flow === undefined || more <= 0 ? undefined : lacksRoom(flows.values(), name, countOf(flow) + more, broker.maxPayload);
    if (lack !== undefined || flow?.upgrade === undefined) return lack;
    return new MillraceError("UPGRADE_UNDER_WAY", name, `Flow "${name}" is going over to another code`, "Scale it when that is done, or taken back; `millrace flows` tells.");
  }

  async #answer({ flow, run, revision, change, cost, lags }: Question): Promise<GenerationAnswer> {
    const { open, host: { clock }, node } = this.#options, hosted = typeof flow === "string" ? open().get(flow) : undefined;
    if (hosted === undefined || !(hosted.run instanceof PlacedRun) || hosted.run.record.token !== run) return {};
    if (typeof revision === "number" && revision > hosted.run.revision) await hosted.run.look();
    return {
      ...(isChange(change) ? { view: await viewOf(hosted, change, { node: node.name, now: clock.monotonic(), cost: cost === true, stanceOf: (actor) => stanceInTime(actor, change, clock) }) } : {}),
      ...(lags === true ? { lags: await this.#watch(hosted).look(clock.monotonic()) } : {}),
    };
  }

  #watch(hosted: HostedFlow): LagWatch {
    const known = this.#lags.get(hosted) ?? new LagWatch(hosted);
    this.#lags.set(hosted, known);
    return known;
  }

  #after(ms: number, call: () => void): void {
    if (this.#stopped) return;
    const cancel = this.#options.host.clock.after(ms, () => {
      this.#cancels.delete(cancel);
      if (!this.#stopped) call();
    });
    this.#cancels.add(cancel);
  }
}

function stanceInTime(actor: HostedActor, change: Change, clock: Clock): Promise<Upstream["stance"]> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(commitMs, () => resolve("away"));
    stanceOf(actor, change).then(resolve, reject).finally(cancel);
  });
}

function isChange(value: unknown): value is Change {
  const change = value as Partial<Change> | null | undefined;
  return typeof change === "object" && typeof change?.stage === "string" && [change.from, change.to].every((of) => typeof of?.generation === "string" && Number.isSafeInteger(of.count) && of.count >= 1 && of.count <= 1_024);
}
