// The command `millrace` in a process of its own.
import { type ChildProcess, spawn } from "node:child_process";
import { constants } from "node:os";
import { fileURLToPath } from "node:url";
import { eventually, within } from "./waiting.ts";

/** Arguments of node. `npm test` has just built it, and it starts three times as fast as from source; a file that is run alone does not depend on a build. */
export const program = process.env["MILLRACE_BUILT"] === "1"
  ? [fileURLToPath(new URL("../../dist/runtime/cli/main.js", import.meta.url))]
  : ["--conditions=source", "--import", import.meta.resolve("tsx"), fileURLToPath(new URL("../../runtime/cli/main.ts", import.meta.url))];
/** Of the whole process; a test's machine may be busy. */
const endMs = 150_000;

export interface CliEnd {
  /** 128 + number where it was ended by a signal: 137 for SIGKILL. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliProcess extends AsyncDisposable {
  readonly child: ChildProcess;
  readonly stdout: string;
  readonly stderr: string;
  /** Resolves when it says so on either stream. */
  said(pattern: RegExp): Promise<void>;
  readonly ended: Promise<CliEnd>;
}

export interface CliOptions {
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
  /** On a host of its own (network-hosts.ts). */
  readonly on?: { readonly prefix: readonly string[] };
  /** Of node itself, before the program. */
  readonly nodeArgs?: readonly string[];
  /** Longer it may not take. Default 150 s. */
  readonly mostMs?: number;
}

/** Starts it; use it with `await using`: what still runs is killed. */
export function startCli(args: readonly string[], { cwd, env = {}, on, nodeArgs = [], mostMs = endMs }: CliOptions): CliProcess {
  const [command, ...before] = on === undefined ? [process.execPath] : [...on.prefix, "/usr/bin/env", "-C", cwd, process.execPath];
  const child = spawn(command as string, [...before, ...program.slice(0, -1), ...nodeArgs, program.at(-1) as string, ...args], { cwd, env: { ...process.env, NO_COLOR: "1", FORCE_COLOR: "0", ...env }, stdio: ["ignore", "pipe", "pipe"] });
  const said = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"] as const) child[stream]?.setEncoding("utf8").on("data", (text: string) => { said[stream] += text; });
  const ended = new Promise<CliEnd>((resolve) => child.once("close", (code, signal) => resolve({ code: code ?? 128 + (constants.signals[signal as NodeJS.Signals] ?? 0), ...said })));
  const bounded = within(mostMs, `millrace ${args.join(" ")}`, ended);
  // Who does not look at it is not to die of it.
  bounded.catch(() => {});
  return {
    child,
    get stdout() { return said.stdout; },
    get stderr() { return said.stderr; },
    ended: bounded,
    async said(pattern) {
      let over = false;
      void ended.then(() => (over = true));
      const found = await eventually(`it says ${pattern}`, () => (pattern.test(said.stdout) || pattern.test(said.stderr) ? "said" : over ? "over" : undefined), 60_000);
      if (found === "over") throw new Error(`it ended without saying ${pattern}: ${said.stdout}${said.stderr}`);
    },
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
      await ended;
    },
  };
}

/** Runs it to its end. */
export async function cli(args: readonly string[], options: CliOptions): Promise<CliEnd> {
  await using run = startCli(args, options);
  return await run.ended;
}
