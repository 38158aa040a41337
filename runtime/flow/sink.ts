// What the author of a sink writes.
import type { FlowEvent } from "../event/event.ts";
import type { Logger } from "./context.ts";

declare const takes: unique symbol;

/** What a sink runs: made by `defineSink`, or ready-made as `jsonl.sink(…)`. */
export interface SinkActor<in T> {
  readonly [takes]: (data: T) => void;
}

/** Events to write, in order. After a crash the same batch comes again, with the same number and the same ids. */
export interface Batch<T> {
  /** 1, 2, 3 … without holes, for each actor. */
  readonly number: number;
  readonly events: readonly FlowEvent<T>[];
}

export interface SinkContext {
  readonly actor: string;
  /** Number of this actor among those of its stage, from 0. A target belongs to it: when the stage is scaled, whoever has the number goes on with it. */
  readonly partition: number;
  /** Generation of the stage, such as "k3v9x2ab-1": another one with each run, and when the stage is scaled. */
  readonly generation: string;
  readonly signal: AbortSignal;
  readonly log: Logger;
}

/** A batch by its number, with what its `write` returned; before the first one 0 and `start`. */
export interface Written<M> {
  readonly batch: number;
  readonly mark: M;
}

export interface TransactionalContext<M> extends SinkContext {
  /** The newest batch that the journal knows to be written. */
  readonly last: Written<M>;
}

/** The target remembers the number of the last batch, or can be cut back to a mark. Exactly once. */
export interface TransactionalSink<T, M> {
  kind: string;
  guarantee: "transactional";
  /** Where it writes, for people: a path or an address; `{partition}` stands for the actor's number. Of a file `run` shows the first rows. */
  target?: string;
  /** Whether several actors may share the stage's work (a file needs a path for each). Default true. */
  divisible?: boolean;
  /** The mark before the first batch. */
  start: M;
  /** Says which batch the target holds, `last` or the one after it; the runtime goes on with the next one. */
  open: (ctx: TransactionalContext<M>) => Promise<{
    /** `last` itself where the target cannot say more and a batch may be written again at its place. */
    written: Written<NoInfer<M>>;
    /** Writes all of the batch and its number, or nothing. What it returns is `last.mark` next time. */
    write: (batch: Batch<T>) => Promise<NoInfer<M>>;
    /** The flow has ended and the last batch is committed: give the result its final form. May be called again after a crash. */
    finish?: () => Promise<void>;
    close?: () => Promise<void>;
  }>;
}

/** Batches may be written again. "idempotent": an event with the same id again changes nothing, so the effect is exactly once. */
export interface RepeatingSink<T> {
  kind: string;
  guarantee: "idempotent" | "at-least-once";
  /** Where it writes, for people: a path or an address. */
  target?: string;
  open: (ctx: SinkContext) => Promise<{
    write: (batch: Batch<T>) => Promise<void>;
    close?: () => Promise<void>;
  }>;
}

const definition = Symbol.for("millrace.sink");

/** Makes a sink of its description. */
export function defineSink<T, M>(sink: TransactionalSink<T, M> | RepeatingSink<T>): SinkActor<T> {
  return { [definition]: sink } as unknown as SinkActor<T>;
}

/** The description of a sink; `undefined` where the value is none. */
export function sinkOf(value: unknown): TransactionalSink<unknown, unknown> | RepeatingSink<unknown> | undefined {
  return typeof value === "object" && value !== null ? (value as { [definition]?: RepeatingSink<unknown> })[definition] : undefined;
}
