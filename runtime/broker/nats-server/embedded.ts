// The nats-server of a node that was given none: found or fetched, started on the node's data folder with credentials made for the run, and
// ended with it. A server that a killed node left behind is ended here at the next start; its streams are on disk.
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, realpath, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { MillraceError } from "../../event/errors.ts";
import { lockDataFolder } from "./data-folder-lock.ts";
import { findOrObtain } from "./obtain.ts";
import { commandOf, startOf } from "./process-identity.ts";
import { confPath, pidPath, startServer, type Credentials, type Fsync } from "./server-process.ts";
import type { NatsServerBinary } from "./version.ts";

export interface EmbeddedOptions {
  /** Default ".millrace". The server's own things are in `nats/` inside it. */
  readonly dataDir?: string;
  /** Default "always". */
  readonly fsync?: Fsync;
  /** Default: nats.conf of the project. */
  readonly confFile?: string;
  /** Default: found, or fetched (findOrObtain). */
  readonly binary?: NatsServerBinary;
  /** On 127.0.0.1. Default 0: a free one. */
  readonly port?: number;
  /** Default: made for this run. */
  readonly credentials?: Credentials;
  /** How long the server may take until it listens. Default 60,000 ms. */
  readonly startTimeoutMs?: number;
  /** Told what is going on when a server must be fetched or an old one ended, a line a call. */
  readonly say?: (line: string) => void;
}

export interface EmbeddedServer extends Credentials, AsyncDisposable {
  /** Such as "nats://127.0.0.1:37035". */
  readonly servers: string;
  readonly port: number;
  readonly version: string;
  readonly pid: number;
  /** Resolves when the server has ended, whatever ended it; says how. Never rejects. */
  readonly exited: Promise<string>;
  /** Ends the server (SIGTERM, after 10 s SIGKILL) and frees the data folder. Again is no error. */
  stop(): Promise<void>;
}

/** Of a server that a killed run left behind: it gets SIGKILL after so long, and is given up after so long. In ms. */
export const orphanPatience = { killAfter: 10_000, most: 15_000 };
const pollMs = 20;

/**
 * Starts the embedded server.
 *
 * @throws MillraceError DATA_FOLDER_BUSY while another run has the data folder, DATA_FOLDER_INVALID; NATS_SERVER_MISSING, NATS_SERVER_INVALID, NATS_CONF_INVALID, NATS_SERVER_FAILED, NATS_SERVER_TIMEOUT
 */
export async function startEmbedded(options: EmbeddedOptions = {}): Promise<EmbeddedServer> {
  const { say = () => {} } = options;
  const lock = await lockDataFolder(options.dataDir ?? ".millrace");
  const dataDir = lock.path;
  // Absolute: the orphan below is known by it, from wherever it was started.
  const folder = join(dataDir, "nats");
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await endOrphan(folder, say);
    const binary = options.binary ?? (await findOrObtain({ say }));
    const credentials = options.credentials ?? newCredentials();
    const { fsync = "always", confFile = projectConf(), port = 0, startTimeoutMs = 60_000 } = options;
    const server = await startServer({ binary, folder, confFile, fsync, credentials, port, startTimeoutMs });
    const servers = `nats://127.0.0.1:${server.port}`;
    await writeFile(connectionPath(dataDir), JSON.stringify({ servers, ...credentials }), { mode: 0o600 });
    let stopping: Promise<void> | undefined;
    const stop = () => (stopping ??= server.stop().then(() => rm(connectionPath(dataDir), { force: true })).finally(() => lock.release()));
    return { servers, ...credentials, port: server.port, version: binary.version, pid: server.pid, exited: server.exited, stop, [Symbol.asyncDispose]: stop };
  } catch (error) {
    await lock.release();
    throw error;
  }
}

/** How another process on this machine reaches the embedded server of a data folder; `undefined` where none runs. */
export async function readConnection(dataDir: string): Promise<(Credentials & { readonly servers: string }) | undefined> {
  if ((await runningServer(join(await realpath(dataDir).catch(() => dataDir), "nats"))) === undefined) return undefined;
  const text = await readFile(connectionPath(dataDir), "utf8").catch(() => undefined);
  return text === undefined ? undefined : (JSON.parse(text) as Credentials & { servers: string });
}

function connectionPath(dataDir: string): string {
  return join(dataDir, "nats", "connection.json");
}

/** A letter first: nats-server reads them from its environment, and takes what begins like a number for one. */
function newCredentials(): Credentials {
  return { user: `m${randomBytes(8).toString("hex")}`, pass: `m${randomBytes(32).toString("hex")}` };
}

/** nats.conf beside package.json, from the source and from dist/ alike. */
function projectConf(): string {
  for (let folder = dirname(fileURLToPath(import.meta.url)); ; folder = dirname(folder)) {
    if (existsSync(join(folder, "package.json")) && existsSync(join(folder, "nats.conf"))) return join(folder, "nats.conf");
    if (folder === dirname(folder)) throw new MillraceError("NATS_CONF_INVALID", "nats.conf", "there is no nats.conf beside the package.json of Millrace", "Install the package again.");
  }
}

/** Pid of the server that runs on a folder. The pid in its file may be another's by now: only a process that was started with this folder's configuration counts. */
async function runningServer(folder: string): Promise<number | undefined> {
  const pid = Number(await readFile(pidPath(folder), "utf8").catch(() => ""));
  if (!Number.isSafeInteger(pid) || pid <= 1) return undefined;
  return (await commandOf(pid))?.some((part) => part.includes(confPath(folder))) === true ? pid : undefined;
}

/** The lock is ours, so no node is left that needs this server. */
async function endOrphan(folder: string, say: (line: string) => void): Promise<void> {
  const pid = await runningServer(folder);
  if (pid === undefined) return;
  const start = await startOf(pid);
  say(`Ending the nats-server ${pid} that a killed run left behind ...`);
  const kill = (signal: NodeJS.Signals) => {
    try {
      process.kill(pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ESRCH") return;
      throw new MillraceError("DATA_FOLDER_BUSY", folder, `nats-server ${pid}, left behind by a killed run, cannot be ended: ${(error as Error).message}`, `End it by hand: kill ${pid}`, { cause: error });
    }
  };
  const begun = performance.now();
  kill("SIGTERM");
  for (let forced = false; (await startOf(pid)) === start && start !== undefined; ) {
    if (performance.now() - begun > orphanPatience.most) throw new MillraceError("DATA_FOLDER_BUSY", folder, `nats-server ${pid}, left behind by a killed run, does not end`, `End it by hand: kill -9 ${pid}`);
    if (!forced && performance.now() - begun > orphanPatience.killAfter) {
      forced = true;
      kill("SIGKILL");
    }
    await delay(pollMs);
  }
}
