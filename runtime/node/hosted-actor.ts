// An actor on this node, through all its lives.
import type { Actor, Counts } from "../actor/actor.ts";
import { type ActorView, viewOf } from "../actor/actor-view.ts";
import { type ActorEnvironment, type ActorEvents, addressOf, type Place, readingOf } from "../actor/environment.ts";
import type { LetterOrder, LetterOutcome } from "../actor/letters.ts";
import { createActor } from "../actor/wiring.ts";
import type { Done } from "../cluster/hosting.ts";
import type { StagePlan } from "../flow/plan.ts";
import { warmUp } from "../journal/warm-up.ts";
import { doneBy, type RecoveredFrames, recoveredFrames } from "./done-frames.ts";
import { GenerationChild } from "./generation-child.ts";
import { NextLife } from "./next-life.ts";
import type { After } from "./succession.ts";
import { ActorChild } from "../supervision/actor-child.ts";
import type { Child } from "../supervision/child.ts";
import { IsolatedActor, type Isolation } from "./isolated-actor.ts";

/** Of which generation it is, from life to life. */
export interface ActorGenerations {
  /** `undefined`: the one in force. */
  readonly place: () => Place | undefined;
  /** What comes after one that is sealed. */
  readonly after: (sealed: string, signal: AbortSignal) => Promise<After>;
}

export class HostedActor {
  readonly address: string;
  readonly stage: StagePlan;
  readonly partition: number;
  /** Hash of its code. */
  readonly code: string;
  readonly #env: ActorEnvironment;
  readonly #generations: ActorGenerations;
  readonly #isolation: Isolation | undefined;
  readonly #local: GenerationChild<Actor>;
  readonly #isolated: IsolatedActor | undefined;
  /** Resolves when no life of it holds its journal any more; after some seconds in any case. */
  readonly closed: () => Promise<void>;
  /** Its next life, while that is made ready. */
  #next: NextLife | undefined;
  #recovered = false;
  /** Called when a life has its state back, before it does anything with it. To be set before it is started. */
  onRecovered: ((frames: RecoveredFrames) => void) | undefined;
  /** All that came is past, and that is committed. */
  hasEnded = false;
  /** The last life of the generation before. */
  sealed: Actor | undefined;
  #seen: Counts = { in: 0, out: 0, late: 0, deadLetters: 0 };

  /** `isolation`: where actors run that are isolated. */
  constructor(env: ActorEnvironment, stage: StagePlan, partition: number, generations: ActorGenerations, isolation?: Isolation) {
    this.#env = env;
    this.#generations = generations;
    this.#isolation = isolation;
    this.address = addressOf(env.flow, stage, partition);
    this.stage = stage;
    this.partition = partition;
    this.code = env.code;
    this.#isolated = stage.kind === "processor" && stage.isolate === "worker" && isolation !== undefined ? new IsolatedActor(env, stage, partition, isolation, () => this.onRecovered) : undefined;
    const local = new ActorChild(this.address, env.clock, (events) => this.#begin(this.#watched(events)));
    this.closed = () => this.#isolated?.over ?? local.closed();
    this.#local = new GenerationChild(local, (signal) => generations.after((local.actor as Actor).generation, signal));
  }

  /** Name of its flow. */
  get flow(): string {
    return this.#env.flow.name;
  }

  /** The same one, of which there was no life yet: all that this one knows and holds is let go of. */
  anew(): HostedActor {
    return new HostedActor(this.#env, this.stage, this.partition, this.#generations, this.#isolation);
  }

  /** For its supervisor. */
  get child(): Child & { readonly actor?: Actor | undefined } {
    return this.#isolated ?? this.#local;
  }

  /** The newest life, once it has its state back; after its end, too. None of an actor in a thread of its own. */
  get recovered(): Actor | undefined {
    return this.#recovered ? this.#local.actor : undefined;
  }

  /** Of its newest life that has its state back. */
  get generation(): string | undefined {
    return this.#isolated?.generation ?? this.recovered?.generation;
  }

  /** Makes its next life ready while it runs on another node, as far as that comes until `signal`. Never rejects: what could not be done is done when it starts. */
  async warm(signal: AbortSignal): Promise<void> {
    await this.cool();
    if (this.#isolated !== undefined) return await warmUp({ ...readingOf(this.#env, this.flow, this.stage.name, this.#isolated.generation, this.partition), signal }).catch(() => {});
    this.#next = new NextLife((events) => this.#create(events));
    await this.#next.warm(signal);
  }

  /** Lets go of what was made ready. */
  async cool(): Promise<void> {
    const next = this.#next;
    this.#next = undefined;
    await next?.close();
  }

  /** It is about to be started: what was made ready is let go of where it came to nothing, or the generation in force is another. */
  async check(): Promise<void> {
    const next = this.#next;
    if (next !== undefined && (!(await next.isReady()) || next.actor.generation !== (this.#generations.place()?.generation ?? this.#env.division(this.stage.name).generation))) await this.cool();
  }

  #create(events: ActorEvents): Actor {
    return createActor(this.#env, this.stage, this.partition, events, this.#generations.place());
  }

  #begin(events: ActorEvents): Actor {
    const next = this.#next;
    this.#next = undefined;
    return next?.begin(events) ?? this.#create(events);
  }

  /** What its newest life had done, once that has its state back; of one in a thread of its own, once it has ended by itself. */
  get done(): Done | undefined {
    const actor = this.recovered;
    return actor === undefined ? this.#isolated?.done : doneBy(actor);
  }

  /** What is known of it, once it has its state back; after its end, too. */
  get view(): ActorView | undefined {
    const actor = this.recovered;
    return actor === undefined ? this.#isolated?.view : viewOf(actor);
  }

  /** As of its newest life; while that recovers, of the one before. */
  get counts(): Counts {
    this.#seen = (this.recovered ?? this.#isolated?.view)?.counts ?? this.#seen;
    return this.#seen;
  }

  /** Takes a dead letter back (letters.ts). "pending" while it does not run. */
  async settle(order: LetterOrder): Promise<LetterOutcome> {
    if (this.#isolated !== undefined) return await this.#isolated.settle(order);
    const actor = this.recovered;
    if (actor === undefined) return { is: "pending" };
    // One that has ended takes nothing more, in any life.
    if (actor.hasEnded && actor.signal.aborted) return { is: "failed", code: "ENDED", message: "this stage has ended in this run" };
    return await actor.letters.ask(order);
  }

  #watched(events: ActorEvents): ActorEvents {
    // A life that is being recovered knows nothing yet: its cursors and counts would say 0.
    void this.counts;
    this.#recovered = this.hasEnded = false;
    return {
      ...events,
      onExit: (exit) => {
        if (exit.class === "normal") this.hasEnded = true;
        if (exit.class === "sealed") this.sealed = this.#local.actor;
        events.onExit(exit);
      },
      onState: (state, error) => {
        if (state === "running.active" && !this.#recovered) {
          this.#recovered = true;
          this.onRecovered?.(recoveredFrames(this.#local.actor as Actor, this.#env.broker));
        }
        events.onState(state, error);
      },
    };
  }
}
