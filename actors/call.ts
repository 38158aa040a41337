// A user's function that may call other systems: a time-out for each call, tries within the process. How many calls are
// under way at once is the engine's business (OperatorSpec.calls).
import { checkOptions, isPromise, MillraceError, millis, RetryableError, TerminalError, type Awaitable, type Context, type Duration, type Problem, type Table } from "../runtime/index.ts";
import { CallContext } from "./call-context.ts";
import { onAbort } from "./cancellation.ts";
import { aWait, aWhole, collector, functionProblems } from "./option-problems.ts";

/** Outside calls of a handler. The order of events is kept; with a key, the order of each key. */
export interface CallOptions {
  /** Calls under way at once in one actor, 1 to 1,024. Default 1. */
  concurrency?: number;
  /** Of one call that is async: what it gives is waited for no longer, and `ctx.signal` aborts. Default "30s", at most "24d". */
  timeout?: Duration;
  /**
   * Tries again when the handler throws anything but a TerminalError: `attempts` in all, with pauses from `min` (default
   * "100ms"), doubled each time, up to `max` (default "10s"). A RetryableError that asks for more than `max` waits in the
   * journal instead. Default none: what is thrown reaches the supervisor. All tries are within the event's deadline.
   */
  retry?: { attempts: number; min?: Duration; max?: Duration };
}

const callTable: Table = {
  concurrency: aWhole(1, 1_024),
  timeout: aWait,
  retry: { give: "an object, such as { attempts: 3 }", fields: { attempts: aWhole(1, 1_000), min: aWait, max: aWait } },
};

/** Problems of an operator of which the first argument is a function that may call, and the second how. */
export function callProblems(kind: string, change: unknown, shape: string, calls: CallOptions | undefined): Problem[] {
  const problems = functionProblems(kind, change, shape);
  const report = collector(problems);
  checkOptions(calls, callTable, kind, kind, report);
  if (calls?.retry && calls.retry.attempts === undefined) report("OPTION_INVALID", `${kind} has retry without attempts`, "say how many, retry: { attempts: 3 }");
  return problems;
}

interface Retry {
  readonly attempts: number;
  readonly minMs: number;
  readonly maxMs: number;
}

/** Calls a function, one after the other or several at once. What returns at once costs no promise. */
export class Caller<Out> {
  readonly #what: string;
  readonly #handler: (data: unknown, ctx: Context) => Awaitable<Out>;
  readonly #timeoutMs: number;
  readonly #retry: Retry | undefined;
  #spare: CallContext | undefined;

  constructor(what: string, handler: (data: unknown, ctx: Context) => Awaitable<Out>, { timeout, retry }: CallOptions = {}) {
    this.#what = what;
    this.#handler = handler;
    this.#timeoutMs = millis(timeout) ?? 30_000;
    const minMs = millis(retry?.min) ?? 100;
    this.#retry = retry && { attempts: retry.attempts, minMs, maxMs: Math.max(minMs, millis(retry.max) ?? 10_000) };
  }

  call(data: unknown, outer: Context): Awaitable<Out> {
    if (this.#retry !== undefined) return this.#persist(this.#retry, data, outer);
    return this.#try(data, outer, 0);
  }

  #try(data: unknown, outer: Context, before: number): Awaitable<Out> {
    // A call that returned at once is done with its context: the next one takes it.
    const ctx = this.#spare ?? new CallContext();
    this.#spare = undefined;
    ctx.begin(outer, before);
    const handler = this.#handler;
    const out = handler(data, ctx);
    if (isPromise(out)) return this.#watch(out, ctx, outer);
    this.#spare = ctx;
    return out;
  }

  /** What the call gives, or its time-out, or that the event was cancelled, whichever is first. */
  #watch(pending: PromiseLike<Out>, ctx: CallContext, outer: Context): Promise<Out> {
    const signal = ctx.outerSignal;
    return new Promise((resolve, reject) => {
      const give = (reason: unknown) => { done(); ctx.abort(reason); reject(reason); };
      const timer = setTimeout(() => give(new MillraceError("CALL_TIMEOUT", outer.actor, `${this.#what} was not done within ${this.#timeoutMs} ms`,
        "Hand ctx.signal to what it calls; raise timeout, or give retry, where the other side is slow at times.")), this.#timeoutMs);
      let release = () => {};
      const done = () => { clearTimeout(timer); release(); };
      release = onAbort(signal, () => give(signal.reason));
      pending.then((out) => { done(); resolve(out); }, (thrown: unknown) => { done(); reject(thrown); });
    });
  }

  #persist(retry: Retry, data: unknown, outer: Context): Awaitable<Out> {
    try {
      const out = this.#try(data, outer, 0);
      return isPromise(out) ? out.catch((thrown: unknown) => this.#again(retry, thrown, data, outer)) : out;
    } catch (thrown) {
      return this.#again(retry, thrown, data, outer);
    }
  }

  async #again(retry: Retry, thrown: unknown, data: unknown, outer: Context): Promise<Out> {
    let last = thrown;
    for (let before = 1; before < retry.attempts; before++) {
      const pause = pauseAfter(last, retry, before);
      if (pause === undefined || !(await paused(pause, outer.signal))) throw last;
      try {
        return await this.#try(data, outer, before);
      } catch (failed) {
        last = failed;
      }
    }
    throw last;
  }
}

/** `undefined` where it is not for us to try again. */
function pauseAfter(thrown: unknown, { minMs, maxMs }: Retry, tries: number): number | undefined {
  if (thrown instanceof TerminalError) return undefined;
  const asked = thrown instanceof RetryableError ? millis(thrown.retryAfter) ?? 0 : 0;
  return asked > maxMs ? undefined : Math.max(asked, Math.min(maxMs, minMs * 2 ** (tries - 1)));
}

/** False where the event was cancelled meanwhile. */
function paused(ms: number, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => { release(); resolve(true); }, ms);
    const release = onAbort(signal, () => { clearTimeout(timer); resolve(false); });
  });
}
