// The engine with a rule of the protocol broken, and how long it takes until that is caught.
import { current } from "./feed.ts";
import type { Profile } from "./profile.ts";
import type { Rules } from "./rules.ts";
import { type Result, runSchedule } from "./schedule.ts";
import type { World } from "./world.ts";

export interface Variant {
  readonly name: string;
  /** Where PROTOCOL.md has it. */
  readonly rule: string;
  readonly flows?: readonly string[];
  /** Where random schedules would take long to come to it. */
  readonly profile?: Partial<Profile>;
  readonly rules?: Partial<Rules>;
  /** The seed that is tried first, where a rare schedule is known: it is found there, or searched for from there on. Default 1. */
  readonly from?: number;
  /** What the whole engine must do without as well: another rule would notice it first. */
  readonly without?: Partial<Rules>;
  /** Breaks the engine; returns what mends it. */
  readonly breaks?: () => () => void;
  /** It is to be seen in what comes out: that logs and journals differ would be noticed at once. */
  readonly outcomeOnly?: boolean;
  /** Most schedules until it must be caught. */
  readonly most?: number;
}

/** The one that runs now. */
export const world = (): World => current.host as World;

export interface Caught {
  /** How many schedules it took. */
  readonly schedules: number;
  readonly seed: number;
  readonly result: Result | undefined;
}

/** Runs a broken variant until it is caught; without a `result` it was not. */
export async function caught(variant: Variant, seed: number, most = variant.most ?? 6_000): Promise<Caught> {
  for (let i = 0; i < most; i++) {
    const mend = variant.breaks?.() ?? (() => {});
    try {
      const result = await runSchedule(seed + i, { flows: variant.flows, profile: variant.profile, rules: { ...variant.without, ...variant.rules }, outcomeOnly: variant.outcomeOnly, ended: mend });
      if (result.wrong !== undefined) return { schedules: i + 1, seed: seed + i, result };
    } finally {
      mend();
    }
  }
  return { schedules: most, seed, result: undefined };
}
