import { defineOperator, isPromise, type Context, type Key, type Operator, type State } from "../runtime/index.ts";
import { type Fold, foldSpec } from "./fold.ts";
import { aFunction, optionProblems, versioned } from "./option-problems.ts";
import type { Versioned } from "./versioned.ts";
import { type Kept, type LateOutput, type Of, type Windowed, type Windowing, type TimeWindow, windowProblems, windowTable } from "./window.ts";
import { wrongReturn } from "./wrong-return.ts";

/** What comes out where no `result` is given. */
export type Aggregated<K, W, V> = W extends Windowing ? { readonly key: K; readonly window: TimeWindow; readonly value: V } : { readonly key: K; readonly value: V };

export interface AggregateOptions<In, K, V, W, L, Out> extends Windowed<W, L>, Versioned<V> {
  /** The value before the first event of a key, or of a key's window. */
  initial: (key: K) => V;
  /** The value with one more event. Not async, and nothing is changed in place: return a new one. */
  add: (value: Readonly<V>, data: In, ctx: Context) => NoInfer<Readonly<V>>;
  /** What the stage gives. Default `{ key, window, value }`, without a window `{ key, value }`. */
  result?: (value: Readonly<V>, of: Of<K, W>) => Out;
}

/**
 * Folds the events of a key, by window, into one value. A window gives one result when the watermark has passed its end; what
 * it gives has the event time `window.end - 1`. Without a window each event gives a result.
 *
 * @example
 * aggregate({ window: tumbling("6h"), initial: () => 0, add: (count) => count + 1, result: (count, { key }) => ({ region: key, count }) })
 */
export function aggregate<In, K extends Key, V, W = undefined, L extends boolean = false, Out = Aggregated<K, W, V>>(
  options: AggregateOptions<In, K, V, W, L, Out>): Operator<In, Out, K, State<K, Kept<W, V>> & LateOutput<In, L>> {
  const problems = optionProblems("aggregate", options, {
    ...windowTable, ...versioned, initial: aFunction("() => …"), add: aFunction("(value, data) => …"), result: aFunction("(value, { key }) => …"),
  }, ["initial", "add"]);
  problems.push(...windowProblems("aggregate", options));
  const { version, migrate } = options ?? {};
  return defineOperator({
    ...foldSpec("aggregate", aggregateFold(options as unknown as Functions), options as Windowed<unknown, boolean>, problems),
    ...(version === undefined ? {} : { version }),
    ...(migrate === undefined ? {} : { migrate }),
  });
}

/** The functions, whatever their types. */
interface Functions {
  initial: (key: Key) => unknown;
  add: (value: unknown, data: unknown, ctx: Context) => unknown;
  result?: (value: unknown, of: object) => unknown;
}

function aggregateFold(options: Functions): Fold {
  const { initial, add, result } = options ?? {};
  return {
    add(value, data, scope) {
      const next = add(value === undefined ? initial(scope.key as Key) : value, data, scope.ctx);
      if (next === undefined || isPromise(next)) throw wrongReturn("add of aggregate", next, scope.ctx.actor, "Return the new value; calls to other systems go into a map before it.");
      return next;
    },
    result: result === undefined ? aggregated : (value, key, window, final) => result(value, window === undefined ? { key } : { key, window, final }),
  };
}

function aggregated(value: unknown, key: Key, window: TimeWindow | undefined): unknown {
  return window === undefined ? { key, value } : { key, window, value };
}
