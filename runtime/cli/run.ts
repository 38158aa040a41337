// `millrace run`: one flow in one node of this process, until it has finished, failed or was interrupted.
import { type Command, Option } from "commander";
import { asError, MillraceError } from "../event/errors.ts";
import { type FlowPlan, planOf } from "../flow/plan.ts";
import type { Duration } from "../event/event.ts";
import { startNode } from "../inspect/inspected-node.ts";
import type { HostedFlow } from "../node/hosted-flow.ts";
import type { RunningNode } from "../node/node.ts";
import type { RunMode } from "../node/run-choice.ts";
import { repairHere } from "../repair/repair-here.ts";
import { askAboutChange } from "./change-question.ts";
import { exitCode } from "./exit-code.ts";
import { failureText } from "./failure-text.ts";
import { loadFlow } from "./flow-file.ts";
import { helpText } from "./help-text.ts";
import { Interruption } from "./interruption.ts";
import { connectionOf, type NatsFlags, withNatsFlags } from "./nats-options.ts";
import { type Override, overridden, parseOverride } from "./override.ts";
import { Progress } from "./progress.ts";
import { repairText } from "./repair.ts";
import { jsonLine, type Outcome, reportOutcome } from "./run-report.ts";
import { type Terminal, terminalOn } from "./terminal.ts";

interface RunFlags extends NatsFlags {
  readonly fsync: "always" | "relaxed";
  readonly fresh?: true;
  readonly resume?: true;
  readonly repair?: true;
  readonly json?: true;
  readonly verbose?: true;
  readonly set: readonly string[];
  readonly brokerSync?: string;
  readonly stallAfter?: string;
}

export function runCommand(program: Command, ended: (code: number) => void): void {
  withNatsFlags(program.command("run").argument("<flow>", "a .ts or .js file with `export default defineFlow(…)`").description("run a flow until its sources end, or until Ctrl-C"))
    .addOption(new Option("--fsync <when>", "of the embedded server: always (before each ack) or relaxed (each second; a power loss may cost that)").choices(["always", "relaxed"]).default("always"))
    .option("--broker-sync <interval>", "the sync_interval of the server of --nats: always, or such as 2m (default)")
    .option("--fresh", "begin a new run, whatever was interrupted")
    .option("--repair", "first bring back from the journals what the server lost (see millrace repair)")
    .option("--resume", "go on with an interrupted run although code or input changed")
    .option("--set <stage.parallelism=n>", "override a stage's parallelism; may be repeated", (text: string, all: readonly string[]) => [...all, text], [] as readonly string[])
    .option("--stall-after <duration>", "name the handler that holds up everything for so long: such as 1s, or never (default 5s)")
    .option("--json", "end the standard output with one line of JSON, and nothing else on it")
    .option("--verbose", "with stacks")
    .addHelpText("after", helpText(`
Examples:
  millrace run flow.ts                                  its own nats-server, data in .millrace
  millrace run flow.ts --nats nats://10.0.0.1:4222      over a server that runs already
  millrace run flow.ts --fresh                          from the beginning
  millrace run flow.ts --set by-region.parallelism=8
  millrace run flow.ts --json | tail -n 1

Killed or stopped, the same command goes on where it was. When the flow has finished, it starts a new run.`))
    .action(async (path: string, flags: RunFlags) => ended(await run(path, flags)));
}

