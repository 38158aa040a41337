// A flow as data: what defineFlow makes of a builder's calls, checked and with all defaults filled in. The engine reads
// this and nothing else of a flow.
import type { Key } from "../event/event.ts";
import type { OperatorSpec } from "./operator.ts";
import type { PullSource, PushSource } from "./source.ts";
import type { RepeatingSink, TransactionalSink } from "./sink.ts";
import type { Schema } from "./schema.ts";

/** Supervision with every default filled in; durations in ms. */
export interface SupervisionPlan {
  readonly strategy: "one_for_one" | "one_for_all" | "rest_for_one";
  readonly restart: "permanent" | "transient" | "temporary";
  readonly intensity: number;
  readonly periodMs: number;
  readonly shutdownMs: number;
  readonly backoff: { readonly minMs: number; readonly maxMs: number; readonly factor: number; readonly jitter: number };
}

/** On which nodes a stage's actors may be, with every default filled in. */
export interface PlacePlan {
  /** All of them must be offered by the node. */
  readonly labels: readonly string[];
  /** A stage's actors are spread over as many nodes as there are, whatever the weights: two on one only where there is no other way. */
  readonly spread: boolean;
  /** So many other nodes keep a warm copy. */
  readonly standby: 0 | 1 | 2;
}

export const anywhere: PlacePlan = { labels: [], spread: false, standby: 0 };

/** The way from one stage (one of its outputs) into another. */
export interface EdgePlan {
  readonly from: string;
  /** "" is the stage's own stream. */
  readonly output: string;
  readonly to: string;
  /** Which mailbox of the reader: 0 is the main one. */
  readonly input: number;
  /** Number among the reader's edges: field 7 of a frame. */
  readonly index: number;
  /** Of a keyed edge. Without it events follow the key that they carry. */
  readonly key?: (data: unknown) => Key;
  /** Whether anything behind it needs event time: then watermarks go along it without events, too. */
  readonly eventTime: boolean;
}

interface StageBase {
  readonly name: string;
  readonly parallelism: number;
  readonly supervision: SupervisionPlan;
  readonly place: PlacePlan;
  /** Edges into it, by index. */
  readonly inputs: readonly EdgePlan[];
  /** Edges out of it, of all its outputs. */
  readonly readers: readonly EdgePlan[];
  /** Names of its further outputs. */
  readonly outputs: readonly string[];
}

export interface SourcePlan extends StageBase {
  readonly kind: "source";
  readonly source: PullSource<unknown, unknown> | PushSource<unknown>;
  readonly time?: (data: unknown) => unknown;
  /** ms; "any" waits for the end of the source. */
  readonly outOfOrder: number | "any";
  /** ms; Infinity: never. */
  readonly idleAfterMs: number;
  readonly schema?: Schema<unknown>;
  readonly type: string;
}

interface ReceivingPlan extends StageBase {
  readonly order: "arrival" | "time";
  readonly maxFrames: number;
  readonly poison: { readonly after: number; readonly deadlineMs: number; readonly park: "event" | "key" };
}

/** How many actors a stage has by its lag: `parallelism` is the least. */
export interface FollowsPlan {
  readonly min: number;
  readonly max: number;
  readonly targetLagMs: number;
}

export interface ProcessorPlan extends ReceivingPlan {
  readonly kind: "processor";
  readonly follows?: FollowsPlan;
  readonly isolate?: "worker";
  /** In the order of the events' way; pipes are flattened. */
  readonly steps: readonly OperatorSpec[];
  readonly type: string;
}

export interface SinkPlan extends ReceivingPlan {
  readonly kind: "sink";
  readonly sink: TransactionalSink<unknown, unknown> | RepeatingSink<unknown>;
}

export type StagePlan = SourcePlan | ProcessorPlan | SinkPlan;

export interface FlowPlan {
  readonly name: string;
  readonly description?: string;
  /** URL of the module that exports it. */
  readonly module?: string;
  readonly supervision: SupervisionPlan;
  /** In topological order: a stage comes after all that feed it. */
  readonly stages: readonly StagePlan[];
}

/** `undefined`: the stage has a fixed number of actors, unless a person changes it. */
export function followsOf(stage: StagePlan): FollowsPlan | undefined {
  return stage.kind === "processor" ? stage.follows : undefined;
}

const plan = Symbol.for("millrace.plan");

/** Gives a flow its plan. */
export function withPlan<F extends object>(flow: F, of: FlowPlan): F {
  return Object.defineProperty(flow, plan, { value: of });
}

/** The plan of a flow made by defineFlow; `undefined` where the value is none. */
export function planOf(flow: unknown): FlowPlan | undefined {
  return typeof flow === "object" && flow !== null ? (flow as { [plan]?: FlowPlan })[plan] : undefined;
}
