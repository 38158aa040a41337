// Lives of one actor, without a node around it: for what is measured of starting it.
import { join } from "node:path";
import type { Actor } from "../../runtime/actor/actor.ts";
import { type ActorEnvironment, deadStream, streamName, subjectsOf, Turnstile } from "../../runtime/actor/environment.ts";
import { createActor } from "../../runtime/actor/wiring.ts";
import type { Broker } from "../../runtime/broker/broker.ts";
import { connect } from "../../runtime/broker/nats-broker.ts";
import { systemClock, systemRandom } from "../../runtime/event/clock.ts";
import { type FlowPlan, planOf, type StagePlan } from "../../runtime/flow/plan.ts";
import type { Flow } from "../../runtime/index.ts";
import { LevelStores } from "../../runtime/journal/level-store.ts";
import type { Run } from "./contender.ts";

const generation = "benchrun-1";

export class Lives {
  readonly stores: LevelStores;
  readonly #broker: Broker;
  readonly #plan: FlowPlan;
  readonly #env: ActorEnvironment;

  /** Connects and makes the streams. */
  static async open(flow: Flow, run: Run): Promise<Lives> {
    const broker = await connect(run.server), plan = planOf(flow) as FlowPlan, lives = new Lives(broker, plan, join(run.folder, "journals"));
    await broker.create({ name: deadStream(plan.name), subject: `mr.dead.${plan.name}.>`, replicas: 1 });
    for (const { name, kind } of plan.stages) {
      const { log, mailbox } = subjectsOf(plan.name, name, generation, 0);
      await broker.create({ name: streamName(log), subject: log, replicas: 1 });
      if (kind !== "source") await broker.create({ name: streamName(mailbox(0)), subject: mailbox(0), maxMessages: 4_097, replicas: 1 });
    }
    return lives;
  }

  private constructor(broker: Broker, plan: FlowPlan, folder: string) {
    const quiet = () => {};
    this.#broker = broker;
    this.#plan = plan;
    this.stores = new LevelStores(folder);
    this.#env = {
      flow: plan, division: () => ({ generation, count: 1 }), code: "bench", node: "bench", broker, stores: this.stores, clock: systemClock, random: systemRandom,
      log: { debug: quiet, info: quiet, warn: console.warn, error: console.error },
      soon: (call) => { setImmediate(call); }, retainMs: 0, replicas: 1, oneByOne: new Turnstile(), readerCursor: () => undefined,
    };
  }

  /** Name of the store of a stage's journal. */
  storeOf(stage: string): string {
    return `${this.#plan.name}/${stage}/${generation}/0`;
  }

  /** One life, until it runs. `ended` rejects where it does not come to an end in order. */
  async begin(stage: string): Promise<{ readonly actor: Actor; readonly startMs: number; readonly ended: Promise<void> }> {
    const plan = this.#plan.stages.find(({ name }) => name === stage) as StagePlan;
    let exited: (error?: Error) => void = () => {};
    const ended = new Promise<void>((resolve, reject) => { exited = (error) => (error === undefined ? resolve() : reject(error)); });
    const actor = createActor(this.#env, plan, 0, {
      onExit: ({ class: kind, error }) => exited(kind === "normal" || kind === "shutdown" ? undefined : (error ?? new Error(`${stage} ended: ${kind}`))),
      onState: () => {},
      onPoison: (event, error) => exited(new Error(`${event} was given up`, { cause: error })),
    });
    const begun = performance.now();
    await actor.start();
    return { actor, startMs: performance.now() - begun, ended };
  }

  close(): Promise<void> {
    return this.#broker.close();
  }
}
