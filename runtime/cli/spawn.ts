// `millrace spawn`: a node on another machine, started over the system's ssh.
import { readFile } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import type { Command } from "commander";
import { connect } from "../broker/nats-broker.ts";
import { MillraceError } from "../event/errors.ts";
import { askPlacement } from "../inspect/placement-orders.ts";
import { type Connection, natsOptions } from "../node/connection.ts";
import { exitCode } from "./exit-code.ts";
import { failureText } from "./failure-text.ts";
import { helpText } from "./help-text.ts";
import { Interruption } from "./interruption.ts";
import { connectionOf, environmentOf, type NatsFlags, withNatsFlags } from "./nats-options.ts";
import { durationOf } from "./number-option.ts";
import { commandThere, leastNode, mark, type SpawnNews, type SpawnOrder } from "./spawn-script.ts";
import { SshProcess } from "./ssh-process.ts";
import { plain, terminalOn } from "./terminal.ts";

interface SpawnFlags extends NatsFlags {
  readonly sshOption: readonly string[];
  readonly project?: string;
  readonly node: string;
  readonly natsThere?: string;
  readonly detach?: true;
  readonly timeout: string;
  readonly json?: true;
  readonly verbose?: true;
}

const collect = (text: string, all: readonly string[]): readonly string[] => [...all, text];
/** Of the environment that a node is told its connection by: those that name a file. */
const fileVariables: readonly string[] = ["MILLRACE_NATS_PASSWORD_FILE", "MILLRACE_NATS_CREDS", "MILLRACE_NATS_NKEY", "MILLRACE_NATS_TLS_CA", "MILLRACE_NATS_TLS_CERT", "MILLRACE_NATS_TLS_KEY"];
const lookMs = 200;
/** After Ctrl-C the node leaves in order; then so long until ssh is ended. */
const leaveMs = 60_000;

export function spawnCommand(program: Command, ended: (code: number) => void): void {
  withNatsFlags(program.command("spawn").argument("<destination>", "as ssh takes it: user@host, ssh://user@host:port, or a name of its configuration").argument("[options...]", "after --: of `millrace node` there")
    .description("start a node on another machine over ssh, and say when it has joined"))
    .option("--ssh-option <option>", "as after the -o of ssh, such as Port=2222; may be repeated", collect, [] as readonly string[])
    .option("--project <folder>", "of the project there, with Millrace installed or built in it; ~ is the home there; default the path of this folder")
    .option("--node <program>", "Node there, where the PATH of ssh does not have it", "node")
    .option("--nats-there <url>", "the NATS server as the other machine reaches it; default that of --nats")
    .option("--detach", "return when it has joined; it goes on, and writes to a file in .millrace there")
    .option("--timeout <duration>", "it must have joined by then", "60s")
    .option("--json", "one line of JSON when it has joined")
    .option("--verbose", "with stacks")
    .addHelpText("after", helpText(`
Examples:
  millrace spawn ann@10.0.0.2 --nats nats://10.0.0.1:4222 -- --name n2 --flow flow.ts
  millrace spawn ann@10.0.0.3 --nats nats://10.0.0.1:4222 --project '~/shop' --detach -- --name n3 --trust deploy.pub --label zone=b
  millrace spawn build-host --ssh-option Port=2222 --ssh-option IdentityFile=key --nats nats://10.0.0.1:4222

Needs Node ${leastNode.join(".")} or newer and the project there: a folder with node_modules/millrace, or a clone that was built. How the node gets to NATS, with
passwords, credentials and certificates, goes over ssh's standard input, never into a command line. Without --detach the node leaves in order when this command is ended by Ctrl-C,
or when the line is cut; the exit code is then the node's.`))
    .action(async (destination: string, options: readonly string[], flags: SpawnFlags) => ended(await spawnNode(destination, options, flags)));
}