async function run(path: string, flags: RunFlags): Promise<number> {
  const out = terminalOn(process.stdout), err = terminalOn(process.stderr), begun = performance.now();
  let name: string | null = null, node: RunningNode | undefined, progress: Progress | undefined;
  const say = (line: string): void => (progress === undefined ? err.write(line) : progress.say(line));
  const interruption = new Interruption(() => {
    progress?.stop();
    err.write("Stopped at once. Nothing is lost: the same command goes on where it was.");
  });
  try {
    const overrides = flags.set.map(parseOverride), mode = modeOf(flags), { flow, hash, module } = await loadFlow(path, flags.dataDir);
    name = flow.name;
    const connection = connectionOf(flags), sync = flags.brokerSync as "always" | undefined;
    if (flags.repair === true) {
      const report = await repairHere(planOf(flow) as FlowPlan, { dataDir: flags.dataDir, say, ...(connection === undefined ? {} : { nats: connection }) });
      say(repairText(report, err.colors));
      if (report.status === "stuck") throw new MillraceError("REPAIR_STUCK", flow.name, "What the flow needs to go on is gone", "Bring the server's store back and repair again, or begin a new run with --fresh.");
    }
    void interruption.first.then(() => node === undefined && say("Still starting; stops when that is done. Ctrl-C again stops at once."));
    node = await startNode(
      { flows: [flow], ...(flags.stallAfter === undefined ? {} : { stallAfter: flags.stallAfter as Duration }), dataDir: flags.dataDir, fsync: flags.fsync, run: mode, ...(connection === undefined ? {} : { nats: { ...connection, ...(sync === undefined ? {} : { sync }) } }) },
      {
        say, warned: (line) => say(`${err.colors.yellow("!")} ${line}`), code: () => hash, module: () => module, plan: (plan) => overridden(plan, overrides),
        ...(process.stdin.isTTY && err.isTTY && flags.json !== true ? { ask: (change) => askAboutChange(change, err) } : {}),
      });
    return await follow(node, node.flows[0] as HostedFlow, { flags, overrides, out, err, begun, interruption, shown: (of) => (progress = of) });
  } catch (error) {
    progress?.stop();
    err.write(failureText(error, err.colors, flags.verbose === true));
    if (flags.json === true) out.write(jsonLine({ flow: name, status: "failed", durationMs: performance.now() - begun, stages: [], error: asError(error) }));
    return codeOf(error);
  } finally {
    interruption.close();
    await node?.stop();
  }
}

interface Following {
  readonly flags: RunFlags;
  readonly overrides: readonly Override[];
  readonly out: Terminal;
  readonly err: Terminal;
  readonly begun: number;
  readonly interruption: Interruption;
  readonly shown: (progress: Progress) => void;
}

async function follow(node: RunningNode, flow: HostedFlow, { flags, out, err, begun, interruption, shown }: Following): Promise<number> {
  const { access } = node.parts, printsItself = flow.plan.stages.some((stage) => stage.kind === "sink" && stage.sink.kind === "stdout");
  const progress = new Progress(node, flow, err, !(printsItself && out.isTTY));
  shown(progress);
  const { run } = flow;
  progress.say(`${flow.name}: ${run.resumed ? `resuming run ${run.record.token}, which was interrupted` : `run ${run.record.token}`}; nats-server ${access.broker.version}${access.embedded ? "" : ` at ${access.address}`}, data in ${flags.dataDir}`);
  progress.start();
  let failure: Error | undefined;
  const end = await Promise.race([
    node.done.then(() => "finished" as const, (error: Error) => { failure = error; return "failed" as const; }),
    interruption.first.then(() => "interrupted" as const),
  ]);
  if (end === "interrupted") {
    progress.draining();
    progress.say("Stopping in order; Ctrl-C again stops at once. Nothing is lost either way.");
    await node.stop();
  }
  progress.stop();
  const outcome: Outcome = { flow: flow.name, status: end, durationMs: performance.now() - begun, stages: progress.summary(performance.now() - begun), ...(failure === undefined ? {} : { error: failure }) };
  if (failure !== undefined) err.write(failureText(failure, err.colors, flags.verbose === true));
  if (flags.json === true) out.write(jsonLine(outcome));
  else await reportOutcome(node, flow, outcome, out);
  if (end === "interrupted") err.write(`Stopped. The same command goes on where run ${run.record.token} was.`);
  return end === "finished" ? exitCode.fine : end === "failed" ? exitCode.failed : exitCode.interrupted;
}

function modeOf({ fresh, resume }: RunFlags): RunMode {
  return fresh === true ? "fresh" : resume === true ? "resume" : "continue";
}

/** What is wrong with the command line itself. */
function codeOf(error: unknown): number {
  const { code } = error as { code?: unknown };
  return code === "OPTION_INVALID" || code === "FLOW_FILE_MISSING" ? exitCode.usage : exitCode.failed;
}
