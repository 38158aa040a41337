// `millrace dlq`: the events that were given up, each with its reason.
import { once } from "node:events";
import { type FileHandle, open } from "node:fs/promises";
import type { Command } from "commander";
import { allLetters, letterOf, newestLetters } from "../inspect/dead-letters.ts";
import { type FilterFlags, withFilterFlags } from "./dlq-filter.ts";
import { settleCommands } from "./dlq-settle.ts";
import { exitCode } from "./exit-code.ts";
import { helpText } from "./help-text.ts";
import { asError, MillraceError } from "../event/errors.ts";
import { type NatsFlags, reachOrStart, withNatsFlags } from "./nats-options.ts";
import { table } from "./table.ts";
import { plain, terminalOn } from "./terminal.ts";

interface ListFlags extends FilterFlags {
  readonly limit: string;
  readonly json?: true;
}

interface ExportFlags extends FilterFlags {
  readonly out?: string;
}

export function dlqCommand(program: Command, ended: (code: number) => void): void {
  const dlq = program.command("dlq").description("dead letters, events that were given up: look at them, let them go in again, or drop them")
    .addHelpText("after", helpText(`
Examples:
  millrace dlq list quakes --open
  millrace dlq list quakes --stage felt --code POISON
  millrace dlq show quakes 12.0
  millrace dlq replay quakes 12.0 12.1
  millrace dlq replay quakes --code POISON
  millrace dlq drop quakes --stage felt
  millrace dlq export quakes --out letters.jsonl`));
  withFilterFlags(dlq.command("list").argument("<flow>", "name of a flow").description("the newest dead letters of a flow, oldest first"))
    .option("--open", "only those that are neither replayed nor dropped")
    .option("--limit <n>", "so many", "20")
    .option("--json", "a line of JSON each")
    .addHelpText("after", helpText(`
Examples:
  millrace dlq list quakes                       the newest twenty
  millrace dlq list quakes --open --limit 100
  millrace dlq list quakes --stage felt --code POISON --json`))
    .action(async (flow: string, flags: ListFlags) => ended(await list(flow, flags)));
  withFilterFlags(dlq.command("export").argument("<flow>", "name of a flow").description("all dead letters of a flow, oldest first, a line of JSON each"))
    .option("--open", "only those that are neither replayed nor dropped")
    .option("--out <file>", "to a new file instead of the standard output")
    .addHelpText("after", helpText(`
Examples:
  millrace dlq export quakes --out letters.jsonl
  millrace dlq export quakes --open --code POISON | wc -l`))
    .action(async (flow: string, flags: ExportFlags) => ended(await exportAll(flow, flags)));
  settleCommands(dlq, ended);
  withNatsFlags(dlq.command("show").argument("<flow>", "name of a flow").argument("<number>", "as `dlq list` names it, such as 12.0").description("one dead letter, whole, as JSON"))
    .addHelpText("after", helpText(`
Examples:
  millrace dlq list quakes                       names the numbers
  millrace dlq show quakes 12.0`))
    .action(async (flow: string, number: string, flags: NatsFlags) => ended(await show(flow, number, flags)));
}

async function list(flow: string, flags: ListFlags): Promise<number> {
  const limit = Number(flags.limit), out = terminalOn(process.stdout);
  if (!Number.isInteger(limit) || limit < 1) throw new MillraceError("OPTION_INVALID", "--limit", `limit is ${flags.limit}`, "Give a whole number from 1.");
  const broker = await reachOrStart(flags, (line) => terminalOn(process.stderr).write(line));
  try {
    const letters = await newestLetters(broker, flow, limit, flags);
    if (flags.json === true) for (const letter of letters) out.write(text(letter));
    else if (letters.length === 0) out.write(`Flow ${flow} has no dead letters${chosenText(flow, flags)}.`);
    else {
      const rows = letters.map((letter) => [letter.number, letter.status === "open" && letter.replay?.parks != null ? "open, key waits" : letter.status, letter.code, letter.actor, letter.generation.split("-")[0] ?? "", String(letter.attempts), plain(letter.message), plain(text(letter.event.data))]);
      out.write(table(columns, rows, out.columns, { head: (title) => out.colors.dim(title) }));
    }
    return exitCode.fine;
  } finally {
    await broker.close();
  }
}

/** What was chosen of, such as " that are open, of stage felt, with code POISON"; then there may be others. */
function chosenText(flow: string, { open, stage, code }: ListFlags): string {
  const words = [...(open === true ? ["that are open"] : []), ...(stage === undefined ? [] : [`of stage ${plain(stage)}`]), ...(code === undefined ? [] : [`with code ${plain(code)}`])];
  return words.length === 0 ? "" : ` ${words.join(", ")}; \`millrace dlq list ${flow}\` names all`;
}

/** Characters that are written at a time. */
const exportChunk = 64 * 1024;

const columns = [
  { title: "number" }, { title: "status", least: 6 }, { title: "code" }, { title: "actor", least: 8, spare: 2 }, { title: "run", spare: 3 }, { title: "tries", align: "right" as const, spare: 4 },
  { title: "reason", least: 24 }, { title: "event", least: 8, spare: 1 },
];

async function show(flow: string, number: string, flags: NatsFlags): Promise<number> {
  const broker = await reachOrStart(flags, (line) => terminalOn(process.stderr).write(line));
  try {
    terminalOn(process.stdout).write(text(await letterOf(broker, flow, number), 2));
    return exitCode.fine;
  } finally {
    await broker.close();
  }
}

async function exportAll(flow: string, flags: ExportFlags): Promise<number> {
  const broker = await reachOrStart(flags, (line) => terminalOn(process.stderr).write(line));
  try {
    const letters = allLetters(broker, flow, flags);
    if (flags.out === undefined) {
      await exportTo(async (lines) => { if (!process.stdout.write(lines)) await once(process.stdout, "drain"); }, letters);
      return exitCode.fine;
    }
    // Asked for the first before the file is made: a flow that is not there leaves none.
    const first = await letters.next(), file = await newFile(flags.out);
    try {
      const rest = async function* () { if (first.done !== true) { yield first.value; yield* letters; } };
      const count = await exportTo(async (lines) => { await file.appendFile(lines); }, rest());
      await file.sync();
      terminalOn(process.stderr).write(`${count} dead letter${count === 1 ? "" : "s"} in ${flags.out}`);
    } finally {
      await file.close();
    }
    return exitCode.fine;
  } finally {
    await broker.close();
  }
}

/** Never over a file that is there. */
async function newFile(path: string): Promise<FileHandle> {
  try {
    return await open(path, "wx");
  } catch (cause) {
    throw new MillraceError("FILE_FAILED", path, `${path} cannot be made: ${asError(cause).message}`, "Name a file that is not there yet, in a folder that is.", { cause });
  }
}

/** At the reader's pace: there may be more letters than memory. */
async function exportTo(write: (lines: string) => Promise<void>, letters: AsyncIterable<unknown>): Promise<number> {
  let count = 0, lines = "";
  for await (const letter of letters) {
    count++;
    lines += `${text(letter)}\n`;
    if (lines.length >= exportChunk) { await write(lines); lines = ""; }
  }
  if (lines !== "") await write(lines);
  return count;
}

/** As JSON; what JSON does not know as a text. */
export function text(value: unknown, indent?: number): string {
  const known = (_: string, part: unknown): unknown => (typeof part === "bigint" ? String(part) : part instanceof Map || part instanceof Set ? [...part] : part instanceof Uint8Array ? Buffer.from(part).toString("base64") : part);
  return JSON.stringify(value, known, indent) ?? "undefined";
}