async function spawnNode(destination: string, args: readonly string[], flags: SpawnFlags): Promise<number> {
  const err = terminalOn(process.stderr), out = terminalOn(process.stdout);
  let ssh: SshProcess | undefined;
  const interruption = new Interruption(() => ssh?.child.kill("SIGKILL"));
  let broker: Awaited<ReturnType<typeof connect>> | undefined;
  try {
    check(destination, args);
    const timeoutMs = durationOf("--timeout", flags.timeout), connection = connectionOf(flags);
    if (connection === undefined) throw new MillraceError("OPTION_INVALID", "--nats", "No NATS server is named, and the other machine does not reach one that is this machine's own", "Give --nats (or MILLRACE_NATS): a server that both machines reach.");
    const there = flags.natsThere === undefined ? connection : { ...connection, servers: flags.natsThere.split(",").map((one) => one.trim()) }, order = await orderOf(there, args, flags);
    broker = await connect(await natsOptions(connection));
    const told = new Told((line) => err.write(`${err.colors.dim(`${destination} |`)} ${plain(line)}`));
    ssh = new SshProcess({ destination, options: flags.sshOption, command: commandThere(flags.node), isAsking: process.stdin.isTTY === true, onLine: (line) => told.take(line) });
    ssh.child.stdin.write(`${JSON.stringify(order)}\n`);
    const until = performance.now() + timeoutMs, process_ = ssh, over = process_.ended.then((code) => ({ over: code }));
    const first = await Promise.race([over, told.joined, interruption.first.then(() => "interrupted" as const), pause(timeoutMs, undefined, { ref: false }).then(() => "late" as const)]);
    if (first === "interrupted") return await left(process_);
    if (first === "late") throw late(destination, told, timeoutMs);
    if (typeof first === "object") throw told.refusal(destination) ?? (told.running === undefined ? process_.failure(first.over) : new MillraceError("SPAWN_FAILED", destination, `The node on ${destination} ended with exit code ${told.code ?? first.over} before it had joined`, "What it said is above; mend that, then spawn it again."));
    await isMember(broker, first, destination, until);
    const { pid, log } = told.running as { pid: number; log?: string };
    if (flags.json === true) out.write(JSON.stringify({ node: first, destination, pid, detached: flags.detach === true, ...(log === undefined ? {} : { log }) }));
    else err.write(`${first} has joined the cluster from ${destination}${flags.detach === true ? `; it goes on as process ${pid} and writes to ${log}. To end it in order: ssh ${destination} kill ${pid}` : "; Ctrl-C has it leave in order."}`);
    if (flags.detach === true) {
      process_.child.stdin.end();
      await Promise.race([over, pause(leaveMs, undefined, { ref: false })]);
      return exitCode.fine;
    }
    const end = await Promise.race([over, interruption.first.then(() => "interrupted" as const)]);
    if (end === "interrupted") return await left(process_);
    if (told.code === undefined) throw new MillraceError("SSH_FAILED", destination, `The line to ${destination} was cut: ${process_.said.at(-1) ?? `ssh ended with exit code ${end.over}`}`, "The node there leaves in order when it notices; spawn it again when the machine is reached.");
    return told.code;
  } catch (error) {
    err.write(failureText(error, err.colors, flags.verbose === true));
    return error instanceof MillraceError && error.code === "OPTION_INVALID" ? exitCode.usage : exitCode.failed;
  } finally {
    interruption.close();
    if (ssh?.child.exitCode === null) ssh.child.kill();
    await broker?.close();
  }
}

function check(destination: string, args: readonly string[]): void {
  if (destination.startsWith("-") || destination === "") throw new MillraceError("OPTION_INVALID", "spawn", `"${destination}" is no destination`, "Write user@host; options of ssh go into --ssh-option.");
  const named = args.find((arg) => arg.startsWith("--nats")), own = args.find((arg) => arg === "--with-parent");
  if (named !== undefined) throw new MillraceError("OPTION_INVALID", "spawn", `${named.split("=")[0]} stands after --: others on the other machine would see it`, "Write it before --: it goes over ssh's standard input.");
  if (own !== undefined) throw new MillraceError("OPTION_INVALID", "spawn", "--with-parent stands after --", "Leave it out: without --detach the node leaves with the line.");
}

const loopback = /^([a-z]+:\/\/)?(localhost|127\.[0-9.]+|\[::1\])(:\d+)?$/i;

