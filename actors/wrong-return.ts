import { MillraceError, sortOf } from "../runtime/index.ts";

/** A user's function returned what it must not: for JavaScript, and for what types let through. */
export function wrongReturn(what: string, returned: unknown, where: string, remedy: string): MillraceError {
  return new MillraceError("RETURN_INVALID", where, `${what} returned ${sortOf(returned)}`, remedy);
}
