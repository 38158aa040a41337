// When a stage that follows its lag gets more actors, and when fewer (`parallelism: { min, max, targetLag }`): pure, time is given. Up soon,
// down late: too few make the lag grow without end, too many only cost.
import type { FollowsPlan } from "../flow/plan.ts";

/** What is known of a stage at a moment. */
export interface LagLook {
  /** Monotonic ms. */
  readonly now: number;
  /** Age of the oldest frame that an actor of it has not taken yet, the largest of all; `undefined`: not known now. In ms. */
  readonly lagMs: number | undefined;
  /** Who holds up the actor with that lag: more of it would not help. None: nobody. */
  readonly heldUpBy?: string | undefined;
  readonly count: number;
}

/** `to`: so many from now on. Without it all stays. `why`: for people, also while nothing is decided. */
export interface LagVerdict {
  readonly to?: number;
  readonly why: string;
}

/** The lag must be above the target for so long, without a break. In ms. */
export const risingMs = 3_000;
/** And what falls so fast that it is there within this time is left alone. In ms. */
const catchesUpMs = 30_000;
/** It must be below half of the target for so long; doubled each time that it was too few then. In ms. */
export const quietMs = { least: 300_000, most: 3_600_000 } as const;
/** More are needed within this time after there were fewer: they were too few. In ms. */
const regretMs = 600_000;

export class LagFollower {
  readonly plan: FollowsPlan;
  #aboveSince: { readonly at: number; readonly lagMs: number } | undefined;
  #quietSince: number | undefined;
  #quietMs: number = quietMs.least;
  #downAt = -Infinity;
  #count: number | undefined;

  constructor(plan: FollowsPlan) {
    this.plan = plan;
  }

  look({ now, lagMs, heldUpBy, count }: LagLook): LagVerdict {
    const { min, max, targetLagMs } = this.plan;
    // Another number than before: what was seen was of others.
    if (count !== this.#count) this.#aboveSince = this.#quietSince = undefined;
    this.#count = count;
    if (lagMs === undefined) {
      this.#aboveSince = this.#quietSince = undefined;
      return { why: "its lag is not known now" };
    }
    if (lagMs > targetLagMs) {
      this.#quietSince = undefined;
      return this.#above(now, lagMs, heldUpBy, count);
    }
    this.#aboveSince = undefined;
    if (lagMs > targetLagMs / 2) {
      this.#quietSince = undefined;
      return { why: `lag ${seconds(lagMs)} is within its target of ${seconds(targetLagMs)}` };
    }
    this.#quietSince ??= now;
    const quiet = now - this.#quietSince;
    if (count <= min || count > max) return { why: `lag ${seconds(lagMs)} is below its target of ${seconds(targetLagMs)}, and there are ${count <= min ? "as few as may be" : "more than it has by itself"}` };
    if (quiet < this.#quietMs) return { why: `lag ${seconds(lagMs)} is below half of its target of ${seconds(targetLagMs)} for ${seconds(quiet)}; fewer after ${seconds(this.#quietMs)}` };
    this.#quietSince = undefined;
    this.#downAt = now;
    return { to: Math.max(min, Math.ceil(count / 2)), why: `lag was below half of its target of ${seconds(targetLagMs)} for ${seconds(quiet)}` };
  }

  #above(now: number, lagMs: number, heldUpBy: string | undefined, count: number): LagVerdict {
    const { max, targetLagMs } = this.plan, above = `lag ${seconds(lagMs)} is above its target of ${seconds(targetLagMs)}`;
    if (count >= max) return { why: `${above}, and there are as many as may be` };
    if (heldUpBy !== undefined) {
      this.#aboveSince = undefined;
      return { why: `${above}, but ${heldUpBy} holds it up: more of it would not help` };
    }
    const since = (this.#aboveSince ??= { at: now, lagMs }), passed = now - since.at;
    if (passed < risingMs) return { why: `${above} for ${seconds(passed)}` };
    const falls = (since.lagMs - lagMs) / passed;
    if (falls > 0 && (lagMs - targetLagMs) / falls <= catchesUpMs) {
      this.#aboveSince = { at: now, lagMs };
      return { why: `${above}, and falls: it is waited for` };
    }
    this.#aboveSince = undefined;
    if (now - this.#downAt < regretMs) this.#quietMs = Math.min(quietMs.most, 2 * this.#quietMs);
    return { to: Math.min(max, 2 * count), why: `lag was above its target of ${seconds(targetLagMs)} for ${seconds(passed)}, at last ${seconds(lagMs)}` };
  }
}

function seconds(ms: number): string {
  return ms < 9_950 ? `${(ms / 1_000).toFixed(1)} s` : ms < 120_000 ? `${Math.round(ms / 1_000)} s` : `${Math.round(ms / 60_000)} min`;
}
