// `millrace repair`: after the server lost what it had acknowledged, writes again what the journals hold of it (P31).
import { existsSync } from "node:fs";
import type { Command } from "commander";
import { type FlowPlan, planOf } from "../flow/plan.ts";
import { repairHere } from "../repair/repair-here.ts";
import type { RepairReport, RepairStatus } from "../repair/report.ts";
import { exitCode } from "./exit-code.ts";
import { loadFlow } from "./flow-file.ts";
import { helpText } from "./help-text.ts";
import { connectionOf, type NatsFlags, withNatsFlags } from "./nats-options.ts";
import { type Colors, terminalOn } from "./terminal.ts";
import { listed, several } from "./words.ts";

interface RepairFlags extends NatsFlags {
  readonly dryRun?: true;
  readonly without?: readonly string[];
  readonly json?: true;
}

export function repairCommand(program: Command, ended: (code: number) => void): void {
  withNatsFlags(program.command("repair").argument("<flow>", "the flow's file, as `run` takes it; or its name").description("bring back from the journals what the server lost after a power loss"))
    .option("--dry-run", "say what is lost and what would be done, change nothing")
    .option("--without <node...>", "nodes whose disks are gone for good: what only their journals held is given up")
    .option("--json", "the report as one line of JSON")
    .addHelpText("after", helpText(`
Examples:
  millrace doctor                    what is behind what
  millrace repair flow.ts --dry-run
  millrace repair flow.ts            then: millrace run flow.ts
  millrace run flow.ts --repair      both in one
  millrace repair quakes             by name: where no stream is missing as a whole
  millrace repair quakes --nats nats://10.0.0.1:4222      of a flow that runs on several nodes, from any machine
  millrace repair quakes --nats … --without n3            n3 and its disk are gone

Nodes of a cluster stay up: each closes the flow for the time of the repair, gives what its journals hold, and goes on by itself.
What millrace run has must be stopped. Interrupted, it can simply be run again. It writes streams: on a NATS with roles it needs that of a node.
Exit code 0: nothing was lost, or all of it is back; 1: something is gone for good, and the report says what.`))
    .action(async (flow: string, flags: RepairFlags) => ended(await repairAndTell(flow, flags)));
}

async function repairAndTell(flow: string, flags: RepairFlags): Promise<number> {
  const out = terminalOn(process.stdout), err = terminalOn(process.stderr), connection = connectionOf(flags);
  const report = await repairHere(await named(flow, flags.dataDir), {
    dataDir: flags.dataDir, dryRun: flags.dryRun === true, without: flags.without ?? [], say: (line) => err.write(line), ...(connection === undefined ? {} : { nats: connection }),
  });
  if (flags.json === true) out.write(JSON.stringify(report));
  else out.write(repairText(report, out.colors));
  return codeOfRepair(report);
}

/** A path is a file, also where there is none: that is then said. */
async function named(flow: string, dataDir: string): Promise<FlowPlan | string> {
  if (/^[a-z][a-z0-9-]{0,63}$/.test(flow) && !existsSync(flow)) return flow;
  return planOf((await loadFlow(flow, dataDir)).flow) as FlowPlan;
}

export function codeOfRepair({ status }: RepairReport): number {
  return status === "whole" || status === "repaired" ? exitCode.fine : exitCode.failed;
}

const words: Readonly<Record<RepairStatus, (dryRun: boolean) => string>> = {
  whole: () => "the server holds all that the logs and journals tell of",
  repaired: (dryRun) => (dryRun ? "all that was lost can be brought back" : "all that was lost is back, or is sent again with the next start"),
  partly: (dryRun) => `${dryRun ? "what the journals hold can be brought back" : "what the journals hold is back"}; something is gone, and who decides it anew comes to the same or parks`,
  waits: (dryRun) => `${dryRun ? "what the journals at hand hold can be brought back" : "what the journals at hand hold is back"}; nodes that may hold the rest were not asked, so the flow stays parked`,
  stuck: (dryRun) => `${dryRun ? "what the journals hold can be brought back" : "what the journals hold is back"}; what the flow needs to go on is gone, so it stays parked`,
};

export function repairText({ flow, run, status, dryRun, behind, runRestored, streams, actors, lost, told, away, unseen }: RepairReport, colors: Colors): string {
  const does = dryRun ? "would be" : "was", lines = [`${flow}, run ${run}: ${words[status](dryRun)}.`];
  const section = (title: string, its: readonly string[]): void => { if (its.length > 0) lines.push("", colors.bold(title), ...its.map((line) => `  ${line}`)); };
  section("Lost by the server", behind.map(({ about, says }) => `${about}: ${says}`));
  section(dryRun ? "Would be done" : "Done", [
    ...(runRestored ? [`the key of run ${run} ${does} written again`] : []),
    ...(streams.length === 0 || status === "whole" ? [] : [`${several(streams.length, "stream")} ${dryRun ? "would be" : "made"} anew: ${listed(streams, 3)}`]),
    ...actors.map(({ actor, records, rereads, again, given }) => `${actor}: ${[
      ...(records === undefined ? [] : [`${several(records.to - records.from + 1, "record")} (${records.from} to ${records.to}) written again from the journal on ${records.node}`]),
      ...(rereads.length === 0 ? [] : ["its mailbox is read again from the beginning"]),
      ...given.map(({ from, first, last, node }) => `${several(last - first + 1, "frame")} of ${from} put into its mailbox from ${node === "the log" ? node : `the journal on ${node}`}`),
      ...(again === 0 ? [] : [`${several(again, "frame")} sent again`]),
    ].join("; ")}`),
  ]);
  section("Gone", lost);
  section("Told the world", told);
  section("Not known", unseen);
  section("Not asked", away.map((node) => `node ${node}: its journals, if it has any, can be reached only there`));
  if (status === "waits") lines.push("", `Start ${away.length === 1 ? "that node" : "those nodes"}, and repair again; or give up what is only there: --without ${away.join(" ")}`);
  if (status === "stuck") lines.push("", "Bring the server's store back and repair again, or begin a new run with --fresh.");
  return lines.join("\n");
}
