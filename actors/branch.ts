import { defineOperator, isPromise, sortOf, type Operator, type Outputs, type Problem, type Scope, type Step, type StepEnvironment } from "../runtime/index.ts";
import { collector } from "./option-problems.ts";
import { wrongReturn } from "./wrong-return.ts";

type Tests<In> = { readonly keyBy?: never; readonly merge?: never; readonly [name: string]: ((data: In) => boolean) | undefined };
type Guarded<F, Else> = F extends (data: any) => data is infer G ? G : Else;

/**
 * Each event leaves by the first output whose test it passes; those that pass none go on as the stage's own events. The tests
 * are asked in the order in which they are written, and are not async.
 *
 * @example
 * const sorted = flow.processor("sorted", orders, branch({ large: (order) => order.total > 1000 }));
 * flow.sink("large", sorted.large, stdout());
 */
export function branch<In, T extends Tests<In>>(tests: T): Operator<In,
  Exclude<In, { [N in keyof T]: Guarded<T[N], never> }[keyof T]>, unknown, Outputs<{ [N in keyof T]: Guarded<T[N], In> }>> {
  const problems: Problem[] = [];
  const report = collector(problems);
  const given: readonly (readonly [string, unknown])[] = typeof tests === "object" && tests !== null ? Object.entries(tests).filter(([, test]) => test !== undefined) : [];
  if (given.length === 0) report("OPTION_INVALID", `branch got ${typeof tests === "object" && tests !== null ? "no test" : sortOf(tests)}`, "give an object of outputs and tests, { large: (order) => order.total > 1000 }");
  for (const [name, test] of given) {
    if (typeof test !== "function") report("OPTION_INVALID", `branch has ${sortOf(test)} as the test of ${JSON.stringify(name)}`, "give a function, (data) => true or false");
  }
  return defineOperator({
    kind: "branch", keyed: false, problems,
    outputs: given.map(([name]) => name),
    open: (env) => new BranchStep(env, given as readonly (readonly [string, (data: unknown) => boolean])[]),
  });
}

class BranchStep implements Step {
  readonly #env: StepEnvironment;
  readonly #names: readonly string[];
  readonly #tests: readonly ((data: unknown) => boolean)[];

  constructor(env: StepEnvironment, tests: readonly (readonly [string, (data: unknown) => boolean])[]) {
    this.#env = env;
    this.#names = tests.map(([name]) => name);
    this.#tests = tests.map(([, test]) => test);
  }

  on(data: unknown, scope: Scope): void | Promise<void> {
    const tests = this.#tests;
    for (let i = 0; i < tests.length; i++) {
      const test = tests[i] as (data: unknown) => boolean;
      const passed: unknown = test(data);
      if (!passed) continue;
      const name = this.#names[i] as string;
      // A promise is always truthy: it would send every event this way.
      if (isPromise(passed)) throw wrongReturn(`Test ${JSON.stringify(name)} of branch`, passed, scope.ctx.actor, "Ask in a map before it, and test what it found.");
      return this.#env.output(name, data, scope);
    }
    return this.#env.next(data, scope);
  }
}
