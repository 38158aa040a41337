// What `doctor` says of a loss: for each flow that does not run now, what the server holds of it against the journals of this data
// folder and against itself (P30): what is behind what, and what to do.
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { Broker } from "../broker/broker.ts";
import { asError, MillraceError } from "../event/errors.ts";
import { LevelStores } from "../journal/level-store.ts";
import { journalsIn } from "../node/journal-folder.ts";
import { ask } from "../node/questions.ts";
import { RunNotes } from "../node/run-note.ts";
import { blockers } from "../repair/report.ts";
import { findRun } from "../repair/run-key.ts";
import { survey, type SurveyOptions } from "../repair/survey.ts";
import { failed, type Finding } from "./doctor.ts";

const pingMs = 1_000;
/** Findings of one flow; more are counted. */
const mostTold = 12;

/** One finding for each thing that is behind, of all flows that the server or the journals here know. */
export async function lossesOn(broker: Broker, dataDir: string, flows: readonly string[]): Promise<readonly Finding[]> {
  const journals = new LevelStores(journalsIn(dataDir)), own = new LevelStores(join(dataDir, "node"));
  const notes = (await own.exists("runs")) ? new RunNotes(own) : undefined, findings: Finding[] = [];
  try {
    for (const flow of [...new Set([...flows, ...(await foldersIn(journalsIn(dataDir)))])].sort()) {
      findings.push(...(await lossesOf(flow, { broker, journals: [{ node: "this node", stores: journals }], ...(notes === undefined ? {} : { notes }) })));
    }
  } finally {
    await notes?.close();
  }
  return findings;
}

async function lossesOf(flow: string, options: SurveyOptions): Promise<readonly Finding[]> {
  try {
    const run = await findRun(options.broker, options.notes, flow);
    // What runs is looked after by its actors, and moves while it is looked at.
    if (run === undefined || (await answers(options.broker, run.record.node))) return [];
    await using found = await survey(flow, options);
    if (found === undefined || (found.behind.length === 0 && found.missing.length === 0)) return [];
    const stuck = blockers(found), remedy = stuck.length === 0 ? `Repair it: millrace repair ${flow} (or its file).` : "Bring the server's store back and repair then, or begin a new run with --fresh. millrace repair --dry-run tells all of it.";
    const told = found.behind.slice(0, mostTold).map(({ about, what, says, mends }): Finding => ({
      is: what === "snapshot" && mends ? "warn" : "fail", about: "loss", says: `${about}: ${says}${mends ? "" : " (gone)"}`, remedy: what === "snapshot" && mends ? "Start the flow: it writes a new one." : remedy,
    }));
    return found.behind.length <= mostTold ? told : [...told, { is: "fail", about: "loss", says: `${flow}: ${found.behind.length - mostTold} more`, remedy }];
  } catch (error) {
    // A node has them, though it does not answer.
    if (error instanceof MillraceError && error.code === "JOURNAL_LOCKED") return [];
    return [failed("loss", asError(error))];
  }
}

async function answers(broker: Broker, node: string): Promise<boolean> {
  return await ask(broker, node, { what: "ping" }, pingMs).then(() => true, (error: unknown) => !(error instanceof MillraceError) || !["NOT_FOUND", "UNREACHABLE"].includes(error.code));
}

async function foldersIn(folder: string): Promise<readonly string[]> {
  return (await readdir(folder, { withFileTypes: true }).catch(() => [])).filter((entry) => entry.isDirectory()).map(({ name }) => name);
}
