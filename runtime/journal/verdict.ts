// What the owner of a log, or who would be, finds about it and leaves with.
import { MillraceError } from "../event/errors.ts";

/** Another owner has the log. */
export const fenced = (where: string): MillraceError => new MillraceError("FENCED", where, `Another node has taken ${where} over`, "Nothing to do: that node goes on with it.");

/** The broker lost what it had acknowledged (section 10): never gone on in silence. */
export function wentBack(where: string, what: string): MillraceError {
  return new MillraceError("BROKER_WENT_BACK", where, `The broker lost what it had acknowledged: ${what}`, "Look with millrace doctor; millrace repair brings back what the journals hold. Else bring the server's store back, or start anew with --fresh.");
}

/** What was read of the log before it was claimed does not reach to where it begins by now. */
export function purgedMeanwhile(where: string): MillraceError {
  return new MillraceError("LOG_PURGED", where, `The log of ${where} was purged beyond what had been read of it`, "Nothing to do: it begins anew, from the newest snapshot.");
}
