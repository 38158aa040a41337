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
import { HostedActor } from "./hosted-actor.ts";
import type { Isolation } from "./isolated-actor.ts";
import type { FlowRun } from "./run.ts";
import type { Change } from "./scale-step.ts";
import { changeOf, StageGenerations } from "./stage-generations.ts";
import { Succession } from "./succession.ts";

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
export type HostedRun = Pick<FlowRun, "record" | "resumed">;

export class HostedFlow {
  readonly plan: FlowPlan;
  readonly run: HostedRun;
  readonly broker: Broker;
  /** By address, in the order of the stages and their partitions. */
  readonly actors: ReadonlyMap<string, HostedActor>;
  readonly #actors = new Map<string, HostedActor>();
  readonly #env: ActorEnvironment;
  readonly #isolation: Isolation | undefined;
  /** Of the stage that is being scaled. */
  succession: Succession | undefined;
  #generations: ReadonlyMap<string, StageGenerations> = new Map();
  /** Called when more of the old generation is sealed. */
  onSealed = (): void => {};

  constructor(host: HostEnvironment, plan: FlowPlan, run: HostedRun) {
    this.plan = plan;
    this.run = run;
    this.broker = host.broker;
    this.adopt();
    const env: ActorEnvironment = {
      ...host,
      flow: plan,
      code: run.record.code,
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
    for (const stage of plan.stages) for (let partition = 0; partition < env.division(stage.name).count; partition++) this.addActor(stage, partition);
  }

  /** What the run's record says now: of a stage that is being scaled, and what has come of it (PROTOCOL 11). */
  adopt(): void {
    const { record } = this.run, { change } = record;
    this.#generations = new Map(this.plan.stages.map(({ name, parallelism }) => [name, new StageGenerations(record, name, parallelism)]));
    if (change === undefined) {
      // Where it was carried out nobody waits any more.
      this.succession?.withdraw();
      this.succession = undefined;
    }
    else if (this.succession?.change.to.generation !== change.generation) this.succession = new Succession(changeOf(record) as Change, () => this.onSealed());
    for (const { recovered } of this.#actors.values()) if (recovered?.signal.aborted === false) recovered.planChanged();
  }

  addActor(stage: StagePlan, partition: number): HostedActor {
    const actor = new HostedActor(this.#env, stage, partition, () => (this.succession?.change.stage === stage.name ? this.succession : undefined), this.#isolation);
    this.#actors.set(actor.address, actor);
    return actor;
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
    return [...this.actors.values()].filter((actor) => actor.stage === stage);
  }

  /** P30. A reader that runs has accepted in memory what it is about to commit: that is not less than what it has committed. */
  #cursor(reader: string, input: number, from: string, generation: string, its: string | undefined): number | undefined {
    const actor = this.actors.get(reader)?.recovered;
    return its !== undefined && actor?.generation !== its ? undefined : actor?.memory.inbound.channel(input, from, generation)?.seq;
  }
}

/** Of a flow that did not come as a bundle only the shape is known: another handler in the same place is not seen. */
export function codeOfShape(plan: FlowPlan): string {
  return createHash("sha256").update(JSON.stringify(fingerprintOf(plan))).digest("hex");
}
