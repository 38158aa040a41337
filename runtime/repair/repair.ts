// P31: after the broker lost what it had acknowledged, the records that it lost are written again from the journals, verbatim, by
// compare-and-set; then each actor's log gets a claim that says from where to read and to send again. Interrupted anywhere it is run
// again: what is there is left, and what a claim has said once fits from then on.
import type { Clock, Random } from "../event/clock.ts";
import { MillraceError } from "../event/errors.ts";
import { nextTerm } from "../event/term.ts";
import { FencedLog } from "../journal/fenced-log.ts";
import { type Body, encodeRecord } from "../journal/record.ts";
import type { StreamSpec } from "../broker/broker.ts";
import { writeRun } from "../node/run-record.ts";
import { createStreams } from "../node/run-streams.ts";
import type { RunNotes } from "../node/run-note.ts";
import type { ActorLook } from "./actor-look.ts";
import type { Gap } from "./channel-gap.ts";
import { give } from "./frame-copy.ts";
import type { authors } from "./history.ts";
import { type Compared, restores } from "./journal-copy.ts";
import { type ActorRepair, type RepairReport, statusOf, toldOf, unseenOf } from "./report.ts";
import { type Survey, survey, type SurveyOptions } from "./survey.ts";

const never = new AbortController().signal;
/** Where a node stands in a claim. */
const author: (typeof authors)[number] = "repair";

export interface RepairOptions extends Omit<SurveyOptions, "notes"> {
  /** Of this data folder: told of a run whose key was written again. */
  readonly notes?: Pick<RunNotes, "read" | "write">;
  readonly clock: Clock;
  readonly random: Random;
  /** Changes nothing. Default false. */
  readonly dryRun?: boolean;
  /** How the streams of the run are made; `undefined`: it is not known, and where one is missing that is an error. */
  readonly specs: ((run: Survey["run"]["record"]) => readonly StreamSpec[]) | undefined;
  /** Nodes whose journals are not among `journals`. */
  readonly away?: readonly string[];
  /** Ends it where it waits for NATS. */
  readonly signal?: AbortSignal;
  /** Called after each step that has changed something. */
  readonly step?: (what: string) => void;
}

/**
 * The flow must not run meanwhile.
 * @throws MillraceError RUN_UNKNOWN, FLOW_FILE_NEEDED where streams are to be made again and `specs` is not given, REPAIR_RACED where another
 *   owner goes on with a log, and what `survey` throws
 */
export async function repair(flow: string, options: RepairOptions): Promise<RepairReport> {
  await using found = await survey(flow, options);
  if (found === undefined) throw new MillraceError("RUN_UNKNOWN", flow, `No run of flow "${flow}" is known, neither to the server nor to this data folder`, "Name the flow as `millrace doctor` does, and the data folder it ran with (--data-dir).");
  const status = statusOf(found, options.away), resets = status === "repaired" || status === "partly", report: RepairReport = {
    flow, run: found.run.record.token, status, dryRun: options.dryRun === true, behind: found.behind, runRestored: found.run.isBehind, streams: found.missing,
    actors: status === "whole" ? [] : [...found.actors.values()].map((look) => planOf(look, resets, found.gaps)).filter(({ records, rereads, again, given }) => records !== undefined || rereads.length > 0 || again > 0 || given.length > 0),
    lost: found.behind.filter(({ mends }) => !mends).map(({ about, says }) => `${about}: ${says}`), told: toldOf(found), away: options.away ?? [], unseen: unseenOf(found),
  };
  if (options.dryRun === true || status === "whole") return report;
  await restoreRun(found, options);
  await restoreStreams(found, options);
  for (const look of found.actors.values()) await restoreLog(look, options);
  if (!resets) return report;
  for (const gap of found.gaps) await giveBack(found, gap, options);
  for (const look of found.actors.values()) await claim(look, options);
  return report;
}

function planOf(look: ActorLook, resets: boolean, gaps: readonly Gap[]): ActorRepair {
  const { id, inputs, sent } = look, its = restoring(look);
  return {
    actor: id,
    ...(its === undefined ? {} : { records: { from: its.standing.from, to: its.standing.to, node: its.copy.node } }),
    rereads: resets ? inputs.filter(({ fits }) => !fits).map(({ input }) => input) : [],
    given: resets ? gaps.flatMap(({ is, from, to, first, last, node }) => (is === "kept" && to === id && node !== undefined ? [{ from, first, last, node }] : [])) : [],
    again: resets ? sent.reduce((sum, { seq, again }) => sum + (again === 0 ? 0 : seq - again + 1), 0) : 0,
  };
}

