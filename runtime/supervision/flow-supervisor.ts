// A flow's part of the tree, made of its plan: flow, stages in topological order, actors by partition.
import type { FlowPlan, StagePlan } from "../flow/plan.ts";
import type { Child } from "./child.ts";
import type { ChildSpec } from "./child-spec.ts";
import type { Environment } from "./environment.ts";
import { Supervisor } from "./supervisor.ts";

export interface FlowSupervision {
  /** Token of the flow's run. */
  readonly run?: string;
  /** The actors of a stage that this node has, in the order of their partitions. A stage without any is left out, unless it is lasting. */
  readonly actors: (stage: StagePlan) => readonly Child[];
  /** In a cluster: actors come and go, and the flow is not over when those that are here have ended. Default false. */
  readonly lasting?: boolean;
}

/** The flow's supervisor, ready to be given to the root. @throws MillraceError SPEC_INVALID */
export function superviseFlow(env: Environment, flow: FlowPlan, { run, actors, lasting = false }: FlowSupervision): ChildSpec {
  const stages: ChildSpec[] = [];
  for (const stage of flow.stages) {
    const children = actors(stage).map((child): ChildSpec => ({ kind: "actor", child }));
    if (children.length > 0 || lasting) stages.push({ kind: "stage", child: new Supervisor(env, { id: `${flow.name}/${stage.name}`, kind: "stage", plan: stage.supervision, children, run, lasting }) });
  }
  return { kind: "flow", child: new Supervisor(env, { id: flow.name, kind: "flow", plan: flow.supervision, children: stages, run, lasting }) };
}
