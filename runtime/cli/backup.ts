// `millrace backup`: copies flows, running or not, into a folder: each as of a stated commit.
import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { resolve } from "node:path";
import type { Command } from "commander";
import { backup } from "../backup/backup.ts";
import type { Manifest } from "../backup/manifest.ts";
import { systemClock, systemRandom } from "../event/clock.ts";
import { MillraceError } from "../event/errors.ts";
import { isName } from "../flow/name.ts";
import { type FlowPlan, planOf } from "../flow/plan.ts";
import { flowsOn } from "../inspect/flow-health.ts";
import { backupJson, commitLines, sinkLines } from "./backup-report.ts";
import { exitCode } from "./exit-code.ts";
import { loadFlow } from "./flow-file.ts";
import { helpText } from "./help-text.ts";
import { type NatsFlags, reachOrStart, withNatsFlags } from "./nats-options.ts";
import { terminalOn } from "./terminal.ts";
import { bytes, several } from "./words.ts";

interface BackupFlags extends NatsFlags {
  readonly json?: true;
}

export function backupCommand(program: Command, ended: (code: number) => void): void {
  withNatsFlags(program.command("backup").argument("<folder>", "a new folder").argument("[flows...]", "names, or files as `run` takes them, which tell where sinks write; default all flows").description("copy flows, running or not, to restore them on another NATS: exact to a stated commit"))
    .option("--json", "what was copied as one line of JSON")
    .addHelpText("after", helpText(`
Examples:
  millrace backup ./friday                     all flows
  millrace backup ./friday flow.ts             one, and what its sinks' files must hold
  millrace backup ./friday quakes --nats nats://10.0.0.1:4222
  millrace restore ./friday --nats nats://10.0.0.2:4222 --data-dir .millrace-2

A flow that runs goes on meanwhile: nothing is paused. Its journals are not copied, they are built again from the logs. What sinks have
written is not in NATS: the report says up to where each target is needed beside the backup; copy it after this command, not before.
A flow that was deployed: its bundles and their signed manifest are in it. On a NATS with roles it reads as a node does (the role of a node).
The folder's files have their checksums in SHA256SUMS (sha256sum -c).`))
    .action(async (folder: string, flows: readonly string[], flags: BackupFlags) => ended(await backupAndTell(folder, flows, flags)));
}

async function backupAndTell(folder: string, wanted: readonly string[], flags: BackupFlags): Promise<number> {
  const out = terminalOn(process.stdout), err = terminalOn(process.stderr), say = (line: string): void => err.write(line), plans = new Map<string, FlowPlan>(), names: string[] = [];
  for (const one of wanted) names.push(await named(one, flags.dataDir, plans));
  let refuse = (_error: Error): void => {};
  // It follows mailboxes, which takes a consumer: who may make none is told so, not left to wait.
  const refused = new Promise<never>((_, reject) => { refuse = reject; }), broker = await reachOrStart(flags, say, (error) => refuse(error));
  refused.catch(() => {});
  try {
    const flows = wanted.length > 0 ? [...new Set(names)] : (await flowsOn(broker)).filter(({ run }) => run !== undefined && run.state !== "preparing").map(({ flow }) => flow);
    if (flows.length === 0) throw new MillraceError("RUN_UNKNOWN", "backup", "The server knows no run of any flow", "Name the server with --nats, or the data folder of the flows with --data-dir; `millrace doctor` tells what is there.");
    const copying = backup({
      broker, clock: systemClock, random: systemRandom, folder, flows, say,
      target: (flow, stage) => {
        const its = plans.get(flow)?.stages.find(({ name }) => name === stage);
        return its?.kind === "sink" ? its.sink.target : undefined;
      },
    });
    copying.catch(() => {});
    const manifest = await Promise.race([copying, refused.catch(async (error: unknown): Promise<never> => {
      await rm(`${resolve(folder)}.partial`, { recursive: true, force: true });
      throw error;
    })]);
    out.write(flags.json === true ? JSON.stringify(backupJson(folder, manifest)) : backupText(folder, manifest));
    return exitCode.fine;
  } finally {
    await broker.close();
  }
}

/** A path is a file, also where there is none: that is then said. */
async function named(flow: string, dataDir: string, plans: Map<string, FlowPlan>): Promise<string> {
  if (isName(flow) && !existsSync(flow)) return flow;
  const plan = planOf((await loadFlow(flow, dataDir)).flow) as FlowPlan;
  plans.set(plan.name, plan);
  return plan.name;
}

function backupText(folder: string, { flows }: Manifest): string {
  const lines: string[] = [];
  for (const flow of flows) {
    const size = flow.streams.reduce((sum, stream) => sum + stream.bytes, 0);
    lines.push(`${flow.flow}, run ${flow.run.token}: ${several(flow.streams.length, "stream")}, ${bytes(size)}`, ...commitLines(flow), ...sinkLines(flow, "Copy beside the backup, from now on: targets of sinks"), "");
  }
  return `${lines.join("\n")}\nIn ${folder}. To go on from it: millrace restore ${folder} --nats <url> --data-dir <new folder>`;
}
