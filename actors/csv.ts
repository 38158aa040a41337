// Comma-separated values (RFC 4180) with a header line.
import { isUtf8 } from "node:buffer";
import { parse as parseCsv } from "csv-parse/sync";
import { stringify } from "csv-stringify/sync";
import { defineSource, type FlowEvent, MillraceError, type SinkActor, type SourceActor, type SourceContext, TerminalError } from "../runtime/index.ts";
import { fileSink, type Format } from "./file-sink.ts";
import { fileStart, lineEnd, newline, readRecords, type RecordFormat, type RecordPosition, Unreadable } from "./file-records.ts";
import { FileWindow, markLength, maxRecordBytes, pathOption } from "./file-window.ts";
import { fingerprint } from "./fingerprint.ts";
import { jsonText } from "./json-text.ts";

const comma = 0x2c;
const quote = 0x22;

/** Index after the record that begins at `at`; -1: it does not end here. A quote opens a text only at the beginning of a field. */
function recordEnd(bytes: Buffer, at: number, last: boolean): number {
  const end = lineEnd(bytes, at, last);
  if (end === -1 || !bytes.subarray(at, end).includes(quote)) return end;
  let opens = true;
  for (let i = at; i < bytes.length; i++) {
    const byte = bytes[i];
    if (byte === quote && opens) {
      // To the quote that closes; a doubled one is a quote in the text.
      i = bytes.indexOf(quote, i + 1);
      while (i !== -1 && bytes[i + 1] === quote) i = bytes.indexOf(quote, i + 2);
      if (i === -1) return -1;
      opens = false;
    } else if (byte === newline) {
      return i + 1;
    } else {
      opens = byte === comma;
    }
  }
  return last ? bytes.length : -1;
}

type Row = Record<string, string>;

const parsing = { skip_empty_lines: true, record_delimiter: ["\n", "\r\n"] };

function rows(columns: readonly (string | null)[]): RecordFormat<Row> {
  const options = { ...parsing, columns: [...columns] };
  return {
    multiline: true,
    end: recordEnd,
    parse(texts) {
      const filled = texts.filter((text) => text !== "").length;
      try {
        const found: Row[] = parseCsv(texts.join("\r\n"), options);      // a text may end with a lone CR
        if (found.length === filled) {
          let next = 0;
          return texts.map((text) => (text === "" ? undefined : found[next++]));
        }
      } catch {
        // One of them is no good: below it is found out which.
      }
      return texts.map((text) => one(text, options));
    },
  };
}

function one(text: string, options: typeof parsing & { columns: (string | null)[] }): Row | Unreadable | undefined {
  if (text === "") return undefined;
  try {
    const found: Row[] = parseCsv(text, options);
    return found.length === 1 ? found[0] : new Unreadable("it is not one record");
  } catch (error) {
    return new Unreadable(reasonOf(error));
  }
}

interface Header {
  readonly columns: readonly (string | null)[];
  /** Where the records begin. */
  readonly next: RecordPosition;
}

/** Reads the header line; `undefined` in an empty file. A column without a name is passed over. */
async function readHeader(path: string, signal: AbortSignal): Promise<Header | undefined> {
  const window = await FileWindow.open(path, 0, signal);
  try {
    let more = await window.more(0);
    let at = markLength(window.bytes);
    let line = 1;
    for (;;) {
      const { bytes } = window;
      let end = recordEnd(bytes, at, !more);
      if (end === -1 && more) {
        if (bytes.length - at > maxRecordBytes) throw headerInvalid(path, line, `it does not end within ${maxRecordBytes} bytes`);
        more = await window.more(at);
        at = 0;
        continue;
      }
      if (at === bytes.length) return undefined;
      if (end === -1) end = bytes.length;
      const record = bytes.subarray(at, end);
      if (!isUtf8(record)) throw headerInvalid(path, line, "it is no UTF-8");
      const text = record.toString().replace(/\r?\n$/, "");
      const next = { offset: window.offset + end, line: line + text.split("\n").length };
      if (text !== "") return { columns: columnsOf(path, line, text), next };
      at = end;
      line = next.line;
    }
  } finally {
    await window.close();
  }
}