async function orderOf(connection: Connection, args: readonly string[], flags: SpawnFlags): Promise<SpawnOrder> {
  const own = [connection.servers ?? []].flat().find((url) => loopback.test(url));
  if (own !== undefined && flags.natsThere === undefined) throw new MillraceError("OPTION_INVALID", "--nats", `${own} is this machine's own: the other machine would look for a server on itself`, "Give an address that both reach, or say with --nats-there how the other one reaches it.");
  const env: Record<string, string> = {}, files: Record<string, string> = {};
  for (const [name, value] of Object.entries(environmentOf(connection, {}))) {
    if (value === undefined) continue;
    if (!fileVariables.includes(name)) { env[name] = value; continue; }
    const bytes = await readFile(value).catch((error: Error) => { throw new MillraceError("CREDENTIALS_UNREADABLE", value, `The file cannot be read: ${error.message}`, "Give the path of a file that this user may read.", { cause: error }); });
    files[name] = bytes.toString("base64");
  }
  const client = process.env["MILLRACE_NATS_CLIENT"];
  if (client) env["MILLRACE_NATS_CLIENT"] = client;
  return { project: flags.project ?? process.cwd(), args, env, files, detach: flags.detach === true };
}

/** What the other machine has told so far. */
class Told {
  /** Resolves with the node's name. */
  readonly joined: Promise<string>;
  running: { readonly pid: number; readonly log?: string } | undefined;
  code: number | undefined;
  #refused: Extract<SpawnNews, { is: "refused" }> | undefined;
  #join: (name: string) => void = () => {};
  readonly #say: (line: string) => void;

  constructor(say: (line: string) => void) {
    this.#say = say;
    this.joined = new Promise((resolve) => { this.#join = resolve; });
  }

  take(line: string): void {
    if (line.startsWith(mark)) return this.#news(JSON.parse(line.slice(mark.length)) as SpawnNews);
    // A greeting of the login.
    if (this.running === undefined) return;
    this.#say(line);
    const [, name] = /^node ([a-z0-9][a-z0-9-]{0,63}) has joined: /.exec(line) ?? [];
    if (name !== undefined) this.#join(name);
  }

  #news(news: SpawnNews): void {
    if (news.is === "refused") this.#refused = news;
    else if (news.is === "running") this.running = news;
    else this.code = news.code;
  }

  refusal(destination: string): MillraceError | undefined {
    if (this.#refused === undefined) return undefined;
    const { code, what } = this.#refused;
    if (code === "NODE_MISSING") return new MillraceError(code, destination, `There is no program ${what} on ${destination}`, `Install Node ${leastNode.join(".")} or newer there, or say where it is: --node /path/to/node (the PATH that ssh gives may be shorter than that of a login).`);
    if (code === "NODE_TOO_OLD") return new MillraceError(code, destination, `Node on ${destination} is ${what}`, `Millrace needs ${leastNode.join(".")} or newer there; --node names another one.`);
    if (code === "PROJECT_MISSING") return new MillraceError(code, destination, `There is no folder ${what} on ${destination}`, "Copy the project there (git clone, rsync), or say where it is: --project <folder>.");
    if (code === "MILLRACE_MISSING") return new MillraceError(code, destination, `${what} on ${destination} has no millrace: neither node_modules/millrace nor a clone that was built`, "Run `npm install` there, in a clone `node set-up.mjs`.");
    return new MillraceError(code, destination, `The node on ${destination} could not be started: ${what}`, "Mend that, then spawn it again.");
  }
}

/** Until the cluster lists it, too. */
async function isMember(broker: Awaited<ReturnType<typeof connect>>, name: string, destination: string, until: number): Promise<void> {
  for (;;) {
    const placement = await askPlacement(broker).catch(() => undefined);
    if (placement?.nodes.some((node) => node.name === name) === true) return;
    if (performance.now() > until) throw new MillraceError("SPAWN_FAILED", destination, `${name} on ${destination} says that it has joined, and the cluster that is reached from here does not list it`, "See that both are told of the same NATS server and account: --nats, --nats-there.");
    await pause(lookMs);
  }
}

function late(destination: string, told: Told, ms: number): MillraceError {
  const what = told.running === undefined ? "nothing was heard of it" : `the node was started as process ${told.running.pid}, and has not joined`;
  return new MillraceError("TIMEOUT", destination, `${destination}: after ${Math.round(ms / 1000)} s ${what}`, "See that the other machine reaches the NATS server (--nats-there), and that ssh asks no question; --timeout gives it longer.");
}

/** In order: the node leaves when its line ends. */
async function left(ssh: SshProcess): Promise<number> {
  ssh.child.stdin.end();
  await Promise.race([ssh.ended, pause(leaveMs, undefined, { ref: false })]);
  return exitCode.interrupted;
}
