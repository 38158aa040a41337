import { defineOperator, isPromise, MillraceError, type Awaitable, type Context, type Key, type Operator, type OperatorSpec, type Queries, type Scope, type State, type StateEntry, type StatefulContext, type Step, type StepEnvironment, type Timer } from "../runtime/index.ts";
import { afterwards } from "./cancellation.ts";
import { aFunction, collector, optionProblems, versioned } from "./option-problems.ts";
import { HandlerContext } from "./stateful-context.ts";
import type { Versioned } from "./versioned.ts";
import { wrongReturn } from "./wrong-return.ts";

type Questions<S> = Record<string, (state: Readonly<S>, ...args: any[]) => unknown>;
type Answers<Q> = string extends keyof Q ? unknown : Queries<{ [N in keyof Q]: Q[N] extends (state: any, ...args: infer A) => infer R ? (...args: A) => R : never }>;

export interface StatefulOptions<In, K extends Key, S, Out, Q> extends Versioned<S> {
  /** The state of a key before its first event. */
  initial: (key: K) => S;
  /** The state after one more event. A key's events are taken one at a time, also where it is async. */
  on: (state: Readonly<S>, data: In, ctx: StatefulContext<Out, NoInfer<K>>) => Awaitable<NoInfer<Readonly<S>> | null>;
  /** The state after a timer. Timers of a key that has no state any more do nothing. */
  onTimer?: (state: Readonly<S>, timer: Timer, ctx: StatefulContext<Out, NoInfer<K>>) => Awaitable<NoInfer<Readonly<S>> | null>;
  /** Answered live, from the committed state: `millrace query fraud/velocity <key> count`. Must not change anything. */
  queries?: Q;
}

/**
 * A processor of one's own: state per key, and a reducer that may emit and set timers.
 * State is plain data, never changed in place: return the new state, or `null` to forget the key, and with it what its timers
 * were for.
 * Write `initial`, `on`, `onTimer`, `queries` in this order: inference reads from the top.
 *
 * @example
 * stateful({
 *   initial: () => ({ count: 0 }),
 *   on(state, payment: Payment, ctx: Emits<Alert>) {
 *     if (state.count === 5) ctx.emit({ account: payment.account });
 *     ctx.timer("quiet", "10m");
 *     return { count: state.count + 1 };
 *   },
 *   onTimer: () => null,
 * })
 */
export function stateful<In, K extends Key, S, Out = never, Q extends Questions<S> = Questions<S>>(
  options: StatefulOptions<In, K, S, Out, Q>): Operator<In, Out, K, State<K, S> & Answers<Q>> {
  const problems = optionProblems("stateful", options, {
    ...versioned, initial: aFunction("() => …"), on: aFunction("(state, data, ctx) => …"), onTimer: aFunction("(state, timer, ctx) => …"),
    queries: { give: "an object of functions, { count: (state) => state.count }", is: (value) => typeof value === "object" && value !== null },
  }, ["initial", "on"]);
  const { version, migrate, onTimer, queries } = (options ?? {}) as Partial<StatefulOptions<In, K, S, Out, Q>>;
  for (const [name, query] of Object.entries(queries ?? {})) {
    if (typeof query !== "function") collector(problems)("OPTION_INVALID", `stateful has a query ${JSON.stringify(name)} that is no function`, "give a function, (state) => state.count");
  }
  return defineOperator({
    kind: "stateful", keyed: true, state: "key", problems,
    // Without onTimer there are no timers to wait for.
    eventTime: onTimer !== undefined,
    ...(version === undefined ? {} : { version }),
    ...(migrate === undefined ? {} : { migrate }),
    ...(queries === undefined ? {} : { queries: queries as NonNullable<OperatorSpec["queries"]> }),
    open: (env) => new StatefulStep(env, options as unknown as Handlers),
  });
}

/** The handlers, whatever their types. */
interface Handlers {
  initial: (key: Key) => unknown;
  on: (state: unknown, data: unknown, ctx: Context) => unknown;
  onTimer?: (state: unknown, timer: Timer, ctx: Context) => unknown;
}

class StatefulStep implements Step {
  readonly #env: StepEnvironment;
  readonly #handlers: Handlers;

  constructor(env: StepEnvironment, handlers: Handlers) {
    this.#env = env;
    this.#handlers = handlers;
  }

  on(data: unknown, scope: Scope): void | Promise<void> {
    const key = scope.key as Key, entry = this.#env.entry(key), { initial, on } = this.#handlers;
    const state = entry.value === undefined ? initial(key) : entry.value;
    const ctx = new HandlerContext(this.#env, scope, this.#handlers.onTimer !== undefined);
    try {
      return this.#finish("on", on(state, data, ctx), entry, ctx);
    } catch (thrown) {
      return ctx.fail(thrown);
    }
  }

  onTimer(name: string, scope: Scope): void | Promise<void> {
    const key = scope.key as Key, entry = this.#env.entry(key), { onTimer } = this.#handlers;
    if (entry.value === undefined) return;
    if (onTimer === undefined) throw new MillraceError("TIMER_UNHANDLED", scope.ctx.actor, `Timer ${JSON.stringify(name)} was set by older code, and stateful has no onTimer any more`, "Give it onTimer(state, timer, ctx).");
    const ctx = new HandlerContext(this.#env, scope, true);
    try {
      return this.#finish("onTimer", onTimer(entry.value, { name, time: scope.time }, ctx), entry, ctx);
    } catch (thrown) {
      return ctx.fail(thrown);
    }
  }

  #finish(handler: string, returned: unknown, entry: StateEntry, ctx: HandlerContext): void | Promise<void> {
    if (!isPromise(returned)) {
      this.#keep(handler, returned, entry, ctx);
      return ctx.end();
    }
    ctx.expectWait();
    return afterwards(returned, ctx, (state) => {
      // The entry anew: the engine may have let go of the one from before the wait.
      this.#keep(handler, state, this.#env.entry(entry.key), ctx);
      return ctx.end();
    }).catch((thrown: unknown) => ctx.fail(thrown));
  }

  #keep(handler: string, state: unknown, entry: StateEntry, ctx: HandlerContext): void {
    if (state === undefined) throw wrongReturn(`${handler} of stateful`, state, ctx.actor, "Return the new state, or null to forget the key.");
    if (state !== null) this.#env.set(entry, state);
    else if (entry.value !== undefined) this.#env.set(entry, undefined);
  }
}
