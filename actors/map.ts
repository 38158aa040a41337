import { defineOperator, type Awaitable, type Context, type Operator, type Scope, type Step, type StepEnvironment } from "../runtime/index.ts";
import { callProblems, Caller, type CallOptions } from "./call.ts";

/**
 * One event out for each event in. `calls`: for a change that calls other systems, many at a time with the order kept.
 *
 * @example
 * map(async (order, ctx) => ({ ...order, customer: await customerOf(order, ctx.signal) }), { concurrency: 16, timeout: "5s" })
 */
export function map<In, Out>(change: (data: In, ctx: Context) => Awaitable<Out>, calls?: CallOptions): Operator<In, Out> {
  return defineOperator({
    kind: "map", keyed: false,
    problems: callProblems("map", change, "map((data) => …)", calls),
    ...(calls?.concurrency === undefined ? {} : { calls: { concurrency: calls.concurrency } }),
    open: (env) => new MapStep(env, new Caller("The change of map", change as (data: unknown, ctx: Context) => Awaitable<unknown>, calls)),
  });
}

class MapStep implements Step {
  readonly #next: StepEnvironment["next"];
  readonly #caller: Caller<unknown>;

  constructor(env: StepEnvironment, caller: Caller<unknown>) {
    this.#next = env.next;
    this.#caller = caller;
  }

  on(data: unknown, scope: Scope): void | Promise<void> {
    const out = this.#caller.call(data, scope.ctx);
    return out instanceof Promise ? out.then((later) => this.#next(later, scope)) : this.#next(out, scope);
  }
}
