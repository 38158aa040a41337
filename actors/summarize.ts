import { defineOperator, sortOf, type Key, type Operator, type Problem, type State } from "../runtime/index.ts";
import { type Calculation, type Calculator, calculatorOf } from "./calculation.ts";
import { type Fold, foldSpec } from "./fold.ts";
import { aFunction, collector, optionProblems } from "./option-problems.ts";
import { type Kept, type LateOutput, type Of, type TimeWindow, type Windowed, type Windowing, windowProblems, windowTable } from "./window.ts";

type Results<C> = { [N in keyof C]: C[N] extends Calculation<any, infer O> ? O : never } & {};
type Flat<T> = { [N in keyof T]: T[N] } & {};
type Summary<K, W, C> = Flat<{ key: K } & (W extends Windowing ? { window: TimeWindow } : {}) & Results<C>>;

export interface SummarizeOptions<K, C, W, L, Out> extends Windowed<W, L> {
  /** The calculations, each under its name. */
  of: C;
  /** What the stage gives. Default `{ key, window, … }` with each calculation under its name. */
  result?: (values: Results<C>, of: Of<K, W>) => Out;
}

/**
 * Several calculations over the events of a key, by window, at once.
 * A calculation that is added later begins with the events from then on; one under an old name that is of another kind, too.
 *
 * @example
 * summarize({ window: tumbling("1m"), of: { requests: count(), errors: count((r: Request) => r.status >= 500), slowest: maxBy((r: Request) => r.ms) } })
 */
export function summarize<In, K extends Key, C extends Record<string, Calculation<In, unknown>>, W = undefined, L extends boolean = false, Out = Summary<K, W, C>>(
  options: SummarizeOptions<K, C, W, L, Out>): Operator<In, Out, K, State<K, Kept<W, Results<C>>> & LateOutput<In, L>> {
  const problems = optionProblems("summarize", options, {
    ...windowTable, of: { give: "an object of calculations, { requests: count() }", is: (value) => typeof value === "object" && value !== null }, result: aFunction("(values, { key }) => …"),
  }, ["of"]);
  problems.push(...windowProblems("summarize", options), ...calculationProblems(options as Loose | undefined));
  return defineOperator(foldSpec("summarize", summarizeFold((options ?? {}) as Loose), options as Windowed<unknown, boolean>, problems));
}

/** The options, whatever their types. */
interface Loose {
  readonly of?: unknown;
  readonly result?: unknown;
}

function calculationProblems(options: Loose | undefined): readonly Problem[] {
  const problems: Problem[] = [];
  const { of, result } = options ?? {};
  if (typeof of !== "object" || of === null) return problems;
  const report = collector(problems);
  if (Object.keys(of).length === 0) report("OPTION_INVALID", "summarize has no calculation", "give one, of: { requests: count() }");
  for (const [name, calculation] of Object.entries(of)) {
    const calculator = calculatorOf(calculation);
    if (calculator === undefined) report("OPTION_INVALID", `summarize has ${sortOf(calculation)} as ${JSON.stringify(name)}`, "give a calculation, such as count() or sum((data) => data.amount)");
    else problems.push(...calculator.problems.map((problem) => ({ ...problem, message: `summarize has ${JSON.stringify(name)}, of which ${problem.message}` })));
    if (result === undefined && (name === "key" || name === "window")) report("OPTION_INVALID", `summarize has a calculation named ${JSON.stringify(name)}, which its results have already`, "rename it, or give result");
  }
  return problems;
}

/** The layout, then an accumulator for each calculation: cheaper than an object with a name for each, event by event. */
type Values = readonly [layout: string, ...accumulators: unknown[]];

function summarizeFold(options: Loose): Fold {
  const result = options.result as ((values: unknown, of: object) => unknown) | undefined;
  const names: string[] = [], calculators: Calculator[] = [];
  for (const [name, calculation] of Object.entries(options.of ?? {})) {
    const calculator = calculatorOf(calculation);
    if (calculator === undefined) continue;
    names.push(name);
    calculators.push(calculator);
  }
  // With the kinds: the accumulators of two kinds do not fit each other.
  const slots = names.map((name, i) => `${(calculators[i] as Calculator).kind} ${name}`), layout = JSON.stringify(slots);
  const fitted = (value: unknown): Values => ((value as Values)[0] === layout ? (value as Values) : fit(value as Values, slots, layout));
  const fill = (values: Record<string, unknown>, value: unknown): Record<string, unknown> => {
    const kept = fitted(value);
    for (let i = 0; i < names.length; i++) values[names[i] as string] = (calculators[i] as Calculator).result(kept[i + 1]);
    return values;
  };
  return {
    add(value, data, scope) {
      const next: [string, ...unknown[]] = value === undefined ? [layout] : [...fitted(value)];
      for (let i = 0; i < calculators.length; i++) next[i + 1] = (calculators[i] as Calculator).add(next[i + 1], data, scope.time);
      return next;
    },
    show: (value) => (value === undefined ? undefined : fill({}, value)),
    result(value, key, window, final) {
      if (result === undefined) return fill(window === undefined ? { key } : { key, window }, value);
      return result(fill({}, value), window === undefined ? { key } : { key, window, final });
    },
  };
}

/** What other code has left behind, in this code's layout: calculations that it did not have begin anew. */
function fit([before, ...accumulators]: Values, slots: readonly string[], layout: string): Values {
  const places = JSON.parse(before) as readonly string[];
  return [layout, ...slots.map((slot) => accumulators[places.indexOf(slot)])];
}
