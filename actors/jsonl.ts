// One JSON value a line (JSON Lines, NDJSON).
import { defineSource, type SinkActor, type SourceActor } from "../runtime/index.ts";
import { fileSink, type Format } from "./file-sink.ts";
import { fileStart, lineEnd, readRecords, type RecordFormat, type RecordPosition, Unreadable } from "./file-records.ts";
import { pathOption } from "./file-window.ts";
import { fingerprint } from "./fingerprint.ts";
import { jsonText } from "./json-text.ts";

const lines: RecordFormat<unknown> = {
  multiline: false,
  end: lineEnd,
  parse: (texts) => texts.map(value),
};

function value(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    return text.trim() === "" ? undefined : new Unreadable((error as Error).message);
  }
}

const format: Format<unknown> = {
  encode: (events) => ({ text: `${events.map((event) => jsonText(event.data)).join("\n")}\n` }),
};

export const jsonl = {
  /**
   * Reads a file of one JSON value a line, UTF-8, from first to last; empty lines are passed over. The path is taken as
   * seen from the folder of the process. A line that is no JSON, no UTF-8 or longer than 8 MiB is a dead letter
   * (LINE_INVALID) with file and line; reading goes on. Position: byte offset and line.
   * @throws MillraceError OPTION_INVALID; while reading FILE_MISSING, FILE_UNREADABLE, FILE_CHANGED
   */
  source<T = unknown>(path: string): SourceActor<T> {
    pathOption("jsonl.source", path);
    return defineSource<T, RecordPosition>({
      kind: "jsonl", guarantee: "replayable", ends: true, start: fileStart,
      fingerprint: () => fingerprint(path),
      read: (from, ctx) => readRecords(path, from, ctx, lines as RecordFormat<T>),
    });
  },
  /**
   * Writes one JSON value a line, exactly once; see `fileSink` for how the file comes to be. Dates become ISO 8601
   * texts, bigints texts, bytes base64, Sets lists, Maps lists of pairs. `{partition}` in the path stands for the
   * actor's number, and is needed where parallelism is above 1.
   * @throws MillraceError OPTION_INVALID; while writing SINK_LOST, SINK_UNWRITABLE, SINK_TAKEN, SINK_DIVERGED
   */
  sink(path: string): SinkActor<unknown> {
    return fileSink("jsonl", path, format);
  },
};
