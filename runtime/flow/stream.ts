// The types of a flow's handles and operators. What is behind the handles at run time is in handle.ts.
import type { Key } from "../event/event.ts";

declare const data: unique symbol;
declare const key: unique symbol;
declare const ports: unique symbol;
declare const step: unique symbol;
declare const fed: unique symbol;
declare const sunk: unique symbol;

/** What streams with and without a key have in common. */
export interface Events<out T> {
  readonly [data]: T;
  /** The same events, taken by key: all events of one key go to one actor, in order. */
  keyBy<K extends Key>(key: (data: T) => K): Keyed<T, K>;
}

/** A typed handle on the events that a stage gives. Plain data: nothing runs until the flow is started. */
export interface Stream<out T> extends Events<T> {
  /** The events of all of them, as they come. */
  merge<S extends readonly Stream<unknown>[]>(...others: S): Stream<T | DataOf<S[number]>>;
}

/** A stream on its way to a stage that takes it by key. */
export interface Keyed<out T, out K> extends Events<T> {
  readonly [key]: K;
  /** Each by its own key; the keys are of one type. */
  merge<S extends readonly Keyed<unknown, K>[]>(...others: S): Keyed<T | DataOf<S[number]>, K>;
}

/** Stands for the key of a stage whose input has none. */
export interface InputHasNoKey {
  readonly [key]: "call .keyBy(…) on the input of this stage";
}

/** What a stage may read. */
export type Input<T, K> = Keyed<T, K> | Stream<T>;

/** One step of a stage: events `In` go in, events `Out` come out, by key `K`, with further ports `P`. */
export interface Operator<in In, out Out, in K = unknown, out P = unknown> {
  readonly [step]: { in: (data: In) => void; out: Out; key: (key: K) => void; ports: P };
}

/** Further outputs of a stage, by name: each is a stream on the stage's handle. */
export interface Outputs<out O> {
  readonly outputs: O;
}

/** State that a stage keeps per key. */
export interface State<out K, out S> {
  readonly state: { key: K; value: S };
}

/** Questions that a stage answers, by name. */
export interface Queries<out Q> {
  readonly queries: Q;
}

/** A stage with more than one port: its own events, further outputs by name, state that can be asked. */
export type Stage<T, P> = Stream<T> & { readonly [ports]: P } & OutputStreams<P>;

type OutputStreams<P> = P extends Outputs<infer O> ? { readonly [N in keyof O]: Stream<O[N]> } : unknown;

/** The handle that a stage with these ports has. */
export type HandleOf<T, P> = unknown extends P ? Stream<T> : Stage<T, P>;

/** A source's handle. */
export interface Source<out T> extends Stream<T> {
  readonly [fed]: string;
}

/** The handle of a source that clients send to. */
export interface Inbox<out T> extends Source<T> {
  readonly [fed]: "by-clients";
}

/** A sink's handle. */
export interface Sink<out T> {
  readonly [sunk]: T;
}

export type SourceHandle<T, Fed> = Fed extends "by-clients" ? Inbox<T> : Source<T>;

/** Data of the further outputs of a stage, by name. */
export type OutputsOf<H> = PortsOf<H> extends Outputs<infer O> ? O : {};
export type DataOf<H> = H extends Events<infer T> ? T : H extends Sink<infer T> ? T : never;
export type PortsOf<H> = H extends { readonly [ports]: infer P } ? P : unknown;
