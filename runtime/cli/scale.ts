// `millrace scale`: another number of actors for a stage, while events flow.
import { setTimeout as pause } from "node:timers/promises";
import type { Command } from "commander";
import type { Broker } from "../broker/broker.ts";
import { readDeployment } from "../deploy/deployments.ts";
import { MillraceError } from "../event/errors.ts";
import { askScaling, orderScale } from "../inspect/scale-orders.ts";
import { readRun, type RunRecord } from "../node/run-record.ts";
import { pausesOf } from "../node/move-receipt.ts";
import type { ScaleReceipt } from "../node/scale-receipt.ts";
import type { ScaleStatus } from "../node/scaling.ts";
import { exitCode } from "./exit-code.ts";
import { helpText } from "./help-text.ts";
import { pausesText } from "./move-table.ts";
import { type NatsFlags, reach, withNatsFlags } from "./nats-options.ts";
import { StatusLine } from "./status-line.ts";
import { terminalOn } from "./terminal.ts";
import { count, duration, listed, several } from "./words.ts";

interface ScaleFlags extends NatsFlags {
  readonly why?: true;
  readonly takeBack?: true;
  readonly wait: boolean;
  readonly json?: true;
}

const lookMs = 200;
/** A node that is being started again does not answer for so long, in ms. */
const patienceMs = 60_000;

export function scaleCommand(program: Command, ended: (code: number) => void): void {
  withNatsFlags(program.command("scale").argument("<flow/stage>", "such as quakes/by-region").argument("[count]", "how many actors it is to have").description("give a stage of a running flow another number of actors; nothing is lost, repeated or reordered"))
    .option("--why", "tell what is under way, what it waits for, and what lets it go on")
    .option("--take-back", "take back what is under way, where that can still be")
    .option("--no-wait", "return when it is planned: the node carries it out, whoever watches")
    .option("--json", "one line of JSON: the receipt, or with --why what is under way")
    .addHelpText("after", helpText(`
Examples:
  millrace scale quakes/by-region 8               from now on eight actors, once each key is with its new one
  millrace scale quakes/by-region --why           what holds it up, or why it follows its lag as it does
  millrace scale quakes/by-region --take-back     as it was, unless who sends to it has gone over already
  millrace scale quakes/by-region 3 --json

Only this stage, those who feed it and its readers take part. It pauses while its state is handed over; those who feed it go on into the new
mailboxes. Every stage can be scaled, on one node and over several: a source by its splits, a sink by its targets (a file sink: with {partition}
in its path). An actor of a source that has no split ends at once, and a stage of which a part has ended keeps its number: give a source no more
actors than it has splits. A node that is killed in between does no harm: others go on with it, or the same one when
it is started again. A stage with parallelism: { min, max, targetLag } is scaled by its lag; --why tells what was decided and why.`))
    .action(async (target: string, to: string | undefined, flags: ScaleFlags) => ended(await scale(target, to, flags)));
}

async function scale(target: string, to: string | undefined, flags: ScaleFlags): Promise<number> {
  const [flow, stage, ...more] = target.split("/");
  if (flow === undefined || flow === "" || stage === undefined || stage === "" || more.length > 0) throw new MillraceError("OPTION_INVALID", "scale", `"${target}" names no stage`, "Write flow/stage, such as quakes/by-region; `millrace tree` lists them.");
  const isAsked = flags.why === true || flags.takeBack === true;
  if (!isAsked && (to === undefined || !/^\d+$/.test(to))) throw new MillraceError("OPTION_INVALID", "scale", to === undefined ? "How many actors it is to have is not said" : `"${to}" is no number of actors`, `Write millrace scale ${target} 8; or --why, or --take-back.`);
  const broker = await reach(flags), out = terminalOn(process.stdout), err = terminalOn(process.stderr);
  let line: StatusLine | undefined;
  try {
    if (flags.why === true) {
      const status = await askScaling(broker, flow);
      out.write(flags.json === true ? JSON.stringify(status) : whyText(status, stage));
      return exitCode.fine;
    }
    const before = flags.takeBack === true ? await askScaling(broker, flow) : undefined;
    const asked = await orderScale(broker, flags.takeBack === true ? { action: "take back", flow } : { action: "begin", flow, stage, count: Number(to) });
    // Where the nodes were busy it may have come to its end before one of them answered.
    const done = asked.last?.stage === stage && asked.last.receipt.to === Number(to) ? asked.last : undefined;
    const begun = asked.change ?? before?.change ?? { stage, generation: done?.generation ?? "", from: done?.receipt.from ?? asked.counts[stage] ?? 0, to: Number(to) };
    if (!flags.wait) {
      out.write(flags.json === true ? JSON.stringify(asked) : "Planned: the nodes carry it out; --why tells how far it is.");
      return exitCode.fine;
    }
    line = flags.json === true ? undefined : new StatusLine(err);
    const status = await followed(broker, flow, line);
    line?.close();
    // Who ended it may be gone: then what it cost is not known, but what it came to is.
    const last: Ending = status.last?.generation === begun.generation ? status.last : { is: status.counts[begun.stage] === begun.to ? "finished" : "withdrawn", takenBack: flags.takeBack === true || before?.change?.takenBack === true, receipt: null };
    if (flags.json === true) out.write(JSON.stringify({ flow, stage: begun.stage, is: last.is, receipt: last.receipt }));
    else if (last.is === "withdrawn" && !last.takenBack && status.last?.generation === begun.generation) throw endedMeanwhile(flow, begun);
    else out.write(endText(begun, last, out.columns));
    return last.is === "withdrawn" && flags.takeBack !== true ? exitCode.failed : exitCode.fine;
  } finally {
    line?.close();
    await broker.close();
  }
}

