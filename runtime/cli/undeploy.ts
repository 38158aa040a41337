// `millrace undeploy`: stops a deployed flow everywhere, in order.
import type { Command } from "commander";
import { askDeployments } from "../inspect/flows-report.ts";
import { stoppedWithin, undeployFlow } from "../inspect/deployment-orders.ts";
import { exitCode } from "./exit-code.ts";
import { helpText } from "./help-text.ts";
import { type NatsFlags, reach, withNatsFlags } from "./nats-options.ts";
import { terminalOn } from "./terminal.ts";

interface UndeployFlags extends NatsFlags {
  readonly wait: boolean;
  readonly json?: true;
}

/** Longer than nodes take to give up on an actor that does not stop. */
const stopMs = 90_000;

export function undeployCommand(program: Command, ended: (code: number) => void): void {
  withNatsFlags(program.command("undeploy").argument("<flow>", "its name").description("stop a deployed flow everywhere, in order, as Ctrl-C does; its journals stay"))
    .option("--no-wait", "return when it is ordered: nodes carry it out, whoever watches")
    .option("--json", "the outcome as one line of JSON")
    .addHelpText("after", helpText(`
Examples:
  millrace undeploy quakes --nats nats://10.0.0.1:4222
  millrace deploy quakes.ts --key deploy.nk --resume    goes on where it was

What was done is committed, and what is under way is finished first. Deployed again, the same code goes on by itself.`))
    .action(async (flow: string, flags: UndeployFlags) => ended(await undeploy(flow, flags)));
}

async function undeploy(flow: string, flags: UndeployFlags): Promise<number> {
  const out = terminalOn(process.stdout), err = terminalOn(process.stderr), broker = await reach(flags);
  try {
    const { hash, before } = await undeployFlow(broker, flow, Date.now()), there = (await askDeployments(broker)).some(({ trusted }) => trusted.length > 0);
    if (flags.json !== true) err.write(before ? `${flow} was undeployed already` : `${flow}: what runs of it commits and stops`);
    const end = flags.wait && there ? ((await stoppedWithin(broker, flow, hash, stopMs)) ?? "stopping") : null;
    if (flags.json === true) out.write(JSON.stringify({ flow, hash, is: before ? "same" : "undeployed", end }));
    else if (end === "stopped") out.write("Stopped. Its journals stay: the same code, deployed again, goes on where it was.");
    else if (end === "finished") out.write("Its run had finished; deployed again it begins another one.");
    else if (end === "stopping") err.write(`Not all of its actors have stopped within ${stopMs / 1000} s: a node may have been killed, or an actor hangs. \`millrace tree\` shows them; whoever resumes the run takes them over.`);
    else out.write(there ? "Ordered: nodes carry it out; `millrace flows` tells." : "No node that takes deployed flows is there: it will not be started again.");
    return end === "stopping" ? exitCode.failed : exitCode.fine;
  } finally {
    await broker.close();
  }
}
