// What a node writes down: JSON, one object a line, in `millrace.log` of its data folder; warnings also to whoever watches.
import { mkdirSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import { pino } from "pino";
import type { Logger } from "../flow/context.ts";

/** A log larger than that becomes `millrace.log.1`, and what that was goes. It is looked at with each so many lines. */
const largestBytes = 8 * 1024 * 1024, lookLines = 1_000;

export interface LogFile extends Logger {
  readonly path: string;
  /** Why a node did not start: written down, not told, since who starts it is told by the exception. */
  fatal(message: string): void;
  /** What is said from then on is dropped. May be called again. */
  close(): void;
}

/** `warned`: told of warnings and errors, one line each. */
export function openLog(dataDir: string, node: string, warned: (line: string) => void): LogFile {
  mkdirSync(dataDir, { recursive: true });
  const path = join(dataDir, "millrace.log");
  putAside(path);
  // Synchronous: what was said before a crash is there after it. A few lines a minute, never one an event.
  const destination = pino.destination({ dest: path, sync: true });
  // On a full disk lines are lost; without a listener the node would be.
  destination.on("error", () => {});
  const logger = pino({ base: { node }, timestamp: pino.stdTimeFunctions.isoTime, level: "debug" }, destination);
  let lines = 0, isClosed = false;
  const write = (level: "debug" | "info" | "warn" | "error") => (message: string, fields: object = {}): void => {
    // Who is just asking something when its node stops says so late, and must not die of it.
    if (isClosed) return;
    logger[level](fields, message);
    if (++lines % lookLines === 0 && putAside(path)) destination.reopen();
    if (level === "warn" || level === "error") warned(lineOf(message, fields));
  };
  const close = (): void => {
    if (isClosed) return;
    isClosed = true;
    destination.end();
  };
  return { path, debug: write("debug"), info: write("info"), warn: write("warn"), error: write("error"), fatal: (message) => { if (!isClosed) logger.fatal(message); }, close };
}

/** Whether it was so large. What cannot be put aside is written on to. */
function putAside(path: string): boolean {
  try {
    if (statSync(path).size <= largestBytes) return false;
    renameSync(path, `${path}.1`);
    return true;
  } catch {
    return false;
  }
}

const longest = 400;

/** Message and fields on one line: `suspended: something that it needs is down (actor quakes/report/0, reason disk full)`. */
function lineOf(message: string, fields: object): string {
  const told = Object.entries(fields).map(([name, value]) => `${name} ${typeof value === "string" ? value : JSON.stringify(value)}`).join(", ");
  const line = `${message}${told === "" ? "" : ` (${told})`}`.replace(/\s+/g, " ");
  return line.length <= longest ? line : `${line.slice(0, longest - 1)}…`;
}
