// A flow that one node has whole, as it is scaled: what is known is at hand, and new actors are children of its own supervisors.
import type { Actor } from "../actor/actor.ts";
import type { Clock } from "../event/clock.ts";
import { asError } from "../event/errors.ts";
import type { Logger } from "../flow/context.ts";
import type { FlowPlan, StagePlan } from "../flow/plan.ts";
import type { Stores } from "../journal/store.ts";
import type { Root } from "../supervision/root.ts";
import type { HostedActor } from "./hosted-actor.ts";
import type { HostedFlow } from "./hosted-flow.ts";
import { LagWatch, type StageLag } from "./lag-watch.ts";
import type { FlowRun } from "./run.ts";
import type { RunRecord } from "./run-record.ts";
import type { Change, Upstream } from "./scale-step.ts";
import { type ScaleView, viewOf } from "./scale-view.ts";
import type { ScaleGround } from "./scaling.ts";

export interface LocalScalingEnvironment {
  readonly node: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly stores: Stores;
  readonly root: Root;
}

export class LocalScaling implements ScaleGround {
  readonly plan: FlowPlan;
  readonly #env: LocalScalingEnvironment;
  readonly #flow: HostedFlow;
  readonly #run: FlowRun;
  readonly #lags: LagWatch;

  constructor(env: LocalScalingEnvironment, flow: HostedFlow, run: FlowRun) {
    this.#env = env;
    this.#flow = flow;
    this.#run = run;
    this.plan = flow.plan;
    this.#lags = new LagWatch(flow);
  }

  get record(): RunRecord {
    return this.#run.record;
  }

  get resumed(): boolean {
    return this.#run.resumed;
  }

  /** No other node changes it. */
  async refresh(): Promise<void> {}

  async change(to: (now: RunRecord) => RunRecord): Promise<void> {
    await this.#run.change(to);
    this.#flow.adopt();
  }

  async views(change: Change, cost: boolean): Promise<readonly ScaleView[]> {
    const { node, clock } = this.#env;
    return [await viewOf(this.#flow, change, { node, now: clock.monotonic(), cost, stanceOf: (actor) => stanceOf(actor, change) })];
  }

  /** Old actors that are sealed go on in place; those that there were not before are added. */
  async start({ stage: name, from, to }: Change): Promise<void> {
    const { clock, root, log } = this.#env, stage = this.plan.stages.find((its) => its.name === name) as StagePlan;
    this.#flow.succession?.switchOver(clock.monotonic());
    for (let p = from.count; p < to.count; p++) {
      const address = `${this.#flow.name}/${name}/${p}`;
      if (this.#flow.actors.has(address)) continue;
      const { child } = this.#flow.addActor(stage, p);
      root.add(`${this.#flow.name}/${name}`, { kind: "actor", child }).catch((error: unknown) => log.warn("an actor of a new generation could not be added", { actor: address, reason: asError(error).message }));
    }
  }

  async ended({ stage, from, to }: Change, finished: boolean): Promise<void> {
    const { root, log } = this.#env;
    for (let p = to.count; finished && p < from.count; p++) {
      const address = `${this.#flow.name}/${stage}/${p}`;
      await root.remove(address).catch((error: unknown) => log.debug("an actor of an old generation could not be removed", { actor: address, reason: asError(error).message }));
      this.#flow.removeActor(address);
    }
  }

  async tidied(stage: string, gone: Change["from"]): Promise<void> {
    for (let p = 0; p < gone.count; p++) await this.#env.stores.remove(`${this.#flow.name}/${stage}/${gone.generation}/${p}`);
  }

  lags(): Promise<readonly StageLag[]> {
    return this.#lags.look(this.#env.clock.monotonic());
  }
}

/** What its log says: what only its memory says may be taken back by a crash. */
export async function stanceOf({ recovered, hasEnded }: HostedActor, { stage, to: { generation } }: Pick<Change, "stage" | "to">): Promise<Upstream["stance"]> {
  if (recovered === undefined) return "away";
  const stance = (actor: Actor): Upstream["stance"] => {
    const decided = actor.emitter.routing.stance(stage, generation);
    return decided === "open" && actor.hasEnded ? "ended" : decided;
  };
  const said = stance(recovered);
  if (recovered.signal.aborted) return hasEnded ? said : "away";
  if (said === "open") return said;
  return (await recovered.whenCommitted()) ? said : "away";
}
