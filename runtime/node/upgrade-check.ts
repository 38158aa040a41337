// Whether the actors of a flow that runs can go over to another code, and return from it. Pure.
import { MillraceError } from "../event/errors.ts";
import type { FlowFingerprint } from "../flow/fingerprint.ts";
import { obstaclesTo } from "./run-choice.ts";
import type { RunRecord } from "./run-record.ts";

/** A stage whose state is brought into another shape. */
export interface Migration {
  readonly stage: string;
  readonly from: number;
  readonly to: number;
}

/** @throws MillraceError UPGRADE_REFUSED: the graph is another, or its state cannot be carried over; SCALE_UNDER_WAY */
export function checkUpgrade(flow: string, record: RunRecord, shape: FlowFingerprint): void {
  const { change } = record, obstacles = obstaclesTo({ shape: record.upgrade?.shape ?? record.shape }, { shape });
  if (change !== undefined) throw new MillraceError("SCALE_UNDER_WAY", `${flow}/${change.stage}`, `Stage "${change.stage}" is being scaled to ${change.parallelism}`, "One change at a time: wait for its end, or take it back.");
  if (obstacles.length > 0) throw refusedUpgrade(flow, obstacles);
}

export function refusedUpgrade(flow: string, obstacles: readonly string[]): MillraceError {
  return new MillraceError("UPGRADE_REFUSED", flow, `Flow "${flow}" runs, and cannot go over to this code while it does:${obstacles.map((line) => `\n  - ${line}`).join("")}\n`,
    `Put that back as it was; or \`millrace undeploy ${flow}\`, which stops it in order, and deploy this with --fresh: a new run from the beginning.`);
}

/** Stages whose state the code of an upgrade, or of `shape`, reads in a newer form than the flow's own code. */
export function migrationsOf(record: RunRecord, shape = record.upgrade?.shape): readonly Migration[] {
  if (shape === undefined) return [];
  const old = new Map(record.shape.stages.map((stage) => [stage.name, stage.state]));
  return shape.stages.flatMap(({ name, state }) => state.flatMap(({ of, version }): readonly Migration[] => {
    const was = old.get(name)?.find((one) => one.of === of)?.version ?? version;
    return was < version ? [{ stage: name, from: was, to: version }] : [];
  }));
}

/** `gone`: addresses of those that have gone over. @throws MillraceError STATE_OLDER where the code before cannot read what one of them has written */
export function checkWayBack(flow: string, record: RunRecord, gone: readonly string[]): void {
  const over = migrationsOf(record).filter(({ stage }) => gone.some((actor) => actor.split("/")[1] === stage));
  if (over.length === 0) return;
  const which = over.map(({ stage, from, to }) => `stage ${stage} from version ${from} to ${to}`).join(", ");
  throw new MillraceError("STATE_OLDER", flow, `The code before cannot read what actors have written since they went over: state of ${which}`, `Go on with \`millrace deploy --continue ${flow}\`; or deploy code that is mended, with at least those versions: those that went over go first.`);
}
