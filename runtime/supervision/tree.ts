// The supervision tree as plain data, for `millrace tree`, the dashboard and tests.
import type { StateName, Why } from "../actor/lifecycle.ts";
import type { Clock } from "../event/clock.ts";
import type { NodeKind, Strategy } from "./child-spec.ts";
import type { Reason } from "./decision.ts";
import type { Member } from "./member.ts";
import { Supervisor } from "./supervisor.ts";

export interface LastFailure extends Reason {
  /** Wall clock, ms since the epoch. */
  readonly at: number;
  /** What was decided, in words. */
  readonly decision: string;
}

export interface TreeNode {
  readonly id: string;
  readonly kind: NodeKind;
  readonly state: StateName;
  /** Paused, or to be paused when it runs. */
  readonly paused: boolean;
  /** Why it is not running. */
  readonly why?: Why;
  /** How often it was restarted in this run, earlier lives of the node included. */
  readonly restarts: number;
  readonly lastFailure?: LastFailure;
  /** When it is tried again: wall clock, ms since the epoch. */
  readonly nextTryAt?: number;
  /** Of a supervisor. */
  readonly strategy?: Strategy;
  /** In start order. */
  readonly children: readonly TreeNode[];
}

export function treeOf(member: Member, clock: Clock): TreeNode {
  const { spec: { kind, child }, lifecycle: { state, paused, why }, standing: { restarts }, last, dueAt } = member;
  const supervisor = child instanceof Supervisor ? child : undefined;
  return {
    id: member.id,
    kind,
    state,
    paused,
    ...(why === null ? {} : { why }),
    restarts,
    ...(last === undefined ? {} : { lastFailure: { ...last.reason, at: last.at, decision: last.decision } }),
    ...(dueAt === undefined ? {} : { nextTryAt: Math.round(clock.now() + Math.max(0, dueAt - clock.monotonic())) }),
    ...(supervisor === undefined ? {} : { strategy: supervisor.plan.strategy }),
    children: supervisor === undefined ? [] : supervisor.members.map((below) => treeOf(below, clock)),
  };
}
