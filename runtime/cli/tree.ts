// `millrace tree`: the supervision trees of all nodes, with what each actor does.
import type { Command } from "commander";
import { askAll, type Asked } from "../inspect/inquiry.ts";
import type { NodeReport } from "../inspect/report.ts";
import { exitCode } from "./exit-code.ts";
import { helpText } from "./help-text.ts";
import { type NatsFlags, reach, withNatsFlags } from "./nats-options.ts";
import { type Terminal, terminalOn } from "./terminal.ts";
import { treeText } from "./tree-text.ts";
import { bytes, duration } from "./words.ts";

interface TreeFlags extends NatsFlags {
  readonly json?: true;
}

export function treeCommand(program: Command, ended: (code: number) => void): void {
  withNatsFlags(program.command("tree").description("print the supervision trees of the nodes that run: states, restarts, what waits, what failed last"))
    .option("--json", "what the nodes answer, as JSON")
    .addHelpText("after", helpText(`
Examples:
  millrace tree                              of the node that runs on .millrace
  millrace tree --nats nats://10.0.0.1:4222  of all nodes of that server`))
    .action(async (flags: TreeFlags) => ended(await tree(flags)));
}

async function tree(flags: TreeFlags): Promise<number> {
  const out = terminalOn(process.stdout), broker = await reach(flags);
  try {
    const asked = await askAll(broker);
    if (flags.json === true) out.write(JSON.stringify({ nodes: asked.map(({ node, report, failure }) => report ?? { node, failure: failure?.message }) }));
    else for (const one of asked) out.write(nodeText(one, out));
    if (asked.length === 0) terminalOn(process.stderr).write("No node is there: start one with `millrace run <flow>`.");
    return asked.some(({ report }) => report !== undefined) ? exitCode.fine : exitCode.failed;
  } finally {
    await broker.close();
  }
}

function nodeText({ node, report, failure }: Asked, { colors, columns }: Terminal): string {
  if (report === undefined) return `${colors.bold(`node ${node}`)}  ${colors.red(`does not answer: ${failure?.message ?? "no reason is known"}`)}`;
  const { fault } = report.nats, wrong = fault === undefined ? "" : `\n  ${colors.red(`${fault.message}. ${fault.remedy}`)}`;
  return `${treeText(report.lines, { width: columns, colors, now: report.now })}\n  ${colors.dim(factsOf(report).join(", "))}${wrong}`;
}

function factsOf({ startedAt, now, pid, memory, nats, flows }: NodeReport): readonly string[] {
  return [
    `up ${duration(now - startedAt)}`, `process ${pid}`, `${bytes(memory.rssBytes)} of memory`, `nats-server ${nats.version}${nats.connected ? "" : ", away"}`,
    ...flows.map(({ name, run, state }) => `${name}: run ${run}, ${state}`),
  ];
}
