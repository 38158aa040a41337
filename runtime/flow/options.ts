import type { Duration, Time } from "../event/event.ts";
import type { Schema } from "./schema.ts";

/** How a source runs. Plain data, so that the command line and a deployment can override it. */
export interface RunOptions {
  /** How many actors share the stage's work: 1 to 1024. Default 1. */
  parallelism?: number;
  supervision?: Supervision;
  place?: Place;
}

/** On which nodes the actors of a stage run, where there are several (`millrace node`, `millrace up`). One node alone (`millrace run`) has them all. */
export interface Place {
  /** Only nodes that offer this label, or all of these (`millrace node --label zone=a`), take its actors; while there is none they wait, and `millrace placement --why` says so. Default: any node. */
  label?: string | readonly string[];
  /** Its partitions are on as many different nodes as there are: two on one only where there is no other way. Default false: spread by weight alone. */
  spread?: boolean;
  /** So many other nodes keep a warm copy of each journal: a failover goes there and reads only what came last. Default 0. */
  standby?: 0 | 1 | 2;
}

/** How a processor or a sink runs. */
export interface StageOptions extends RunOptions {
  /** So many frames may wait; more is back-pressure for those who send. Default 4096. */
  mailbox?: { maxFrames?: number };
  /** "time": events are held until the watermark has passed them and handled in event-time order. Default "arrival". */
  order?: "arrival" | "time";
  poison?: Poison;
}

/** As many actors as keep a stage's lag near a target. */
export interface LagRange {
  /** It begins with so many, and never has fewer: 1 to 1024. */
  min: number;
  /** It never has more: `min` to 1024. */
  max: number;
  /**
   * How old the oldest frame may be that waits for the stage, 100 ms or more. Above it for 3 s the number doubles; below half of it for
   * 5 minutes, or longer where fewer were too few before, it is halved. Each decision is in the log and in `millrace scale --why`.
   */
  targetLag: Duration;
}

/** How a processor runs. */
export interface ProcessorOptions extends Omit<StageOptions, "parallelism"> {
  /**
   * How many actors share the stage's work: 1 to 1024, or a range in which the number follows the lag, such as
   * `{ min: 2, max: 16, targetLag: "5s" }`. Default 1.
   */
  parallelism?: number | LagRange;
  /**
   * "worker": each of its actors runs in a thread of its own, with a heap of its own. A handler that never comes back,
   * `while (true)`, or takes all memory, stops no other stage: at `poison.deadline` the thread is ended, and the event is found and
   * becomes a dead letter. The flow must be in a module that the thread can load: run by `millrace run`, or with the flow's `module`.
   * Default: in the node's own thread.
   */
  isolate?: "worker";
}

/** As in Erlang/OTP. */
export interface Supervision {
  /** Which actors a failure restarts with the failed one; over several nodes: of those on the same node. Default "one_for_one". */
  strategy?: "one_for_one" | "one_for_all" | "rest_for_one";
  /** Default "permanent". */
  restart?: "permanent" | "transient" | "temporary";
  /** So many restarts of one child within `period`, then escalate. Default 5. */
  intensity?: number;
  /** Default "1m". */
  period?: Duration;
  /** Default from "100ms" to "30s", factor 2, jitter 0.2. */
  backoff?: { min?: Duration; max?: Duration; factor?: number; jitter?: number };
  /** Time to stop in order, then it is ended. Default "30s". */
  shutdown?: Duration;
}

/** An event that crashes its actor again and again. */
export interface Poison {
  /** Tries before the event becomes a dead letter. Default 3. */
  after?: number;
  /** A handler that takes longer on one event has failed. Default "1m". */
  deadline?: Duration;
  /**
   * "key": later events of the key wait, in order, until the dead letter is replayed or dropped (`millrace dlq`). Meanwhile the stage's
   * event time stands before the event and the flow does not end; with 10,000 events waiting the actor takes nothing new.
   * "event": the key goes on without it. Default "event".
   */
  park?: "event" | "key";
}

/** Event time: where it is read, and how far events may be out of order. */
export interface EventTime<T> {
  of?: (data: T) => Time;
  /** How long to wait for stragglers. "any" waits for the end of the source. Default "any" for a source that ends, "0s" for one that does not. */
  outOfOrder?: Duration | "any";
  /** A silent source stops holding time back after so long. Default "1m"; "never" to wait for it. */
  idleAfter?: Duration | "never";
}

export interface SourceOptions<T> extends RunOptions {
  /** Where event time is read from. Default: what the source says, else the time of arrival. */
  time?: ((data: T) => Time) | EventTime<T>;
  /** Any Standard Schema (zod, valibot, arktype …). What does not fit is a dead letter that says why. */
  schema?: Schema<T>;
  /** The events' `type`. Default `<flow>.<stage>`. */
  type?: string;
}

export interface FlowOptions {
  /** `import.meta.url` of the module that exports the flow: where threads load it from (`isolate: "worker"`). `millrace run` needs none. */
  module?: string;
  /** One sentence, shown by `tree` and in the dashboard. */
  description?: string;
  /** Of the flow's stages among each other; `rest_for_one` takes them in the order of the events' way. */
  supervision?: Supervision;
}
