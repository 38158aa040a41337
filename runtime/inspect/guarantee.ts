// What a flow promises on the way from each source to each sink: what its weaker end does. Between them it is exactly once.
import type { FlowPlan, SinkPlan, SourcePlan } from "../flow/plan.ts";

export interface PathGuarantee {
  readonly source: string;
  readonly sink: string;
  readonly promise: "exactly once" | "at least once" | "may lose";
  /** Why it is not exactly once; none: it is. */
  readonly because?: string;
}

/** One for each sink that a source's events can reach, in the order of the stages. */
export function guaranteesOf(plan: FlowPlan): readonly PathGuarantee[] {
  const sources = plan.stages.filter((stage) => stage.kind === "source"), sinks = plan.stages.filter((stage) => stage.kind === "sink");
  return sources.flatMap((source) => {
    const reached = reachedFrom(plan, source.name);
    return sinks.filter(({ name }) => reached.has(name)).map((sink) => pathOf(source, sink));
  });
}

function reachedFrom(plan: FlowPlan, source: string): ReadonlySet<string> {
  const reached = new Set([source]);
  // In topological order: who feeds a stage was looked at before it.
  for (const stage of plan.stages) if (stage.inputs.some(({ from }) => reached.has(from))) reached.add(stage.name);
  return reached;
}

function pathOf({ name, source }: SourcePlan, { name: to, sink }: SinkPlan): PathGuarantee {
  const path = { source: name, sink: to };
  if (source.guarantee === "best-effort") return { ...path, promise: "may lose", because: `who sends to ${source.kind} does not send again what was not accepted` };
  if (sink.guarantee === "at-least-once") return { ...path, promise: "at least once", because: `${sink.kind} may write a batch again after a crash` };
  // Without ids a sender's repeat is a new event.
  if (source.guarantee === "acknowledged" && source.remember === 0) return { ...path, promise: "at least once", because: `${source.kind} remembers no ids, so what is sent again is taken again` };
  return { ...path, promise: "exactly once" };
}
