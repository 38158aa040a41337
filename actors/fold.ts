// What aggregate, reduce and summarize have in common: a value for each key, or for each key and window, to which events are added.
import { millis, type Key, type OperatorSpec, type Problem, type Scope, type StateEntry, type Step, type StepEnvironment } from "../runtime/index.ts";
import { type OpenWindows, type TimeWindow, type Windowed, shapeOf } from "./window.ts";
import { WindowedFold } from "./windowed-fold.ts";

export interface Fold {
  /** The value with one more event; `undefined` is the value before the first. Values are replaced, never changed. */
  add(value: unknown, data: unknown, scope: Scope): unknown;
  /** What goes on. Without a window: `window` is undefined. */
  result(value: unknown, key: Key, window: TimeWindow | undefined, final: boolean): unknown;
  /** The value as users see it. Default: as it is kept. */
  show?(value: unknown): unknown;
}

/** The description of an operator that folds. */
export function foldSpec(kind: string, fold: Fold, options: Windowed<unknown, boolean>, problems: readonly Problem[]): OperatorSpec {
  const { window, early, lateness, late = false } = options ?? {};
  const shape = shapeOf(window);
  const show = (value: unknown) => (fold.show === undefined ? value : fold.show(value));
  const base = { kind, keyed: true, state: "key", problems, outputs: late === true ? ["late"] : [] } as const;
  if (shape === undefined) {
    return { ...base, view: ([entry]) => (entry === undefined ? undefined : show(entry.value)), open: (env) => new RunningFold(env, fold) };
  }
  const timing = { early: early === "each" ? early : millis(early), latenessMs: millis(lateness) ?? 0, hasLateOutput: late === true };
  return {
    ...base, eventTime: true,
    view: (entries) => openWindows(entries, shape.size, show),
    open: (env) => new WindowedFold(env, fold, shape, timing),
  };
}

function openWindows(entries: readonly StateEntry[], size: number, show: (value: unknown) => unknown): OpenWindows<unknown> {
  return entries.filter((entry) => entry.value !== undefined).map(({ part = 0, value }) => ({ window: { start: part, end: part + size }, value: show(value) }))
    .sort((a, b) => a.window.start - b.window.start);
}

/** Over all events of a key: a result for each. */
class RunningFold implements Step {
  readonly #env: StepEnvironment;
  readonly #fold: Fold;

  constructor(env: StepEnvironment, fold: Fold) {
    this.#env = env;
    this.#fold = fold;
  }

  on(data: unknown, scope: Scope): void | Promise<void> {
    const env = this.#env, key = scope.key as Key, entry = env.entry(key);
    const value = this.#fold.add(entry.value, data, scope);
    env.set(entry, value);
    return env.next(this.#fold.result(value, key, undefined, true), scope);
  }
}
