// `millrace deploy`: gives a flow to the nodes of a cluster, signed.
import { basename } from "node:path";
import type { Command } from "commander";
import type { Broker } from "../broker/broker.ts";
import { hashOf } from "../deploy/bundle-store.ts";
import { MillraceError } from "../event/errors.ts";
import type { FlowPlan } from "../flow/plan.ts";
import { planOf } from "../flow/plan.ts";
import { isName } from "../flow/name.ts";
import { deployFlow, type DeployOutcome, stoppedWithin, takenWithin, undeployFlow } from "../inspect/deployment-orders.ts";
import type { FlowLine, FlowState } from "../inspect/flows-report.ts";
import { runningDeployment, type RunningDeployment } from "../inspect/upgrade-orders.ts";
import type { RunMode } from "../node/run-choice.ts";
import { isConfirmed } from "./confirmation.ts";
import { exitCode } from "./exit-code.ts";
import { failureText } from "./failure-text.ts";
import { loadPacked, packFlow } from "./flow-file.ts";
import { helpText } from "./help-text.ts";
import { readKey } from "./key-file.ts";
import { type NatsFlags, reach, withNatsFlags } from "./nats-options.ts";
import { type Terminal, terminalOn } from "./terminal.ts";
import { goOn, upgrade, type UpgradeFlags } from "./upgrade.ts";
import { versionOfMillrace } from "./version.ts";
import { bytes, listed } from "./words.ts";

interface DeployFlags extends NatsFlags, UpgradeFlags {
  readonly key?: string;
  readonly fresh?: true;
  readonly resume?: true;
  readonly continue?: true;
  readonly back?: true;
  readonly yes?: true;
}

/** Nodes are waited for so long: loading may run a minute. */
const takenMs = 75_000;
/** Longer than nodes take to give up on an actor that does not stop. */
const stopMs = 90_000;

export function deployCommand(program: Command, ended: (code: number) => void): void {
  withNatsFlags(program.command("deploy").argument("<flow>", "a .ts or .js file with `export default defineFlow(…)`; its name, with --continue and --back").description("give a flow to the nodes of a cluster: those that trust the key load it and run it; of one that runs, the actors go over to the new code one by one"))
    .option("--key <file>", "the seed that signs it (millrace keys new makes one); default MILLRACE_KEY")
    .option("--canary <n>", "of a flow that runs: only so many actors go over, such as 1, or by-region:2 of that stage (default the processor nearest to the ends); then it is held")
    .option("--continue", "the others follow; or one that failed is tried again")
    .option("--back", "those that went over return to the code before, as long as that can read their state")
    .option("--fresh", "begin a new run, whatever was interrupted or runs: what it has done so far is given up")
    .option("--yes", "with --fresh: do not ask")
    .option("--resume", "go on with an interrupted run although the code changed")
    .option("--no-wait", "return when it is stored: nodes load it, whoever watches")
    .option("--timeout <duration>", "watch actors that go over no longer than that, such as 90s; it goes on by itself", "10m")
    .option("--json", "the outcome as one line of JSON")
    .option("--verbose", "with stacks")
    .addHelpText("after", helpText(`
Examples:
  millrace keys new deploy.nk                                    once: a key, and its public half
  millrace node --nats nats://10.0.0.1:4222 --trust UD3X…        on each machine
  millrace deploy flow.ts --key deploy.nk --nats nats://10.0.0.1:4222
  millrace flows --nats nats://10.0.0.1:4222                     what has become of it
  millrace deploy flow.ts --canary 1                             it was changed: one actor goes over first
  millrace deploy --continue quakes                              the others follow; --back instead: that one returns

The flow and the packages that it imports become one file, named by its hash; the key signs hash, name and time. What a flow reads and writes by
path it reads and writes on the node that it is placed on. The same again changes nothing.

Another code of a flow that runs: its actors go over one by one, where they are, readers before those who feed them. Each commits and stops, and
goes on from its journal with the new code; state of an older version is brought into the new shape by migrate, and from then on there is no
way back for those actors. Stages, edges and parallelism stay; with others, undeploy it and deploy it with --fresh. An actor that does not get
on with the new code is parked before that gives an event up, and the upgrade is held: it is said who and why. Stopped half-way it goes on by
itself; the same command watches on. Exit codes: 0 done, or held after --canary; 1 it is not; 130 interrupted.`))
    .action(async (path: string, flags: DeployFlags) => ended(await deploy(path, flags).catch(failed)));
}

function failed(error: unknown): number {
  const err = terminalOn(process.stderr), { code } = error as { code?: unknown };
  err.write(failureText(error, err.colors, process.argv.includes("--verbose")));
  return code === "OPTION_INVALID" || code === "FLOW_FILE_MISSING" || code === "KEY_FILE_UNREADABLE" || code === "CONFIRM" ? exitCode.usage : exitCode.failed;
}

