// Reads a file of records that end with a newline (lines, CSV records) from a position on. A record that is no good is
// given up with its place, and reading goes on with the next one.
import { isAscii, isUtf8 } from "node:buffer";
import { MillraceError, type Reading, type SourceContext } from "../runtime/index.ts";
import { excerptBytes, FileWindow, markLength, maxRecordBytes } from "./file-window.ts";

/** All before it is done with. `line` counts from 1, so that places are right after a restart in the middle, too. */
export interface RecordPosition {
  readonly offset: number;
  readonly line: number;
}

export const fileStart: RecordPosition = { offset: 0, line: 1 };

export type RecordReading<T> = Reading<T> & { position: RecordPosition };

/** Why a record is given up. */
export class Unreadable {
  readonly reason: string;
  constructor(reason: string) {
    this.reason = reason;
  }
}

export interface RecordFormat<T> {
  /** Index after the record that begins at `at`, its newline included; -1: it does not end in these bytes. `last`: no more will come. */
  end(bytes: Buffer, at: number, last: boolean): number;
  /** Whether a record may hold newlines. */
  readonly multiline: boolean;
  /** What records say, one for each text; `undefined`: nothing, as in an empty line. Texts come without their last newline. */
  parse(texts: readonly string[]): readonly (T | Unreadable | undefined)[];
}

/** Readings of one array: the engine commits an array whole. */
export const arrayLength = 1024;

export const newline = 0x0a;

/** Of formats in which a record is a line. */
export function lineEnd(bytes: Buffer, at: number, last: boolean): number {
  return bytes.indexOf(newline, at) + 1 || (last ? bytes.length : -1);
}

const carriageReturn = 0x0d;
const tooLong = `it is longer than ${maxRecordBytes} bytes; this is its beginning`;

/** @throws MillraceError FILE_MISSING, FILE_UNREADABLE, FILE_CHANGED; UnavailableError for what passes. */
export async function* readRecords<T>(path: string, from: RecordPosition, ctx: SourceContext, format: RecordFormat<T>): AsyncGenerator<RecordReading<T>[] | { position: RecordPosition }, void> {
  // From one byte before, to see that a record begins here.
  const window = await FileWindow.open(path, Math.max(0, from.offset - 1), ctx.signal);
  try {
    let more = await window.more(0);
    let at = firstRecord(window, from);
    let { line } = from;
    let oversized: Uint8Array | undefined;
    for (;;) {
      const { bytes } = window;
      if (oversized !== undefined) {
        const end = bytes.indexOf(newline) + 1;
        at = end === 0 ? bytes.length : end;
        if (end > 0 || !more) {
          giveUp(ctx, path, line++, oversized, tooLong);
          oversized = undefined;
        }
      }
      while (at < bytes.length) {
        const ends = cut(bytes, at, !more, format);
        if (ends.length === 0) break;
        line = yield* parse(window, at, ends, line, ctx, format);
        at = ends.at(-1) as number;
      }
      if (!more) return;
      if (bytes.length - at > maxRecordBytes) {
        oversized = window.excerpt(at, bytes.length);
        at = bytes.length;
      }
      more = await window.more(at);
      at = 0;
    }
  } finally {
    await window.close();
  }
}

/** Where the first record begins in the window. Refuses a file in which none begins there any more. */
function firstRecord({ bytes, path }: FileWindow, from: RecordPosition): number {
  if (from.offset === 0) return markLength(bytes);
  // The last record may have no newline.
  if (bytes.length === 1 || bytes[0] === newline) return 1;
  throw new MillraceError("FILE_CHANGED", path, bytes.length === 0 ? `the file is shorter than the ${from.offset} bytes that were read of it`
    : `byte ${from.offset}, up to which the file was read, is no longer the beginning of a line`,
  "It was changed while the flow was under way: put back the file as it was, or start a new run with --fresh.");
}

/** Ends of up to 1,024 records from `at` on, as far as they are all there. */
function cut<T>(bytes: Buffer, at: number, last: boolean, format: RecordFormat<T>): number[] {
  const ends: number[] = [];
  while (ends.length < arrayLength && at < bytes.length) {
    let end = format.end(bytes, at, last);
    if (end === -1 && (last || bytes.length - at > maxRecordBytes)) {
      // What does not end where it must (an open quote) is given up as one line: the next may be good.
      end = bytes.indexOf(newline, at) + 1 || (last ? bytes.length : -1);
    }
    if (end === -1) break;
    ends.push(end);
    at = end;
  }
  return ends;
}

/**
 * Readings of the records that end at `ends`. A new array begins behind each record that is given up: so what is given up
 * always lies before the whole of the array with which it is committed, and is neither given up twice nor forgotten.
 * Returns the line after them.
 */
function* parse<T>(window: FileWindow, first: number, ends: readonly number[], line: number, ctx: SourceContext, format: RecordFormat<T>): Generator<RecordReading<T>[] | { position: RecordPosition }, number> {
  const { bytes, offset, path } = window;
  const all = bytes.subarray(first, ends.at(-1));
  const ascii = isAscii(all);
  const utf8 = ascii || isUtf8(all);
  const texts: string[] = [];
  let oversized = false;
  let at = first;
  for (const end of ends) {
    const stop = textEnd(bytes, at, end);
    texts.push(bytes.toString(ascii ? "latin1" : "utf8", at, stop));
    oversized ||= stop - at > maxRecordBytes;
    at = end;
  }
  // All at once; where something is wrong with one of them, one by one.
  const results = utf8 && !oversized ? format.parse(texts) : undefined;

  let readings: RecordReading<T>[] = [];
  at = first;
  for (let i = 0; i < ends.length; i++) {
    const end = ends[i] as number;
    const text = texts[i] as string;
    let result: T | Unreadable | undefined;
    let raw: unknown = text;
    if (results !== undefined) {
      result = results[i];
    } else if (textEnd(bytes, at, end) - at > maxRecordBytes) {
      result = new Unreadable(tooLong);
    } else if (utf8 || isUtf8(bytes.subarray(at, end))) {
      [result] = format.parse([text]);
    } else {
      result = new Unreadable("it is no UTF-8");
      raw = window.excerpt(at, textEnd(bytes, at, end));
    }
    const place = line;
    line += format.multiline ? linesOf(text) : 1;
    at = end;
    if (result === undefined) continue;
    if (!(result instanceof Unreadable)) {
      readings.push({ data: result, position: { offset: offset + end, line } });
      continue;
    }
    if (readings.length > 0) yield readings;
    readings = [];
    giveUp(ctx, path, place, raw, result.reason);
    // Committed with the place after it, also where no good record follows for long.
    yield { position: { offset: offset + end, line } };
  }
  if (readings.length > 0) yield readings;
  return line;
}

/** Without the newline, be it LF or CRLF. */
function textEnd(bytes: Buffer, start: number, end: number): number {
  if (bytes[end - 1] !== newline) return end;
  return end - 1 > start && bytes[end - 2] === carriageReturn ? end - 2 : end - 1;
}

function linesOf(text: string): number {
  let lines = 1;
  for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) lines++;
  return lines;
}

function giveUp(ctx: SourceContext, path: string, line: number, raw: unknown, reason: string): void {
  const shown = typeof raw === "string" && raw.length > excerptBytes ? raw.slice(0, excerptBytes) : raw;
  ctx.deadLetter(shown, new MillraceError("LINE_INVALID", `${path}:${line}`, `line ${line} cannot be read: ${reason}`, "Correct the line and replay the dead letter."));
}
