// What scaling a stage cost, counted and not estimated. Pure.
import type { Change } from "./scale-step.ts";
import type { ScaleView } from "./scale-view.ts";

export interface ScaleReceipt {
  readonly from: number;
  readonly to: number;
  /** From the plan to its end, as who led it last counts. */
  readonly ms: number;
  /** Entries of state: keys, timers, events that wait or are held; and those of them that another partition has now. */
  readonly entries: number;
  readonly moved: number;
  /** Of each new partition: from when the first of the old ones took nothing more to when it ran. Those of before a restart of a node are not known. */
  readonly pauseMs: readonly number[];
  /** Frames that those who feed it, and its old actors, had to send again. */
  readonly sentAgain: number;
  /** Frames that were sent to the old actors and that they had not taken when they were sealed; `null`: a node that knew was ended meanwhile. */
  readonly lost: number | null;
}

/** What is seen while it goes on, since a node that knows may be gone at the end. */
export class ScaleCost {
  /** By partition, on this node's clock, monotonic ms. */
  readonly #sealedAt = new Map<number, number>();
  readonly #runsSince = new Map<number, number>();
  readonly #entries = new Map<number, { readonly all: number; readonly moved: number }>();
  readonly #againBefore = new Map<string, number>();
  readonly #again = new Map<string, number>();
  readonly #sent = new Map<string, number>();
  readonly #taken = new Map<number, ReadonlyMap<string, number>>();
  readonly #begunAt: number;

  constructor(now: number) {
    this.#begunAt = now;
  }

  see(views: readonly ScaleView[], now: number): void {
    for (const { node, old, new: its, again, sent, taken } of views) {
      for (const { p, ageMs, entries = 0, moved = 0 } of old) {
        // The first one to seal it counts; who recovers a sealed log says so again, later.
        if (ageMs !== undefined && !this.#sealedAt.has(p)) this.#sealedAt.set(p, now - ageMs);
        if (entries > 0) this.#entries.set(p, { all: entries, moved });
      }
      for (const { p, ageMs } of its) if (ageMs !== undefined && !this.#runsSince.has(p)) this.#runsSince.set(p, now - ageMs);
      if (!this.#againBefore.has(node)) this.#againBefore.set(node, again);
      this.#again.set(node, again);
      for (const [channel, frames] of sent) this.#sent.set(channel, Math.max(this.#sent.get(channel) ?? 0, frames));
      for (const [p, channels] of taken) this.#taken.set(p, new Map(channels));
    }
  }

  receipt({ from, to }: Change, now: number): ScaleReceipt {
    const since = Math.min(...this.#sealedAt.values()), sum = (of: Iterable<number>): number => [...of].reduce((all, one) => all + one, 0);
    const pauseMs = Array.from({ length: to.count }, (_, p) => (this.#runsSince.get(p) ?? NaN) - since).filter((pause) => Number.isFinite(pause)).map((pause) => Math.max(0, Math.round(pause)));
    return {
      from: from.count, to: to.count, ms: Math.round(now - this.#begunAt), entries: sum([...this.#entries.values()].map(({ all }) => all)), moved: sum([...this.#entries.values()].map(({ moved }) => moved)),
      pauseMs, sentAgain: sum([...this.#again].map(([node, again]) => Math.max(0, again - (this.#againBefore.get(node) ?? 0)))), lost: this.#lost(from.count),
    };
  }

  #lost(count: number): number | null {
    if (this.#taken.size < count) return null;
    const taken = new Map([...this.#taken.values()].flatMap((channels) => [...channels]));
    return [...this.#sent].reduce((lost, [channel, frames]) => lost + Math.max(0, frames - (taken.get(channel) ?? 0)), 0);
  }
}
