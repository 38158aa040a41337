// What the server holds of each flow: its run, and whether the streams of that are there (P30 in short).
import type { Broker } from "../broker/broker.ts";
import { asError } from "../event/errors.ts";
import { streamName, subjectsOf } from "../actor/environment.ts";
import { readRun, type RunRecord } from "../node/run-record.ts";

export interface FlowHealth {
  readonly flow: string;
  readonly run?: RunRecord;
  readonly streams: number;
  /** Streams of the run that are not there. */
  readonly missing: readonly string[];
  /** Why it cannot be told. */
  readonly failure?: string;
}

/** One for each flow that has streams here. @throws MillraceError UNREACHABLE */
export async function flowsOn(broker: Broker): Promise<readonly FlowHealth[]> {
  const streams = await broker.list("mr_");
  const flows = new Set(streams.flatMap((name) => /^mr_(?:actor|dead|story)_([a-z0-9-]+)/.exec(name)?.[1] ?? []));
  return await Promise.all([...flows].sort().map((flow) => healthOf(broker, flow, streams)));
}

async function healthOf(broker: Broker, flow: string, all: readonly string[]): Promise<FlowHealth> {
  const streams = all.filter((name) => name.startsWith(`mr_actor_${flow}_`));
  try {
    const run = (await readRun(broker.keys, flow))?.record;
    if (run === undefined) return { flow, streams: streams.length, missing: [], failure: "its streams are here, its run is not known" };
    const there = new Set(streams), logs = run.stages.flatMap(({ name, generation, parallelism }) => Array.from({ length: parallelism }, (_, partition) => streamName(subjectsOf(flow, name, generation, partition).log)));
    return { flow, run, streams: streams.length, missing: run.state === "preparing" ? [] : logs.filter((name) => !there.has(name)) };
  } catch (error) {
    return { flow, streams: streams.length, missing: [], failure: asError(error).message };
  }
}
