// What becomes of a child whose budget is spent. A stage's supervisor and a flow's hand it up: they stop all that they have
// and fail to the one above, which has a strategy and a budget of its own. Nobody is above the root: it parks the flow, and
// the node and its other flows go on.
import type { Exit } from "../actor/exit.ts";
import { asError, MillraceError } from "../event/errors.ts";
import type { SupervisionPlan } from "../flow/plan.ts";
import type { SupervisorKind } from "./child-spec.ts";

/** The root's own: whatever a flow's supervisor does not manage is beyond any budget. */
export const rootSupervision: SupervisionPlan = {
  strategy: "one_for_one",
  restart: "permanent",
  intensity: 0,
  periodMs: 60_000,
  shutdownMs: 30_000,
  backoff: { minMs: 100, maxMs: 30_000, factor: 2, jitter: 0.2 },
};

export function whenExceeded(kind: SupervisorKind): "escalate" | "park" {
  return kind === "root" ? "park" : "escalate";
}

/** How a supervisor exits that gave up on `offender`: says both that the budget is spent and what the last failure was. */
export function escalated(offender: string, last: Exit, { intensity, periodMs }: { readonly intensity: number; readonly periodMs: number }): Exit {
  // Of a failure that came up from below, only its root: else each level would quote the one before it.
  const error = last.class === "escalated" && last.error?.cause !== undefined ? asError(last.error.cause) : last.error;
  const what = error === undefined ? last.class : `${error.name}: ${error.message}`;
  return {
    class: "escalated",
    error: new MillraceError("INTENSITY_EXCEEDED", offender, `${offender} failed more than ${intensity} times within ${periodMs} ms; at last ${what}`, `Find the cause (the data folder's millrace.log has its stack) and start the flow again; raise its intensity only if such failures are to be expected.`, { cause: error }),
  };
}
