// Events as an actor keeps them: held for order, or waiting for a later try.
import type { Key } from "../../runtime/event/event.ts";
import type { HeldEvent } from "../../runtime/journal/record.ts";

/** An event of one property, sent as event `k` of frame `seq`. */
export function keptEvent({ time, key = null, from = "f/a/0", generation = "g-1", seq = 1, k = 0, data = k }: { time: number; key?: Key | null; from?: string; generation?: string; seq?: number; k?: number; data?: unknown }): HeldEvent {
  return [from, generation, seq, seq, 0, [k, time, key, null, 0, data], ["data"], null];
}
