// What a flow's file sinks have written: the first rows, as a table. The runtime knows a sink's kind and where it writes, not more.
import { access, open } from "node:fs/promises";
import { resolve } from "node:path";
import { parse as parseCsv } from "csv-parse/sync";
import type { FlowPlan, SinkPlan } from "../flow/plan.ts";
import { nearPath } from "./near-path.ts";
import { table } from "./table.ts";
import { type Colors, plain } from "./terminal.ts";
import { count, several } from "./words.ts";

const shownRows = 12;
/** What the first rows are looked for in. */
const headBytes = 64 * 1024;
const mostColumns = 12;
const leastCell = 6;

interface Rows {
  readonly titles: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** By column: all of it are numbers. */
  readonly numeric: readonly boolean[];
}

/** A table for each sink that writes a file; a line for each that writes elsewhere and says where. `written`: events of each sink. */
export async function resultTexts(plan: FlowPlan, written: (sink: string) => number, width: number, colors: Colors): Promise<readonly string[]> {
  const texts: string[] = [];
  for (const stage of plan.stages) {
    if (stage.kind !== "sink" || stage.sink.target === undefined) continue;
    texts.push(await resultText(stage, stage.sink.target, written(stage.name), width, colors));
  }
  return texts;
}

async function resultText({ name, parallelism, sink: { kind } }: SinkPlan, target: string, written: number, width: number, colors: Colors): Promise<string> {
  const pathOf = (p: number): string => resolve(target.replaceAll("{partition}", String(p))), parts = target.includes("{partition}") ? await filesOf(pathOf, parallelism) : 1, path = pathOf(0);
  const where = parts === 1 ? nearPath(path) : `${nearPath(resolve(target))} (${several(parts, "file")})`;
  const title = colors.bold(`Results of ${name}`), reader = readers[kind];
  const rows = reader === undefined ? undefined : await firstRows(path, reader);
  if (rows === undefined || rows.rows.length === 0) return `${title}\n  ${several(written, "event")} written to ${where}`;
  const columns = rows.titles.map((column, at) => ({ title: column, align: rows.numeric[at] === true ? ("right" as const) : ("left" as const), least: leastCell, ...(at === 0 ? {} : { spare: at }) }));
  const more = written - rows.rows.length, drawn = table(columns, rows.rows, width, { head: (text) => colors.dim(text) });
  // Values that are no objects have no column's name: then there is no line of names.
  const shown = rows.titles.some((name) => name !== "") ? drawn : drawn.slice(drawn.indexOf("\n") + 1);
  return `${title}\n${shown}\n  ${more > 0 ? `… and ${count(more)} more in` : "in"} ${where}`;
}

/** It may have been scaled since it began, and have had more actors. */
async function filesOf(pathOf: (p: number) => string, least: number): Promise<number> {
  let files = least;
  while (await access(pathOf(files)).then(() => true, () => false)) files++;
  return files;
}

type Reader = (text: string) => Rows;

const readers: Readonly<Record<string, Reader | undefined>> = {
  jsonl: (text) => rowsOf(linesOf(text).map((line) => JSON.parse(line) as unknown)),
  csv: (text) => rowsOf(parseCsv(text, { columns: true, to: shownRows, relax_column_count: true, skip_records_with_error: true }) as unknown[]),
  text: (text) => rowsOf(linesOf(text)),
};

const linesOf = (text: string): readonly string[] => text.split("\n", shownRows + 1).slice(0, shownRows).filter((line) => line !== "");

/** `undefined` where the file cannot be read or is not what its kind says: somebody has written over it. */
async function firstRows(path: string, read: Reader): Promise<Rows | undefined> {
  try {
    const file = await open(path, "r");
    try {
      const { bytesRead, buffer } = await file.read(Buffer.alloc(headBytes), 0, headBytes, 0), text = buffer.subarray(0, bytesRead).toString("utf8");
      // A row that is cut off by the end of the block is none.
      return read(bytesRead === headBytes ? text.slice(0, text.lastIndexOf("\n") + 1) : text);
    } finally {
      await file.close();
    }
  } catch {
    return undefined;
  }
}

function rowsOf(values: readonly unknown[]): Rows {
  const objects = values.filter((value): value is Record<string, unknown> => typeof value === "object" && value !== null && !Array.isArray(value));
  if (objects.length < values.length || values.length === 0) return { titles: [""], rows: values.map((value) => [cellOf(value)]), numeric: [false] };
  const titles = [...new Set(objects.flatMap((row) => Object.keys(row)))].slice(0, mostColumns);
  return { titles: titles.map(plain), rows: objects.map((row) => titles.map((title) => cellOf(row[title]))), numeric: titles.map((title) => objects.every((row) => typeof row[title] === "number")) };
}

function cellOf(value: unknown): string {
  return value === undefined ? "" : plain(typeof value === "string" ? value : JSON.stringify(value));
}
