// Seeded chance of one schedule: the same seed gives the same execution, to the byte.
import { SeededRandom } from "../../runtime/testing/seeded-random.ts";

export class Chance extends SeededRandom {
  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  /** From `least` up to and including `most`. */
  between(least: number, most: number): number {
    return least + this.below(most - least + 1);
  }

  /** True so often, of 1. */
  hits(share: number): boolean {
    return share > 0 && this.next() < share;
  }

  of<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)] as T;
  }
}
