// What an async function of the user's has to do with an event that is given up meanwhile: at its deadline, when its actor stops.
import type { Context } from "../runtime/index.ts";

interface Listening {
  readonly cancels: Set<() => void>;
  readonly listener: () => void;
}

/** One listener for each signal, whatever the number of calls under way: Node warns of a leak above ten. */
const underWay = new WeakMap<AbortSignal, Listening>();

/** Calls `cancel` when the signal aborts; at once where it has. What is returned takes it back. */
export function onAbort(signal: AbortSignal, cancel: () => void): () => void {
  if (signal.aborted) {
    cancel();
    return () => {};
  }
  const { cancels, listener } = underWay.get(signal) ?? listen(signal);
  cancels.add(cancel);
  return () => {
    cancels.delete(cancel);
    if (cancels.size > 0) return;
    // A signal made of others is kept alive by its listeners.
    signal.removeEventListener("abort", listener);
    underWay.delete(signal);
  };
}

function listen(signal: AbortSignal): Listening {
  const cancels = new Set<() => void>(), listener = () => { for (const cancel of cancels) cancel(); };
  const listening = { cancels, listener };
  signal.addEventListener("abort", listener, { once: true });
  underWay.set(signal, listening);
  return listening;
}

/**
 * Goes on with what a user's function promised. If the event was given up meanwhile nothing more is done for it: its scope is
 * another event's by then.
 */
export async function afterwards<T>(promised: PromiseLike<T>, ctx: Context, then: (value: T) => void | Promise<void>): Promise<void> {
  const { signal } = ctx;
  const value = await promised;
  signal.throwIfAborted();
  return then(value);
}
