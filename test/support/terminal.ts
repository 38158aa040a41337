// A terminal as a person has it: a shell on a host, commands one after the other, and what was printed since the last one.
import { type ChildProcess, spawn } from "node:child_process";

export interface TerminalOptions {
  /** Of the host that it is on; default: this machine. */
  readonly prefix?: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
}

/** A shell whose whole group ends with the test's process, whatever ends that: then the fourth pipe does. */
const guarded = "(cat <&3 >/dev/null; kill -9 0) & exec sh 3<&-";

export class Terminal implements AsyncDisposable {
  readonly #shell: ChildProcess;
  readonly #ended: Promise<void>;
  #text = "";
  #commands = 0;

  constructor({ prefix = [], cwd, env }: TerminalOptions) {
    const [program, ...args] = [...prefix, "/usr/bin/env", "-C", cwd, "sh", "-c", guarded];
    // A group of its own: what was started in it ends with it.
    this.#shell = spawn(program as string, args, { stdio: ["pipe", "pipe", "pipe", "pipe"], env: { ...process.env, ...env }, detached: true });
    for (const stream of [this.#shell.stdout, this.#shell.stderr]) stream?.setEncoding("utf8").on("data", (text: string) => { this.#text += text; });
    this.#ended = new Promise((resolve) => this.#shell.once("close", () => resolve()));
  }

  /** All that was printed. */
  get text(): string {
    return this.#text;
  }

  /** Types a command. What it gives tells what it has printed, and its exit code once it has returned. */
  type(command: string): () => { readonly output: string; readonly code: number | undefined } {
    const mark = `@returned-${++this.#commands}-`, from = this.#text.length;
    this.#shell.stdin?.write(`${command}\nprintf '${mark}%s\\n' "$?"\n`);
    return () => {
      const text = this.#text.slice(from), at = text.indexOf(mark), code = at < 0 ? undefined : /^(\d+)\n/.exec(text.slice(at + mark.length))?.[1];
      return { output: at < 0 ? text : text.slice(0, at), code: code === undefined ? undefined : Number(code) };
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      process.kill(-(this.#shell.pid as number), "SIGKILL");
    } catch {
      // It has ended.
    }
    await this.#ended;
  }
}

/**
 * Whether an output is what was expected. What differs from time to time is alike: numbers, times, names of nodes and runs, hashes, keys, and how many
 * spaces stand between columns. "…" stands for anything on its line, on a line of its own for any lines.
 */
export function fits(expected: string, output: string, { isWhole = true } = {}): boolean {
  const lines = alike(expected).split("\n").map((line) => (line === "…" ? "(?:.*\\n)*?.*" : line.replace(/[.*+?^${}()|[\]\\]/g, "\\$&").replaceAll("…", ".*")));
  return new RegExp(`^${lines.join("\\n")}${isWhole ? "$" : ""}`).test(alike(output));
}

function alike(text: string): string {
  const same = text.replace(/\bU[A-Z2-7]{55}\b/g, "<key>").replace(/\b(run) [a-z0-9]{8}\b/gi, "$1 <id>").replace(/\b[0-9a-f]{12}\b/g, "<hash>").replace(/(?:\d+[dhm] )*\d+(?:\.\d+)?(?:ms|[smhd])\b/g, "<time>").replace(/\d[\d,]*(\.\d+)*/g, "<n>").replace(/(<n> (?:actor|frame|entr(?=y|ies)))(?:s|y|ies)?\b/g, "$1");
  return same.split("\n").map((line) => line.trim().replace(/ +/g, " ")).join("\n").trim();
}