interface Ending {
  readonly is: "finished" | "withdrawn";
  readonly takenBack: boolean;
  readonly receipt: ScaleReceipt | null;
}

/**
 * Until it has come to its end, whichever node leads it.
 * @throws MillraceError NOT_RUNNING, ENDED: no node leads it any more, and none will by itself; what askScaling does after a minute in which nobody answered
 */
export async function followed(broker: Broker, flow: string, line: Pick<StatusLine, "show"> | undefined): Promise<ScaleStatus> {
  let answeredAt = performance.now();
  for (;;) {
    let status: ScaleStatus | undefined;
    try {
      status = await askScaling(broker, flow);
      answeredAt = performance.now();
    } catch (error) {
      if (!(error instanceof MillraceError) || performance.now() - answeredAt > patienceMs) throw error;
    }
    if (status?.change === null) return status;
    const over = await whereOver(broker, flow, status !== undefined);
    if (over !== undefined) return over;
    line?.show(status === undefined ? `No node leads ${flow} now: it goes on when one does` : stepText(status));
    await pause(lookMs);
  }
}

/** Where the run is over, what it came to, as its record tells. @throws MillraceError NOT_RUNNING, ENDED where that is before the stage had gone over */
async function whereOver(broker: Broker, flow: string, isLed: boolean): Promise<ScaleStatus | undefined> {
  const run = await heard(async () => (await readRun(broker.keys, flow))?.record);
  if (run === undefined) return undefined;
  // Of one that was undeployed while its nodes were killed nobody writes that it has stopped.
  const isOver = run.state === "stopped" || run.state === "finished" || (!isLed && (await isUndeployed(broker, flow, run)));
  if (!isOver) return undefined;
  if (run.change !== undefined) throw overMeanwhile(flow, run, run.change);
  return { flow, change: null, waits: null, trouble: null, last: null, counts: Object.fromEntries(run.stages.map(({ name, parallelism }) => [name, parallelism])), follows: [] };
}

async function isUndeployed(broker: Broker, flow: string, { code }: RunRecord): Promise<boolean> {
  const deployment = await heard(async () => (await readDeployment(broker, flow)).deployment);
  return deployment?.kind === "undeployed" && deployment.hash === code;
}

/** `undefined`: NATS does not answer now, or nothing was ever deployed. */
async function heard<T>(read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof MillraceError && (error.code === "UNREACHABLE" || error.code === "DEPLOY_NOWHERE")) return undefined;
    throw error;
  }
}

function overMeanwhile(flow: string, { state, stages }: RunRecord, { stage, parallelism: to }: NonNullable<RunRecord["change"]>): MillraceError {
  const from = stages.find(({ name }) => name === stage)?.parallelism, where = `${flow}/${stage}`, way = `while "${stage}" was on its way${from === undefined ? "" : ` from ${count(from)}`} to ${several(to, "actor")}`;
  if (state === "finished") return new MillraceError("ENDED", where, `Flow "${flow}" came to its end ${way}`, `The next run takes another number with --set ${stage}.parallelism=<count>.`);
  return new MillraceError("NOT_RUNNING", where, `Flow "${flow}" was stopped or undeployed ${way}: no node runs it any more`, `Start or deploy the same code again: what is planned stands, and goes on then; \`millrace scale ${where} --why\` tells how far it is, and --take-back gives it up where that can still be.`);
}