async function deploy(path: string, flags: DeployFlags): Promise<number> {
  const out = terminalOn(process.stdout), err = terminalOn(process.stderr);
  if (flags.continue === true || flags.back === true) return await goOnWith(path, flags, { out, err });
  const file = flags.key ?? process.env["MILLRACE_KEY"];
  if (file === undefined || file === "") throw new MillraceError("OPTION_INVALID", "--key", "It is not said which key signs it", "Give --key and the file of a seed, or MILLRACE_KEY; `millrace keys new deploy.nk` makes one.");
  if (flags.fresh === true && flags.resume === true) throw new MillraceError("OPTION_INVALID", "--fresh", "--fresh and --resume exclude each other", "Give one of them.");
  const key = await readKey(file, (line) => err.write(`${err.colors.yellow("!")} ${line}`)), bundle = await packFlow(path), hash = hashOf(bundle), mode: RunMode = flags.fresh === true ? "fresh" : flags.resume === true ? "resume" : "continue";
  // As a node will: what cannot be loaded is not given to nodes.
  const { flow } = await loadPacked(bundle, { hash, file: basename(path), dataDir: flags.dataDir }), plan = planOf(flow) as FlowPlan;
  const broker = await reach(flags), order = { plan, bundle, key, file: basename(path), millrace: versionOfMillrace(), mode, now: Date.now() };
  try {
    const running = await runningDeployment(broker, plan.name);
    if (running !== undefined && mode === "fresh") await endRun(broker, running, flags, err);
    else if (running !== undefined && running.deployed.manifest.hash !== hash) return await upgrade(broker, running, order, flags, { out, err });
    else if (running?.placed.upgrade !== undefined) throw new MillraceError("UPGRADE_UNDER_WAY", plan.name, `Flow "${plan.name}" is going over from this code to ${running.placed.upgrade.to.slice(0, 12)}`, `\`millrace deploy --back ${plan.name}\` lets those that went over return.`);
    else if (flags.canary !== undefined) throw new MillraceError("OPTION_INVALID", "--canary", running === undefined ? `Flow "${plan.name}" does not run` : `Flow "${plan.name}" runs this code already`, "--canary is for another code of a flow that runs.");
    const outcome = await deployFlow(broker, order);
    if (flags.json !== true) err.write(`${flow.name}: ${bytes(bundle.length)}, ${hash.slice(0, 12)}, ${saidOf(outcome)}`);
    return report(outcome, flags.wait ? await takenWithin(broker, outcome, takenMs) : undefined, flags, out, err);
  } finally {
    await broker.close();
  }
}

/** The name of a flow, or its file. */
async function goOnWith(flow: string, flags: DeployFlags, terminals: { readonly out: Terminal; readonly err: Terminal }): Promise<number> {
  if (flags.continue === flags.back) throw new MillraceError("OPTION_INVALID", "--continue", "--continue and --back exclude each other", "Give one of them.");
  if (flags.canary !== undefined || flags.fresh === true || flags.resume === true) throw new MillraceError("OPTION_INVALID", flags.back === true ? "--back" : "--continue", "It goes with none of --canary, --fresh and --resume", "Leave them out.");
  const name = isName(flow) ? flow : await nameIn(flow, flags.dataDir), broker = await reach(flags);
  try {
    return await goOn(broker, name, flags.back === true, flags, terminals);
  } finally {
    await broker.close();
  }
}

async function nameIn(path: string, dataDir: string): Promise<string> {
  const bundle = await packFlow(path);
  return (await loadPacked(bundle, { hash: hashOf(bundle), file: basename(path), dataDir })).flow.name;
}

/** For a new run in its place. @throws MillraceError CONFIRM */
async function endRun(broker: Broker, { deployed: { manifest: { name, hash } }, run: { token } }: RunningDeployment, { yes, json }: DeployFlags, err: Terminal): Promise<void> {
  if (yes !== true && !(await isConfirmed(`Flow "${name}" runs. --fresh gives up what run ${token} has done so far: its state and its journals; results are written anew. Go on?`, err))) throw new MillraceError("CONFIRM", name, `Run ${token} of flow "${name}" would be given up`, "Give --yes if that is meant; without --fresh its actors go over to the new code and keep what they have.");
  await undeployFlow(broker, name, Date.now());
  if ((await stoppedWithin(broker, name, hash, stopMs)) === undefined) throw new MillraceError("FLOW_STOPPING", name, `Not all actors of flow "${name}" have stopped within ${stopMs / 1000} s`, "`millrace tree` shows them; order the same again when they have.");
  if (json !== true) err.write(`${name}: run ${token} was stopped, and is given up`);
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
