// `millrace flows`: what is deployed and what runs, and who refused what.
import type { Command } from "commander";
import { type FlowLine, flowsOn, type FlowsReport } from "../inspect/flows-report.ts";
import { exitCode } from "./exit-code.ts";
import { helpText } from "./help-text.ts";
import { type NatsFlags, reach, withNatsFlags } from "./nats-options.ts";
import { type Column, table } from "./table.ts";
import { plain, type Terminal, terminalOn } from "./terminal.ts";
import { ago, count, listed, several } from "./words.ts";

interface FlowsFlags extends NatsFlags {
  readonly json?: true;
}

export function flowsCommand(program: Command, ended: (code: number) => void): void {
  withNatsFlags(program.command("flows").argument("[flow]", "only this one").description("print the flows that are deployed or run: their code, who signed it, which nodes have it, and who refuses it"))
    .option("--json", "as JSON, with whole hashes and keys")
    .addHelpText("after", helpText(`
Examples:
  millrace flows
  millrace flows quakes --json --nats nats://10.0.0.1:4222

Exit code 1 where there is none, or a node refuses one.`))
    .action(async (flow: string | undefined, flags: FlowsFlags) => ended(await flows(flow, flags)));
}

async function flows(only: string | undefined, flags: FlowsFlags): Promise<number> {
  const out = terminalOn(process.stdout), broker = await reach(flags);
  try {
    const report = await flowsOn(broker), shown = report.flows.filter(({ name }) => only === undefined || name === only);
    if (flags.json === true) out.write(JSON.stringify({ ...report, flows: shown }));
    else out.write(textOf({ ...report, flows: shown }, out, noneText(report.flows.map(({ name }) => name), only)));
    return shown.length > 0 && shown.every(({ refusals }) => refusals.length === 0) ? exitCode.fine : exitCode.failed;
  } finally {
    await broker.close();
  }
}

const columns: readonly Column[] = [
  { title: "flow", least: 8 }, { title: "state", least: 7 }, { title: "code", least: 8 }, { title: "actors", align: "right", spare: 2 }, { title: "loaded on", least: 9, spare: 1 },
  { title: "deployed", spare: 3 }, { title: "signed by", least: 10, spare: 4 },
];

/** Where there is none, or not the one that was asked for. */
export function noneText(names: readonly string[], only: string | undefined): string {
  const begin = "`millrace deploy <flow> --key <seed file>`, or `millrace run <flow>`";
  if (only === undefined) return `No flow is deployed, and none runs: ${begin}.`;
  const there = names.length === 0 ? ", nor does any other" : `; there ${names.length === 1 ? "is" : "are"}: ${listed(names, 20)}`;
  return `No flow "${plain(only)}" is deployed or runs${there}. Begin it with ${begin}.`;
}

function textOf({ flows, nodes }: FlowsReport, { columns: width, colors }: Terminal, none: string): string {
  const parts: string[] = [], deaf = nodes.filter(({ trusted }) => trusted.length === 0).map(({ node }) => node), now = Date.now();
  if (flows.length === 0) parts.push(none);
  else parts.push(table(columns, flows.map((flow) => rowOf(flow, now)), width - 1, { head: (text) => colors.dim(text), cell: (text, { title }, row) => (title === "state" && flows[row]?.state === "refused" ? colors.red(text) : text) }));
  for (const { name, upgrade } of flows) if (upgrade !== null) parts.push(upgradeLine(name, upgrade));
  for (const { name, refusals } of flows) for (const { node, code, message, remedy } of refusals) parts.push(`${colors.red("refused")} ${name} by ${node}: ${plain(message)} (${code})\n  ${colors.dim("do")}  ${plain(remedy)}`);
  if (deaf.length > 0) parts.push(colors.dim(`${listed(deaf)} ${deaf.length === 1 ? "takes" : "take"} no deployed flows: ${deaf.length === 1 ? "it was" : "they were"} started without --trust.`));
  return parts.join("\n\n");
}

function upgradeLine(name: string, { to, is, over, failed, waits }: NonNullable<FlowLine["upgrade"]>): string {
  const code = to.slice(0, 12), how = `${several(over, "actor")} ${over === 1 ? "has" : "have"} gone over`, on = `\`millrace deploy --continue ${name}\` or \`--back\``;
  if (is !== "held") return `${name} ${is === "back" ? `is returning from ${code}` : `is going over to ${code}`}: ${how}${waits === null ? "" : `; ${waits}`}.`;
  return failed === null ? `${name} is held on its way to ${code}: ${how}; ${on}.` : `${name} is held on its way to ${code}: ${how}; ${failed.actor} does not go on with it: ${plain(failed.message)} (${failed.code}); ${on}.`;
}

function rowOf({ name, state, hash, key, at, loaded, actors }: FlowLine, now: number): readonly string[] {
  return [name, state, hash.slice(0, 12), count(actors), loaded.length <= 2 ? loaded.join(", ") : several(loaded.length, "node"), at === null ? "" : ago(now - at), key ?? "not deployed"];
}
