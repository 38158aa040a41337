// A tap on every output of a flow: one more edge that leads into a stream nobody else reads, so that what a stage gave is there to
// be looked at, committed and in order, also where nothing in the flow reads it.
import type { EdgePlan, FlowPlan, StagePlan } from "../flow/plan.ts";

export interface Tap {
  /** Stands where the name of a reading stage would. No stage has such a name. */
  readonly name: string;
  readonly stage: string;
  /** "" is the stage's own stream. */
  readonly output: string;
}

/** The flow with its taps. Each source has one partition: what a test sends is read in the order in which it is sent. */
export function tapped(flow: FlowPlan): { readonly flow: FlowPlan; readonly taps: readonly Tap[] } {
  const taps: Tap[] = [];
  const stages = flow.stages.map((stage): StagePlan => {
    if (stage.kind === "sink") return stage;
    const own = ["", ...new Set(stage.outputs)].map((output, i): Tap => ({ name: `${stage.name}+${i}`, stage: stage.name, output }));
    taps.push(...own);
    const readers = [...stage.readers, ...own.map(({ name, output }): EdgePlan => ({ from: stage.name, output, to: name, input: 0, index: 0, eventTime: false }))];
    return stage.kind === "source" ? { ...stage, readers, parallelism: 1 } : { ...stage, readers };
  });
  return { flow: { ...flow, stages }, taps };
}
