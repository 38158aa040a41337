// The schedule of a seed: two of four are drawn freely, in one stages are scaled, one is of those that a broken rule is caught by. The whole engine
// passes all of them.
import { type Result, runSchedule } from "./schedule.ts";
import { scaled, scaledWithLosses } from "./profile.ts";
import { variants } from "./variants.ts";

export function runSeed(seed: number, options: { readonly flows?: readonly string[] | undefined; readonly trace?: ((line: string) => void) | undefined } = {}): Promise<Result> {
  const steered = seed % 4 === 3 && options.flows === undefined ? variants[((seed - 3) / 4) % variants.length] : undefined;
  const free = { ...options, takenBack: options.flows === undefined };
  if (seed % 4 === 1) return runSchedule(seed, { ...free, profile: seed % 16 === 1 ? scaledWithLosses : scaled });
  return runSchedule(seed, steered === undefined ? free : { trace: options.trace, flows: steered.flows, profile: steered.profile });
}
