import { defineOperator, isPromise, type Key, type Operator, type State } from "../runtime/index.ts";
import { type Fold, foldSpec } from "./fold.ts";
import { aFunction, optionProblems } from "./option-problems.ts";
import { type Kept, type LateOutput, type Of, type Windowed, windowProblems, windowTable } from "./window.ts";
import { wrongReturn } from "./wrong-return.ts";

export interface ReduceOptions<In, K, W, L, Out> extends Windowed<W, L> {
  /** One event out of two: `a` is what came of the earlier ones, in the order of arrival. Not async. */
  combine: (a: In, b: In) => In;
  /** What the stage gives. Default: what `combine` made. */
  result?: (value: In, of: Of<K, W>) => Out;
}

/**
 * Folds the events of a key, by window, into one event. The first one of a key or window stands as it is.
 *
 * @example
 * reduce({ window: tumbling("1h"), combine: (a: Reading, b: Reading) => (b.celsius > a.celsius ? b : a) })
 */
export function reduce<In, K extends Key, W = undefined, L extends boolean = false, Out = In>(
  options: ReduceOptions<In, K, W, L, Out>): Operator<In, Out, K, State<K, Kept<W, In>> & LateOutput<In, L>> {
  const problems = optionProblems("reduce", options, { ...windowTable, combine: aFunction("(a, b) => …"), result: aFunction("(value, { key }) => …") }, ["combine"]);
  problems.push(...windowProblems("reduce", options));
  return defineOperator(foldSpec("reduce", reduceFold(options as unknown as Functions), options as Windowed<unknown, boolean>, problems));
}

/** The functions, whatever their types. */
interface Functions {
  combine: (a: unknown, b: unknown) => unknown;
  result?: (value: unknown, of: object) => unknown;
}

function reduceFold(options: Functions): Fold {
  const { combine, result } = options ?? {};
  return {
    add(value, data, scope) {
      if (value === undefined) return data;
      const next = combine(value, data);
      if (next === undefined || isPromise(next)) throw wrongReturn("combine of reduce", next, scope.ctx.actor, "Return one event made of both; calls to other systems go into a map before it.");
      return next;
    },
    result: result === undefined ? (value) => value : (value, key, window, final) => result(value, window === undefined ? { key } : { key, window, final }),
  };
}
