// What a node is started with.
import { hostname } from "node:os";
import type { Fsync } from "../broker/nats-server/server-process.ts";
import type { Random } from "../event/clock.ts";
import { MillraceError } from "../event/errors.ts";
import { type Duration, millis } from "../event/event.ts";
import type { Flow } from "../flow/flow.ts";
import { sortOf } from "../flow/display.ts";
import { type FlowPlan, planOf } from "../flow/plan.ts";
import type { Connection } from "./connection.ts";
import type { RunMode } from "./run-choice.ts";

export interface NodeOptions {
  /** "embedded": a nats-server of its own in the data folder, found or fetched. Default "embedded". */
  readonly nats?: "embedded" | Connection;
  /** Journals, the embedded server's store, the log. One node at a time. Default ".millrace". */
  readonly dataDir?: string;
  /** Run here. Default: none. */
  readonly flows?: readonly Flow[];
  /** Of the node: 1 to 64 of a-z, 0-9 and -. Default: from the host's name, another one with each start. */
  readonly name?: string;
  /** Of the embedded server: "always" syncs before each ack, "relaxed" each second. Default "always". */
  readonly fsync?: Fsync;
  /**
   * What to do with a run that was interrupted: "continue" resumes it, and refuses (RUN_CHANGED) where code, input or parallelism
   * changed since; "resume" goes on with what changed where that can be; "fresh" begins a new run. Default "continue".
   */
  readonly run?: RunMode;
  /**
   * A handler that holds up the event loop for so long is named on the standard error and in the log (LOOP_STALLED), while it does.
   * From "50ms"; "never": nobody looks. Default "5s".
   */
  readonly stallAfter?: Duration | "never";
}

const nameForm = /^[a-z0-9][a-z0-9-]{0,63}$/;
const modes: readonly unknown[] = ["continue", "fresh", "resume"];
const fsyncs: readonly unknown[] = ["always", "relaxed"];

const leastStallMs = 50;

/** In ms; Infinity: nobody looks. NaN where it is no duration. */
export function stallMsOf({ stallAfter = "5s" }: NodeOptions): number {
  return stallAfter === "never" ? Infinity : (millis(stallAfter) ?? NaN);
}

/** @throws MillraceError OPTION_INVALID */
export function checkNodeOptions({ name, fsync, run, dataDir, stallAfter }: NodeOptions): void {
  const hold = (fine: boolean, option: string, value: unknown, remedy: string): void => {
    if (!fine) throw new MillraceError("OPTION_INVALID", `startNode.${option}`, `${option} is ${JSON.stringify(value)}`, remedy);
  };
  hold(name === undefined || nameForm.test(name), "name", name, "Give 1 to 64 of a-z, 0-9 and -, not beginning with -.");
  hold(fsync === undefined || fsyncs.includes(fsync), "fsync", fsync, 'Give "always" or "relaxed".');
  hold(run === undefined || modes.includes(run), "run", run, 'Give "continue", "fresh" or "resume".');
  hold(stallAfter === undefined || stallMsOf({ stallAfter }) >= leastStallMs, "stallAfter", stallAfter, 'Give a duration from "50ms", or "never".');
  hold(dataDir === undefined || (typeof dataDir === "string" && dataDir !== ""), "dataDir", dataDir, "Give the path of a folder.");
}

/** @throws MillraceError FLOW_EXPECTED, FLOW_TWICE */
export function plansOf(flows: readonly unknown[]): readonly FlowPlan[] {
  const plans = flows.map((flow) => {
    const plan = planOf(flow);
    if (plan === undefined) throw new MillraceError("FLOW_EXPECTED", "startNode.flows", `${sortOf(flow)} was given where a flow belongs`, "Give what defineFlow returned.");
    return plan;
  });
  const twice = plans.find(({ name }, at) => plans.findIndex((other) => other.name === name) !== at);
  if (twice !== undefined) throw new MillraceError("FLOW_TWICE", twice.name, `Two flows are named "${twice.name}"`, "Rename one: a name is one run at a time.");
  return plans;
}

/** Such as "laptop-3f9a": of the host, so that people know it, and of this start alone, so that a killed one is not taken for it. */
export function defaultName(random: Random): string {
  const host = hostname().toLowerCase().split(".")[0]?.replace(/[^a-z0-9-]/g, "-").replace(/^-+/, "").slice(0, 40) || "node";
  return `${host}-${Buffer.from(random.bytes(3)).toString("hex")}`;
}
