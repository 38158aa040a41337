// One listener for each signal, whatever the number of calls under way: Node warns of a leak above ten.

const underWay = new WeakMap<AbortSignal, Set<() => void>>();

/** Calls `cancel` when the signal aborts; at once where it has. What is returned takes it back. */
export function onAbort(signal: AbortSignal, cancel: () => void): () => void {
  if (signal.aborted) {
    cancel();
    return () => {};
  }
  let cancels = underWay.get(signal);
  if (cancels === undefined) {
    const all = new Set<() => void>();
    underWay.set(signal, (cancels = all));
    signal.addEventListener("abort", () => { for (const each of all) each(); }, { once: true });
  }
  const calls = cancels;
  calls.add(cancel);
  return () => void calls.delete(cancel);
}
