// A flow on this node: its actors as children for its supervisors, what they need, and what is to be known of them.
import { createHash } from "node:crypto";
import type { Counts } from "../actor/actor.ts";
import type { Seats } from "../actor/at-work.ts";
import type { ActorEnvironment, Division, Turnstile } from "../actor/environment.ts";
import type { EventLoopShares } from "../actor/fair-share.ts";
import type { Broker } from "../broker/broker.ts";
import type { Clock, Random } from "../event/clock.ts";
import type { Logger } from "../flow/context.ts";
import { fingerprintOf } from "../flow/fingerprint.ts";
import type { FlowPlan, StagePlan } from "../flow/plan.ts";
import type { Stores } from "../journal/store.ts";
import type { FlowSupervision } from "../supervision/flow-supervisor.ts";
import { type ActorGenerations, HostedActor } from "./hosted-actor.ts";
import type { Isolation } from "./isolated-actor.ts";
import type { FlowRun } from "./run.ts";
import type { Change } from "./scale-step.ts";
import { changeOf, StageGenerations } from "./stage-generations.ts";
import { type After, Succession } from "./succession.ts";

/** What all flows of a node share. */
export interface HostEnvironment {
  readonly node: string;
  readonly broker: Broker;
  readonly stores: Stores;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly soon: (call: () => void) => void;
  readonly shares: EventLoopShares;
  readonly retainMs: number;
  readonly replicas: 1 | 3;
  readonly oneByOne: Turnstile;
  readonly seats?: Seats | undefined;
  /** Where actors run that are isolated: `undefined` where a flow of this node has none. Throws MODULE_MISSING where they cannot. */
  readonly isolation?: ((plan: FlowPlan) => Isolation | undefined) | undefined;
}

/** What a flow on a node needs of its run. */
export type HostedRun = Pick<FlowRun, "record" | "resumed"> & {
  /**
   * Of a flow that is placed over nodes, whose run others change: resolves when it was looked what its record says now, and that is adopted;
   * never rejects.
   */
  readonly keepUp?: (signal: AbortSignal) => Promise<void>;
};

/** A code of a flow, as it was loaded. */
export interface FlowCode {
  readonly plan: FlowPlan;
  /** Its hash. */
  readonly code: string;
}

export class HostedFlow {
  /** Of its own code; while it is being upgraded, of the one before. */
  plan: FlowPlan;
  readonly run: HostedRun;
  readonly broker: Broker;
  /** By address, in the order of the stages and their partitions. */
  readonly actors: ReadonlyMap<string, HostedActor>;
  readonly #actors = new Map<string, HostedActor>();
  readonly #host: HostEnvironment;
  #env: ActorEnvironment;
  #isolation: Isolation | undefined;
  #isPlaced = false;
  /** Of the stage that is being scaled. */
  succession: Succession | undefined;
  #generations: ReadonlyMap<string, StageGenerations> = new Map();
  /** Called when more of the old generation is sealed. */
  onSealed = (): void => {};

