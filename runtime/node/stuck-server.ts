// What a node does about its own nats-server where that writes nothing more (NATS_NOT_WRITING): a disk that was full for a while leaves
// it so for good. Once there is room it is started again; to the actors that is an outage. Never a server that is not the node's own.
import { notWriting } from "../broker/failures.ts";
import type { MillraceError } from "../event/errors.ts";

/** With less than that free a new start would come to the same. */
const roomBytes = 64 * 1024 * 1024;
/** Between two starts, in ms: doubled each time while they help nothing. */
const betweenMs = { min: 10_000, max: 300_000 } as const;
/** What was told is not told again for so long, in ms. */
const quietMs = 60_000;

export interface StuckServerOptions {
  /** Monotonic ms. */
  readonly now: () => number;
  /** Free bytes where its store is. */
  readonly free: () => Promise<number>;
  /** Ends the server and starts it again. */
  readonly restart: () => Promise<void>;
  /** Told what is wrong and what is done about it. */
  readonly said: (error: MillraceError) => void;
}

export class StuckServer {
  readonly #options: StuckServerOptions;
  #busy = false;
  #waitMs = 0;
  #startedAt = -Infinity;
  #saidAt = -Infinity;

  constructor(options: StuckServerOptions) {
    this.#options = options;
  }

  /** It was found to be so; called again as long as it is. Never rejects. */
  async found(streams: readonly string[]): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    const { now, free, restart, said } = this.#options;
    try {
      const bytes = await free();
      if (bytes < roomBytes) {
        if (now() - this.#saidAt < quietMs) return;
        this.#saidAt = now();
        return said(notWriting(streams, `Make room: ${Math.floor(bytes / 1024 / 1024)} MiB are free on the disk of the data folder. The node then starts its server again by itself; nothing is lost.`));
      }
      const since = now() - this.#startedAt;
      if (since < this.#waitMs) return;
      this.#waitMs = since > 2 * betweenMs.max ? betweenMs.min : Math.min(betweenMs.max, Math.max(betweenMs.min, 2 * this.#waitMs));
      this.#startedAt = now();
      said(notWriting(streams, "There is room again: the node starts its server anew. Nothing has to be done."));
      await restart();
    } catch {
      // What fails here is tried again with the next call.
    } finally {
      this.#busy = false;
    }
  }
}
