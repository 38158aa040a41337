// A log as it is followed: what has come, in batches.
import type { BrokerStream, Stored } from "../broker/broker.ts";

/** Bytes of one batch, and held in memory for it; a record more, whatever its size. */
const batchBytes = 1024 * 1024;

/** From sequence `from` on, until `signal` or whoever reads ends it. An empty batch: there is no more for now. */
export async function* logBatches(log: BrokerStream, from: number, signal: AbortSignal): AsyncGenerator<readonly Stored[]> {
  const subscription = log.follow(from);
  let isThere = false, wake = (): void => {};
  const woken = (): void => wake();
  subscription.onReady(() => { isThere = true; wake(); });
  signal.addEventListener("abort", woken, { once: true });
  try {
    while (!signal.aborted) {
      const batch: Stored[] = [];
      let size = 0;
      isThere = false;
      for (let message = subscription.take(); message !== undefined; message = size < batchBytes ? subscription.take() : undefined) {
        batch.push(message);
        size += message.data.length;
      }
      yield batch;
      if (batch.length === 0 && !isThere && !signal.aborted) await new Promise<void>((resolve) => { wake = resolve; });
    }
  } finally {
    signal.removeEventListener("abort", woken);
    // Nobody waits for the server to have forgotten it.
    subscription.close().catch(() => {});
  }
}