  /** `code`: where that is another than the run's, since it is being upgraded. */
  constructor(host: HostEnvironment, plan: FlowPlan, run: HostedRun, code = run.record.code) {
    this.#host = host;
    this.plan = plan;
    this.run = run;
    this.broker = host.broker;
    this.#know();
    const env: ActorEnvironment = {
      ...host,
      flow: plan,
      code,
      // Only stages of the plan are asked for, and a run is not resumed where one of them is new.
      division: (stage) => (this.#generations.get(stage) as StageGenerations).inForce,
      generations: {
        first: (stage) => (this.#generations.get(stage) as StageGenerations).first,
        next: (stage) => (this.#generations.get(stage) as StageGenerations).next,
        retired: (stage, generation) => (this.#generations.get(stage) as StageGenerations).isRetired(generation),
      },
      readerCursor: (reader, input, from, generation, its) => this.#cursor(reader, input, from, generation, its),
    };
    this.#env = env;
    this.#isolation = host.isolation?.(plan);
    this.actors = this.#actors;
    this.#fill();
  }

  /** What the run's record says now: of a stage that is being scaled, and what has come of it (PROTOCOL 11). */
  adopt(): void {
    this.#know();
    if (this.run.keepUp !== undefined) this.#fill();
    if (this.succession === undefined) for (const actor of this.#actors.values()) actor.sealed = undefined;
    for (const { recovered } of this.#actors.values()) if (recovered?.signal.aborted === false) recovered.planChanged();
  }

  #know(): void {
    const { record } = this.run, { change } = record, before = this.succession, now = this.#host.clock.monotonic();
    this.#generations = new Map(this.plan.stages.map(({ name, parallelism }) => [name, new StageGenerations(record, name, parallelism)]));
    if (before?.change.to.generation !== change?.generation) {
      // Where it was carried out nobody waits any more, or it was not heard here that they may go on.
      if (before !== undefined && this.#generations.get(before.change.stage)?.inForce.generation === before.change.to.generation) before.switchOver(now);
      else before?.withdraw();
      this.succession = change === undefined ? undefined : new Succession(changeOf(record) as Change, () => this.onSealed());
    }
    if (this.run.keepUp !== undefined && change?.started === true) this.succession?.switchOver(now);
  }

  /** An actor for each partition that there may be; of a flow that is placed over nodes also for those of the next generation. */
  #fill(): void {
    const { succession } = this, next = this.run.keepUp === undefined ? undefined : succession?.change;
    for (const stage of this.plan.stages) {
      const count = Math.max(this.#generations.get(stage.name)?.inForce.count ?? 0, next?.stage === stage.name ? next.to.count : 0);
      for (let p = 0; p < count; p++) if (!this.#actors.has(`${this.name}/${stage.name}/${p}`)) this.addActor(stage, p);
      for (const { address, partition } of this.#of(stage)) if (partition >= count) this.#actors.delete(address);
    }
  }

  /** An actor of a generation is sealed: what comes after it. */
  async #after(stage: string, partition: number, sealed: string, signal: AbortSignal): Promise<After> {
    await this.run.keepUp?.(signal);
    if (signal.aborted) return "over";
    const its = this.#generations.get(stage) as StageGenerations, { succession } = this;
    if (its.isOver(sealed)) return partition < (this.divisionOf(stage) ?? its.inForce).count ? "goes on" : "over";
    return succession?.change.stage === stage && succession.change.from.generation === sealed ? await succession.succeed(partition, signal) : "withdrawn";
  }

  #generationsOf(stage: string, partition: number): ActorGenerations {
    return {
      place: () => (this.succession?.change.stage === stage ? this.succession.place() : undefined),
      after: (sealed, signal) => this.#after(stage, partition, sealed, signal),
    };
  }

  addActor(stage: StagePlan, partition: number): HostedActor {
    const actor = new HostedActor(this.#env, stage, partition, this.#generationsOf(stage.name, partition), this.#isolation);
    this.#actors.set(actor.address, actor);
    return actor;
  }

  /** Hash of its own code. */
  get code(): string {
    return this.#env.code;
  }

  /** In place of the actor at an address: the same one with another code. Neither of them runs. */
  exchange({ address, stage: { name }, partition }: HostedActor, { plan, code }: FlowCode): HostedActor {
    const stage = plan.stages.find((its) => its.name === name) as StagePlan, actor = new HostedActor({ ...this.#env, flow: plan, code }, stage, partition, this.#generationsOf(name, partition), this.#host.isolation?.(plan));
    this.#actors.set(address, actor);
    return actor;
  }

  /** Its own code is another from now on; actors that run have theirs. */
  upgraded({ plan, code }: FlowCode): void {
    this.plan = plan;
    this.#env = { ...this.#env, flow: plan, code };
    this.#isolation = this.#host.isolation?.(plan);
  }

  /** It runs on another node now: its state is not kept in memory here, and its counts are not counted twice. What it took before it was sealed is asked for yet. */
  leave(actor: HostedActor): void {
    if (actor.sealed === undefined && this.#actors.get(actor.address) === actor) this.#actors.set(actor.address, actor.anew());
  }

  removeActor(address: string): void {
    this.#actors.delete(address);
  }

  get name(): string {
    return this.plan.name;
  }

  generationOf(stage: string): string | undefined {
    return this.run.record.stages.find(({ name }) => name === stage)?.generation;
  }

  /** How a stage is divided on this node now: while it is being scaled, as the generation that runs. */
  divisionOf(stage: string): Division | undefined {
    return this.succession?.change.stage === stage ? this.succession.division : this.#generations.get(stage)?.inForce;
  }

  /** `placed`: actors come one by one, as they are placed here; none is there from the start. */
  supervision(placed = false): FlowSupervision {
    this.#isPlaced = placed;
    if (placed) return { run: this.run.record.token, actors: () => [], lasting: true };
    return { run: this.run.record.token, actors: (stage) => this.#of(stage).map(({ child }) => child) };
  }

  /** Sums over the actors of a stage. */
  counts(stage: StagePlan): Counts {
    const sum: Counts = { in: 0, out: 0, late: 0, deadLetters: 0 };
    for (const { counts } of this.#of(stage)) {
      sum.in += counts.in;
      sum.out += counts.out;
      sum.late += counts.late;
      sum.deadLetters += counts.deadLetters;
      if (counts.settled !== undefined) sum.settled = (sum.settled ?? 0) + counts.settled;
    }
    return sum;
  }

  #of(stage: StagePlan): HostedActor[] {
    return [...this.actors.values()].filter((actor) => actor.stage.name === stage.name);
  }

  /** P30. A reader that runs has accepted in memory what it is about to commit: that is not less than what it has committed. */
  #cursor(reader: string, input: number, from: string, generation: string, its: string | undefined): number | undefined {
    const actor = this.actors.get(reader)?.recovered;
    // A life that is over here may have been followed by one on another node: what it knew is of then.
    if (this.#isPlaced && actor?.signal.aborted === true) return undefined;
    return its !== undefined && actor?.generation !== its ? undefined : actor?.memory.inbound.channel(input, from, generation)?.seq;
  }
}

/** Of a flow that did not come as a bundle only the shape is known: another handler in the same place is not seen. */
export function codeOfShape(plan: FlowPlan): string {
  return createHash("sha256").update(JSON.stringify(fingerprintOf(plan))).digest("hex");
}
