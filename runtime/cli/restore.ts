// `millrace restore`: makes the flows of a backup again, on a server that has no run of them.
import type { Command } from "commander";
import { deployedIn } from "../backup/deployment-copy.ts";
import type { Manifest } from "../backup/manifest.ts";
import { restoreHere } from "../backup/restore-here.ts";
import { backupJson, commitLines, sinkLines } from "./backup-report.ts";
import { exitCode } from "./exit-code.ts";
import { helpText } from "./help-text.ts";
import { connectionOf, type NatsFlags, withNatsFlags } from "./nats-options.ts";
import { terminalOn } from "./terminal.ts";

interface RestoreFlags extends NatsFlags {
  readonly replace?: true;
  readonly deploy?: boolean;
  readonly json?: true;
}

export function restoreCommand(program: Command, ended: (code: number) => void): void {
  withNatsFlags(program.command("restore").argument("<folder>", "as `backup` made it").argument("[flows...]", "names; default all that are in it").description("make the flows of a backup again, to go on from its commit"))
    .option("--replace", "give up the run of the flow that is there: its streams on the server, its journals in the data folder")
    .option("--no-deploy", "leave out that it was deployed: nodes wait until it is deployed again")
    .option("--json", "what was restored as one line of JSON")
    .addHelpText("after", helpText(`
Examples:
  millrace restore ./friday --data-dir .millrace-2                                 into a server of its own
  millrace restore ./friday --nats nats://10.0.0.2:4222 --data-dir .millrace-2     into one that runs
  millrace restore ./friday quakes --replace
  millrace restore ./friday --nats nats://10.0.0.2:4222 --nats-replicas 3          into a NATS cluster

All files are checked before anything is changed. Interrupted, the same command begins anew. Put the targets of sinks in place as the report
says before the flow is started. The flow must not go on where the backup came from: both would write the same results.
A flow that was deployed is deployed again, as it was signed: its nodes go on with it when they start, at once where they run already.
It makes streams: on a NATS with roles it needs that of a node. Nodes that had the run before need a new data folder: journals that are ahead of the restored logs park it (BROKER_WENT_BACK).`))
    .action(async (folder: string, flows: readonly string[], flags: RestoreFlags) => ended(await restoreAndTell(folder, flows, flags)));
}

async function restoreAndTell(folder: string, flows: readonly string[], flags: RestoreFlags): Promise<number> {
  const out = terminalOn(process.stdout), err = terminalOn(process.stderr), connection = connectionOf(flags);
  const manifest = await restoreHere({
    folder, dataDir: flags.dataDir, replace: flags.replace === true, deploy: flags.deploy !== false, say: (line) => err.write(line), ...(flows.length === 0 ? {} : { flows }), ...(connection === undefined ? {} : { nats: connection }),
  });
  out.write(flags.json === true ? JSON.stringify(backupJson(folder, manifest)) : restoreText(manifest, flags));
  return exitCode.fine;
}

function restoreText({ flows, madeAt }: Manifest, { nats, dataDir, deploy }: RestoreFlags): string {
  const lines: string[] = [];
  const keys = new Map<string, string>();
  for (const { flow, deployment } of flows) {
    const key = deployment === undefined || deploy === false ? undefined : deployedIn(deployment, flow)?.key;
    if (key !== undefined) keys.set(flow, key);
  }
  for (const flow of flows) lines.push(`${flow.flow}, run ${flow.run.token}, as of ${new Date(madeAt).toISOString()}`, ...commitLines(flow), ...sinkLines(flow, "Must be in place before it is started: targets of sinks"), "");
  const at = nats === undefined ? "" : ` --nats ${nats}`, trusted = [...new Set(keys.values())].map((key) => ` --trust ${key}`).join("");
  const on = [...(keys.size === 0 ? [] : [`To go on with ${[...keys.keys()].join(", ")}: millrace node${at}${trusted} --data-dir <new folder>, on each machine`]), ...(keys.size === flows.length ? [] : [`To go on: millrace run <the flow's file>${at} --data-dir ${dataDir}`])];
  return `${lines.join("\n")}\n${on.join("\n")}`;
}
