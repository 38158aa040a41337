import { defineOperator, isPromise, type Awaitable, type Context, type Operator, type Scope, type Step, type StepEnvironment } from "../runtime/index.ts";
import { callProblems, Caller, type CallOptions } from "./call.ts";
import { wrongReturn } from "./wrong-return.ts";

type Change = (data: unknown, ctx: Context) => unknown;

/**
 * None, one or many events out for each event in: return an array, or yield. All that one event gives is gathered before the
 * first goes on, so a change that throws half way gives nothing. `calls` as of `map`.
 *
 * @example
 * flatMap((line: string) => line.match(/\w+/g) ?? [])
 */
export function flatMap<In, Out>(
  change: (data: In, ctx: Context) => Iterable<Out> | AsyncIterable<Out> | Promise<Iterable<Out>>, calls?: CallOptions): Operator<In, Out> {
  return defineOperator({
    kind: "flatMap", keyed: false,
    problems: callProblems("flatMap", change, "flatMap((data) => […])", calls),
    ...(calls?.concurrency === undefined ? {} : { calls: { concurrency: calls.concurrency } }),
    open: (env) => new FlatMapStep(env, new Caller("The change of flatMap", gathering(change as Change), calls)),
  });
}

class FlatMapStep implements Step {
  readonly #next: StepEnvironment["next"];
  readonly #caller: Caller<readonly unknown[]>;

  constructor(env: StepEnvironment, caller: Caller<readonly unknown[]>) {
    this.#next = env.next;
    this.#caller = caller;
  }

  on(data: unknown, scope: Scope): void | Promise<void> {
    const out = this.#caller.call(data, scope.ctx);
    return out instanceof Promise ? out.then((later) => this.#each(later, scope)) : this.#each(out, scope);
  }

  #each(out: readonly unknown[], scope: Scope): void | Promise<void> {
    for (let i = 0; i < out.length; i++) {
      const pending = this.#next(out[i], scope);
      if (pending !== undefined) return this.#rest(pending, out, i + 1, scope);
    }
  }

  async #rest(pending: Promise<void>, out: readonly unknown[], from: number, scope: Scope): Promise<void> {
    // If the event is given up meanwhile nothing more of it goes on: its scope is another event's by then.
    const { signal } = scope.ctx;
    await pending;
    for (let i = from; i < out.length; i++) {
      signal.throwIfAborted();
      await this.#next(out[i], scope);
    }
  }
}

/** The change with all that it gives as an array: a generator runs within its call, with that call's context and time-out. */
function gathering(change: Change): (data: unknown, ctx: Context) => Awaitable<readonly unknown[]> {
  return (data, ctx) => {
    const out = change(data, ctx);
    return Array.isArray(out) ? out : gather(out, ctx);
  };
}

function gather(out: unknown, ctx: Context): Awaitable<readonly unknown[]> {
  if (Array.isArray(out)) return out;
  if (isPromise(out)) return Promise.resolve(out).then((later) => gather(later, ctx));
  if (typeof (out as Iterable<unknown> | null | undefined)?.[Symbol.iterator] === "function") return Array.from(out as Iterable<unknown>);
  if (typeof (out as AsyncIterable<unknown> | null | undefined)?.[Symbol.asyncIterator] === "function") return gatherLater(out as AsyncIterable<unknown>, ctx.signal);
  throw wrongReturn("The change of flatMap", out, ctx.actor, "Return an array, empty where there is nothing to give.");
}

async function gatherLater(out: AsyncIterable<unknown>, signal: AbortSignal): Promise<readonly unknown[]> {
  const all: unknown[] = [];
  for await (const data of out) {
    // Nobody waits for it any more: an endless one would go on for ever (I9).
    signal.throwIfAborted();
    all.push(data);
  }
  return all;
}
