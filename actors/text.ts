// Lines of text.
import { defineSource, type SinkActor, type SourceActor, TerminalError } from "../runtime/index.ts";
import { fileSink, type Format } from "./file-sink.ts";
import { fileStart, lineEnd, readRecords, type RecordFormat, type RecordPosition } from "./file-records.ts";
import { pathOption } from "./file-window.ts";
import { fingerprint } from "./fingerprint.ts";

const lines: RecordFormat<string> = {
  multiline: false,
  end: lineEnd,
  parse: (texts) => texts,
};

const format: Format<string> = {
  encode(events) {
    for (const event of events) {
      if (typeof event.data !== "string") throw new TerminalError(`event ${event.id} is no text: text.sink takes texts, jsonl.sink all data`);
    }
    return { text: `${events.map((event) => event.data).join("\n")}\n` };
  },
};

export const text = {
  /**
   * Reads a file line by line, UTF-8, newlines (LF or CRLF) taken off; an empty line is an empty text. A line that is
   * no UTF-8 or longer than 8 MiB is a dead letter (LINE_INVALID) with file and line; reading goes on. Position: byte
   * offset and line.
   * @throws MillraceError OPTION_INVALID; while reading FILE_MISSING, FILE_UNREADABLE, FILE_CHANGED
   */
  source(path: string): SourceActor<string> {
    pathOption("text.source", path);
    return defineSource<string, RecordPosition>({
      kind: "text", guarantee: "replayable", ends: true, start: fileStart,
      fingerprint: () => fingerprint(path),
      read: (from, ctx) => readRecords(path, from, ctx, lines),
    });
  },
  /**
   * Writes one text a line, exactly once; a text with newlines in it becomes several lines. See `fileSink` for how the file comes to be.
   * @throws MillraceError OPTION_INVALID; while writing SINK_LOST, SINK_UNWRITABLE, SINK_TAKEN, SINK_DIVERGED; TerminalError for an event that is no text
   */
  sink(path: string): SinkActor<string> {
    return fileSink("text", path, format);
  },
};
