// The streams of a run: made before its actors start, deleted when a new run begins (PROTOCOL 2).
import { retainedFrames } from "../actor/mailbox-room.ts";
import { deadStream, streamName, subjectsOf } from "../actor/environment.ts";
import type { Broker, StreamSpec } from "../broker/broker.ts";
import { MillraceError } from "../event/errors.ts";
import type { FlowPlan, StagePlan } from "../flow/plan.ts";
import { bounded } from "./bounded.ts";
import type { RunRecord } from "./run-record.ts";
import { storyStream } from "./story.ts";

const atOnce = 32;
/** A broker that is busy making hundreds of streams may let one time out. */
const tries = 5;
const dayMs = 86_400_000;
const keptDays = 30;
const keptDecisions = 200;

export interface StreamOptions {
  readonly replicas: 1 | 3;
  readonly retainMs: number;
}

/** Every stream of a run, those that all runs of the flow share included; chunk streams are made by their actors. */
export function streamsOf(plan: FlowPlan, { stages, change }: RunRecord, options: StreamOptions): readonly StreamSpec[] {
  const { replicas } = options, divisions = new Map(stages.map((stage) => [stage.name, stage]));
  const specs: StreamSpec[] = [
    { name: deadStream(plan.name), subject: `mr.dead.${plan.name}.>`, maxAgeMs: keptDays * dayMs, replicas },
    { name: storyStream(plan.name), subject: `mr.story.${plan.name}.>`, maxPerSubject: keptDecisions, maxAgeMs: keptDays * dayMs, replicas },
  ];
  for (const stage of plan.stages) {
    const division = divisions.get(stage.name);
    if (division === undefined) continue;
    specs.push(...streamsOfStage(plan.name, stage, division, options));
    if (change?.stage === stage.name) specs.push(...streamsOfStage(plan.name, stage, change, options));
  }
  return specs;
}

/** Those of one generation of a stage. */
export function streamsOfStage(flow: string, stage: StagePlan, { generation, parallelism }: { readonly generation: string; readonly parallelism: number }, { replicas, retainMs }: StreamOptions): readonly StreamSpec[] {
  const specs: StreamSpec[] = [];
  for (let partition = 0; partition < parallelism; partition++) {
    const subjects = subjectsOf(flow, stage.name, generation, partition);
    specs.push({ name: streamName(subjects.log), subject: subjects.log, replicas });
    if (stage.kind === "source") continue;
    for (const input of new Set(stage.inputs.map((edge) => edge.input))) {
      const subject = subjects.mailbox(input), maxMessages = stage.maxFrames + 1 + (retainMs > 0 ? retainedFrames : 0);
      specs.push({ name: streamName(subject), subject, maxMessages, replicas });
    }
  }
  return specs;
}

/** Deletes the streams of generations that are over. @throws MillraceError UNREACHABLE */
export async function removeGenerations(broker: Broker, flow: string, isOver: (stage: string, generation: string) => boolean): Promise<void> {
  const gone = (await actorStreams(broker, flow)).filter((name) => {
    const [stage, generation] = name.slice(`mr_actor_${flow}_`.length).split("_");
    return stage !== undefined && generation !== undefined && isOver(stage, generation);
  });
  await removeStreams(broker, gone);
}

/** Makes all that are not there. @throws MillraceError UNREACHABLE, STREAM_CONFLICT */
export async function createStreams(broker: Broker, specs: readonly StreamSpec[]): Promise<void> {
  await bounded(specs, atOnce, (spec) => patiently(() => broker.create(spec)));
}

/** The streams of all actors of a flow, whichever run they are of. @throws MillraceError UNREACHABLE */
export function actorStreams(broker: Broker, flow: string): Promise<readonly string[]> {
  return patiently(() => broker.list(`mr_actor_${flow}_`));
}

/** @throws MillraceError UNREACHABLE */
export async function removeStreams(broker: Broker, names: readonly string[]): Promise<void> {
  await bounded(names, atOnce, (name) => patiently(() => broker.remove(name)));
}

/**
 * A run that goes on needs what it had: a stream that is made anew would be empty where it was not.
 * @throws MillraceError BROKER_WENT_BACK, UNREACHABLE
 */
export async function checkStreams(broker: Broker, flow: string, specs: readonly StreamSpec[]): Promise<void> {
  const there = new Set(await patiently(() => broker.list("mr_")));
  const missing = specs.filter(({ name }) => name.startsWith("mr_actor_") && !there.has(name));
  if (missing.length === 0) return;
  throw new MillraceError("BROKER_WENT_BACK", flow, `${missing.length} of the streams of the interrupted run are not there, the first is ${missing[0]?.name}`,
    "Look with millrace doctor; millrace repair makes them again from the journals. Else bring the server's store back, or begin a new run with --fresh.");
}

/**
 * Of a flow no key tells of, streams of actors tell that there was one: it was lost, and a new run would delete them.
 * @throws MillraceError BROKER_WENT_BACK, UNREACHABLE
 */
export async function checkNoStreams(broker: Broker, flow: string): Promise<void> {
  const there = await actorStreams(broker, flow);
  if (there.length === 0) return;
  throw new MillraceError("BROKER_WENT_BACK", flow, `The server knows no run of flow "${flow}", and has ${there.length} streams of its actors, the first is ${there[0]}`,
    "millrace repair writes the key of the run again, from what nodes know of it. Else bring the server's store back, or begin a new run with --fresh.");
}

async function patiently<T>(call: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await call();
    } catch (error) {
      if (attempt === tries || !(error instanceof MillraceError) || error.code !== "UNREACHABLE") throw error;
    }
  }
}
