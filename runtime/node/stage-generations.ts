// The generations of a stage as the run's record tells of them (PROTOCOL 11). Pure.
import type { Division } from "../actor/environment.ts";
import type { RunRecord } from "./run-record.ts";
import type { Change } from "./scale-step.ts";

/** The generation with that number. */
export function generationOf(token: string, ordinal: number): string {
  return `${token}-${ordinal}`;
}

/** Its number within the run. */
export function ordinalOf(generation: string): number {
  return Number(generation.slice(generation.lastIndexOf("-") + 1));
}

/** What is being changed; `undefined`: nothing. */
export function changeOf({ change, stages }: RunRecord): Change | undefined {
  const from = stages.find(({ name }) => name === change?.stage);
  if (change === undefined || from === undefined) return undefined;
  return { stage: change.stage, from: { generation: from.generation, count: from.parallelism }, to: { generation: change.generation, count: change.parallelism }, takenBack: change.takenBack };
}

export class StageGenerations {
  readonly first: Division;
  readonly inForce: Division;
  readonly next: (Division & { readonly takenBack: boolean }) | undefined;
  readonly #withdrawn: readonly string[];
  readonly #ordinal: number;

  /** @param parallelism that the flow's plan gives the stage: it began with that */
  constructor({ token, stages, change }: RunRecord, name: string, parallelism: number) {
    const kept = stages.find((stage) => stage.name === name);
    this.first = { generation: generationOf(token, 1), count: parallelism };
    this.inForce = kept === undefined ? this.first : { generation: kept.generation, count: kept.parallelism };
    this.next = change?.stage === name ? { generation: change.generation, count: change.parallelism, takenBack: change.takenBack } : undefined;
    this.#withdrawn = kept?.withdrawn ?? [];
    this.#ordinal = ordinalOf(this.inForce.generation);
  }

  /** Over for good, or never to be. What is not known of is not: another node may know more. */
  isRetired(generation: string): boolean {
    if (generation === this.inForce.generation) return false;
    return ordinalOf(generation) < this.#ordinal || this.#withdrawn.includes(generation);
  }
}
