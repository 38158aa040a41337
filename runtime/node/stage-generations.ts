// The generations of a stage as the run's record tells of them (PROTOCOL 11). Pure.
import { type Division, ordinalOf } from "../actor/environment.ts";
import type { RunRecord } from "./run-record.ts";
import type { Change } from "./scale-step.ts";

/** The generation with that number. */
export function generationOf(token: string, ordinal: number): string {
  return `${token}-${ordinal}`;
}

/** How many actors each stage has, and is to have places for. */
export function countsOf({ stages, change }: Pick<RunRecord, "stages" | "change">): ReadonlyMap<string, number> {
  return new Map(stages.map(({ name, parallelism }) => [name, change?.stage === name && change.started === true ? change.parallelism : parallelism]));
}

/** The highest number that was given out for a stage: to a generation of it, or to one that never came to be. */
export function givenTo({ stages }: Pick<RunRecord, "stages">, name: string): number {
  const kept = stages.find((stage) => stage.name === name);
  return kept === undefined ? 0 : Math.max(kept.given ?? 0, ordinalOf(kept.generation));
}

/** Whether what a generation has left can go, by a record that may not be the newest: a later one says nothing else of it. */
export function isLeft(record: RunRecord, name: string, generation: string): boolean {
  const { token, stages, change } = record, kept = stages.find((one) => one.name === name);
  if (kept === undefined || !generation.startsWith(`${token}-`) || generation === kept.generation || (change?.stage === name && change.generation === generation)) return false;
  // The number that was given out last may be of streams that are just being made.
  return ordinalOf(generation) < givenTo(record, name) || kept.withdrawn?.includes(generation) === true;
}

/** What is being changed; `undefined`: nothing. */
export function changeOf({ change, stages }: RunRecord): Change | undefined {
  const from = stages.find(({ name }) => name === change?.stage);
  if (change === undefined || from === undefined) return undefined;
  return { stage: change.stage, from: { generation: from.generation, count: from.parallelism }, to: { generation: change.generation, count: change.parallelism }, takenBack: change.takenBack, stands: change.stands, started: change.started };
}

export class StageGenerations {
  readonly first: Division;
  readonly inForce: Division;
  readonly next: (Division & { readonly takenBack: boolean; readonly stands?: boolean | undefined }) | undefined;
  readonly #withdrawn: readonly string[];
  readonly #ordinal: number;

  /** @param parallelism that the flow's plan gives the stage: it began with that */
  constructor({ token, stages, change }: RunRecord, name: string, parallelism: number) {
    const kept = stages.find((stage) => stage.name === name);
    this.first = { generation: generationOf(token, 1), count: parallelism };
    this.inForce = kept === undefined ? this.first : { generation: kept.generation, count: kept.parallelism };
    this.next = change?.stage === name ? { generation: change.generation, count: change.parallelism, takenBack: change.takenBack, stands: change.stands } : undefined;
    this.#withdrawn = kept?.withdrawn ?? [];
    this.#ordinal = ordinalOf(this.inForce.generation);
  }

  /** What was in force before: others have gone on from it. */
  isOver(generation: string): boolean {
    return ordinalOf(generation) < this.#ordinal;
  }

  /** Over for good, or never to be. What is not known of is not: another node may know more. */
  isRetired(generation: string): boolean {
    if (generation === this.inForce.generation) return false;
    return ordinalOf(generation) < this.#ordinal || this.#withdrawn.includes(generation);
  }
}
