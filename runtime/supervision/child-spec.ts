// How a child is to be kept: the child, and what its supervisor may do about it. Data; every default is filled in by then.
import { MillraceError, type Problem } from "../event/errors.ts";
import type { SupervisionPlan } from "../flow/plan.ts";
import type { Child } from "./child.ts";

export type SupervisorKind = "root" | "flow" | "stage";
/** What there is in the tree, from the top down. */
export type NodeKind = SupervisorKind | "actor";
export type RestartType = SupervisionPlan["restart"];
export type Strategy = SupervisionPlan["strategy"];

export interface ChildSpec {
  readonly kind: NodeKind;
  readonly child: Child;
  /** Default: the restart type of its supervisor's plan. */
  readonly restart?: RestartType;
}

/** Longest wait that a timer of Node keeps, in ms; one set to more would fire at once. */
export const longestMs = 2 ** 31 - 1;

const strategies: readonly Strategy[] = ["one_for_one", "one_for_all", "rest_for_one"];
const restartTypes: readonly RestartType[] = ["permanent", "transient", "temporary"];
const isWait = (ms: number): boolean => ms >= 0 && ms <= longestMs;
const wait = `a number of ms from 0 to ${longestMs}`;

/** Everything that is wrong with a plan; each names the value that offends. */
export function problemsOf(plan: SupervisionPlan, where: string): readonly Problem[] {
  const { strategy, restart, intensity, periodMs, shutdownMs, backoff: { minMs, maxMs, factor, jitter } } = plan;
  const problems: Problem[] = [];
  const hold = (fine: boolean, field: string, value: unknown, allowed: string): void => {
    if (!fine) problems.push({ code: "SPEC_INVALID", where: `${where}.${field}`, message: `${field} is ${String(value)}`, remedy: `Give ${allowed}.` });
  };
  hold(strategies.includes(strategy), "strategy", strategy, strategies.join(", "));
  hold(restartTypes.includes(restart), "restart", restart, restartTypes.join(", "));
  hold(Number.isInteger(intensity) && intensity >= 0, "intensity", intensity, "a whole number from 0");
  hold(periodMs > 0, "periodMs", periodMs, "a number of ms above 0");
  hold(isWait(shutdownMs), "shutdownMs", shutdownMs, wait);
  hold(isWait(minMs), "backoff.minMs", minMs, wait);
  hold(isWait(maxMs), "backoff.maxMs", maxMs, wait);
  hold(!(minMs > maxMs), "backoff.minMs", minMs, `at most backoff.maxMs, which is ${maxMs}`);
  hold(factor >= 1 && factor < Infinity, "backoff.factor", factor, "a number from 1");
  hold(jitter >= 0 && jitter <= 1, "backoff.jitter", jitter, "a number from 0 to 1");
  return problems;
}

/** @throws MillraceError SPEC_INVALID with all problems: of the plan, and ids that are given twice. */
export function checkSpecs(id: string, plan: SupervisionPlan, specs: readonly ChildSpec[]): void {
  const problems = [...problemsOf(plan, id)], seen = new Set<string>();
  for (const { child, restart } of specs) {
    if (seen.has(child.id)) problems.push({ code: "SPEC_INVALID", where: child.id, message: `there are two children ${child.id}`, remedy: "Give each its own id." });
    seen.add(child.id);
    if (restart !== undefined && !restartTypes.includes(restart)) problems.push({ code: "SPEC_INVALID", where: child.id, message: `restart is ${String(restart)}`, remedy: `Give ${restartTypes.join(", ")}.` });
  }
  if (problems.length > 0) throw new MillraceError("SPEC_INVALID", id, problems.map(({ where, message }) => `${where}: ${message}`).join("; "), problems.map(({ remedy }) => remedy).join(" "), { problems });
}
