// What `run` tells at the end: results, supervision tree, summary; or one line of JSON.
import type { HostedFlow } from "../node/hosted-flow.ts";
import type { RunningNode } from "../node/node.ts";
import { MillraceError } from "../event/errors.ts";
import { Lags } from "../inspect/lag.ts";
import { reportOn, type TreeLine } from "../inspect/report.ts";
import { resultTexts } from "./result-table.ts";
import { type StageRow, summaryTable } from "./stage-table.ts";
import type { Terminal } from "./terminal.ts";
import { treeText } from "./tree-text.ts";
import { duration, listed, several } from "./words.ts";

export interface Outcome {
  /** null: it is not known, since its file could not be loaded. */
  readonly flow: string | null;
  readonly status: "finished" | "interrupted" | "failed";
  readonly durationMs: number;
  readonly stages: readonly StageRow[];
  readonly error?: Error;
}

/** For programs: `stages` by name, in the order of the events' way. `timers`: those that are set and did not fire, where there are any. `error` only where it failed. */
export function jsonLine({ flow, status, durationMs, stages, error }: Outcome): string {
  return JSON.stringify({
    flow, status, durationMs: Math.round(durationMs),
    stages: Object.fromEntries(stages.map(({ name, in: taken, out, late, deadLetters, restarts, timers }) => [name, { in: taken, out, late, deadLetters, restarts, ...(timers > 0 ? { timers } : {}) }])),
    ...(error === undefined ? {} : { error: { code: error instanceof MillraceError ? error.code : error.name, message: error.message } }),
  });
}

export async function reportOutcome(node: RunningNode, flow: HostedFlow, outcome: Outcome, out: Terminal): Promise<void> {
  const { colors, columns } = out, { stages, status, durationMs } = outcome;
  if (status === "finished") {
    const written = (sink: string): number => stages.find(({ name }) => name === sink)?.out ?? 0;
    for (const text of await resultTexts(flow.plan, written, columns, colors)) out.write(`\n${text}`);
  }
  out.write(`\n${colors.bold("Supervision tree")}\n${treeText(await treeLines(node), { width: columns, colors, now: node.clock.now() })}`);
  const how = { finished: colors.green("finished"), interrupted: colors.yellow("interrupted"), failed: colors.red("failed") }[status];
  const letters = stages.reduce((sum, { deadLetters }) => sum + deadLetters, 0);
  out.write(`\n${colors.bold("Summary")}  ${flow.name} ${how} after ${duration(durationMs)}\n${summaryTable(stages, columns, colors)}`);
  const timers = stages.filter((stage) => stage.timers > 0);
  if (timers.length > 0) out.write(`\n${listed(timers.map((stage) => `${several(stage.timers, "timer")} of ${stage.name}`))} ${timers.length === 1 && timers[0]?.timers === 1 ? "is" : "are"} set and did not fire${status === "finished" ? ": what was set after the end, or is due by the wall clock, stays" : ""}.`);
  if (letters > 0) out.write(`\n${several(letters, "dead letter")}: see them with \`millrace dlq list ${flow.name}\`.`);
}

async function treeLines(node: RunningNode): Promise<readonly TreeLine[]> {
  const lines: TreeLine[] = [], lags = new Lags();
  for (let from: number | undefined = 0; from !== undefined; ) {
    const page = await reportOn(node, lags, { what: "tree", from });
    lines.push(...page.lines);
    from = page.next;
  }
  return lines;
}
