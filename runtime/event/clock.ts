// Time and chance, passed in wherever they are used, so that a test can move the one and seed the other.

export interface Clock {
  /** Wall clock, ms since the epoch. Nothing about safety depends on it. */
  now(): number;
  /** Never goes back; ms from an arbitrary start. For timeouts and rates. */
  monotonic(): number;
  /** Calls once after `ms`; returns what cancels it. Does not keep the process alive by itself. */
  after(ms: number, call: () => void): () => void;
}

export interface Random {
  /** From 0 up to but not including 1. */
  next(): number;
  /** Fresh random bytes: marks of terms, rounds. */
  bytes(count: number): Uint8Array;
}

export const systemClock: Clock = {
  now: Date.now,
  monotonic: () => performance.now(),
  after(ms, call) {
    const timer = setTimeout(call, ms);
    timer.unref();
    return () => clearTimeout(timer);
  },
};

export const systemRandom: Random = {
  next: Math.random,
  bytes: (count) => crypto.getRandomValues(new Uint8Array(count)),
};

/** Waits, or until the signal ends it. */
export function pause(ms: number, { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal }): Promise<void> {
  return new Promise((done) => {
    if (signal.aborted) return done();
    const finish = () => { cancel(); signal.removeEventListener("abort", finish); done(); };
    const cancel = clock.after(ms, finish);
    signal.addEventListener("abort", finish, { once: true });
  });
}
