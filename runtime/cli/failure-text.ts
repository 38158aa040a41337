// An error as a person is told of it: what happened, where, what to do, and the code to look for. No stack unless asked for.
import { asError, MillraceError } from "../event/errors.ts";
import type { Colors } from "./terminal.ts";

export function failureText(thrown: unknown, colors: Colors, verbose: boolean): string {
  const error = asError(thrown), lines: string[] = [];
  if (error instanceof MillraceError) {
    const tail = ` (${error.code}, ${error.where}). ${error.remedy}`;
    const message = error.message.endsWith(tail) ? error.message.slice(0, -tail.length) : error.message;
    lines.push(`${colors.red(colors.bold("Error:"))} ${message.trimEnd()}`);
    if (!message.includes(error.where)) lines.push(`  ${colors.dim("where")}  ${error.where}`);
    lines.push(`  ${colors.dim("do")}     ${error.remedy.replaceAll("\n", "\n         ")}`, `  ${colors.dim("code")}   ${error.code}`);
  } else {
    lines.push(`${colors.red(colors.bold("Error:"))} ${error.name}: ${error.message}`, `  ${colors.dim("do")}     This is a fault of Millrace or of code that it ran: see it again with --verbose.`);
  }
  if (verbose) for (let at: unknown = error, depth = 0; at instanceof Error && depth < 5; at = at.cause, depth++) lines.push(colors.dim(`${depth === 0 ? "" : "caused by "}${at.stack ?? at.message}`));
  return lines.join("\n");
}
