// Which generation of a stage the actors on this node are of, while it is being scaled (PROTOCOL 11): the old one, until all of it is
// sealed and whoever leads says so; then the next one, under the same addresses.
import type { Division, Place } from "../actor/environment.ts";
import type { Change } from "./scale-step.ts";

/** What comes after a sealed actor: one of the next generation under its address, none, or nothing at all: the plan was taken back. */
export type After = "goes on" | "over" | "withdrawn";

export class Succession {
  readonly change: Change;
  /** Partitions of the old generation that are sealed. */
  readonly sealed = new Set<number>();
  /** Since when it goes on as the next one, monotonic ms. */
  switchedAt: number | undefined;
  readonly #changed: () => void;
  readonly #waiting = new Set<(after: After) => void>();

  /** `changed`: called when one more is sealed. */
  constructor(change: Change, changed: () => void) {
    this.change = change;
    this.#changed = changed;
  }

  place(): Place {
    const { from, to } = this.change;
    return this.switchedAt === undefined ? { generation: from.generation } : { generation: to.generation, from };
  }

  /** How many actors there are to be, as it stands. */
  get division(): Division {
    return this.switchedAt === undefined ? this.change.from : this.change.to;
  }

  /** An actor of the old generation is sealed; resolves when it is known what comes after it, or the signal ends that: "over". */
  async succeed(partition: number, signal: AbortSignal): Promise<After> {
    this.sealed.add(partition);
    this.#changed();
    const after = this.switchedAt !== undefined ? "goes on" : await new Promise<After>((done) => {
      const finish = (its: After): void => {
        this.#waiting.delete(finish);
        signal.removeEventListener("abort", end);
        done(its);
      }, end = (): void => finish("over");
      signal.addEventListener("abort", end);
      this.#waiting.add(finish);
    });
    if (signal.aborted) return "over";
    return after === "goes on" && partition >= this.change.to.count ? "over" : after;
  }

  /** All old ones are sealed†: it goes on as the next generation. */
  switchOver(now: number): void {
    if (this.switchedAt !== undefined) return;
    this.switchedAt = now;
    for (const finish of this.#waiting) finish("goes on");
  }

  /** The plan is gone, and nobody follows it. Who is sealed all the same heard of it from senders that have lost that they did. */
  withdraw(): void {
    for (const finish of this.#waiting) finish("withdrawn");
  }
}
