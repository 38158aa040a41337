// On a terminal: what to do with a run that was interrupted and no longer fits. Nobody is asked elsewhere; the start is refused.
import { createInterface } from "node:readline/promises";
import type { RunChange } from "../node/run-choice.ts";
import type { Terminal } from "./terminal.ts";

/** `undefined`: leave everything as it is. Never rejects. */
export async function askAboutChange({ flow, changes, obstacles, interrupted }: RunChange, terminal: Terminal): Promise<"fresh" | "resume" | undefined> {
  const { colors } = terminal, resumable = obstacles.length === 0;
  terminal.write(`${colors.yellow(`Flow "${flow}" was interrupted, and since then`)}\n${changes.map((line) => `  - ${line}`).join("\n")}`);
  if (!resumable) terminal.write(`It cannot be resumed so:\n${obstacles.map((line) => `  - ${line}`).join("\n")}`);
  terminal.write(resumable ? `  ${colors.bold("r")}  resume run ${interrupted.token}: what is done stays as the old code and input made it, the rest is done with the new` : "");
  terminal.write(`  ${colors.bold("f")}  fresh: begin a new run; what run ${interrupted.token} has done so far is given up, its results are written anew`);
  const lines = createInterface({ input: process.stdin, output: terminal.stream }), closed = new AbortController();
  lines.on("SIGINT", () => closed.abort());
  lines.on("close", () => closed.abort());
  try {
    const answer = (await lines.question("Which one? Anything else leaves it as it is: ", { signal: closed.signal })).trim().toLowerCase();
    if (answer === "f" || answer === "fresh") return "fresh";
    return resumable && (answer === "r" || answer === "resume") ? "resume" : undefined;
  } catch {
    return undefined;
  } finally {
    lines.close();
  }
}
