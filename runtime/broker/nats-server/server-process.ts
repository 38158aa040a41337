// One nats-server as a child process: its configuration, its start until it listens, its end. embedded.ts gives it a data folder.
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { open, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { asError, MillraceError } from "../../event/errors.ts";
import type { NatsServerBinary } from "./version.ts";

export interface Credentials {
  readonly user: string;
  readonly pass: string;
}

/** `always`: fsync before each ack. `relaxed`: each second, so a power loss (not a kill) may cost the last second. */
export type Fsync = "always" | "relaxed";

export interface ServerOptions {
  readonly binary: NatsServerBinary;
  /** Holds the configuration, the log and the store. Absolute, and there. */
  readonly folder: string;
  readonly confFile: string;
  readonly fsync: Fsync;
  readonly credentials: Credentials;
  /** On 127.0.0.1. 0: a free one. */
  readonly port: number;
  /** How long it may take until it listens; a large store is read first. ms */
  readonly startTimeoutMs: number;
}

export interface ServerProcess {
  readonly port: number;
  readonly pid: number;
  /** Resolves when it has ended, whatever ended it; says how. Never rejects. */
  readonly exited: Promise<string>;
  /** SIGTERM, after 10 s SIGKILL. Again is no error. */
  stop(): Promise<void>;
}

const pollMs = 20;
const stopTimeoutMs = 10_000;
const killTimeoutMs = 5_000;

export function confPath(folder: string): string {
  return join(folder, "server.conf");
}

export function pidPath(folder: string): string {
  return join(folder, "server.pid");
}

/** Rejects with NATS_CONF_INVALID, NATS_SERVER_FAILED (its last words are in the message) or NATS_SERVER_TIMEOUT. */
export async function startServer(options: ServerOptions): Promise<ServerProcess> {
  const { binary, folder, credentials } = options;
  for (const name of await readdir(folder)) if (name.endsWith(".ports") || name === "server.pid") await rm(join(folder, name));
  await writeFile(confPath(folder), await configuration(options), { mode: 0o600 });
  // A file, not a pipe: a server that writes into the pipe of a dead node is ended by it in the middle of its work.
  const output = await open(join(folder, "server.out"), "w");
  let child: ChildProcess;
  let exited: Promise<string>;
  let ended: string | undefined;
  try {
    const [command, ...args] = [...(await endingWithParent()), binary.path, "-c", confPath(folder)];
    // A session of its own: Ctrl-C is for the node, which drains first and then stops its server.
    child = spawn(command as string, args, {
      detached: true,
      stdio: ["ignore", output.fd, output.fd],
      env: { ...process.env, MILLRACE_NATS_USER: credentials.user, MILLRACE_NATS_PASSWORD: credentials.pass },
    });
    // Before anything is awaited: a server that ends at once has no second exit.
    exited = exitOf(child);
    void exited.then((how) => (ended = how));
    endWithProcess(child, exited);
  } finally {
    await output.close();
  }
  const stop = () => end(child, exited);
  const deadline = performance.now() + options.startTimeoutMs;
  for (;;) {
    const port = child.pid === undefined ? undefined : await listeningPort(folder, child.pid);
    if (port !== undefined) return { port, pid: child.pid as number, exited, stop };
    if (ended !== undefined) {
      throw new MillraceError("NATS_SERVER_FAILED", folder, `nats-server ${binary.version} ended while it started (${ended}): ${await lastWords(folder)}`, `See ${join(folder, "server.log")} and ${options.confFile}.`);
    }
    if (performance.now() > deadline) {
      await stop();
      throw new MillraceError("NATS_SERVER_TIMEOUT", folder, `nats-server ${binary.version} did not listen within ${options.startTimeoutMs} ms: ${await lastWords(folder)}`, `See ${join(folder, "server.log")}.`);
    }
    await delay(pollMs);
  }
}

function exitOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("exit", (code, signal) => resolve(signal === null ? `exit code ${code}` : `signal ${signal}`));
  });
}

