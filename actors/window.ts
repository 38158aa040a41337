// What a window is: to users, as types, and to the fold that keeps a value for each (windowed-fold.ts).
import type { Duration, Outputs, Problem, Table } from "../runtime/index.ts";
import { aBoolean, aDuration, collector } from "./option-problems.ts";

declare const shape: unique symbol;

/** From `start` up to but not including `end`, in ms since the epoch. */
export interface TimeWindow {
  readonly start: number;
  readonly end: number;
}

/** How time is cut into windows: made by `tumbling`. */
export interface Windowing<out Kind extends string = string> {
  readonly [shape]: Kind;
}

/** What `result` is told beside the value. Without a window there is only the key. */
export type Of<K, W> = W extends Windowing
  ? { readonly key: K; readonly window: TimeWindow; /** False for an early result. */ readonly final: boolean }
  : { readonly key: K };

export interface Windowed<W, L> {
  /** Without a window the values of a key run over all of its events, and each event gives a result. */
  window?: W;
  /** Results before the window closes: for "each" event, or so often, in event time, as long as there are new events. Default: none. */
  early?: "each" | Duration;
  /** How long after its end a window still takes late events; each gives a corrected result. Default 0. */
  lateness?: Duration;
  /** Events that come later still leave by the output `late`. Where nothing reads that, or without it, they are dead letters (LATE). */
  late?: L;
}

/** The windows of a key that have a value and may still change, oldest first. */
export type OpenWindows<V> = readonly { readonly window: TimeWindow; readonly value: V }[];

export type Kept<W, V> = W extends Windowing ? OpenWindows<V> : V;
export type LateOutput<In, L> = L extends true ? Outputs<{ late: In }> : unknown;

/** What is behind a `Windowing`: windows of one size, one after the other. */
export interface WindowShape {
  /** ms */
  readonly size: number;
  /** Start of the window that holds this time. */
  startOf(time: number): number;
  readonly problems: readonly Problem[];
}

const definition = Symbol.for("millrace.windowing");

export function defineWindowing<Kind extends string>(shape: WindowShape): Windowing<Kind> {
  return { [definition]: shape } as unknown as Windowing<Kind>;
}

/** The shape of a windowing; `undefined` where the value is none. */
export function shapeOf(windowing: unknown): WindowShape | undefined {
  return typeof windowing === "object" && windowing !== null ? (windowing as { [definition]?: WindowShape })[definition] : undefined;
}

/** The options of `Windowed`, for a fold's own table. */
export const windowTable: Table = {
  window: { give: 'a window, such as tumbling("1h")', is: (value) => shapeOf(value) !== undefined },
  early: { ...aDuration(1), give: '"each", or a duration such as "10s", 1ms or more', is: (value) => value === "each" || aDuration(1).is?.(value) === true },
  lateness: aDuration(0),
  late: aBoolean,
};

/** What the table cannot say: options that need a window, and what is wrong with the window itself. */
export function windowProblems(kind: string, options: unknown): readonly Problem[] {
  const { window, ...rest } = (options ?? {}) as Windowed<unknown, boolean>;
  if (window !== undefined) return (shapeOf(window)?.problems ?? []).map((problem) => ({ ...problem, message: `${kind} has a window of which ${problem.message}` }));
  const problems: Problem[] = [];
  for (const option of ["early", "lateness", "late"] as const) {
    const value = rest[option];
    if (value === undefined || value === false) continue;
    collector(problems)("WINDOW_MISSING", `${kind} has ${option}: ${JSON.stringify(value)} and no window`, `give it one, window: tumbling("1h"), or leave ${option} out`);
  }
  return problems;
}
