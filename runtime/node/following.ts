// The stages of a flow that follow their lag: what was seen, what was decided and why. Who leads asks it once a second.
import type { Logger } from "../flow/context.ts";
import { type FlowPlan, followsOf } from "../flow/plan.ts";
import { LagFollower } from "./lag-follower.ts";
import type { StageLag } from "./lag-watch.ts";
import type { RunRecord } from "./run-record.ts";
import { whyFixed } from "./scale-check.ts";

/** Of a stage that follows its lag; plain data. */
export interface FollowStatus {
  readonly stage: string;
  readonly min: number;
  readonly max: number;
  readonly targetLagMs: number;
  readonly count: number;
  /** `null`: not known now. */
  readonly lagMs: number | null;
  readonly frames: number | null;
  /** Why nothing is decided now. */
  readonly now: string;
  /** The newest decision; `at`: wall clock, ms since the epoch. */
  readonly decided: { readonly from: number; readonly to: number; readonly why: string; readonly at: number } | null;
}

interface Followed {
  readonly follower: LagFollower;
  /** Why it is off. */
  readonly off: string | undefined;
  lag: StageLag | undefined;
  now: string;
  decided: FollowStatus["decided"];
}

export class Following {
  readonly #flow: string;
  readonly #log: Logger;
  readonly #stages = new Map<string, Followed>();

  constructor(plan: FlowPlan, log: Logger) {
    this.#flow = plan.name;
    this.#log = log;
    for (const stage of plan.stages) {
      const follows = followsOf(stage), off = whyFixed(plan, stage.name);
      if (follows === undefined) continue;
      this.#stages.set(stage.name, { follower: new LagFollower(follows), off, lag: undefined, now: off === undefined ? "its lag is not known yet" : `off: ${off}`, decided: null });
      if (off !== undefined) log.warn(`${plan.name}/${stage.name} stays at ${follows.min} actors and does not follow its lag: ${off}`);
    }
  }

  /** What is to be done now: one stage at a time, and none while one is being changed. */
  look({ stages, change }: RunRecord, lags: readonly StageLag[], now: number, at: number): { readonly stage: string; readonly to: number } | undefined {
    let decided: { readonly stage: string; readonly to: number } | undefined;
    for (const [stage, followed] of this.#stages) {
      const count = stages.find(({ name }) => name === stage)?.parallelism;
      followed.lag = lags.find((its) => its.stage === stage);
      if (count === undefined || followed.off !== undefined) continue;
      if (change !== undefined || decided !== undefined) {
        followed.now = `waits: ${change?.stage ?? decided?.stage} is being scaled`;
        continue;
      }
      const { to, why } = followed.follower.look({ now, lagMs: followed.lag?.lagMs, heldUpBy: followed.lag?.heldUpBy, count });
      followed.now = why;
      if (to === undefined) continue;
      followed.decided = { from: count, to, why, at };
      decided = { stage, to };
      this.#log.info(`${this.#flow}/${stage}: ${count} -> ${to} actors by its lag`, { why });
    }
    return decided;
  }

  /** What was decided could not be begun. */
  failed(stage: string, error: Error): void {
    const followed = this.#stages.get(stage);
    if (followed !== undefined) followed.now = `could not be scaled: ${error.message}`;
    this.#log.warn(`${this.#flow}/${stage} could not be scaled by its lag; it is looked at again`, { reason: error.message });
  }

  status({ stages }: RunRecord): readonly FollowStatus[] {
    return [...this.#stages].map(([stage, { follower: { plan: { min, max, targetLagMs } }, lag, now, decided }]) => ({
      stage, min, max, targetLagMs, count: stages.find(({ name }) => name === stage)?.parallelism ?? min, lagMs: lag?.lagMs ?? null, frames: lag?.frames ?? null, now, decided,
    }));
  }
}
