// A question that the broker does not answer now is asked again. A server that restarts, or a stream of three replicas that has just been made
// and chooses its leader, answers nobody for a moment.
import type { BrokerStream } from "./broker.ts";
import { type Clock, pause } from "../event/clock.ts";
import { MillraceError } from "../event/errors.ts";

export interface Patience {
  readonly clock: Clock;
  /** Ends the waiting: the last error is given. */
  readonly signal?: AbortSignal;
  /** So long it is asked again, in ms. Default: until the signal. */
  readonly forMs?: number;
  /** Pause before the next try, in ms. Default 100. */
  readonly againMs?: number;
  /** Codes of errors that pass by themselves. Default UNREACHABLE. */
  readonly codes?: readonly string[];
}

/** So long a node that starts waits for NATS, in ms. */
const startMs = 15_000;

const never = new AbortController().signal, outage = ["UNREACHABLE"];

/** What the call gives; it must be one that may be made again. @throws what it rejects with: any other error at once, an outage when the time is over */
export async function untilReachable<T>(call: () => Promise<T>, { clock, signal = never, forMs = Infinity, againMs = 100, codes = outage }: Patience): Promise<T> {
  for (const until = clock.monotonic() + forMs; ; await pause(againMs, { clock, signal })) {
    try {
      return await call();
    } catch (error) {
      if (signal.aborted || !(error instanceof MillraceError) || !codes.includes(error.code) || clock.monotonic() >= until) throw error;
    }
  }
}

/**
 * The same for a node that starts, for 15 s. A stream that another node has made just now is still missing for a server that has not heard of it:
 * that passes, too. @throws as `untilReachable`
 */
export function untilReachableAtStart<T>(call: () => Promise<T>, clock: Clock): Promise<T> {
  return untilReachable(call, { clock, forMs: startMs, codes: ["UNREACHABLE", "STREAM_MISSING"] });
}

/** What a stream holds; one that is missing is made. @throws what `bounds` and `create` do */
export async function boundsOrMade(stream: Pick<BrokerStream, "bounds">, create: () => Promise<void>): ReturnType<BrokerStream["bounds"]> {
  try {
    return await stream.bounds();
  } catch (error) {
    if (!(error instanceof MillraceError) || error.code !== "STREAM_MISSING") throw error;
    await create();
    return await stream.bounds();
  }
}
