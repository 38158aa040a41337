// What a supervisor decides about an exit: pure, from what the child did before. supervisor.ts carries it out.
import type { Exit } from "../actor/exit.ts";
import type { Random } from "../event/clock.ts";
import type { SupervisionPlan } from "../flow/plan.ts";
import { delayAfter, failuresWith, outageBackoff } from "./backoff.ts";
import { longestMs, type RestartType, type SupervisorKind } from "./child-spec.ts";
import type { Action } from "./decision.ts";
import { whenExceeded } from "./escalation.ts";
import { count, strike, type Counted } from "./restart-intensity.ts";
import { reactionTo } from "./restart-type.ts";

/** What a supervisor remembers of a child. Plain data, replaced and never changed. */
export interface Standing {
  /** Restarts within the period. */
  readonly counted: readonly Counted[];
  /** Failures in a row, for the backoff. */
  readonly failures: number;
  /** The same for outages. */
  readonly outages: number;
  /** All restarts in this run, for people. */
  readonly restarts: number;
}

export const fresh: Standing = { counted: [], failures: 0, outages: 0, restarts: 0 };

export interface Circumstances {
  readonly kind: SupervisorKind;
  readonly plan: SupervisionPlan;
  readonly restart: RestartType;
  /** Monotonic ms. */
  readonly now: number;
  /** How long it ran; `undefined`: its start was not done yet. */
  readonly ranMs: number | undefined;
  readonly random: Random;
}

export interface Verdict {
  /** `undefined`: nothing to decide, it has ended. */
  readonly action: Extract<Action, "restart" | "dead-letter" | "suspend" | "leave" | "yield" | "park" | "escalate"> | undefined;
  readonly delayMs: number | undefined;
  readonly standing: Standing;
}

/** Poison and outages spend no budget; poison gives back what its event had cost. */
export function judge(standing: Standing, exit: Exit, { kind, plan, restart, now, ranMs, random }: Circumstances): Verdict {
  const failures = failuresWith(standing.failures, ranMs, plan.periodMs);
  const again = (action: "restart" | "dead-letter", counted: readonly Counted[]): Verdict => ({
    action,
    delayMs: delayAfter(failures, plan.backoff, random),
    standing: { ...standing, counted, failures, restarts: standing.restarts + 1 },
  });
  const reaction = reactionTo(exit.class, restart);
  switch (reaction) {
    case "restart": {
      const { counted, exceeded } = count(standing.counted, { at: now, event: exit.event }, plan);
      return exceeded ? { action: whenExceeded(kind), delayMs: undefined, standing: { ...standing, counted, failures } } : again("restart", counted);
    }
    case "forgive":
      // The backoff goes on growing: where every event is poison, a broken handler must not give up the whole mailbox at full speed.
      return again("dead-letter", exit.event === undefined ? standing.counted : strike(standing.counted, exit.event));
    case "suspend": {
      const outages = failuresWith(standing.outages, ranMs, plan.periodMs);
      const delayMs = exit.retryAfterMs === undefined ? delayAfter(outages, outageBackoff, random) : Math.min(exit.retryAfterMs, longestMs);
      return { action: "suspend", delayMs, standing: { ...standing, outages } };
    }
    case "end":
      return { action: undefined, delayMs: undefined, standing };
    default:
      return { action: reaction, delayMs: undefined, standing };
  }
}
