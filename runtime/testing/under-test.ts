// A stage's operators as a test runs them: the same, but what their handlers are handed is frozen, what they are busy with is
// counted, and a crash before a handler keeps it from being called. One of a stage with `isolate` is ended at its deadline.
import { frozen } from "./frozen.ts";
import { bounded } from "./handler-bound.ts";
import type { OperatorSpec, Scope, Step, StepEnvironment } from "../flow/operator.ts";
import type { ProcessorPlan } from "../flow/plan.ts";
import type { Life } from "./life.ts";

const never = new Promise<never>(() => {});

/** @param isRead whether the flow itself reads that further output: a test reads all */
export function processorUnderTest(plan: ProcessorPlan, life: Life, isRead: (output: string) => boolean): ProcessorPlan {
  const { isolate, poison: { deadlineMs } } = plan;
  const call: Call = isolate === undefined ? (handler) => handler() : (handler) => bounded(deadlineMs, handler, () => { life.endThread(deadlineMs); return never; });
  return { ...plan, steps: plan.steps.map((spec) => operatorUnderTest(spec, life, isRead, call)) };
}

type Call = (handler: () => void | Promise<void>) => void | Promise<void>;

function operatorUnderTest(spec: OperatorSpec, life: Life, isRead: (output: string) => boolean, call: Call): OperatorSpec {
  return {
    ...spec,
    open: (env) => {
      const step = spec.open(environmentUnderTest(env, isRead)), { onTimer } = step;
      return {
        on: (data, scope) => (life.reaches("before-handler") ? never : life.follow(call(() => step.on(frozen(data), scope)))),
        ...(onTimer === undefined ? {} : { onTimer: (name: string, scope: Scope) => (life.reaches("before-handler") ? never : life.follow(call(() => onTimer.call(step, name, scope)))) }),
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
