// What a start of a flow comes to: a new run, the interrupted one resumed, or a question because something changed since
// (DESIGN.md section 2, "Runs"). Pure.
import { MillraceError } from "../event/errors.ts";
import { changesBetween, type StageFingerprint } from "../flow/fingerprint.ts";
import type { RunRecord } from "./run-record.ts";

/** The flow as it is to run now. */
export type Wanted = Pick<RunRecord, "code" | "inputs" | "shape">;

/** "continue": resume what was interrupted, begin anew what has finished, refuse what changed. "fresh": a new run in any case. "resume": also with what changed. */
export type RunMode = "continue" | "fresh" | "resume";

export interface RunChange {
  readonly flow: string;
  /** A sentence each. */
  readonly changes: readonly string[];
  /** Why `resume` cannot be; none: it can. */
  readonly obstacles: readonly string[];
  readonly interrupted: RunRecord;
}

export type Choice = { readonly is: "new" } | { readonly is: "resume" } | { readonly is: "changed"; readonly change: RunChange };

export function choose(flow: string, before: RunRecord | undefined, wanted: Wanted, mode: RunMode): Choice {
  // Of one that was only being prepared no actor has begun: nothing is lost with it.
  if (before === undefined || before.state === "finished" || before.state === "preparing" || mode === "fresh") return { is: "new" };
  // Interrupted in an upgrade, some of its state is of the newer shape.
  const last = before.upgrade === undefined ? before : { ...before, shape: before.upgrade.shape }, changes = changesOf(last, wanted);
  if (changes.length === 0) return { is: "resume" };
  const change: RunChange = { flow, changes, obstacles: obstaclesTo(last, wanted), interrupted: before };
  return mode === "resume" && change.obstacles.length === 0 ? { is: "resume" } : { is: "changed", change };
}

function changesOf(before: RunRecord, wanted: Wanted): readonly string[] {
  const changes = [...changesBetween(before.shape, wanted.shape)];
  if (before.code !== wanted.code && changes.length === 0) changes.push("the code of the flow is another");
  const inputs = new Map(before.inputs.map(({ stage, fingerprint }) => [stage, fingerprint]));
  for (const { stage, fingerprint } of wanted.inputs) {
    const was = inputs.get(stage);
    if (was !== undefined && was !== fingerprint) changes.push(`source ${stage}: what it reads is another or was changed`);
  }
  return changes;
}

/** Why journals cannot be carried over, a sentence each. */
export function obstaclesTo(before: Pick<RunRecord, "shape">, wanted: Pick<Wanted, "shape">): readonly string[] {
  const obstacles: string[] = [], old = new Map(before.shape.stages.map((stage) => [stage.name, stage])), now = new Map(wanted.shape.stages.map((stage) => [stage.name, stage]));
  for (const name of old.keys()) if (!now.has(name)) obstacles.push(`stage ${name} is gone, and events for it may be under way`);
  for (const [name, is] of now) {
    const was = old.get(name);
    if (was === undefined) obstacles.push(`stage ${name} is new, and has missed what was sent so far`);
    else obstacles.push(...stageObstacles(was, is));
  }
  return obstacles;
}

function stageObstacles(was: StageFingerprint, is: StageFingerprint): readonly string[] {
  const { name } = is;
  if (was.kind !== is.kind) return [`stage ${name} was a ${was.kind}`];
  const found: string[] = [];
  if (was.parallelism !== is.parallelism) found.push(`stage ${name} has its state in ${was.parallelism} partitions: set its parallelism back to ${was.parallelism}`);
  if (was.order !== is.order) found.push(`stage ${name} took its events by ${was.order}`);
  if (was.inputs.join() !== is.inputs.join()) found.push(`stage ${name} read ${was.inputs.join(", ")}`);
  if (is.kind !== "processor" && was.parts.join() !== is.parts.join()) found.push(`${is.kind} ${name} was ${was.parts.join(", ")}, whose positions mean nothing to ${is.parts.join(", ")}`);
  for (const { of, version } of was.state) {
    const now = is.state.find((state) => state.of === of);
    // State and timers are kept under the place of their operator in the pipe.
    if (now === undefined) found.push(`stage ${name} holds state of ${of}, which is gone`);
    else if (was.parts.indexOf(of) !== is.parts.indexOf(of)) found.push(`${of} of stage ${name} holds state and has another place in its pipe`);
    else if (now.version < version) found.push(`the state of stage ${name} has version ${version}, newer than the code's ${now.version}`);
  }
  return found;
}

/** What is thrown where nobody can be asked. */
export function changedError({ flow, changes, obstacles, interrupted }: RunChange, mode: RunMode): MillraceError {
  const lines = (of: readonly string[]): string => of.map((line) => `\n  - ${line}`).join("");
  const since = `Flow "${flow}" was interrupted, and since then${lines(changes)}\n`;
  const fresh = `--fresh begins a new run: what run ${interrupted.token} has done so far is given up, its results are written anew`;
  if (obstacles.length > 0) {
    const why = `${mode === "resume" ? "It cannot be resumed" : "It cannot be resumed so"}:${lines(obstacles)}\n`;
    return new MillraceError("RUN_CHANGED", flow, `${since}${why}`, `Put that back as it was and start again; or ${fresh}.`);
  }
  return new MillraceError("RUN_CHANGED", flow, since, `--resume goes on where it was: what is done stays as the old code and input made it, the rest is done with the new. ${fresh}.`);
}

