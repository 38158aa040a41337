// Runs a flow in a process of its own and kills it with SIGKILL where logs of its actors reach given positions, again and again,
// until it ends by itself.
import { type ChildProcess, spawn } from "node:child_process";
import { connect } from "../../runtime/broker/nats-broker.ts";
import { readConnection } from "../../runtime/broker/nats-server/embedded.ts";
import type { Broker } from "../../runtime/broker/broker.ts";

export interface KilledRunOptions {
  readonly flow: string;
  /** Of the flow file. */
  readonly flowName: string;
  readonly dataDir: string;
  readonly env: Readonly<Record<string, string>>;
  readonly args?: readonly string[];
  /** Where to kill: when the log of an actor, given by a number from 0 up to 1 among all, has so many records. In order. */
  readonly kills: readonly { readonly actor: number; readonly at: number }[];
  readonly say?: (line: string) => void;
  /** Ends the whole with an error. */
  readonly deadlineMs: number;
}

export interface KilledRun {
  readonly killed: number;
  /** The last line of the run that ended by itself. */
  readonly summary: { readonly status: string; readonly stages: Readonly<Record<string, { readonly in: number; readonly out: number; readonly restarts: number }>> };
  /** Records in each log when it was last looked at, by actor. */
  readonly records: ReadonlyMap<string, number>;
}

const main = new URL("../../runtime/cli/main.ts", import.meta.url).pathname;
const watchMs = 5;

export async function killedRun(options: KilledRunOptions): Promise<KilledRun> {
  const records = new Map<string, number>(), until = performance.now() + options.deadlineMs;
  for (let killed = 0; ; ) {
    const child = start(options), kill = options.kills[killed];
    const watch = new Watch(options, records);
    try {
      while (child.process.exitCode === null && child.process.signalCode === null) {
        if (performance.now() > until) throw new Error(`not ended after ${options.deadlineMs} ms; killed ${killed} times: ${child.output()}`);
        if (kill !== undefined && (await watch.reached(kill))) {
          child.process.kill("SIGKILL");
          options.say?.(`killed at record ${kill.at} of ${watch.actor(kill.actor)}`);
          break;
        }
        if (kill === undefined) await watch.reached({ actor: 0, at: Infinity });
        await Promise.race([child.ended, new Promise((done) => setTimeout(done, watchMs))]);
      }
      await child.ended;
    } finally {
      child.process.kill("SIGKILL");
      await watch.close();
    }
    if (child.process.signalCode === "SIGKILL") { killed++; continue; }
    if (child.process.exitCode !== 0) throw new Error(`the run ended with ${child.process.exitCode} after ${killed} kills:\n${child.output()}`);
    return { killed, summary: JSON.parse(child.output().trim().split("\n").findLast((line) => line.startsWith("{")) as string) as KilledRun["summary"], records };
  }
}

function start({ flow, dataDir, env, args = [] }: KilledRunOptions): { readonly process: ChildProcess; readonly ended: Promise<void>; output(): string } {
  const process_ = spawn(process.execPath, ["--conditions=source", "--import", "tsx", main, "run", flow, "--data-dir", dataDir, "--json", ...args], { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
  let text = "";
  for (const stream of [process_.stdout, process_.stderr]) stream.on("data", (chunk: Buffer) => { text = (text + chunk.toString()).slice(-20_000); });
  return { process: process_, ended: new Promise((done) => { process_.once("close", () => done()); }), output: () => text };
}

/** Looks at the logs over a connection of its own. */
class Watch {
  readonly #options: KilledRunOptions;
  readonly #records: Map<string, number>;
  #broker: Broker | undefined;
  #logs: readonly string[] = [];

  constructor(options: KilledRunOptions, records: Map<string, number>) {
    this.#options = options;
    this.#records = records;
  }

  actor(number: number): string {
    return this.#logs[Math.floor(number * this.#logs.length)] ?? "";
  }

  async reached({ actor, at }: { readonly actor: number; readonly at: number }): Promise<boolean> {
    try {
      await this.#connect();
      const broker = this.#broker as Broker;
      if (this.#logs.length === 0) this.#logs = (await broker.list(`mr_actor_${this.#options.flowName}_`)).filter((name) => name.endsWith("_log")).toSorted();
      const name = this.actor(actor);
      if (name === "") return false;
      const { last } = await broker.stream(name, name.replaceAll("_", ".")).bounds();
      this.#records.set(name, last);
      return last >= at;
    } catch {
      // Not there yet, or gone with its node: looked for again.
      await this.#broker?.close();
      this.#broker = undefined;
      this.#logs = [];
      return false;
    }
  }

  async #connect(): Promise<void> {
    if (this.#broker !== undefined) return;
    const access = await readConnection(this.#options.dataDir);
    if (access === undefined) throw new Error("no server yet");
    this.#broker = await connect({ servers: access.servers, user: access.user, pass: access.pass });
  }

  async close(): Promise<void> {
    await this.#broker?.close();
  }
}
