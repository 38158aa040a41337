import type { Duration, EventInfo, Key, Time } from "../event/event.ts";

export interface Logger {
  debug(message: string, fields?: object): void;
  info(message: string, fields?: object): void;
  warn(message: string, fields?: object): void;
  error(message: string, fields?: object): void;
}

/** What a handler may know and use, beside the data. */
export interface Context {
  /** Id, type, time, key and origin of the event at hand. */
  readonly event: EventInfo;
  /** Address of this actor, such as `fraud/velocity/3`. */
  readonly actor: string;
  /** 1, then 2, 3 … when the event is tried again. */
  readonly attempt: number;
  /** Aborts when the actor stops and at the event's deadline. Hand it to fetch and the like. */
  readonly signal: AbortSignal;
  readonly log: Logger;
  /** The clock on the wall, in ms; in tests the manual clock. Event time is `event.time`. */
  now(): number;
}

/** What a `stateful` handler may do. Nothing happens before the turn is committed. */
export interface StatefulContext<Out, K extends Key = Key> extends Context {
  readonly key: K;
  /** Sends one event on. */
  readonly emit: [Out] extends [never] ? CtxIsNotAnnotatedWithEmits : (data: Out, options?: EmitOptions) => void;
  /** Calls `onTimer` when event time has passed this event's time by `after`, or has reached `at`. Same name: moved. */
  timer(name: string, when: Duration | { at: Time }, options?: { clock?: "event" | "wall" }): void;
  cancelTimer(name: string): void;
}

/** Write it on `ctx` to say what a handler emits: `on(state, payment, ctx: Emits<Alert>) { … }`. */
export type Emits<Out, K extends Key = Key> = StatefulContext<Out, K>;

/** Stands in for `emit` until `ctx` is annotated: `ctx: Emits<Alert>`. */
export interface CtxIsNotAnnotatedWithEmits {}

/** Default: time of the event at hand (in `onTimer`: the timer's time), type `<flow>.<stage>`. */
export interface EmitOptions {
  time?: Time;
  type?: string;
}

export interface Timer {
  readonly name: string;
  /** When it was due, in ms. */
  readonly time: number;
}

export type Awaitable<T> = T | Promise<T>;
