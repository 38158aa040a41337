// `millrace up`: a flow on several nodes of this machine, one process each: this is how one machine uses its cores.
import { type ChildProcess, spawn } from "node:child_process";
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { type Command, Option } from "commander";
import { connect } from "../broker/nats-broker.ts";
import { MillraceError } from "../event/errors.ts";
import { startBroker } from "../node/broker-process.ts";
import { type Connection, natsOptions } from "../node/connection.ts";
import { exitCode } from "./exit-code.ts";
import { failureText } from "./failure-text.ts";
import { helpText } from "./help-text.ts";
import { Interruption } from "./interruption.ts";
import { JointProgress } from "./joint-progress.ts";
import { connectionOf, environmentOf, type NatsFlags, withNatsFlags } from "./nats-options.ts";
import { numberOf } from "./number-option.ts";
import { type Terminal, terminalOn } from "./terminal.ts";

interface UpFlags extends NatsFlags {
  readonly count?: string;
  readonly fsync: "always" | "relaxed";
  readonly brokerSync?: string;
  readonly verbose?: true;
}

const most = 256;
/** A node that dies is started again, so often within a minute at most. */
const restarts = { most: 5, withinMs: 60_000, afterMs: 500 } as const;

export function upCommand(program: Command, ended: (code: number) => void): void {
  withNatsFlags(program.command("up").argument("<flow>", "a .ts or .js file with `export default defineFlow(…)`").description("run a flow on several nodes of this machine until its sources end, or until Ctrl-C"))
    .option("-n, --count <nodes>", "how many; default one for each core")
    .addOption(new Option("--fsync <when>", "of the embedded server: always (before each ack) or relaxed (each second; a power loss may cost that)").choices(["always", "relaxed"]).default("always"))
    .option("--broker-sync <interval>", "the sync_interval of the server of --nats: always, or such as 2m (default)")
    .option("--verbose", "with stacks")
    .addHelpText("after", helpText(`
Examples:
  millrace up flow.ts                                   a node for each core, over a nats-server of its own
  millrace up -n 3 flow.ts --nats nats://10.0.0.1:4222  over a server that runs already

A node that dies is started again; meanwhile its actors go on elsewhere. Killed or stopped, the same command goes on where it was.`))
    .action(async (path: string, flags: UpFlags) => ended(await up(path, flags)));
}

async function up(path: string, flags: UpFlags): Promise<number> {
  const err = terminalOn(process.stderr), named = connectionOf(flags);
  const nodes: NodeProcess[] = [], interruption = new Interruption(() => {
    for (const node of nodes) node.kill();
    err.write("Stopped at once. Nothing is lost: the same command goes on where it was.");
  });
  let server: (Connection & AsyncDisposable) | undefined, progress: JointProgress | undefined, broker: Awaited<ReturnType<typeof connect>> | undefined;
  try {
    const count = flags.count === undefined ? availableParallelism() : numberOf("--count", flags.count);
    if (!Number.isInteger(count) || count < 1 || count > most) throw new MillraceError("OPTION_INVALID", "--count", `--count is ${flags.count}`, `Give a whole number from 1 to ${most}.`);
    if (named === undefined) server = await startBroker({ dataDir: flags.dataDir, fsync: flags.fsync });
    const connection = named ?? (server as Connection);
    broker = await connect(await natsOptions(connection));
    progress = new JointProgress(broker, err);
    const shown = progress, sync = flags.brokerSync ?? (server === undefined ? undefined : (server.sync as string));
    const args = ["--flow", resolve(path), "--nodes", String(count), "--until-ended", "--with-parent", ...(sync === undefined ? [] : ["--broker-sync", sync]), ...(flags.verbose === true ? ["--verbose"] : [])];
    for (let n = 1; n <= count; n++) nodes.push(new NodeProcess(`n${n}`, ["--data-dir", join(flags.dataDir, "nodes", `n${n}`), ...args], environmentOf(connection), shown, err));
    shown.say(`${count} nodes, nats-server ${broker.version}${server === undefined ? ` at ${[connection.servers].flat().join(", ")}` : ""}, data in ${flags.dataDir}`);
    shown.start();
    const all = Promise.all(nodes.map((node) => node.done)), end = await Promise.race([all.then(() => "ended" as const), interruption.first.then(() => "interrupted" as const), ...nodes.map(async (node) => ((await node.done) === exitCode.fine ? await new Promise<never>(() => {}) : ("failed" as const)))]);
    if (end === "interrupted") shown.say("Stopping in order; Ctrl-C again stops at once. Nothing is lost either way.");
    for (const node of nodes) node.stop();
    await all;
    shown.stop();
    err.write(end === "ended" ? "Finished." : end === "interrupted" ? "Stopped. The same command goes on where it was." : "A node failed; the others have left in order.");
    return end === "ended" ? exitCode.fine : end === "interrupted" ? exitCode.interrupted : exitCode.failed;
  } catch (error) {
    progress?.stop();
    err.write(failureText(error, err.colors, flags.verbose === true));
    return (error as { code?: unknown }).code === "OPTION_INVALID" ? exitCode.usage : exitCode.failed;
  } finally {
    interruption.close();
    for (const node of nodes) node.stop();
    await Promise.all(nodes.map((node) => node.done));
    await broker?.close();
    await server?.[Symbol.asyncDispose]();
  }
}