/** The project's configuration with the values of this run. */
async function configuration({ confFile, folder, fsync, port }: ServerOptions): Promise<string> {
  let text = await readFile(confFile, "utf8").catch((error: unknown) => {
    throw new MillraceError("NATS_CONF_INVALID", confFile, `the configuration of the nats-server cannot be read: ${asError(error).message}`, "Give the path of a nats.conf.", { cause: error });
  });
  const values = {
    MILLRACE_LISTEN: `"127.0.0.1:${port === 0 ? -1 : port}"`,
    MILLRACE_STORE: quoted(join(folder, "store")),
    MILLRACE_SYNC: fsync === "always" ? "always" : `"1s"`,
  };
  for (const [name, value] of Object.entries(values)) {
    const line = new RegExp(`^${name}[ \\t]*[:=].*$`, "gm");
    if ((text.match(line) ?? []).length !== 1) {
      throw new MillraceError("NATS_CONF_INVALID", confFile, `the configuration has not exactly one line that begins with "${name}:"`, "Keep that line as in the nats.conf of the project: its value is replaced for each run.");
    }
    text = text.replace(line, () => `${name}: ${value}`);
  }
  return `# Made for each run of the embedded server from ${confFile.replaceAll("\n", " ")}
${text}
authorization { user: $MILLRACE_NATS_USER, password: $MILLRACE_NATS_PASSWORD }
pid_file: ${quoted(pidPath(folder))}
ports_file_dir: ${quoted(folder)}
logfile: ${quoted(join(folder, "server.log"))}
logfile_size_limit: 8MB
logfile_max_num: 3
`;
}

function quoted(path: string): string {
  return `"${path.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}

/** nats-server writes this file once it listens; half written it does not parse yet. */
async function listeningPort(folder: string, pid: number): Promise<number | undefined> {
  const name = (await readdir(folder)).find((file) => file.endsWith(`_${pid}.ports`));
  if (name === undefined) return undefined;
  try {
    const { nats } = JSON.parse(await readFile(join(folder, name), "utf8")) as { nats?: readonly string[] };
    return nats?.[0] === undefined ? undefined : Number(new URL(nats[0]).port);
  } catch {
    return undefined;
  }
}

async function lastWords(folder: string): Promise<string> {
  const texts = await Promise.all(["server.out", "server.log"].map((name) => readFile(join(folder, name), "utf8").catch(() => "")));
  const lines = texts.join("\n").split("\n").filter((line) => line.trim() !== "" && !line.includes("[INF]"));
  return lines.slice(-3).join(" | ").slice(-800) || "it said nothing";
}

async function end(child: ChildProcess, exited: Promise<string>): Promise<void> {
  const within = (ms: number) => {
    const bound = new AbortController();
    return Promise.race([exited.then(() => true), delay(ms, false, { signal: bound.signal }).catch(() => false)]).finally(() => bound.abort());
  };
  child.kill("SIGTERM");
  if (await within(stopTimeoutMs)) return;
  child.kill("SIGKILL");
  await within(killTimeoutMs);
}

const running = new Set<ChildProcess>();

/** A node that ends without stop() (an exception, process.exit) takes its server along. */
function endWithProcess(child: ChildProcess, exited: Promise<string>): void {
  if (running.size === 0) process.on("exit", endAll);
  running.add(child);
  void exited.then(() => {
    running.delete(child);
    if (running.size === 0) process.off("exit", endAll);
  });
}

function endAll(): void {
  for (const child of running) child.kill("SIGTERM");
}

let parentWatch: Promise<readonly string[]> | undefined;

/**
 * What makes the kernel end the server when its node is killed: util-linux' setpriv, where there is one that can. Elsewhere the next start
 * on the data folder ends it. The kernel watches the thread that starts the server: it must be one that lives as long as the node.
 */
function endingWithParent(): Promise<readonly string[]> {
  parentWatch ??= new Promise((resolve) => {
    if (process.platform !== "linux") return resolve([]);
    const prefix = ["setpriv", "--pdeathsig", "TERM"];
    execFile(prefix[0] as string, [...prefix.slice(1), "true"], { timeout: killTimeoutMs }, (error) => resolve(error === null ? prefix : []));
  });
  return parentWatch;
}
