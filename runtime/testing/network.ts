// The network between a MemoryBroker and its MemoryServer: each step of each call passes through it, so a scheduler can lose,
// delay, repeat and answer by itself.

/**
 * One step. "append" → server, "ack" ← its answer. "read" → server (reads, purge, create, list, remove), "answer" ← its answer.
 * "attach" → a subscription asks the server for messages; "deliver" ← one of them. "request" → who serves, "reply" ← the answer.
 */
export type Leg = "append" | "ack" | "read" | "answer" | "attach" | "deliver" | "request" | "reply";

/** What a server answers to an append without looking: nothing is stored. */
export type Verdict = "refused" | "full" | "missing" | "unknown";

export interface Network {
  /**
   * Carries one step. Calling `run` is its arrival. Never called: lost. Called after the caller's time-out: stored late, or an answer
   * that nobody waits for. Called twice: arrived twice. With a verdict (of "append" only): the server answers that and stores nothing.
   *
   * A connection keeps order: appends of one subject arrive in the order of these calls, unless the connection was lost in between.
   * That is for the scheduler to keep; across subjects it is free.
   */
  schedule(leg: Leg, subject: string, run: (verdict?: Verdict) => void): void;
}

/** Nothing is lost: each step arrives in a microtask, in order. */
export const reliableNetwork: Network = {
  schedule: (_leg, _subject, run) => queueMicrotask(run),
};