/** A node in a process of its own; started again where it dies. */
class NodeProcess {
  /** Exit code of the process that ended by itself or was told to. */
  readonly done: Promise<number>;
  readonly #name: string;
  readonly #args: readonly string[];
  readonly #env: NodeJS.ProcessEnv;
  readonly #progress: JointProgress;
  readonly #terminal: Terminal;
  readonly #diedAt: number[] = [];
  #resolve: (code: number) => void = () => {};
  #child: ChildProcess | undefined;
  #stopping = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(name: string, args: readonly string[], env: NodeJS.ProcessEnv, progress: JointProgress, terminal: Terminal) {
    this.#name = name;
    this.#args = ["node", "--name", name, ...args];
    this.#env = env;
    this.#progress = progress;
    this.#terminal = terminal;
    this.done = new Promise((resolve) => { this.#resolve = resolve; });
    this.#start();
  }

  /** In order. */
  stop(): void {
    this.#stopping = true;
    clearTimeout(this.#timer);
    if (this.#child === undefined) this.#resolve(exitCode.failed);
    else this.#child.kill("SIGTERM");
  }

  kill(): void {
    this.#stopping = true;
    this.#child?.kill("SIGKILL");
  }

  #start(): void {
    // A process group of its own: Ctrl-C of the terminal comes by way of this process, once.
    const child = spawn(process.execPath, [...process.execArgv, process.argv[1] as string, ...this.#args], { env: this.#env, stdio: ["pipe", "inherit", "pipe"], detached: true });
    this.#child = child;
    const { colors } = this.#terminal;
    createInterface({ input: child.stderr as NonNullable<typeof child.stderr> }).on("line", (line) => this.#progress.say(`${colors.dim(`${this.#name} |`)} ${line}`));
    child.on("error", (error) => this.#progress.say(`${this.#name} could not be started: ${error.message}`));
    child.once("close", (code, signal) => this.#over(code, signal));
  }

  #over(code: number | null, signal: NodeJS.Signals | null): void {
    this.#child = undefined;
    if (this.#stopping || signal === null) return this.#resolve(code ?? exitCode.failed);
    const now = performance.now();
    this.#diedAt.push(now);
    if (this.#diedAt.filter((at) => at > now - restarts.withinMs).length > restarts.most) {
      this.#progress.say(`${this.#name} died (${signal}), once too often; it is not started again`);
      return this.#resolve(exitCode.failed);
    }
    this.#progress.say(`${this.#name} died (${signal}); it is started again, its actors go on elsewhere meanwhile`);
    this.#timer = setTimeout(() => this.#start(), restarts.afterMs);
  }
}
