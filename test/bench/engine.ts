// Runs a flow in this process, on NATS and LevelDB, until it has ended.
import { join } from "node:path";
import { streamName, subjectsOf, deadStream, Turnstile, type ActorEnvironment } from "../../runtime/actor/environment.ts";
import { createActor } from "../../runtime/actor/wiring.ts";
import type { Broker } from "../../runtime/broker/broker.ts";
import { connect } from "../../runtime/broker/nats-broker.ts";
import { systemClock, systemRandom } from "../../runtime/event/clock.ts";
import type { Flow } from "../../runtime/index.ts";
import { planOf, type FlowPlan, type StagePlan } from "../../runtime/flow/plan.ts";
import { LevelStores } from "../../runtime/journal/level-store.ts";
import type { Run } from "./contender.ts";

const generation = "benchrun-1";

interface Place {
  readonly stage: StagePlan;
  readonly partition: number;
}

/** Runs all actors, the sources last, after `begins`. Resolves when all have ended; the streams are gone then. */
export async function runFlow(flow: Flow, run: Run, begins: () => void): Promise<void> {
  const broker = await connect(run.server);
  const plan = planOf(flow) as FlowPlan;
  const env = environment(plan, broker, run.folder);
  const places = plan.stages.flatMap((stage) => Array.from({ length: stage.parallelism }, (_, partition): Place => ({ stage, partition })));
  await makeStreams(broker, plan, places);
  const ends: Promise<void>[] = [];
  const start = async ({ stage, partition }: Place) => {
    let exited: (error?: Error) => void = () => {};
    ends.push(new Promise((resolve, reject) => { exited = (error) => (error === undefined ? resolve() : reject(error)); }));
    const actor = createActor(env, stage, partition, {
      onExit: ({ class: kind, error }) => exited(kind === "normal" ? undefined : (error ?? new Error(`${stage.name}/${partition} ended: ${kind}`))),
      onState: () => {},
      onPoison: (event, error) => exited(new Error(`${event} was given up`, { cause: error })),
    });
    await actor.start();
  };
  await Promise.all(places.filter(({ stage }) => stage.kind !== "source").map(start));
  begins();
  await Promise.all(places.filter(({ stage }) => stage.kind === "source").map(start));
  await Promise.all(ends);
  for (const name of await broker.list("mr_")) await broker.remove(name);
  await broker.close();
}

export function environment(plan: FlowPlan, broker: Broker, folder: string): ActorEnvironment {
  const parallelism = new Map(plan.stages.map(({ name, parallelism: count }) => [name, count]));
  const quiet = () => {};
  return {
    flow: plan, division: (stage) => ({ generation, count: parallelism.get(stage) ?? 1 }), code: "bench", node: "bench", broker,
    stores: new LevelStores(join(folder, "journal")), clock: systemClock, random: systemRandom,
    log: { debug: quiet, info: quiet, warn: console.warn, error: console.error },
    soon: (call) => { setImmediate(call); }, retainMs: 0, replicas: 1, oneByOne: new Turnstile(), readerCursor: () => undefined,
  };
}

export async function makeStreams(broker: Broker, plan: FlowPlan, places: readonly Place[]): Promise<void> {
  await broker.create({ name: deadStream(plan.name), subject: `mr.dead.${plan.name}.>`, replicas: 1 });
  for (const { stage, partition } of places) {
    const { log, mailbox } = subjectsOf(plan.name, stage.name, generation, partition);
    await broker.create({ name: streamName(log), subject: log, replicas: 1 });
    if (stage.kind !== "source") await broker.create({ name: streamName(mailbox(0)), subject: mailbox(0), maxMessages: stage.maxFrames + 1, replicas: 1 });
  }
}
