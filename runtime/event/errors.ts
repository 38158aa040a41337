// What is thrown. The class that an author throws decides what happens to the event; `code` of a MillraceError is the
// contract, its wording may change.
import type { Duration } from "./event.ts";

interface Reason { cause?: unknown }
interface Later extends Reason {
  /** When to try again. Default "1s", doubled with each try up to "5m". */
  retryAfter?: Duration;
}

/** Never again: the event becomes a dead letter at once. */
export class TerminalError extends Error {
  constructor(message: string, options?: Reason) {
    super(message, options);
    this.name = "TerminalError";
  }
}

/** Not now: the event waits and is tried again, and the later events of its key wait behind it. No restart is spent. */
export class RetryableError extends Error {
  readonly retryAfter: Duration | undefined;
  constructor(message: string, options?: Later) {
    super(message, options);
    this.name = "RetryableError";
    this.retryAfter = options?.retryAfter;
  }
}

/** Something that this stage needs is down: the actor suspends and tries by itself. No restart is spent. */
export class UnavailableError extends Error {
  readonly retryAfter: Duration | undefined;
  constructor(message: string, options?: Later) {
    super(message, options);
    this.name = "UnavailableError";
    this.retryAfter = options?.retryAfter;
  }
}

/** One thing that is wrong with a flow's definition. */
export interface Problem {
  readonly code: string;
  readonly where: string;
  readonly message: string;
  readonly remedy: string;
  /** File and line of the call, such as "flow.ts:12". */
  readonly at?: string;
}

/** What the runtime itself throws. */
export class MillraceError extends Error {
  readonly code: string;
  /** What it is about: `fraud/velocity`, an option's path, an actor's address. */
  readonly where: string;
  /** What to do. */
  readonly remedy: string;
  /** Of FLOW_INVALID: all that is wrong with a definition, not just the first. Otherwise empty. */
  readonly problems: readonly Problem[];
  constructor(code: string, where: string, message: string, remedy: string, options: { cause?: unknown; problems?: readonly Problem[] } = {}) {
    super(`${message} (${code}, ${where}). ${remedy}`, "cause" in options ? { cause: options.cause } : undefined);
    this.name = "MillraceError";
    this.code = code;
    this.where = where;
    this.remedy = remedy;
    this.problems = options.problems ?? [];
  }
}

/** Anything thrown, as an Error. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}