async function restoreRun({ flow, run: { record, kept, isBehind } }: Survey, { broker, notes, step }: RepairOptions): Promise<void> {
  if (!isBehind) return;
  const written = await writeRun(broker.keys, flow, record, kept?.revision ?? 0);
  if (written === undefined) throw raced(flow, "another node has just begun a run of it");
  await notes?.write(flow, written);
  step?.("run");
}

/** A log that ends before all that its journal keeps begins anew where the journal begins: the journal is the whole actor. */
async function restoreStreams(found: Survey, { broker, specs, step }: RepairOptions): Promise<void> {
  const firsts = new Map<string, number>();
  for (const { logName, standing, journal } of found.actors.values()) {
    if (standing?.is === "beyond" && journal?.isWhole === true) firsts.set(logName, journal.records[0]?.seq ?? 1);
  }
  if (found.missing.length === 0 && firsts.size === 0) return;
  if (specs === undefined) throw new MillraceError("FLOW_FILE_NEEDED", found.flow, `${found.missing.length + firsts.size} streams of the run are to be made again, and only the flow's file says how`, "Give the path of the flow's file instead of its name.");
  const wanted = specs(found.run.record).filter(({ name }) => found.missing.includes(name) || firsts.has(name));
  for (const name of firsts.keys()) if (!found.missing.includes(name)) await broker.remove(name);
  await createStreams(broker, wanted.map((spec) => ({ ...spec, ...(firsts.has(spec.name) ? { firstSequence: firsts.get(spec.name) as number } : {}) })));
  step?.("streams");
}

/** The journal from which its log gets records back. */
function restoring({ journal: copy, standing }: ActorLook): Compared | undefined {
  return copy !== undefined && standing !== undefined && restores({ copy, standing }) ? { copy, standing } : undefined;
}

async function restoreLog(look: ActorLook, { clock, step, signal = never }: RepairOptions): Promise<void> {
  const { id: address, log } = look, its = restoring(look);
  if (its === undefined) return;
  const last = await log.last(), { last: end } = await log.bounds(), fenced = new FencedLog(log, last?.seq ?? 0, last?.data, { clock, signal });
  let next = end + 1;
  for await (const { n, seq, bytes } of its.copy.bytes(its.standing.from)) {
    if (seq !== next) throw raced(address, `record ${n} was at ${seq}, and the log goes on at ${next}`);
    if ((await fenced.append(bytes)) !== "accepted" || fenced.at !== seq) throw raced(address, `record ${n} was not taken at ${seq}`);
    next++;
    step?.(`record ${n} of ${address}`);
  }
}

async function giveBack({ actors }: Survey, { is, from, to, node, target, first, last }: Gap, { random, step }: RepairOptions): Promise<void> {
  const sender = actors.get(from), reader = actors.get(to);
  if (is !== "kept" || node === undefined || target === undefined || typeof target === "string" || sender === undefined) return;
  const mailbox = reader?.inputs.find(({ input }) => input === target[3])?.stream;
  if (mailbox === undefined) return;
  await give(sender, node, target, { first, last }, mailbox, random);
  step?.(`frames ${first} to ${last} of ${from} to ${to}`);
}

/** Beginnings of mailboxes instead of positions that do not fit; nothing that a record still holds counts as settled. */
async function claim(look: ActorLook, { clock, random, step, signal = never }: RepairOptions): Promise<void> {
  const { id: address, history, inputs, sent, log } = look, { last, sink } = history;
  if (last === undefined) return;
  const resets: NonNullable<Body["inputs"]> = [];
  for (const { input, stream, fits } of inputs) if (!fits) resets.push([input, (await stream.bounds()).first - 1, null, null, 0]);
  const settled: NonNullable<Body["settled"]> = sent.map(({ target, seq, again }) => [target, again === 0 ? seq : again - 1, 0]);
  if (resets.length === 0 && settled.length === 0) return;
  const body: Body = { node: author, k: last.kind === "stop" ? 0 : history.k, ...(resets.length === 0 ? {} : { inputs: resets }), ...(settled.length === 0 ? {} : { settled }) };
  // A batch that was begun is put together again from the beginning of the mailbox, too.
  if (sink !== undefined && resets.length > 0) body.sink = { ...sink, from: { inputs: resets, cursors: sink.from.cursors } };
  const there = await log.last(), its = new FencedLog(log, there?.seq ?? 0, there?.data, { clock, signal });
  const outcome = await its.append(encodeRecord({ kind: "claim", n: last.n + 1, term: nextTerm(last.term[0], random), previous: its.at, code: last.code, body }));
  if (outcome !== "accepted") throw raced(address, "another owner has claimed its log");
  step?.(`claim of ${address}`);
}

const raced = (where: string, what: string): MillraceError => new MillraceError("REPAIR_RACED", where, `${where} was changed while it was repaired: ${what}`, "Stop whatever runs the flow, then repair it again.");
