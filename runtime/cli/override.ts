// `--set stage.parallelism=4`: what the command line may change of a flow. Plain data only; code stays what it is.
import { MillraceError } from "../event/errors.ts";
import type { FlowPlan, StagePlan } from "../flow/plan.ts";

export interface Override {
  readonly stage: string;
  readonly parallelism: number;
}

const most = 1_024;

/** @throws MillraceError OPTION_INVALID */
export function parseOverride(text: string): Override {
  const [, stage, option, value] = /^([^.=]+)\.([^.=]+)=(.+)$/.exec(text) ?? [];
  const invalid = (what: string, remedy: string) => new MillraceError("OPTION_INVALID", `--set ${text}`, what, remedy);
  if (stage === undefined || option === undefined) throw invalid(`"${text}" sets nothing`, "Write --set <stage>.parallelism=<number>.");
  if (option !== "parallelism") throw invalid(`"${option}" cannot be set from here`, "What can be set: parallelism.");
  const parallelism = Number(value);
  if (!Number.isInteger(parallelism) || parallelism < 1 || parallelism > most) throw invalid(`parallelism of "${stage}" is ${value}`, `Give 1 to ${most}.`);
  return { stage, parallelism };
}

/** The plan with that parallelism. @throws MillraceError OPTION_INVALID, SPLIT_MISSING */
export function overridden(plan: FlowPlan, overrides: readonly Override[]): FlowPlan {
  for (const { stage } of overrides) {
    if (plan.stages.some(({ name }) => name === stage)) continue;
    throw new MillraceError("OPTION_INVALID", `--set ${stage}.parallelism`, `Flow "${plan.name}" has no stage "${stage}"`, `Its stages are ${plan.stages.map(({ name }) => name).join(", ")}.`);
  }
  if (overrides.length === 0) return plan;
  return { ...plan, stages: plan.stages.map((stage) => {
    const override = overrides.findLast((its) => its.stage === stage.name);
    return override === undefined ? stage : divided(plan.name, stage, override.parallelism);
  }) };
}

function divided(flow: string, stage: StagePlan, parallelism: number): StagePlan {
  const refuse = (what: string, remedy: string) => new MillraceError("SPLIT_MISSING", `${flow}/${stage.name}`, `${what} with parallelism ${parallelism}`, remedy);
  if (parallelism > 1 && stage.kind === "source" && stage.source.guarantee === "replayable" && stage.source.splits === undefined) throw refuse(`Source "${stage.name}" cannot be split, and was to run`, "Leave its parallelism at 1, or give the source splits.");
  if (parallelism > 1 && stage.kind === "sink" && stage.sink.guarantee === "transactional" && stage.sink.divisible === false) throw refuse(`Sink "${stage.name}" writes one file, and was to run`, "Put {partition} into its path.");
  if (stage.kind !== "processor") return { ...stage, parallelism };
  // A number that a person gives does not follow the lag.
  const { follows: _, ...fixed } = stage;
  return { ...fixed, parallelism };
}