function stepText({ waits, change }: ScaleStatus): string {
  if (waits === null) return change?.takenBack === true ? "It is being taken back" : "The next generation is being made";
  const who = listed(waits.for);
  // Nobody feeds a source: its own actors promise that they go over.
  if (waits.why === "upstream" && waits.for[0]?.split("/")[1] === change?.stage) return `Waits until ${who} ${waits.for.length === 1 ? "promises" : "promise"} to hand ${waits.for.length === 1 ? "its" : "their"} splits over`;
  if (waits.why === "upstream") return change?.takenBack === true ? `Waits until ${who} ${waits.for.length === 1 ? "has" : "have"} refused` : `Waits until ${who} ${waits.for.length === 1 ? "sends" : "send"} to the new actors`;
  return waits.why === "seal" ? `Waits until ${who} ${waits.for.length === 1 ? "has" : "have"} taken what came, and ${waits.for.length === 1 ? "is" : "are"} sealed` : `Waits until ${who} ${waits.for.length === 1 ? "runs" : "run"}`;
}

function whyText(status: ScaleStatus, stage: string): string {
  const { change, waits, trouble, flow } = status, follows = status.follows.flatMap(followText);
  if (change === null) return [`Nothing of ${flow} is being scaled; ${stage} has ${several(status.counts[stage] ?? 0, "actor")}.`, ...follows].join("\n");
  const lines = [`${flow}/${change.stage}: from ${change.from} to ${several(change.to, "actor")}${change.takenBack ? ", being taken back" : ""}`, stepText(status)];
  if (waits !== null) lines.push(`What lets it go on: ${waits.for[0]} runs and has room (\`millrace tree\` shows its state, and in a cluster \`millrace placement --why\` its node; a parked one waits for a person)${waits.why === "upstream" && !change.takenBack ? "; or --take-back" : ""}.`);
  if (trouble !== null) lines.push(`The last step failed and is tried again: ${trouble}`);
  return [...lines, ...follows].join("\n");
}

function followText({ stage, min, max, targetLagMs, count: its, frames, now, decided }: ScaleStatus["follows"][number]): readonly string[] {
  const last = decided === null ? [] : [`  last decided, ${new Date(decided.at).toISOString()}: ${decided.from} → ${decided.to}: ${decided.why}`];
  return [`${stage} follows its lag: ${several(its, "actor")}, ${min} to ${max}, target ${duration(targetLagMs)}${frames === null ? "" : `, ${several(frames, "frame")} waiting`}`, `  now: ${now}`, ...last];
}

function endedMeanwhile(flow: string, { stage, from }: { readonly stage: string; readonly from: number }): MillraceError {
  return new MillraceError("ENDED", `${flow}/${stage}`, `"${stage}" stays with ${several(from, "actor")}: some of them, or all who feed it, came to their end while it was planned, and what has ended hands nothing over any more`, `It keeps its number until the end of this run; the next one takes another with --set ${stage}.parallelism=<count>.`);
}

export function endText({ stage, from, to }: { readonly stage: string; readonly from: number; readonly to: number }, last: Ending, columns: number): string {
  if (last.is === "withdrawn") return `${stage} stays with ${several(from, "actor")}: nobody had gone over to the new ones.`;
  if (last.receipt === null) return `${stage} has ${several(to, "actor")} now; the node that led it is gone, or was started again, so what it cost is not known.`;
  return receiptText(stage, last.receipt, columns);
}

const pauseHead = "  pause       ";
/** Of more partitions nobody reads each one's pause; --json has all. */
const mostPauses = 6;

function pauseText(pauseMs: readonly number[], room: number): string {
  if (pauseMs.length === 0) return "not known, the node was started again";
  const each = pauseMs.map((pauseOf, p) => `${p}: ${count(pauseOf)} ms`).join(", ");
  return pauseMs.length <= mostPauses && each.length <= room ? each : pausesText(pausesOf(pauseMs));
}

function receiptText(stage: string, { from, to, ms, entries, moved, pauseMs, sentAgain, lost }: ScaleReceipt, columns: number): string {
  return [
    `${stage}: ${from} → ${several(to, "actor")} in ${duration(ms)}`,
    `  moved       ${count(moved)} of ${count(entries)} entries of state`,
    `${pauseHead}${pauseText(pauseMs, columns - pauseHead.length)}`,
    `  sent again  ${several(sentAgain, "frame")}`,
    `  lost        ${lost === null ? "not counted: a node that knew was ended meanwhile (frames carry numbers: one that is missing stops its reader)" : count(lost)}`,
  ].join("\n");
}
