// A stage's operators as a test runs them: the same, but what their handlers are handed is frozen, what they are busy with is
// counted, and a crash before a handler keeps it from being called.
import { frozen } from "./frozen.ts";
import type { OperatorSpec, Scope, Step, StepEnvironment } from "../flow/operator.ts";
import type { ProcessorPlan } from "../flow/plan.ts";
import type { Life } from "./life.ts";

const never = new Promise<never>(() => {});

/** @param isRead whether the flow itself reads that further output: a test reads all */
export function processorUnderTest(plan: ProcessorPlan, life: Life, isRead: (output: string) => boolean): ProcessorPlan {
  return { ...plan, steps: plan.steps.map((spec) => operatorUnderTest(spec, life, isRead)) };
}

function operatorUnderTest(spec: OperatorSpec, life: Life, isRead: (output: string) => boolean): OperatorSpec {
  return {
    ...spec,
    open: (env) => {
      const step = spec.open(environmentUnderTest(env, isRead)), { onTimer } = step;
      return {
        on: (data, scope) => (life.reaches("before-handler") ? never : life.follow(step.on(frozen(data), scope))),
        ...(onTimer === undefined ? {} : { onTimer: (name: string, scope: Scope) => (life.reaches("before-handler") ? never : life.follow(onTimer.call(step, name, scope))) }),
      } satisfies Step;
    },
  };
}

function environmentUnderTest(env: StepEnvironment, isRead: (output: string) => boolean): StepEnvironment {
  return {
    ...env, isRead,
    next: (data, scope) => env.next(frozen(data), scope),
    output: (name, data, scope) => env.output(name, frozen(data), scope),
    entry: (key, part) => {
      const entry = env.entry(key, part);
      frozen(entry.value);
      return entry;
    },
    set: (entry, value) => env.set(entry, frozen(value)),
  };
}
