// How often a child may be restarted: at most `intensity` times within `periodMs`, on the monotonic clock. One more, and its
// supervisor gives up on it. Counted for each child, so that five siblings that fail once each cost nobody a budget.

export interface Counted {
  /** Monotonic ms. */
  readonly at: number;
  /** The event that caused it, where it is known. */
  readonly event: string | undefined;
}

/**
 * Counts a restart that is wanted now. What lies further back than the period is forgotten; exactly the period counts, as in
 * OTP. What one event causes counts once: how often an event may crash its actor is `poison.after`, which the log counts.
 */
export function count(counted: readonly Counted[], restart: Counted, { intensity, periodMs }: { readonly intensity: number; readonly periodMs: number }): { readonly counted: readonly Counted[]; readonly exceeded: boolean } {
  const before = restart.event === undefined ? counted : strike(counted, restart.event);
  const within = [...before.filter(({ at }) => restart.at - at <= periodMs), restart];
  const exceeded = within.length > intensity;
  // No more than can matter is kept.
  return { counted: within.slice(-(intensity + 1)), exceeded };
}

/** Takes back what an event cost that turned out to be poison. */
export function strike(counted: readonly Counted[], event: string): readonly Counted[] {
  return counted.filter((restart) => restart.event !== event);
}
