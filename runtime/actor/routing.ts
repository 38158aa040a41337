// Which generation of each reader an actor's frames go to. Taken from the actor's own log, never from the plan as last seen†: a
// failover repeats the old decision (PROTOCOL 11, models/rescale.mjs). Pure.
import type { Body } from "../journal/record.ts";
import { type Division, type Generations, ordinalOf } from "./environment.ts";

/** What an actor has decided about a plan for one of its readers. */
export type Stance = "barrier" | "refused" | "open";

export class Routing {
  readonly #inForce: (stage: string) => Division;
  readonly #generations: Generations | undefined;
  readonly #decided = new Map<string, Division>();
  /** By stage: the generation that it did not go over to. */
  readonly #refused = new Map<string, string>();
  readonly #moved = new Set<string>();
  #refusedMoved = false;

  /** @param inForce where nothing is decided: no plan for that reader was ever carried out */
  constructor(inForce: (stage: string) => Division, generations: Generations | undefined) {
    this.#inForce = inForce;
    this.#generations = generations;
  }

  of(stage: string): Division {
    return this.#decided.get(stage) ?? this.#inForce(stage);
  }

  /** The generation of a reader that it has yet to go over to. The plan as last seen may be one of long ago: what was decided since is not undone by it†. */
  due(stage: string): Division | undefined {
    const next = this.#generations?.next(stage), refused = this.#refused.get(stage);
    if (next === undefined || next.takenBack || !isLater(next.generation, this.of(stage).generation)) return undefined;
    if (refused !== undefined && !isLater(next.generation, refused) && !(next.stands === true && next.generation === refused)) return undefined;
    return { generation: next.generation, count: next.count };
  }

  /** Whether a plan for this reader is taken back and it has yet to say that it does not follow it. */
  refusalDue(stage: string): boolean {
    const next = this.#generations?.next(stage), refused = this.#refused.get(stage);
    return next?.takenBack === true && isLater(next.generation, this.of(stage).generation) && (refused === undefined || isLater(next.generation, refused));
  }

  /** Whether others have gone on from the generation that its frames go to, as they do only when it has gone over itself. */
  isLeftBehind(stage: string): boolean {
    return this.#generations?.retired(stage, this.of(stage).generation) === true;
  }

  /** Goes over: from the next record on. */
  set(stage: string, to: Division): void {
    this.#decided.set(stage, to);
    this.#refused.delete(stage);
    this.#moved.add(stage);
  }

  refuse(stage: string): void {
    this.#refused.set(stage, this.#generations?.next(stage)?.generation ?? "");
    this.#refusedMoved = true;
  }

  /** Where it stands on a generation of a reader. */
  stance(stage: string, generation: string): Stance {
    if (this.#decided.get(stage)?.generation === generation) return "barrier";
    return this.#refused.get(stage) === generation ? "refused" : "open";
  }

  write(body: Body, whole: boolean): void {
    const decided = [...this.#decided].filter(([stage]) => whole || this.#moved.has(stage));
    if (decided.length > 0) body.routing = decided.map(([stage, { generation, count }]) => [stage, generation, count]);
    if (this.#refused.size > 0 && (whole || this.#refusedMoved)) body.refused = [...this.#refused];
    if (whole) return;
    this.#moved.clear();
    this.#refusedMoved = false;
  }

  /** Replay. */
  apply({ routing, refused }: Body): void {
    for (const [stage, generation, count] of routing ?? []) {
      this.#decided.set(stage, { generation, count });
      this.#refused.delete(stage);
    }
    for (const [stage, generation] of refused ?? []) this.#refused.set(stage, generation);
  }
}

const isLater = (generation: string, than: string): boolean => ordinalOf(generation) > ordinalOf(than);
