// The pace of chaos: faults one after the other, drawn by the seed, those of different targets at the same time.
import { SeededRandom } from "../../runtime/testing/seeded-random.ts";
import { moment } from "../support/moment.ts";
import { drawn, type Fault } from "./chaos-faults.ts";

export interface Pace {
  readonly seed: number;
  /** Faults begin no more after so long. ms */
  readonly faultsMs: number;
  /** Time between the beginnings of two faults: up to twice that. ms */
  readonly gapMs: number;
  /** Nor when this is settled. */
  readonly ended: Promise<unknown>;
  /** Gets how often each fault was. */
  readonly counts: Map<string, number>;
  readonly say: (what: string) => void;
  /** Told what a fault found wrong. */
  readonly wrong: (what: string) => void;
}

/** Resolves when no fault begins any more, and all are over. */
export async function disturbed<Run>(faults: readonly Fault<Run>[], run: Run, { seed, faultsMs, gapMs, ended, counts, say, wrong }: Pace): Promise<void> {
  const random = new SeededRandom(seed), until = performance.now() + faultsMs, busy = new Map<string, Promise<void>>();
  let over = false;
  const end = ended.then(() => { over = true; }, () => { over = true; });
  while (!over && performance.now() < until) {
    await Promise.race([moment(random.next() * 2 * gapMs), end]);
    const fault = drawn(faults, run, random, new Set(busy.keys()));
    if (over || fault === undefined) continue;
    counts.set(fault.name, (counts.get(fault.name) ?? 0) + 1);
    say(`${fault.name} begins`);
    busy.set(fault.target, fault.run(run, random).catch((error: Error) => wrong(`${fault.name}: ${error.message}`)).then(() => { say(`${fault.name} is over`); busy.delete(fault.target); }));
  }
  await Promise.all(busy.values());
}
