// What `doctor` says of a loss: for each flow that does not run now, what the server holds of it against the journals of this data
// folder and against itself (P30): what is behind what, and what to do. Of one that nodes have, what its parked actors have found.
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { Broker } from "../broker/broker.ts";
import { asError, MillraceError } from "../event/errors.ts";
import { LevelStores } from "../journal/level-store.ts";
import { journalsIn } from "../node/journal-folder.ts";
import type { Asked } from "../inspect/inquiry.ts";
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
export async function lossesOn(broker: Broker, dataDir: string, flows: readonly string[], nodes: readonly Asked[]): Promise<readonly Finding[]> {
  const journals = new LevelStores(journalsIn(dataDir)), own = new LevelStores(join(dataDir, "node"));
  const notes = (await own.exists("runs")) ? new RunNotes(own) : undefined, findings: Finding[] = [...parkedOn(nodes)];
  try {
    for (const flow of [...new Set([...flows, ...(await foldersIn(journalsIn(dataDir)))])].sort()) {
      findings.push(...(await lossesOf(flow, { broker, journals: [{ node: "this node", stores: journals }], ...(notes === undefined ? {} : { notes }) })));
    }
  } finally {
    await notes?.close();
  }
  return findings;
}

/** What says that something was lost, in an actor's own words. */
const losses: readonly (string | undefined)[] = ["BROKER_WENT_BACK", "HISTORY_FORKED"];

function parkedOn(nodes: readonly Asked[]): readonly Finding[] {
  const found = nodes.flatMap(({ node, report }) => (report?.lines ?? []).filter(({ kind, state, why }) => kind === "actor" && state === "parked" && losses.includes(why?.code)).map(({ id, why }): Finding => {
    const message = why?.message ?? "", flow = id.slice(0, id.indexOf("/")), [says = message] = message.split(` (${why?.code}, `);
    return { is: "fail", about: "loss", says: `${id}, parked on ${node}: ${says} (${why?.code})`, remedy: `Repair it, while its nodes run: millrace repair ${flow} (of a flow that millrace run has: stop it first); --dry-run tells all that is behind.` };
  }));
  return found.length <= mostTold ? found : [...found.slice(0, mostTold), { is: "fail", about: "loss", says: `${found.length - mostTold} more actors are parked for it`, remedy: "millrace tree shows them." }];
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
