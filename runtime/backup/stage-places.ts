// The stages of a run and the actors that they have, readers before those who feed them.
import type { RunRecord } from "../node/run-record.ts";
import type { ActorPlace } from "../repair/actor-look.ts";

export interface Place extends ActorPlace {
  /** Of the generation that a stage is being scaled to. */
  readonly isNew: boolean;
  /** Its streams may be gone, or not made yet. */
  readonly mayLack: boolean;
}

export interface StagePlaces {
  readonly name: string;
  readonly order: "arrival" | "time";
  /** Stages that it reads. */
  readonly feeders: readonly string[];
  readonly places: readonly Place[];
}

export function stagesOf(flow: string, { shape, stages, change }: RunRecord): readonly StagePlaces[] {
  // A stage is defined with the stages that it reads, so it stands behind them; a loop there cannot be yet.
  return shape.stages.toReversed().map(({ name, order, inputs, kind }) => {
    const divisions = [...stages.filter((its) => its.name === name).map((its) => ({ ...its, isNew: false })), ...(change?.stage === name ? [{ ...change, isNew: true }] : [])];
    return {
      name, order, feeders: inputs.map((input) => /^[a-z0-9-]+/.exec(input)?.[0] ?? input),
      places: divisions.flatMap(({ generation, parallelism, isNew }) => Array.from({ length: parallelism }, (_, partition): Place => ({ flow, stage: name, kind, generation, partition, isNew, mayLack: change?.stage === name }))),
    };
  });
}
