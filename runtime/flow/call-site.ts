// Where in the user's code a call was made. Taken for every stage, read only when there is something to complain about:
// the engine formats a stack when it is first looked at, so a flow without problems pays for one frame and no text.
import { isAbsolute, relative } from "node:path";
import { fileURLToPath } from "node:url";

/** One frame of a stack, not formatted yet. */
export interface CallSite {
  readonly stack?: unknown;
}

/** The caller of `callee`, which must be running now. */
export function callSite(callee: (...args: never[]) => unknown): CallSite {
  const site: CallSite = {};
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 1;
  Error.captureStackTrace(site, callee);
  Error.stackTraceLimit = limit;
  return site;
}

/** File and line, such as "flow.ts:12", relative to the current directory where it lies within; `undefined` where it is not known. */
export function locationOf(site: CallSite): string | undefined {
  const { stack } = site;
  if (typeof stack !== "string") return undefined;
  const [, file, line] = /^\s+at (?:.*? \()?(.+):(\d+):\d+\)?$/m.exec(stack) ?? [];
  if (file === undefined) return undefined;
  const path = file.startsWith("file:") ? fileURLToPath(file) : file;
  const near = relative(process.cwd(), path);
  return `${isAbsolute(path) && !near.startsWith("..") ? near : path}:${line}`;
}
