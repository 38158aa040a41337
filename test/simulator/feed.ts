// The events that go into a simulated flow, and the source that gives them: batches of one to three, whenever the scheduler lets it.
import { defineSource, type SourceActor, UnavailableError } from "../../runtime/index.ts";
import type { Logger } from "../../runtime/flow/context.ts";
import type { Chance } from "./chance.ts";

/** What a handler is to do with an event. */
export type Trouble = "retry" | "retry twice" | "terminal" | "poison" | "crash once" | "mended" | "timer";

export interface Item {
  /** Counts over everything that the flow is fed. */
  readonly id: number;
  readonly key: string;
  readonly time: number;
  /** Source and split that give it. */
  readonly from: string;
  readonly trouble?: Trouble;
}

/** By source, by split. */
export type Feed = Readonly<Record<string, readonly (readonly Item[])[]>>;

/** What sources and handlers may ask of the world that they run in. */
export interface FlowHost {
  readonly feed: Feed;
  /** Resolves when the scheduler gets to it, never if the node of this logger has died. */
  turn(log: Logger): Promise<void>;
  /** Whether this one fails now: a fault that the schedule has left. */
  fails(what: "source" | "handler"): boolean;
  /** How often this was called with the same words in the whole schedule. */
  times(what: string): number;
  batch(): number;
  /** Resolves when sources may end; else as `turn`. */
  end(log: Logger): Promise<void>;
}

/** The host of the world that runs now; there is one at a time. */
export const current: { host: FlowHost | undefined } = { host: undefined };

export function host(): FlowHost {
  if (current.host === undefined) throw new Error("no simulated world runs");
  return current.host;
}

export function simulatedSource(name: string): SourceActor<Item> {
  return defineSource<Item, number>({
    kind: "simulated", guarantee: "replayable", start: 0, ends: true,
    splits: async () => (host().feed[name] ?? []).map((_, split) => `${name}-${split}`),
    async *read(from, { split, log }) {
      const items = host().feed[name]?.[Number(split.slice(name.length + 1))] ?? [];
      for (let next = from; next < items.length; ) {
        await host().turn(log);
        if (host().fails("source")) throw new UnavailableError(`${name} is down`, { retryAfter: 100 });
        const batch = items.slice(next, next + host().batch());
        next += batch.length;
        yield batch.map((data, i) => ({ data, position: next - batch.length + i + 1 }));
      }
      await host().end(log);
    },
  });
}

export interface FeedOptions {
  readonly sources: Readonly<Record<string, number>>;
  readonly most: number;
  readonly keys: number;
  /** Times go up by 10 a step; an event may be so many steps out of order. */
  readonly disorder: number;
  readonly trouble?: readonly Trouble[];
  /** Share of the events that are in trouble. Default 0.3. */
  readonly troubled?: number;
}

export function feedOf(chance: Chance, { sources, most, keys, disorder, trouble = [], troubled: share = 0.3 }: FeedOptions): Feed {
  const feed: Record<string, Item[][]> = {};
  let id = 0;
  for (const [source, splits] of Object.entries(sources)) {
    feed[source] = Array.from({ length: splits }, (_, split) => Array.from({ length: chance.below(most + 1) }, (__, step) => {
      const troubled = trouble.length > 0 && chance.hits(share);
      // No two times are the same: what stands at one time is in no order that a reference could know.
      const time = 1_000 + (step + chance.below(disorder + 1)) * 1_000 + id;
      return { id: id++, key: "abc"[chance.below(keys)] as string, time, from: `${source}-${split}`, ...(troubled ? { trouble: chance.of(trouble) } : {}) };
    }));
  }
  return feed;
}

export const itemsOf = (feed: Feed): readonly Item[] => Object.values(feed).flat(2);
