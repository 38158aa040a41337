// `millrace dlq`: the events that were given up, each with its reason.
import type { Command } from "commander";
import { letterOf, newestLetters } from "../inspect/dead-letters.ts";
import { exitCode } from "./exit-code.ts";
import { MillraceError } from "../event/errors.ts";
import { type NatsFlags, reachOrStart, withNatsFlags } from "./nats-options.ts";
import { table } from "./table.ts";
import { plain, terminalOn } from "./terminal.ts";

interface ListFlags extends NatsFlags {
  readonly limit: string;
  readonly stage?: string;
  readonly json?: true;
}

export function dlqCommand(program: Command, ended: (code: number) => void): void {
  const dlq = program.command("dlq").description("look at dead letters: events that were given up, with the reason")
    .addHelpText("after", "\nExamples:\n  millrace dlq list quakes\n  millrace dlq show quakes 12.0");
  withNatsFlags(dlq.command("list").argument("<flow>", "name of a flow").description("the newest dead letters of a flow, oldest first"))
    .option("--limit <n>", "so many", "20")
    .option("--stage <name>", "of one stage")
    .option("--json", "a line of JSON each")
    .action(async (flow: string, flags: ListFlags) => ended(await list(flow, flags)));
  withNatsFlags(dlq.command("show").argument("<flow>", "name of a flow").argument("<number>", "as `dlq list` names it, such as 12.0").description("one dead letter, whole, as JSON"))
    .action(async (flow: string, number: string, flags: NatsFlags) => ended(await show(flow, number, flags)));
}

async function list(flow: string, flags: ListFlags): Promise<number> {
  const limit = Number(flags.limit), out = terminalOn(process.stdout);
  if (!Number.isInteger(limit) || limit < 1) throw new MillraceError("OPTION_INVALID", "--limit", `limit is ${flags.limit}`, "Give a whole number from 1.");
  const broker = await reachOrStart(flags, (line) => terminalOn(process.stderr).write(line));
  try {
    const letters = await newestLetters(broker, flow, limit, flags.stage);
    if (flags.json === true) for (const letter of letters) out.write(text(letter));
    else if (letters.length === 0) out.write(`Flow ${flow} has no dead letters.`);
    else {
      const rows = letters.map((letter) => [letter.number, letter.code, letter.actor, letter.generation.split("-")[0] ?? "", String(letter.attempts), plain(letter.message), plain(text(letter.event.data))]);
      out.write(table(columns, rows, out.columns, { head: (title) => out.colors.dim(title) }));
    }
    return exitCode.fine;
  } finally {
    await broker.close();
  }
}

const columns = [
  { title: "number" }, { title: "code", least: 6 }, { title: "actor", least: 8, spare: 2 }, { title: "run", spare: 3 }, { title: "tries", align: "right" as const, spare: 4 },
  { title: "reason", least: 12 }, { title: "event", least: 8, spare: 1 },
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

/** As JSON; what JSON does not know as a text. */
function text(value: unknown, indent?: number): string {
  const known = (_: string, part: unknown): unknown => (typeof part === "bigint" ? String(part) : part instanceof Map || part instanceof Set ? [...part] : part instanceof Uint8Array ? Buffer.from(part).toString("base64") : part);
  return JSON.stringify(value, known, indent) ?? "undefined";
}
