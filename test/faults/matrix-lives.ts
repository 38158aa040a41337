// Lives of a small flow, each a process of its own (matrix-child.ts), on one nats-server; and what is left of them.
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { cp, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Broker } from "../../runtime/broker/broker.ts";
import { connect } from "../../runtime/broker/nats-broker.ts";
import { bundledProgram } from "../support/bundled-program.ts";
import { startNatsServer, type TestServer } from "../support/nats-server.ts";
import { type TemporaryFolder, temporaryFolder } from "../support/temporary-folder.ts";
import { eventually } from "../support/waiting.ts";
import type { Life } from "./matrix-child.ts";
import { items } from "./matrix-kinds.ts";
import { wrongsOf } from "./matrix-verifier.ts";

const lifeMs = 30_000, tellMs = 1_000;

export interface LifeEnd {
  /** -1: it did not end in time, and was killed. */
  readonly code: number | null;
  readonly signal: string | null;
  /** The end of what it wrote to stderr. */
  readonly said: string;
}

export interface BegunLife {
  readonly process: ChildProcess;
  readonly ended: Promise<LifeEnd>;
}

/** Use it with `await using`. */
export class Lives implements AsyncDisposable {
  readonly broker: Broker;
  readonly #server: TestServer;
  readonly #folder: TemporaryFolder;
  readonly #child: string;
  readonly #keepIn: string | undefined;
  readonly #begun = new Set<BegunLife>();
  #runs = 0;

  private constructor(server: TestServer, broker: Broker, folder: TemporaryFolder, child: string, keepIn: string | undefined) {
    this.#server = server;
    this.broker = broker;
    this.#folder = folder;
    this.#child = child;
    this.#keepIn = keepIn;
  }

  /** @param keepIn folder that gets what failed runs leave */
  static async start(keepIn?: string): Promise<Lives> {
    const folder = await temporaryFolder(), child = await bundledProgram(new URL("matrix-child.ts", import.meta.url), folder.path), server = await startNatsServer();
    return new Lives(server, await connect({ servers: server.servers, user: server.user, pass: server.pass }), folder, child, keepIn);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { process: its, ended } of this.#begun) { its.kill("SIGKILL"); await ended; }
    await this.broker.close();
    await this.#server[Symbol.asyncDispose]();
    await this.#folder[Symbol.asyncDispose]();
  }

  /** One run of a flow, under a name and in a folder of its own; nothing of it is left on the server. */
  async run<T extends { readonly wrongs: readonly string[] | undefined }>(kind: string, body: (life: Life) => Promise<T>): Promise<T> {
    const name = `m${++this.#runs}`, folder = join(this.#folder.path, name), { servers, user, pass } = this.#server;
    await mkdir(folder);
    await writeFile(join(folder, "in.jsonl"), items.map((item) => `${JSON.stringify(item)}\n`).join(""));
    const result = await body({ kind, name, folder, dataDir: join(folder, "data"), servers, user, pass, nth: 0 });
    if ((result.wrongs?.length ?? 0) > 0 && this.#keepIn !== undefined) await cp(folder, join(this.#keepIn, `${name}-${kind}`), { recursive: true, verbatimSymlinks: true });
    await rm(folder, { recursive: true, force: true, maxRetries: 3 });
    const streams = (await this.broker.list("mr_")).filter((stream) => stream.startsWith(`mr_actor_${name}_`) || stream === `mr_dead_${name}` || stream === `mr_story_${name}`);
    await Promise.all(streams.map((stream) => this.broker.remove(stream)));
    return result;
  }

  /** What is wrong with the run, as it stands. */
  judge(life: Life): Promise<readonly string[]> {
    return wrongsOf({ ...life, broker: this.broker }).catch((error: Error) => [`it cannot be judged: ${error.message}`]);
  }

  /** Lets one process live to its end. */
  live(life: Life, nodeArgs: readonly string[] = []): Promise<LifeEnd> {
    return this.begin(life, nodeArgs).ended;
  }

  /** The same; at its step the nats-server is killed, which is started again: to the life that is an outage. `isKilled`: it came to that. */
  async liveThroughOutage(life: Life): Promise<LifeEnd & { readonly isKilled: boolean }> {
    const victim = { pid: this.#server.pid, mark: join(life.folder, "server-killed") }, { ended } = this.begin({ ...life, victim });
    let over = false;
    void ended.then(() => (over = true));
    const isKilled = await eventually("the server is killed, or the life is over", () => (existsSync(victim.mark) ? "killed" : over ? "over" : undefined), 2 * lifeMs) === "killed";
    if (isKilled) {
      await this.#server.restart();
      await eventually("its broker is back", () => this.broker.connected, lifeMs);
    }
    return { ...(await ended), isKilled };
  }

  begin(life: Life, nodeArgs: readonly string[] = []): BegunLife {
    const child = spawn(process.execPath, [...nodeArgs, this.#child, JSON.stringify(life)], { stdio: ["ignore", "ignore", "pipe"] });
    let said = "", late = false;
    child.stderr.on("data", (chunk: Buffer) => { said = (said + chunk.toString()).slice(-6_000); });
    const timer = setTimeout(() => { late = true; child.kill("SIGUSR2"); setTimeout(() => child.kill("SIGKILL"), tellMs); }, lifeMs);
    const ended = new Promise<LifeEnd>((resolve) => child.once("close", (code, signal) => {
      clearTimeout(timer);
      this.#begun.delete(begun);
      resolve(late ? { code: -1, signal: null, said: `not ended after ${lifeMs} ms: ${said}` } : { code, signal, said });
    }));
    const begun = { process: child, ended };
    this.#begun.add(begun);
    return begun;
  }
}
