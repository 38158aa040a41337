// What local storage rejects with, the same words for LevelDB and for the twin in memory; and which names are safe.
import { MillraceError } from "../event/errors.ts";

const SEGMENT = /^[a-z0-9][a-z0-9-]*$/;
/** As LevelDB and the system say it. */
const NO_ROOM = /no space left|enospc|disk quota exceeded|edquot|not enough space/i;
const PUT_ASIDE = /\.broken-\d+$/;

/** A name is 1 to 8 segments of `a-z 0-9 -`, 1 to 64 long, with `/` between: no name leaves the data folder. @throws JOURNAL_NAME */
export function checkStoreName(name: string): void {
  const segments = name.replace(PUT_ASIDE, "").split("/");
  if (segments.length <= 8 && segments.every((segment) => segment.length <= 64 && SEGMENT.test(segment))) return;
  throw new MillraceError("JOURNAL_NAME", JSON.stringify(name.slice(0, 80)), "This is no name of a journal", "Names are 1 to 8 segments of a-z, 0-9 and -, with / between.");
}

export function storeLocked(name: string, cause?: unknown): MillraceError {
  return new MillraceError("JOURNAL_LOCKED", name, `The journal "${name}" is in use by another process`, "Stop that node, or give this one its own --data-dir.", cause === undefined ? {} : { cause });
}

export function storeCorrupt(name: string, why: string, cause?: unknown): MillraceError {
  return new MillraceError("JOURNAL_CORRUPT", name, `The journal "${name}" cannot be read: ${why}`, "An actor's is set aside and built anew from its commit log; another one: put its folder away, and look at the disk's health.", cause === undefined ? {} : { cause });
}

/** A full disk passes, and is waited for: JOURNAL_NO_ROOM. All else is JOURNAL_FAILED. */
export function storeFailed(name: string, why: string, cause?: unknown): MillraceError {
  if (NO_ROOM.test(`${why} ${cause instanceof Error ? cause.message : ""}`)) {
    return new MillraceError("JOURNAL_NO_ROOM", name, `There is no room on the disk for the journal "${name}": ${why}`, "Make room: it goes on by itself then.", cause === undefined ? {} : { cause });
  }
  return new MillraceError("JOURNAL_FAILED", name, `The journal "${name}" failed: ${why}`, "It is closed, opened again and recovered; if it goes on, check the disk's space and health.", cause === undefined ? {} : { cause });
}
