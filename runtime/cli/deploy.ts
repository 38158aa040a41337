// `millrace deploy`: gives a flow to the nodes of a cluster, signed.
import { basename } from "node:path";
import type { Command } from "commander";
import { hashOf } from "../deploy/bundle-store.ts";
import { MillraceError } from "../event/errors.ts";
import type { FlowPlan } from "../flow/plan.ts";
import { planOf } from "../flow/plan.ts";
import { deployFlow, type DeployOutcome, takenWithin } from "../inspect/deployment-orders.ts";
import type { FlowLine, FlowState } from "../inspect/flows-report.ts";
import type { RunMode } from "../node/run-choice.ts";
import { exitCode } from "./exit-code.ts";
import { failureText } from "./failure-text.ts";
import { loadPacked, packFlow } from "./flow-file.ts";
import { readKey } from "./key-file.ts";
import { type NatsFlags, reach, withNatsFlags } from "./nats-options.ts";
import { type Terminal, terminalOn } from "./terminal.ts";
import { versionOfMillrace } from "./version.ts";
import { bytes, listed } from "./words.ts";

interface DeployFlags extends NatsFlags {
  readonly key?: string;
  readonly fresh?: true;
  readonly resume?: true;
  readonly wait: boolean;
  readonly json?: true;
}

/** Nodes are waited for so long: loading may run a minute. */
const takenMs = 75_000;

export function deployCommand(program: Command, ended: (code: number) => void): void {
  withNatsFlags(program.command("deploy").argument("<flow>", "a .ts or .js file with `export default defineFlow(…)`").description("give a flow to the nodes of a cluster: those that trust the key load it and run it"))
    .option("--key <file>", "the seed that signs it (millrace keys new makes one); default MILLRACE_KEY")
    .option("--fresh", "begin a new run, whatever was interrupted")
    .option("--resume", "go on with an interrupted run although the code changed")
    .option("--no-wait", "return when it is stored: nodes load it, whoever watches")
    .option("--json", "the outcome as one line of JSON")
    .option("--verbose", "with stacks")
    .addHelpText("after", `
Examples:
  millrace keys new deploy.nk                                    once: a key, and its public half
  millrace node --nats nats://10.0.0.1:4222 --trust UD3X…        on each machine
  millrace deploy flow.ts --key deploy.nk --nats nats://10.0.0.1:4222
  millrace flows --nats nats://10.0.0.1:4222                     what has become of it

The flow and the packages that it imports become one file, named by its hash; the key signs hash, name and time. What a flow reads and writes by
path it reads and writes on the node that it is placed on. The same again changes nothing. Another code of a flow that is deployed: undeploy it first.`)
    .action(async (path: string, flags: DeployFlags) => ended(await deploy(path, flags).catch(failed)));
}

function failed(error: unknown): number {
  const err = terminalOn(process.stderr), { code } = error as { code?: unknown };
  err.write(failureText(error, err.colors, process.argv.includes("--verbose")));
  return code === "OPTION_INVALID" || code === "FLOW_FILE_MISSING" || code === "KEY_FILE_UNREADABLE" ? exitCode.usage : exitCode.failed;
}

async function deploy(path: string, flags: DeployFlags): Promise<number> {
  const out = terminalOn(process.stdout), err = terminalOn(process.stderr), file = flags.key ?? process.env["MILLRACE_KEY"];
  if (file === undefined || file === "") throw new MillraceError("OPTION_INVALID", "--key", "It is not said which key signs it", "Give --key and the file of a seed, or MILLRACE_KEY; `millrace keys new deploy.nk` makes one.");
  if (flags.fresh === true && flags.resume === true) throw new MillraceError("OPTION_INVALID", "--fresh", "--fresh and --resume exclude each other", "Give one of them.");
  const key = await readKey(file, (line) => err.write(`${err.colors.yellow("!")} ${line}`)), bundle = await packFlow(path), hash = hashOf(bundle), mode: RunMode = flags.fresh === true ? "fresh" : flags.resume === true ? "resume" : "continue";
  // As a node will: what cannot be loaded is not given to nodes.
  const { flow } = await loadPacked(bundle, { hash, file: basename(path), dataDir: flags.dataDir }), plan = planOf(flow) as FlowPlan;
  const broker = await reach(flags);
  try {
    const outcome = await deployFlow(broker, { plan, bundle, key, file: basename(path), millrace: versionOfMillrace(), mode, now: Date.now() });
    if (flags.json !== true) err.write(`${flow.name}: ${bytes(bundle.length)}, ${hash.slice(0, 12)}, ${saidOf(outcome)}`);
    return report(outcome, flags.wait ? await takenWithin(broker, outcome, takenMs) : undefined, flags, out, err);
  } finally {
    await broker.close();
  }
}

function saidOf({ is, deployment: { key } }: DeployOutcome): string {
  if (is === "same") return `was deployed already, signed by ${key}; nothing was changed`;
  return is === "repaired" ? "was deployed already; its bundle was damaged or gone, and is whole again" : `signed by ${key}`;
}

function stateText(name: string, state: FlowState, run: string | null): string {
  if (state === "running") return `Run ${run} is under way: \`millrace placement ${name}\` tells where.`;
  if (state === "finished") return `Run ${run} has finished; for another one, \`millrace undeploy ${name}\` and deploy it again.`;
  return state === "refused" ? "No run of it can be begun." : "No run has begun yet: `millrace flows` tells.";
}

function report({ is, deployment: { manifest: { name, hash }, key } }: DeployOutcome, line: FlowLine | undefined, { wait, json }: DeployFlags, out: Terminal, err: Terminal): number {
  const { loaded = [], refusals = [], state = "waiting", run = null } = line ?? {}, failed = wait && (loaded.length === 0 || state === "refused");
  if (json === true) out.write(JSON.stringify({ flow: name, hash, key, is, state, run, loaded, refusals }));
  else if (!wait) out.write("Stored: nodes load it as they see it; `millrace flows` tells.");
  else {
    if (loaded.length > 0) out.write(`Loaded on ${listed(loaded)}. ${stateText(name, state, run)}`);
    for (const { node, code, message, remedy } of refusals) err.write(`${err.colors.red("refused")} by ${node}: ${message} (${code})\n  ${err.colors.dim("do")}  ${remedy}`);
    if (failed && refusals.length === 0) err.write(`No node has loaded it yet: one that is started with --trust ${key} does.`);
  }
  return failed ? exitCode.failed : exitCode.fine;
}
