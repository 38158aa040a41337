// Who is stopped and started when a child is to be restarted: OTP's strategies, as ordered steps.
import type { ExitClass } from "../actor/exit.ts";
import type { RestartType, Strategy } from "./child-spec.ts";
import { reactionTo } from "./restart-type.ts";

export interface Sibling {
  readonly id: string;
  readonly restart: RestartType;
  /**
   * `up`: it runs, or is being started. `down`: it is to run but does not (backing off, unavailable, waiting for its turn).
   * `settled`: it is not to run: ended, parked, fenced, stopped. A strategy leaves those alone.
   */
  readonly state: "up" | "down" | "settled";
}

export interface Step {
  readonly step: "stop" | "start";
  readonly id: string;
}

/** `children` in start order. No step where the failed one is not restarted. Stops come first, in reverse start order; then the starts. */
export function stepsFor(strategy: Strategy, children: readonly Sibling[], failed: string, exit: ExitClass): readonly Step[] {
  const at = children.findIndex(({ id }) => id === failed), child = children[at];
  if (child === undefined) return [];
  const reaction = reactionTo(exit, child.restart);
  if (reaction !== "restart" && reaction !== "forgive") return [];
  const others = strategy === "one_for_one" ? [] : children.slice(strategy === "rest_for_one" ? at : 0).filter((other) => other !== child && other.state !== "settled");
  const stops = others.filter(({ state }) => state === "up").reverse();
  // As in OTP a temporary child is stopped with the others, but nothing starts it again.
  const starts = children.filter((other) => other === child || (others.includes(other) && other.restart !== "temporary"));
  return [...stops.map(({ id }) => ({ step: "stop", id }) as const), ...starts.map(({ id }) => ({ step: "start", id }) as const)];
}
