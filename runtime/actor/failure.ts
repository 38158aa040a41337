// What becomes of an event whose handler threw: the class of the error decides (API 4).
import { asError, MillraceError, RetryableError, TerminalError, UnavailableError } from "../event/errors.ts";
import { millis } from "../event/event.ts";

/** Codes of errors that are about one event: it is given up with this reason, the actor goes on. */
const ofOneEvent: ReadonlySet<string> = new Set(["SCHEMA", "TIME_INVALID", "KEY_INVALID", "UNSERIALIZABLE", "TOO_LARGE", "LATE", "HOPS"]);
/** A handler that was not done in time. It may still go on by itself: this life of the actor is over, so that it has no effect. */
export class DeadlineError extends Error {
  constructor(ms: number) {
    super(`its handler was not done after ${ms} ms (poison.deadline)`);
    this.name = "DeadlineError";
  }
}

const retry = { firstMs: 1_000, mostMs: 300_000 } as const;

export type Fate =
  | { readonly is: "dead letter"; readonly code: string; readonly error: Error }
  | { readonly is: "retry" | "unavailable"; readonly afterMs: number; readonly error: Error }
  | { readonly is: "crash"; readonly error: Error };

/** @param attempt of the try that failed: 1, 2 … the wait doubles with each */
export function fateOf(thrown: unknown, attempt: number): Fate {
  const error = asError(thrown);
  if (error instanceof TerminalError) return { is: "dead letter", code: "TERMINAL", error };
  if (error instanceof MillraceError && ofOneEvent.has(error.code)) return { is: "dead letter", code: error.code, error };
  if (error instanceof RetryableError || error instanceof UnavailableError) {
    const first = millis(error.retryAfter) ?? retry.firstMs;
    return { is: error instanceof RetryableError ? "retry" : "unavailable", afterMs: Math.min(Math.max(first, retry.mostMs), first * 2 ** Math.min(20, attempt - 1)), error };
  }
  return { is: "crash", error };
}
