import { defineOperator, isPromise, type Awaitable, type Context, type Operator, type Scope, type Step, type StepEnvironment } from "../runtime/index.ts";
import { afterwards } from "./cancellation.ts";
import { functionProblems } from "./option-problems.ts";

type Test = (data: unknown, ctx: Context) => Awaitable<boolean>;

/**
 * Keeps the events that pass. A type guard narrows what comes after.
 *
 * @example
 * filter((quake: Quake) => quake.mag >= 2.5)
 */
export function filter<In, Out extends In>(test: (data: In, ctx: Context) => data is Out): Operator<In, Out>;
export function filter<In>(test: (data: In, ctx: Context) => Awaitable<boolean>): Operator<In, In>;
export function filter(test: unknown): Operator<unknown, unknown> {
  return defineOperator({
    kind: "filter", keyed: false,
    problems: functionProblems("filter", test, "filter((data) => true or false)"),
    open: (env) => new FilterStep(env, test as Test),
  });
}

class FilterStep implements Step {
  readonly #next: StepEnvironment["next"];
  readonly #test: Test;

  constructor(env: StepEnvironment, test: Test) {
    this.#next = env.next;
    this.#test = test;
  }

  on(data: unknown, scope: Scope): void | Promise<void> {
    const test = this.#test;
    const passed = test(data, scope.ctx);
    if (isPromise(passed)) return afterwards(passed, scope.ctx, (later) => (later ? this.#next(data, scope) : undefined));
    return passed ? this.#next(data, scope) : undefined;
  }
}
