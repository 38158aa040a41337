// What the author of a source writes.
import type { Key, Time } from "../event/event.ts";
import type { Logger } from "./context.ts";

declare const gives: unique symbol;

/** What a source runs: made by `defineSource`, or ready-made as `jsonl.source(…)`. */
export interface SourceActor<out T, out Fed = "by-itself"> {
  readonly [gives]: { data: T; fed: Fed };
}

/** One event as a source reads it. */
export interface Reading<T> {
  data: T;
  /** Stable, so that a repeat is known as one. Default: made from actor, record and ordinal. */
  id?: string;
  time?: Time;
  key?: Key;
  type?: string;
}

export interface SourceContext {
  readonly actor: string;
  /** The part to read, one of `splits()`; "" without splits. */
  readonly split: string;
  /** Aborts when the actor stops. */
  readonly signal: AbortSignal;
  readonly log: Logger;
  /** Gives up one event that cannot be read, with its place; reading goes on. It is committed with the next position that is yielded, or the end. */
  deadLetter(raw: unknown, error: Error): void;
}

/**
 * What a source yields: an event with the position after it, several, or a position alone, where it gave up what came before it,
 * or knows how far event time is: no event at `watermark` (ms) or before it comes any more, whatever `outOfOrder` says.
 */
export type Yielded<T, P> = (Reading<T> & { position: P }) | readonly (Reading<T> & { position: P })[] | { position: P; data?: never; watermark?: number };

/**
 * Reads from a position on. The runtime asks for the next only when there is room: that is the back-pressure.
 * `P` is the position: plain data, kept in the actor's journal.
 */
export interface PullSource<T, P> {
  /** Shown by `tree` and `doctor`, such as "jsonl". */
  kind: string;
  /** "replayable": from one position the same events are read again. Exactly once from here on. */
  guarantee: "replayable";
  /** Where a new actor begins. */
  start: P;
  /** Whether it ends by itself: then event time waits for its end (outOfOrder "any") unless told otherwise. Default false. */
  ends?: boolean;
  /** Parts that can be read side by side (Kafka partitions, files); asked again every 30 s. Each has its own position. */
  splits?: (signal: AbortSignal) => Promise<readonly string[]>;
  /** Tells one input from another (size and hash of its ends): when it changed since the last run, `run` asks. */
  fingerprint?: () => Promise<string>;
  /** Yields events with the position after them; arrays where there are many: an array is committed whole. To return is the end of the source. */
  read: (from: P, ctx: SourceContext) => AsyncIterable<Yielded<T, P>>;
}

/** Is sent events by someone else. */
export interface PushSource<T> {
  kind: string;
  /** "acknowledged": the sender keeps an event until `accept` resolves and sends it again otherwise. "best-effort": it does not. */
  guarantee: "acknowledged" | "best-effort";
  /** How long ids are remembered, so that what is sent again is taken once. Default "2h"; 0 for never. */
  remember?: import("../event/event.ts").Duration;
  /** Runs until `ctx.signal` aborts. `accept` resolves when the events are committed, and rejects (BUSY) when there is no room. */
  listen: (accept: Accept<T>, ctx: SourceContext) => Promise<void>;
}

/** Write it on `accept` to say what a source gives: `listen(accept: Accept<Order>, ctx) { … }`. */
export type Accept<T> = (events: readonly Reading<T>[]) => Promise<void>;

const definition = Symbol.for("millrace.source");

/** Makes a source of its description. */
export function defineSource<T, P>(source: PullSource<T, P> | PushSource<T>): SourceActor<T> {
  return { [definition]: source } as unknown as SourceActor<T>;
}

/** The description of a source; `undefined` where the value is none. */
export function sourceOf(value: unknown): PullSource<unknown, unknown> | PushSource<unknown> | undefined {
  return typeof value === "object" && value !== null ? (value as { [definition]?: PullSource<unknown, unknown> })[definition] : undefined;
}
