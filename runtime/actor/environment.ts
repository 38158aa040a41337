// What a node gives each of its actors.
import type { Broker } from "../broker/broker.ts";
import type { Clock, Random } from "../event/clock.ts";
import type { Logger } from "../flow/context.ts";
import type { FlowPlan, StagePlan } from "../flow/plan.ts";
import type { ReadingOptions } from "../journal/recovery.ts";
import type { Stores } from "../journal/store.ts";
import type { Seats } from "./at-work.ts";
import type { Exit } from "./exit.ts";
import type { EventLoopShares } from "./fair-share.ts";
import type { StateName } from "./lifecycle.ts";

/** How a stage is divided now. */
export interface Division {
  /** Such as "k3v9x2ab-1". */
  readonly generation: string;
  readonly count: number;
}

/** Number of a generation within its run: a later one has a higher number (PROTOCOL 2). */
export function ordinalOf(generation: string): number {
  return Number(generation.slice(generation.lastIndexOf("-") + 1));
}

/** Of which generation an actor is. */
export interface Place {
  readonly generation: string;
  /** The generation whose state it goes on with, where that may not be in its own log yet. */
  readonly from?: Division | undefined;
}

/** What the plan says of a flow whose stages are scaled while it runs (PROTOCOL 11). It changes; an actor's own decisions are in its log. */
export interface Generations {
  /** How a stage was divided when the run began. */
  readonly first: (stage: string) => Division;
  /** What a stage that is being scaled is to become. `takenBack`: who has not gone over to it refuses to. `stands`: that was in vain, who refused follows after all. */
  readonly next: (stage: string) => (Division & { readonly takenBack: boolean; readonly stands?: boolean | undefined }) | undefined;
  /** Whether a generation of a stage is over for good: its streams go, or are gone (P15). */
  readonly retired: (stage: string, generation: string) => boolean;
}

export interface ActorEnvironment {
  readonly flow: FlowPlan;
  /** As it is in force: while a stage is being scaled, the old one. */
  readonly division: (stage: string) => Division;
  /** Where stages may be scaled. Default: they stay as they are. */
  readonly generations?: Generations;
  /** Hash of the flow's code. */
  readonly code: string;
  /** Name of the node. */
  readonly node: string;
  readonly broker: Broker;
  readonly stores: Stores;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** Calls once in a later task, after what came in meanwhile. */
  readonly soon: (call: () => void) => void;
  /** Where several flows work in one event loop. Default: this one is alone. */
  readonly shares?: EventLoopShares | undefined;
  /** How long what is superseded is kept before it is trimmed, in ms (P32): 0 where the broker syncs before each ack. */
  readonly retainMs: number;
  readonly replicas: 1 | 3;
  /** Where it is written who is at work, for a watchdog. Default: nobody looks. */
  readonly seats?: Seats | undefined;
  /** One event at a time on this node, for actors that look for the one that kills (PROTOCOL 9, poison). */
  readonly oneByOne: Turnstile;
  /** Number up to which a reader, of generation `its`, has committed what `from` sent to it; `undefined` where it cannot be said now. */
  readonly readerCursor: (reader: string, input: number, from: string, generation: string, its?: string) => number | undefined;
}

/** Lets one through at a time. */
export class Turnstile {
  #tail: Promise<void> = Promise.resolve();

  /** Resolves when it is the caller's turn; what it gives ends the turn. */
  async enter(): Promise<() => void> {
    const before = this.#tail;
    let leave = () => {};
    this.#tail = new Promise((done) => { leave = done; });
    await before;
    return leave;
  }
}

/** What an actor tells who runs it. */
export interface ActorEvents {
  /** Once: it is over, and everything of it is closed. */
  readonly onExit: (exit: Exit) => void;
  /** `error`: why it is unavailable, where a handler said so. */
  readonly onState: (state: StateName, error?: Error) => void;
  /** A decision of its own: a dead letter by poison. */
  readonly onPoison: (event: string, error: Error) => void;
}

/** Address of an actor. */
export function addressOf(flow: FlowPlan, stage: StagePlan, partition: number): string {
  return `${flow.name}/${stage.name}/${partition}`;
}

/** Subjects of an actor; the name of a stream is its subject with `_` for `.`. */
export function subjectsOf(flow: string, stage: string, generation: string, partition: number): { readonly log: string; readonly chunks: string; readonly dead: string; readonly mailbox: (input: number) => string } {
  const actor = `mr.actor.${flow}.${stage}.${generation}.${partition}`;
  return { log: `${actor}.log`, chunks: `${actor}.snap`, dead: `mr.dead.${flow}.${stage}.${generation}.${partition}`, mailbox: (input) => `${actor}.in.${input}` };
}

export function streamName(subject: string): string {
  return subject.replaceAll(".", "_");
}

/** The one stream of a flow's dead letters. */
export function deadStream(flow: string): string {
  return `mr_dead_${flow}`;
}

/** Where an actor's log, chunks and journal are. */
export function readingOf({ broker, stores, clock }: Pick<ActorEnvironment, "broker" | "stores" | "clock">, flow: string, stage: string, generation: string, partition: number): Omit<ReadingOptions, "signal"> {
  const { log, chunks } = subjectsOf(flow, stage, generation, partition);
  return { where: `${flow}/${stage}/${partition}`, log: broker.stream(streamName(log), log), chunks: broker.stream(streamName(chunks), chunks), stores, store: `${flow}/${stage}/${generation}/${partition}`, clock };
}