function columnsOf(path: string, line: number, text: string): (string | null)[] {
  let names: string[];
  try {
    [names = []] = parseCsv(text, { ...parsing }) as string[][];
  } catch (error) {
    throw headerInvalid(path, line, reasonOf(error));
  }
  const twice = names.find((name, i) => name !== "" && names.indexOf(name) < i);
  if (twice !== undefined) throw headerInvalid(path, line, `two columns are named ${JSON.stringify(twice)}`);
  return names.map((name) => (name === "" ? null : name));
}

function headerInvalid(path: string, line: number, reason: string): MillraceError {
  return new MillraceError("CSV_HEADER_INVALID", `${path}:${line}`, `the header cannot be read: ${reason}`, "The first line names the columns, each once, separated by commas: correct it.");
}

/** The parser counts lines from the beginning of what it was given; the place is told beside it. */
function reasonOf(error: unknown): string {
  return (error as Error).message.replace(/ (at|on) line \d+/, "");
}

async function* readCsv<T>(path: string, from: RecordPosition, ctx: SourceContext) {
  const header = await readHeader(path, ctx.signal);
  if (header === undefined && from.offset === 0) return;
  const begin = header !== undefined && from.offset < header.next.offset ? header.next : from;
  yield* readRecords(path, begin, ctx, rows(header?.columns ?? []) as RecordFormat<T>);
}

const cells = {
  record_delimiter: "\n", quoted_match: /\r/,
  cast: { boolean: String, bigint: String, date: (date: Date) => date.toISOString(), object: jsonText },
};

const format: Format<object> = {
  encode(events, header) {
    const columns = header ?? columnsOfEvent(events[0] as FlowEvent<object>);
    const known = new Set(columns);
    const table: unknown[][] = header === undefined ? [[...columns]] : [];
    for (const event of events) {
      for (const key of columnsOfEvent(event)) {
        if (!known.has(key)) {
          throw new TerminalError(`event ${event.id} has a field ${JSON.stringify(key)} for which the CSV file has no column: its columns are those of its first event, ${columns.join(", ")}. Give all events the same fields, in a map stage before the sink`);
        }
      }
      table.push(columns.map((column) => (event.data as Record<string, unknown>)[column]));
    }
    // A lone empty cell would be an empty line, which readers pass over.
    return { text: stringify(table, columns.length === 1 ? { ...cells, quoted_empty: true } : cells), header: columns };
  },
};

function columnsOfEvent(event: FlowEvent<object>): string[] {
  const { data } = event;
  if (typeof data === "object" && data !== null && !Array.isArray(data)) return Object.keys(data);
  throw new TerminalError(`event ${event.id} is no object with fields: csv.sink takes objects, text.sink texts, jsonl.sink all data`);
}

export const csv = {
  /**
   * Reads comma-separated values (RFC 4180), UTF-8; the first line names the columns. An event is an object of texts; a
   * column without a name and empty lines are passed over. A record with more or fewer fields than the header, with a
   * stray quote, no UTF-8, or longer than 8 MiB is a dead letter (LINE_INVALID) with file and line; reading goes on.
   * Position: byte offset of a record, and its line.
   * @throws MillraceError OPTION_INVALID; while reading FILE_MISSING, FILE_UNREADABLE, FILE_CHANGED, CSV_HEADER_INVALID
   */
  source<T = Record<string, string>>(path: string): SourceActor<T> {
    pathOption("csv.source", path);
    return defineSource<T, RecordPosition>({
      kind: "csv", guarantee: "replayable", ends: true, start: fileStart,
      fingerprint: () => fingerprint(path),
      read: (from, ctx) => readCsv<T>(path, from, ctx),
    });
  },
  /**
   * Writes one record an event, exactly once; see `fileSink` for how the file comes to be. The fields of the first event
   * are the columns and the header line; a later event without one of them has an empty cell, one with another field is
   * refused (TerminalError). Empty are `undefined` and null, too; dates are ISO 8601, objects and lists JSON.
   * @throws MillraceError OPTION_INVALID; while writing SINK_LOST, SINK_UNWRITABLE, SINK_TAKEN, SINK_DIVERGED
   */
  sink(path: string): SinkActor<object> {
    return fileSink("csv", path, format);
  },
};
