// What an exit comes to by the child's restart type: OTP's table, with the exits that a log and a broker add to it.
import type { ExitClass } from "../actor/exit.ts";
import type { RestartType } from "./child-spec.ts";

/**
 * - `end`: final; nothing to do. Also for a permanent child, the one difference from OTP: that it has ended is in its log, so
 *   started again it would only find that.
 * - `restart`: if its budget allows. `forgive`: restarted without a look at the budget.
 * - `leave`: stays stopped. `suspend`: tried again by its own backoff. `yield`: belongs to another owner. `park`: for a person.
 */
export type Reaction = "end" | "restart" | "forgive" | "leave" | "suspend" | "yield" | "park";

const same = (reaction: Reaction): Readonly<Record<RestartType, Reaction>> => ({ permanent: reaction, transient: reaction, temporary: reaction });
const abnormal = { permanent: "restart", transient: "restart", temporary: "leave" } as const;

const table: Readonly<Record<ExitClass, Readonly<Record<RestartType, Reaction>>>> = {
  normal: same("end"),
  sealed: same("end"),
  shutdown: { permanent: "restart", transient: "leave", temporary: "leave" },
  crash: abnormal,
  process: abnormal,
  escalated: abnormal,
  poison: { permanent: "forgive", transient: "forgive", temporary: "leave" },
  unavailable: same("suspend"),
  fenced: same("yield"),
  parked: same("park"),
};

export function reactionTo(exit: ExitClass, restart: RestartType): Reaction {
  return table[exit][restart];
}
