// A private nats-server for a test: a free port, a store of its own in a temporary folder, all gone afterwards.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { findOrObtain } from "../../runtime/broker/nats-server/obtain.ts";
import { startEmbedded, type EmbeddedServer } from "../../runtime/broker/nats-server/embedded.ts";
import type { Credentials, Fsync } from "../../runtime/broker/nats-server/server-process.ts";
import { temporaryFolder } from "./temporary-folder.ts";
import { eventually } from "./waiting.ts";

export interface TestServerOptions {
  /** Default "relaxed": a test does not cut the power. */
  readonly fsync?: Fsync;
  /** A series of nats-server, such as "2.10" for the lower end. Default: the newest in the tested range. */
  readonly series?: string;
  /** Default: the project's nats.conf. */
  readonly confFile?: string;
  /** Default: made for this run. */
  readonly credentials?: Credentials;
  /** In place of the one that is found or fetched: a program that starts it. */
  readonly program?: (path: string, folder: string) => Promise<string>;
}

export interface TestServer extends AsyncDisposable {
  /** Such as "nats://127.0.0.1:37035"; the same after a restart. */
  readonly servers: string;
  readonly user: string;
  readonly pass: string;
  readonly port: number;
  readonly version: string;
  /** Its data folder: what it stores is in nats/store. */
  readonly folder: string;
  /** Of the process that runs now, or ran last. */
  readonly pid: number;
  /** SIGKILL; resolves when it is gone. The store stays. */
  kill(): Promise<void>;
  /** SIGTERM; resolves when it is gone. The store stays. */
  stop(): Promise<void>;
  /** Starts it again after kill() or stop(): same port, same credentials, same store. A running one is stopped first. */
  restart(): Promise<void>;
  /** SIGSTOP; resolves when it stands still: connections stay open, and nothing is answered. */
  pause(): Promise<void>;
  /** SIGCONT. */
  resume(): void;
}

/** Use it with `await using server = await startNatsServer()`. Fetches a nats-server where none is on the machine. */
export async function startNatsServer({ fsync = "relaxed", series, confFile, credentials, program }: TestServerOptions = {}): Promise<TestServer> {
  const found = await findOrObtain(series === undefined ? {} : { series });
  const folder = await temporaryFolder();
  const binary = program === undefined ? found : { ...found, path: await program(found.path, folder.path) };
  const given = { ...(confFile === undefined ? {} : { confFile }), ...(credentials === undefined ? {} : { credentials }) };
  const start = (again?: EmbeddedServer) =>
    startEmbedded({ dataDir: folder.path, fsync, binary, ...given, ...(again === undefined ? {} : { port: again.port, credentials: { user: again.user, pass: again.pass } }) });
  let server: EmbeddedServer;
  try {
    server = await start();
  } catch (error) {
    await folder[Symbol.asyncDispose]();
    throw error;
  }
  let isRunning = true;
  const signal = (name: NodeJS.Signals) => void process.kill(server.pid, name);
  const kill = async () => {
    if (!isRunning) return;
    isRunning = false;
    signal("SIGKILL");
    await server.exited;
    await server.stop();
  };
  const stop = async () => {
    isRunning = false;
    await server.stop();
  };
  return {
    servers: server.servers,
    user: server.user,
    pass: server.pass,
    port: server.port,
    version: server.version,
    folder: folder.path,
    get pid() {
      return server.pid;
    },
    kill,
    stop,
    async restart() {
      await stop();
      server = await start(server);
      isRunning = true;
    },
    async pause() {
      signal("SIGSTOP");
      await eventually("nats-server stands still", () => stateOf(server.pid).startsWith("T"));
    },
    resume: () => signal("SIGCONT"),
    async [Symbol.asyncDispose]() {
      await kill();
      await folder[Symbol.asyncDispose]();
    },
  };
}

/**
 * One server for all tests of a file: started when the first test asks for it, ended by the suite's after hook.
 *
 * @example
 * const nats = sharedNatsServer(test.after);
 * test("…", async () => { const { servers, user, pass } = await nats(); … });
 */
export function sharedNatsServer(after: (hook: () => Promise<void>) => void, options?: TestServerOptions): () => Promise<TestServer> {
  let started: Promise<TestServer> | undefined;
  after(async () => {
    await (await started)?.[Symbol.asyncDispose]();
  });
  return () => (started ??= startNatsServer(options));
}

/** As ps(1) writes it: "T" stands still. */
function stateOf(pid: number): string {
  if (process.platform !== "linux") return execFileSync("ps", ["-o", "state=", "-p", String(pid)], { encoding: "utf8" }).trim();
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  return stat.slice(stat.lastIndexOf(")") + 2);
}
