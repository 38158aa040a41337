// The elements of an array in a JSON document, read as a stream: the document may be larger than the memory.
import { isAscii, isUtf8 } from "node:buffer";
import { defineSource, MillraceError, type Reading, type SourceActor, type SourceContext } from "../runtime/index.ts";
import { arrayLength } from "./file-records.ts";
import { FileWindow, markLength, maxRecordBytes, pathOption } from "./file-window.ts";
import { fingerprint } from "./fingerprint.ts";
import { type Element, JsonFault, JsonScanner, parseSpan } from "./json-scan.ts";
import { TextPlaces } from "./text-places.ts";

interface JsonOptions {
  /** Where the array is: names and, in arrays, numbers, with dots between, as in "features" or "data.0.items". Default: the document itself is the array. */
  at?: string;
}

/** @param from how many elements are done with */
async function* readArray<T>(path: string, at: string, from: number, ctx: SourceContext): AsyncGenerator<(Reading<T> & { position: number })[] | { position: number }, void> {
  const window = await FileWindow.open(path, 0, ctx.signal);
  const places = new TextPlaces(path, ctx.signal);
  try {
    let more = await window.more(0);
    const scanner = new JsonScanner(at, markLength(window.bytes));
    let readings: (Reading<T> & { position: number })[] = [];
    let position = 0;
    for (;;) {
      const element = scanner.next(window.bytes, window.offset, !more);
      if (typeof element !== "string") {
        if (++position <= from) continue;
        const data = dataOf(window, element);
        if (data !== invalid) {
          readings.push({ data: data as T, position });
          if (readings.length < arrayLength) continue;
        } else {
          // What is given up lies before the whole of the array with which it is committed.
          if (readings.length > 0) yield readings;
          readings = [];
          const reason = element.excerpt === undefined ? "it is no UTF-8" : `it is longer than ${maxRecordBytes} bytes; this is its beginning`;
          ctx.deadLetter(element.excerpt ?? window.excerpt(element.start - window.offset, element.end - window.offset),
            new MillraceError("ELEMENT_INVALID", `${path}:${await places.of(element.start)}`, `element ${position - 1} cannot be read: ${reason}`, "Correct the element and replay the dead letter."));
          yield { position };
          continue;
        }
      }
      if (readings.length > 0) yield readings;
      readings = [];
      if (element === "more") more = await window.more(scanner.keep - window.offset);
      if (element === "end") break;
    }
    if (position < from) {
      throw new MillraceError("FILE_CHANGED", path, `the array has ${position} elements, and ${from} were read of it`, "The file was changed while the flow was under way: put back the file as it was, or start a new run with --fresh.");
    }
  } catch (error) {
    throw error instanceof JsonFault ? new MillraceError(error.code, `${path}:${await places.of(error.offset)}`, error.message, remedies[error.code]) : error;
  } finally {
    await window.close();
  }
}

const remedies = {
  JSON_INVALID: "Correct the document: it is read up to here and not further.",
  JSON_PATH_MISSING: "Say where the array is: json.source(path, { at: \"name.of.the.array\" }).",
  JSON_NOT_ARRAY: "Say where the array is: json.source(path, { at: \"name.of.the.array\" }); for one value a line take jsonl.source.",
} as const;

const invalid = Symbol("invalid");

function dataOf({ bytes, offset }: FileWindow, { start, end, excerpt }: Element): unknown {
  if (excerpt !== undefined) return invalid;
  const span = bytes.subarray(start - offset, end - offset);
  if (isAscii(span)) return parseSpan(span.toString("latin1"), start);
  return isUtf8(span) ? parseSpan(span.toString("utf8"), start) : invalid;
}

export const json = {
  /**
   * Reads the elements of an array in a JSON document, UTF-8, in order and as a stream. The path of the file is taken as
   * seen from the folder of the process. An element above 8 MiB or with broken UTF-8 is a dead letter (ELEMENT_INVALID)
   * with file, line and column; a broken document is not read further. Position: how many elements are done with.
   * @throws MillraceError OPTION_INVALID; while reading FILE_MISSING, FILE_UNREADABLE, FILE_CHANGED, JSON_INVALID,
   *   JSON_PATH_MISSING, JSON_NOT_ARRAY
   */
  source<T = unknown>(path: string, options: JsonOptions = {}): SourceActor<T> {
    pathOption("json.source", path);
    const { at = "" } = options;
    if (typeof at !== "string") throw new MillraceError("OPTION_INVALID", "json.source", `at of json.source is a ${typeof at}`, "Give it as a text, such as \"features\" or \"data.0.items\".");
    return defineSource<T, number>({
      kind: "json", guarantee: "replayable", ends: true, start: 0,
      fingerprint: () => fingerprint(path),
      read: (from, ctx) => readArray<T>(path, at, from, ctx),
    });
  },
};
