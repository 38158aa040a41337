// What a chaos run happens in: one or three nats-servers, two places that a node can live at, each with its own data folder and its own
// lines to the servers, and the lives of nodes there. Everything can be disturbed from here.
import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Broker } from "../../runtime/broker/broker.ts";
import { connect } from "../../runtime/broker/nats-broker.ts";
import { faketimeEnv } from "../support/faketime.ts";
import { startNatsCluster } from "../support/nats-cluster.ts";
import { startNatsServer, type TestServer } from "../support/nats-server.ts";
import { startTcpProxy, type TcpProxy } from "../support/tcp-proxy.ts";
import { eventually, within } from "../support/waiting.ts";
import type { ChaosLife, ChildNews } from "./chaos-child.ts";
import type { ChaosFlow } from "./chaos-flow.ts";

export interface Place {
  readonly name: string;
  readonly dataDir: string;
  /** One for each server. */
  readonly lines: readonly TcpProxy[];
  /** Its lines are a fault's of their own: others leave them alone. */
  isCutOff: boolean;
}

export interface WorldOptions {
  readonly flow: ChaosFlow;
  /** Gets everything that the nodes write. */
  readonly folder: string;
  /** chaos-child.ts as one file. */
  readonly program: string;
  readonly servers: 1 | 3;
  readonly fsync: "always" | "relaxed";
  readonly small: boolean;
  /** The nodes' wall clock leaps: by this library, or inside of the node where there is none. */
  readonly leaps?: { readonly library: string | undefined };
  /** Before the command of a node. */
  readonly nodePrefix?: readonly string[];
  /** Of a server that is alone: see TestServerOptions. */
  readonly serverProgram?: (path: string, folder: string) => Promise<string>;
  /** What is purged from logs is not kept; then logs are not judged. */
  readonly unkept?: boolean;
}

export type NodeEnd = { readonly is: "done" } | { readonly is: "killed" } | { readonly is: "failed"; readonly code: string; readonly message: string };

/** One life of a node. */
export interface ChaosNode {
  readonly place: Place;
  readonly name: string;
  readonly process: ChildProcess;
  /** Resolves when its actors are being started, or it has ended. */
  readonly started: Promise<void>;
  readonly ended: Promise<NodeEnd>;
  readonly end: NodeEnd | undefined;
}

const answerMs = 30_000;
/** How far a wall clock is off at most, in seconds. */
export const mostLeapS = 40 * 3_600;

/** Servers, and places with lines to them. */
export interface ChaosGround extends AsyncDisposable {
  readonly servers: readonly TestServer[];
  readonly places: readonly Place[];
  readonly access: { readonly user: string; readonly pass: string };
}

