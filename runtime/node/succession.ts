// Which generation of a stage the actors on this node are of, while it is being scaled (PROTOCOL 11): the old one, until all of it is
// sealed and whoever leads says so; then the next one, under the same addresses.
import type { Division, Place } from "../actor/environment.ts";
import type { Change } from "./scale-step.ts";

export class Succession {
  readonly change: Change;
  /** Partitions of the old generation that are sealed. */
  readonly sealed = new Set<number>();
  /** Since when it goes on as the next one, monotonic ms. */
  switchedAt: number | undefined;
  readonly #changed: () => void;
  readonly #waiting = new Set<(goesOn: boolean) => void>();

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

  /** An actor of the old generation is sealed; resolves with whether one of the next generation has its address, or when the signal ends that: false. */
  async succeed(partition: number, signal: AbortSignal): Promise<boolean> {
    this.sealed.add(partition);
    this.#changed();
    const goesOn = this.switchedAt !== undefined || (await new Promise<boolean>((done) => {
      const finish = (goes: boolean): void => {
        this.#waiting.delete(finish);
        signal.removeEventListener("abort", end);
        done(goes);
      }, end = (): void => finish(false);
      signal.addEventListener("abort", end);
      this.#waiting.add(finish);
    }));
    return goesOn && !signal.aborted && partition < this.change.to.count;
  }

  /** All old ones are sealed†: it goes on as the next generation. */
  switchOver(now: number): void {
    if (this.switchedAt !== undefined) return;
    this.switchedAt = now;
    for (const finish of this.#waiting) finish(true);
  }
}
