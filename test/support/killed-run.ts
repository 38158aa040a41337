// Runs a flow in a process of its own and kills it with SIGKILL where the records of its actors reach given positions, again and again,
// until it ends by itself.
import { type ChildProcess, spawn } from "node:child_process";
import { connect } from "../../runtime/broker/nats-broker.ts";
import { readConnection } from "../../runtime/broker/nats-server/embedded.ts";
import { decodeRecord } from "../../runtime/journal/record.ts";
import type { Broker } from "../../runtime/broker/broker.ts";
import { program } from "./cli-process.ts";

export interface Kill {
  readonly actor: string;
  readonly events: number;
}

export interface KilledRunOptions {
  readonly flow: string;
  /** Of the flow file. */
  readonly flowName: string;
  readonly dataDir: string;
  readonly env: Readonly<Record<string, string>>;
  readonly args?: readonly string[];
  /** Where to kill, in order: when a record in the log of that actor ("windows/2") says that it has taken so many events. */
  readonly kills: readonly Kill[];
  readonly say?: (line: string) => void;
  /** Ends the whole with an error. */
  readonly deadlineMs: number;
}

export interface KilledRun {
  readonly killed: number;
  /** The last line of the run that ended by itself. */
  readonly summary: { readonly status: string; readonly stages: Readonly<Record<string, { readonly in: number; readonly out: number; readonly restarts: number }>> };
  /** Events that each actor had taken when its log was last looked at. */
  readonly taken: ReadonlyMap<string, number>;
}

const watchMs = 5;

export async function killedRun(options: KilledRunOptions): Promise<KilledRun> {
  const taken = new Map<string, number>(), until = performance.now() + options.deadlineMs;
  for (let killed = 0; ; ) {
    const child = start(options), kill = options.kills[killed];
    const watch = new Watch(options, taken);
    try {
      while (child.process.exitCode === null && child.process.signalCode === null) {
        if (performance.now() > until) throw new Error(`not ended after ${options.deadlineMs} ms; killed ${killed} times: ${child.output()}`);
        if (kill !== undefined && (await watch.taken(kill.actor)) >= kill.events) {
          child.process.kill("SIGKILL");
          options.say?.(`killed where ${kill.actor} has taken ${taken.get(kill.actor)} events`);
          break;
        }
        if (kill === undefined) await watch.all();
        await Promise.race([child.ended, new Promise((done) => setTimeout(done, watchMs))]);
      }
      await child.ended;
    } finally {
      child.process.kill("SIGKILL");
      await watch.close();
    }
    if (child.process.signalCode === "SIGKILL") { killed++; continue; }
    if (child.process.exitCode !== 0) throw new Error(`the run ended with ${child.process.exitCode} after ${killed} kills:\n${child.output()}`);
    return { killed, summary: JSON.parse(child.output().trim().split("\n").findLast((line) => line.startsWith("{")) as string) as KilledRun["summary"], taken };
  }
}

function start({ flow, dataDir, env, args = [] }: KilledRunOptions): { readonly process: ChildProcess; readonly ended: Promise<void>; output(): string } {
  const process_ = spawn(process.execPath, [...program, "run", flow, "--data-dir", dataDir, "--json", ...args], { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  let text = "";
  for (const stream of [process_.stdout, process_.stderr]) stream.on("data", (chunk: Buffer) => { text = (text + chunk.toString()).slice(-20_000); });
  return { process: process_, ended: new Promise((done) => { process_.once("close", () => done()); }), output: () => text };
}

/** Looks at the logs over a connection of its own. */
class Watch {
  readonly #options: KilledRunOptions;
  readonly #taken: Map<string, number>;
  #broker: Broker | undefined;
  /** Streams of logs, by actor. */
  #logs = new Map<string, string>();

  constructor(options: KilledRunOptions, taken: Map<string, number>) {
    this.#options = options;
    this.#taken = taken;
  }

  /** Events that an actor has taken, as its newest record says. */
  async taken(actor: string): Promise<number> {
    try {
      await this.#connect();
      const name = this.#logs.get(actor);
      if (name === undefined) return 0;
      const last = await (this.#broker as Broker).stream(name, name.replaceAll("_", ".")).last();
      const count = last === undefined ? undefined : decodeRecord(last.data).body.counts?.in;
      if (count !== undefined) this.#taken.set(actor, count);
      return count ?? 0;
    } catch {
      // Not there yet, or gone with its node: looked for again.
      await this.#broker?.close();
      this.#broker = undefined;
      return 0;
    }
  }

  async all(): Promise<void> {
    await this.taken("");
    for (const actor of this.#logs.keys()) await this.taken(actor);
  }

  async #connect(): Promise<void> {
    if (this.#broker !== undefined) return;
    const access = await readConnection(this.#options.dataDir);
    if (access === undefined) throw new Error("no server yet");
    this.#broker = await connect({ servers: access.servers, user: access.user, pass: access.pass });
    const prefix = `mr_actor_${this.#options.flowName}_`;
    for (const name of await this.#broker.list(prefix)) {
      const [stage, , partition, kind] = name.slice(prefix.length).split("_");
      if (kind === "log") this.#logs.set(`${stage}/${partition}`, name);
    }
    if (this.#logs.size === 0) throw new Error("no streams yet");
  }

  async close(): Promise<void> {
    await this.#broker?.close();
  }
}
