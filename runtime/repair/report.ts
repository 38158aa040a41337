// What a repair found and did, as plain data: for people in words (cli), for programs as JSON.
import type { Behind, Survey } from "./survey.ts";

/** What was, or would be, done for one actor. */
export interface ActorRepair {
  readonly actor: string;
  /** Records that were written again, verbatim, and the node whose journal had them. */
  readonly records?: { readonly from: number; readonly to: number; readonly node: string };
  /** Inputs whose mailbox is read again from its beginning. */
  readonly rereads: readonly number[];
  /** Frames that are put into its mailbox, and the node whose journal had them. */
  readonly given: readonly { readonly from: string; readonly first: number; readonly last: number; readonly node: string }[];
  /** Frames that it sends again. */
  readonly again: number;
}

/**
 * - `whole`: the broker holds all that it had acknowledged; nothing was done.
 * - `repaired`: all that was lost is there again, or comes again with the next start: its results are what they would have been.
 * - `partly`: what a journal held is there again; `lost` is gone, and who needs it decides anew or parks, never wrong in silence.
 * - `waits`: as `partly`, but nodes that may hold what is lost could not be asked: what a journal held is there again, nothing else was changed.
 * - `stuck`: what the flow needs to go on is gone; what a journal held was written again, nothing else was changed, and the flow stays parked.
 */
export type RepairStatus = "whole" | "repaired" | "partly" | "waits" | "stuck";

export interface RepairReport {
  readonly flow: string;
  /** Token of the run. */
  readonly run: string;
  readonly status: RepairStatus;
  /** Nothing was changed: it says what would be done. */
  readonly dryRun: boolean;
  /** What the broker was behind, as found. */
  readonly behind: readonly Behind[];
  /** Whether the key of the run was written again. */
  readonly runRestored: boolean;
  /** Streams that were made again. */
  readonly streams: readonly string[];
  readonly actors: readonly ActorRepair[];
  /** What is gone for good, a sentence each. */
  readonly lost: readonly string[];
  /** Sources and sinks that had told the world what is now gone, a sentence each. */
  readonly told: readonly string[];
  /** Nodes whose journals could not be looked into, but those that were given up. */
  readonly away: readonly string[];
  /** Actors whose newest owner's journal is not among those that were looked into, a sentence each: of them a loss at the very end of the log does not show. */
  readonly unseen: readonly string[];
}

/** What is not to be had back, which the flow cannot go on without: frames that a reader needs, a log with a hole, a state. */
export function blockers(survey: Survey): readonly Behind[] {
  const chains = new Set(survey.gaps.filter(({ is, to }) => is === "gone" && !survey.actors.has(to)).map(({ to }) => to)), anew = new Set(survey.gaps.filter(({ is }) => is === "anew").map(({ from }) => from));
  return survey.behind.filter(({ what, mends, about }) => !mends && what !== "journal" && !(what === "frames" && (chains.has(about) || anew.has(about))) && !(what === "log" && survey.actors.get(about)?.bounds.isThere === false && startsAnew(survey, about)));
}

/** An actor of which nothing is left: it begins anew, which its readers find out by its terms (P17). */
function startsAnew({ actors }: Survey, address: string): boolean {
  return actors.get(address)?.history.isEmpty === true;
}

/** `away`: nodes that were not asked, and are not given up. */
export function statusOf(survey: Survey, away: readonly string[] = []): RepairStatus {
  if (survey.behind.every(({ what }) => what === "snapshot") && survey.behind.every(({ mends }) => mends) && survey.missing.length === 0) return "whole";
  if (blockers(survey).length > 0) return "stuck";
  if (survey.behind.every(({ mends }) => mends)) return "repaired";
  return away.length > 0 ? "waits" : "partly";
}

export function unseenOf({ unseen }: Survey): readonly string[] {
  return unseen.map(({ actor, node }) => `${actor}: its newest record is ${node === undefined ? "of a node whose journal is not here" : `of node ${node}, whose journal is not here`}; whether more followed it is not known`);
}

/** Who told the world more than its log knows. */
export function toldOf(survey: Survey): readonly string[] {
  const lines = new Set<string>(), decides = new Set([...survey.gaps.filter(({ is }) => is === "anew" || is === "forked").map(({ from }) => from), ...survey.behind.filter(({ what, mends }) => what === "log" && !mends).map(({ about }) => about)]);
  for (const address of decides) {
    const kind = survey.actors.get(address)?.kind;
    if (kind === "source") lines.add(`source ${address} had given out events that its log no longer has; it reads again from where its log says, and a reader that had them parks (HISTORY_FORKED) if they come otherwise`);
    if (kind === "sink") lines.add(`sink ${address} may have written batches that its log no longer has; a target that tells is compared at the start (SINK_DIVERGED), one that does not may get them twice`);
  }
  return [...lines];
}
