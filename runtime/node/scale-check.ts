// Whether a stage can be scaled to so many actors now (PROTOCOL 11). Pure.
import { MillraceError } from "../event/errors.ts";
import type { FlowPlan, StagePlan } from "../flow/plan.ts";
import type { RunRecord } from "./run-record.ts";
import type { OldActor } from "./scale-step.ts";

/** Most actors of a stage. */
export const mostActors = 1_024;
/** So many that have ended are named. */
const mostNamed = 3;

/**
 * The stage.
 * @throws MillraceError STAGE_UNKNOWN, STAGE_FIXED, OPTION_INVALID, NOTHING_TO_DO, SCALE_UNDER_WAY, UPGRADE_UNDER_WAY
 */
export function checkScale(plan: FlowPlan, record: RunRecord, name: string, count: number): StagePlan {
  const flow = plan.name, stage = plan.stages.find((one) => one.name === name), where = `${flow}/${name}`, its = stagesOf(plan), others = plan.stages.filter((one) => whyOne(one) === undefined && fixedBy(one, its) === undefined).map((one) => one.name), names = others.join(", ") || "none";
  if (stage === undefined) throw new MillraceError("STAGE_UNKNOWN", where, `Flow "${flow}" has no stage "${name}"`, `Stages that can be scaled: ${names}.`);
  if (!Number.isInteger(count) || count < 1 || count > mostActors) throw new MillraceError("OPTION_INVALID", where, `A stage cannot have ${count} actors`, `Give a whole number from 1 to ${mostActors}.`);
  const why = whyOne(stage);
  if (why !== undefined) throw new MillraceError("STAGE_FIXED", where, `"${name}" ${why[0]}`, `Stages that can be scaled: ${names}; ${why[1]}.`);
  const isolated = fixedBy(stage, its);
  if (isolated !== undefined) throw new MillraceError("STAGE_FIXED", where, isolated === name ? `"${name}" runs in threads of its own: how many actors it has is fixed while it runs` : `"${name}" gets events from "${isolated}", which runs in threads of its own: how many actors it sends to is fixed while it runs`, `Stages that can be scaled: ${names}; set it with --set ${name}.parallelism=${count} for a new run, or leave isolate out of "${isolated}".`);
  checkFree(flow, name, record);
  if (record.stages.find((one) => one.name === name)?.parallelism === count) throw new MillraceError("NOTHING_TO_DO", where, `"${name}" has ${count} actor${count === 1 ? "" : "s"} already`, "There is nothing to do.");
  return stage;
}

/** Whether all that it is now runs: what it holds goes on from actors that do. @throws MillraceError ENDED, NOT_RUNNING */
export function checkRunning(flow: string, { name: stage, kind }: Pick<StagePlan, "name" | "kind">, actors: readonly OldActor[]): void {
  const where = `${flow}/${stage}`, away = actors.filter(({ state }) => state !== "runs"), ended = actors.filter(({ state }) => state === "ended");
  if (ended.length > 0 && ended.length < actors.length) {
    const which = ended.slice(0, mostNamed).map(({ actor }) => `${flow}/${actor}`).join(", "), more = ended.length > mostNamed ? " …" : "";
    const why = kind === "source" ? "An actor of a source ends when its splits are read, and at once if it has none: give a source no more actors than it has splits. " : "";
    throw new MillraceError("ENDED", where, `${ended.length} of the ${actors.length} actors of "${stage}" ${ended.length === 1 ? "has" : "have"} ended in this run (${which}${more}), and what has ended hands nothing over any more`, `${why}It keeps its number until the end of this run; the next one takes another with --set ${stage}.parallelism=<count>.`);
  }
  if (actors.length > 0 && ended.length === actors.length) throw new MillraceError("ENDED", where, `"${stage}" has ended in this run`, `It takes another number with the next run: --set ${stage}.parallelism=<count>.`);
  if (away.length > 0) throw new MillraceError("NOT_RUNNING", where, `${away.map(({ actor }) => `${flow}/${actor}`).join(", ")} ${away.length === 1 ? "does" : "do"} not run, and what a stage holds goes on from actors that run`, "`millrace tree` tells why; mend that first.");
}

/** Why a stage keeps its number while it runs: it, or a stage that feeds it, runs in threads of its own. `undefined`: it can be scaled. */
export function whyFixed(plan: FlowPlan, name: string): string | undefined {
  const its = stagesOf(plan), stage = its.get(name), isolated = stage === undefined ? undefined : fixedBy(stage, its);
  return isolated === undefined ? undefined : isolated === name ? "it runs in threads of its own" : `"${isolated}" sends to it and runs in threads of its own`;
}

/** Why a stage has one actor, and what changes that; `undefined`: it may have several. */
function whyOne(stage: StagePlan): readonly [why: string, remedy: string] | undefined {
  if (stage.kind === "source") return stage.source.guarantee !== "replayable" || stage.source.splits === undefined ? ["cannot be split: it is read by one actor", "a source that says what its parts are (splits) can be"] : undefined;
  if (stage.kind === "sink" && stage.sink.guarantee === "transactional" && stage.sink.divisible === false) return [`writes one file, ${stage.sink.target ?? stage.sink.kind}, which has one writer`, "put {partition} into its path for a new run"];
  return undefined;
}

const stagesOf = ({ stages }: FlowPlan): ReadonlyMap<string, StagePlan> => new Map(stages.map((one) => [one.name, one]));

/** It, or a stage that feeds it, that runs in threads of its own: these hear of no plan. */
function fixedBy(stage: StagePlan, stages: ReadonlyMap<string, StagePlan>): string | undefined {
  return [stage, ...stage.inputs.map(({ from }) => stages.get(from))].find((one) => one?.kind === "processor" && one.isolate === "worker")?.name;
}

/** One change of a run at a time. @throws MillraceError SCALE_UNDER_WAY, UPGRADE_UNDER_WAY */
export function checkFree(flow: string, stage: string, { change, upgrade }: RunRecord): void {
  if (change !== undefined) throw new MillraceError("SCALE_UNDER_WAY", `${flow}/${change.stage}`, `Stage "${change.stage}" is being scaled to ${change.parallelism}`, "One change at a time: wait for its end, or take it back; --why tells what it waits for.");
  if (upgrade !== undefined) throw new MillraceError("UPGRADE_UNDER_WAY", `${flow}/${stage}`, `Flow "${flow}" is going over to another code`, "One change at a time: wait for its end, or `millrace deploy --back`; `millrace flows` tells.");
}