export async function chaosGround({ servers: count, fsync, folder, serverProgram }: Pick<WorldOptions, "servers" | "fsync" | "folder" | "serverProgram">, names: readonly string[]): Promise<ChaosGround> {
  const ends: AsyncDisposable[] = [], places: Place[] = [];
  const dispose = async () => { for (const end of ends.splice(0).reverse()) await end[Symbol.asyncDispose](); };
  try {
    const cluster = count === 3 ? await startNatsCluster(fsync) : undefined;
    if (cluster !== undefined) ends.push(cluster);
    const servers = cluster?.servers ?? [await startNatsServer({ fsync, ...(serverProgram === undefined ? {} : { program: serverProgram }) })], [first] = servers as [TestServer], { user, pass } = cluster ?? first;
    if (cluster === undefined) ends.push(first);
    for (const name of names) {
      const lines = await Promise.all(servers.map(({ port }) => startTcpProxy(port)));
      ends.push(...lines);
      places.push({ name, dataDir: join(folder, name), lines, isCutOff: false });
    }
    return { servers, places, access: { user, pass }, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    throw error;
  }
}

/** Lines are whole, and take no time. */
export function mended(places: readonly Place[]): void {
  for (const { lines } of places) for (const line of lines) { line.delayMs = 0; line.mend(); }
}

export class ChaosWorld implements AsyncDisposable {
  readonly servers: readonly TestServer[];
  readonly places: readonly [Place, Place];
  readonly options: WorldOptions;
  /** All lives that there were. */
  lives = 0;
  readonly #nodes = new Set<ChaosNode>();
  readonly #ground: ChaosGround;
  readonly #clockFile: string;
  #broker: Broker | undefined;

  private constructor(options: WorldOptions, ground: ChaosGround) {
    this.options = options;
    this.servers = ground.servers;
    this.places = ground.places as readonly [Place, Place];
    this.#ground = ground;
    this.#clockFile = join(options.folder, "clock");
    this.leap(0);
  }

  /** From now on all nodes' wall clock is off by so many seconds. */
  leap(seconds: number): void {
    const written = `${this.#clockFile}.new`;
    writeFileSync(written, `${seconds < 0 ? "" : "+"}${Math.round(seconds)}`);
    renameSync(written, this.#clockFile);
  }

  static async start(options: WorldOptions): Promise<ChaosWorld> {
    return new ChaosWorld(options, await chaosGround(options, ["a", "b"]));
  }

  /** A connection that no fault but a server's disturbs. */
  async broker(): Promise<Broker> {
    return (this.#broker ??= await eventually("the servers answer", () => connect({ servers: this.servers.map(({ servers }) => servers), ...this.#ground.access }), answerMs));
  }

  /** Begins a life of a node. */
  live(place: Place): ChaosNode {
    const { flow, folder, program, servers, small, leaps, nodePrefix = [], unkept = false } = this.options, name = `${place.name}-${++this.lives}`;
    const life: ChaosLife = {
      flow, name, dataDir: place.dataDir, resumes: this.lives > 1, archive: unkept ? undefined : join(folder, "purged"), small, clockFile: leaps !== undefined && leaps.library === undefined ? this.#clockFile : undefined,
      nats: { servers: place.lines.map(({ port }) => `nats://127.0.0.1:${port}`), ...this.#ground.access, sync: "always", replicas: servers },
    };
    const [command, ...args] = [...nodePrefix, process.execPath, program, JSON.stringify(life)];
    const child = spawn(command as string, args, { stdio: ["ignore", "ignore", "pipe", "ipc"], env: { ...process.env, ...(leaps?.library === undefined ? {} : faketimeEnv(leaps.library, this.#clockFile)) } });
    child.stderr?.pipe(createWriteStream(join(folder, `${name}.err`)));
    let start = (): void => {}, end: NodeEnd | undefined;
    const started = new Promise<void>((resolve) => { start = resolve; });
    const ended = new Promise<NodeEnd>((resolve) => child.once("close", (code, signal) => {
      end ??= signal === "SIGKILL" ? { is: "killed" } : { is: "failed", code: `ended with ${signal ?? code}`, message: `see ${name}.err` };
      this.#nodes.delete(node);
      start();
      resolve(end);
    }));
    child.on("message", (news: ChildNews) => {
      if (news.is === "started") start();
      else if (news.is === "done") end = { is: "done" };
      else if (news.is === "failed") end = { is: "failed", code: news.code, message: news.message };
    });
    const node: ChaosNode = { place, name, process: child, started, ended, get end() { return end; } };
    this.#nodes.add(node);
    return node;
  }

  /** What a node says of its actors. */
  ask(node: ChaosNode): Promise<Extract<ChildNews, { is: "tree" }>> {
    return within(answerMs, `${node.name} tells its tree`, new Promise((answer) => {
      const hear = (news: ChildNews) => {
        if (news.is !== "tree") return;
        node.process.off("message", hear);
        answer(news);
      };
      node.process.on("message", hear);
      node.process.send({}, () => {});
    }));
  }

  /** Nothing disturbs any more: lines are whole, whoever stood still goes on, no deadline lies before the wall clock. */
  calm(): void {
    if (this.options.leaps !== undefined) this.leap(2 * mostLeapS);
    mended(this.places);
    for (const { process: its } of this.#nodes) its.kill("SIGCONT");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const node of this.#nodes) { node.process.kill("SIGKILL"); await node.ended; }
    await this.#broker?.close();
    await this.#ground[Symbol.asyncDispose]();
  }
}
