// How long to wait before the next try: from `minMs`, times `factor` with each failure in a row, up to `maxMs`, spread by
// `jitter` so that actors that failed together do not come back together.
import type { Random } from "../event/clock.ts";

export interface Backoff {
  readonly minMs: number;
  readonly maxMs: number;
  readonly factor: number;
  /** Share by which the wait may be shorter or longer, 0 to 1. */
  readonly jitter: number;
}

/** For what is down and not of our making: "1s", doubled up to "5m", as errors.ts says of `retryAfter`. */
export const outageBackoff: Backoff = { minMs: 1_000, maxMs: 300_000, factor: 2, jitter: 0.2 };

/** ms to wait after so many failures in a row (1, 2, 3 …). Spread evenly, and never below `minMs` or above `maxMs`. */
export function delayAfter(failures: number, { minMs, maxMs, factor, jitter }: Backoff, random: Random): number {
  // From 0 no factor leads away.
  const middle = minMs === 0 && failures > 1 ? Math.min(maxMs, factor ** (failures - 1)) : Math.min(maxMs, minMs * factor ** (failures - 1));
  const least = Math.max(minMs, middle * (1 - jitter)), most = Math.min(maxMs, middle * (1 + jitter));
  return Math.round(least + random.next() * (most - least));
}

/** Failures in a row, with the one at hand. A child that ran quietly for `quietMs` before begins anew. `ranMs`: `undefined` where it did not get to run. */
export function failuresWith(before: number, ranMs: number | undefined, quietMs: number): number {
  return ranMs !== undefined && ranMs >= quietMs ? 1 : before + 1;
}
