// A question to be answered with yes or no. Where nobody can be asked the answer is no.
import { createInterface } from "node:readline/promises";
import type { Terminal } from "./terminal.ts";

/** Never rejects. */
export async function isConfirmed(question: string, terminal: Terminal): Promise<boolean> {
  if (!process.stdin.isTTY) return false;
  const lines = createInterface({ input: process.stdin, output: terminal.stream }), closed = new AbortController();
  lines.on("SIGINT", () => closed.abort());
  lines.on("close", () => closed.abort());
  try {
    return ["y", "yes"].includes((await lines.question(`${question} [y/N] `, { signal: closed.signal })).trim().toLowerCase());
  } catch {
    return false;
  } finally {
    lines.close();
  }
}
