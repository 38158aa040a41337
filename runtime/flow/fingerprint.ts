// What a run depends on in the shape of its flow, as plain data that is kept with it, and the difference of two in words.
import type { EdgePlan, FlowPlan, StagePlan } from "./plan.ts";

/** Plain data: may be written as JSON and read back. */
export interface FlowFingerprint {
  readonly stages: readonly StageFingerprint[];
}

export interface StageFingerprint {
  readonly name: string;
  readonly kind: "source" | "processor" | "sink";
  /** What it is made of: kind of its source or sink, kinds of its operators. */
  readonly parts: readonly string[];
  readonly parallelism: number;
  readonly order: "arrival" | "time";
  /** Its edges in their order, such as "felt", "split.big", "felt by key". */
  readonly inputs: readonly string[];
  /** Operators with state, each with the version of its shape. */
  readonly state: readonly { readonly of: string; readonly version: number }[];
}

export function fingerprintOf(plan: FlowPlan): FlowFingerprint {
  return { stages: plan.stages.map(stageFingerprint) };
}

function stageFingerprint(stage: StagePlan): StageFingerprint {
  const steps = stage.kind === "processor" ? stage.steps : [];
  return {
    name: stage.name,
    kind: stage.kind,
    parts: stage.kind === "source" ? [stage.source.kind] : stage.kind === "sink" ? [stage.sink.kind] : steps.map((step) => step.kind),
    parallelism: stage.parallelism,
    order: stage.kind === "source" ? "arrival" : stage.order,
    inputs: stage.inputs.map(inputText),
    state: steps.filter((step) => step.state).map((step) => ({ of: step.kind, version: step.version ?? 1 })),
  };
}

const inputText = (edge: EdgePlan): string => `${edge.from}${edge.output === "" ? "" : `.${edge.output}`}${edge.key ? " by key" : ""}`;

/** What is different, a sentence each, such as "stage by-region: parallelism 4 -> 8". None where the two are alike. */
export function changesBetween(before: FlowFingerprint, after: FlowFingerprint): readonly string[] {
  const old = new Map(before.stages.map((stage) => [stage.name, stage]));
  const kept = new Set(after.stages.map((stage) => stage.name));
  const removed = before.stages.filter(({ name }) => !kept.has(name)).map(({ name }) => `stage ${name} was removed`);
  return [...removed, ...after.stages.flatMap((stage) => {
    const was = old.get(stage.name);
    return was ? stageChanges(was, stage) : [`stage ${stage.name} was added`];
  })];
}

function stageChanges(was: StageFingerprint, is: StageFingerprint): readonly string[] {
  const changes: string[] = [];
  const compare = (what: string, before: string, after: string) => {
    if (before !== after) changes.push(`stage ${is.name}: ${what} ${before || "nothing"} -> ${after || "nothing"}`);
  };
  compare("kind", was.kind, is.kind);
  const part = is.kind === "processor" ? (is.parts.length === 1 && was.parts.length === 1 ? "operator" : "operators") : is.kind;
  if (was.kind === is.kind) compare(part, was.parts.join(", "), is.parts.join(", "));
  compare("parallelism", String(was.parallelism), String(is.parallelism));
  compare("order", was.order, is.order);
  compare("reads", was.inputs.join(", "), is.inputs.join(", "));
  compare("state", stateText(was), stateText(is));
  return changes;
}

const stateText = (stage: StageFingerprint): string => stage.state.map(({ of, version }) => `${of} version ${version}`).join(", ");
