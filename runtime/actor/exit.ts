// How a run of an actor came to its end, as its supervisor needs to know it. Errors of all kinds become one of these here
// and nowhere else.
import { asError, MillraceError, UnavailableError } from "../event/errors.ts";
import { millis } from "../event/event.ts";

/**
 * - `normal`: it has ended: all its inputs ended, and all that it sent is settled. Final for the run.
 * - `sealed`: its generation is over: its state goes on in the actors of the next one.
 * - `shutdown`: it stopped in order, asked or not.
 * - `crash`: it threw. With `event` where it was handling one.
 * - `process`: the worker or process that it ran in died.
 * - `poison`: the event in `event` has now crashed it as often as it may. Spends no restart.
 * - `unavailable`: something that it needs is down. Spends no restart.
 * - `fenced`: another owner has claimed its log (P4).
 * - `parked`: it must not go on before a person has looked (P17, P25, P28, P30).
 * - `escalated`: a supervisor gave up on one of its children.
 */
export type ExitClass = "normal" | "sealed" | "shutdown" | "crash" | "process" | "poison" | "unavailable" | "fenced" | "parked" | "escalated";

export interface Exit {
  readonly class: ExitClass;
  readonly error?: Error;
  /** The event (or timer) that was at hand, in words that are the same at each try: channel, number and index. */
  readonly event?: string;
  /** Of `unavailable`: when the author wants it tried again. */
  readonly retryAfterMs?: number;
}

/** What an error of the runtime means for the actor that it ends. Parked is what no restart mends. Every other code is a crash. */
const classes: ReadonlyMap<string, ExitClass> = new Map([
  ["UNREACHABLE", "unavailable"],
  ["STREAM_MISSING", "unavailable"],
  ["NOT_SEALED", "unavailable"],
  ["JOURNAL_NO_ROOM", "unavailable"],
  ["FENCED", "fenced"],
  ...["BYTES_REFUSED", "FRAME_NEWER", "RECORD_NEWER", "JOURNAL_NEWER", "STATE_OLDER", "MIGRATE_MISSING", "HISTORY_FORKED", "BROKER_WENT_BACK", "SINK_DIVERGED", "SINK_LOST", "SINK_TAKEN", "FILE_CHANGED", "TOPIC_TRIMMED"].map((code) => [code, "parked"] as const),
]);

/** Whether an error is about the actor itself, whatever event was at hand: its code is older than its state, its journal is damaged. */
export function isOfActor(thrown: unknown): boolean {
  return thrown instanceof MillraceError && (classes.get(thrown.code) === "parked" || thrown.code.startsWith("JOURNAL_"));
}

/** The exit that a thrown value comes to. `event`: what was at hand. */
export function exitOf(thrown: unknown, event?: string): Exit {
  const error = asError(thrown), at = event === undefined ? {} : { event };
  if (error instanceof UnavailableError) {
    const retryAfterMs = millis(error.retryAfter);
    return { class: "unavailable", error, ...at, ...(retryAfterMs === undefined ? {} : { retryAfterMs }) };
  }
  return { class: (error instanceof MillraceError ? classes.get(error.code) : undefined) ?? "crash", error, ...at };
}
