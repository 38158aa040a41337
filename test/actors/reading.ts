// Reads a source as the engine does, and keeps what it gives and gives up.
import type { MillraceError } from "../../runtime/event/errors.ts";
import type { PullSource, SourceActor, SourceContext } from "../../runtime/flow/source.ts";
import { sourceOf } from "../../runtime/flow/source.ts";

export interface DeadLetter {
  readonly raw: unknown;
  readonly error: MillraceError;
}

export interface Taken<P> {
  readonly data: unknown[];
  /** After each event. */
  readonly positions: P[];
  readonly dead: DeadLetter[];
  /** After each array: its last position, and how many events and dead letters there were by then. */
  readonly arrays: { readonly position: P; readonly events: number; readonly dead: number }[];
}

export const silent = { debug() {}, info() {}, warn() {}, error() {} };

export function pull<P>(source: SourceActor<unknown>): PullSource<unknown, P> {
  return sourceOf(source) as PullSource<unknown, P>;
}

export async function readAll<P>(source: SourceActor<unknown>, options: { from?: P; split?: string; signal?: AbortSignal; limit?: number } = {}): Promise<Taken<P>> {
  const { split = "", signal = new AbortController().signal, limit = Number.POSITIVE_INFINITY } = options;
  const taken: Taken<P> = { data: [], positions: [], dead: [], arrays: [] };
  const ctx: SourceContext = { actor: "flow/feed/0", split, signal, log: silent, deadLetter: (raw, error) => { taken.dead.push({ raw, error: error as MillraceError }); } };
  const { start, read } = pull<P>(source);
  for await (const given of read(options.from ?? start, ctx)) {
    const readings = Array.isArray(given) ? given : [given];
    for (const reading of readings) {
      const { data, position } = reading;
      if (!("data" in reading)) continue;
      taken.data.push(data);
      taken.positions.push(position);
    }
    taken.arrays.push({ position: readings.at(-1).position, events: taken.data.length, dead: taken.dead.length });
    if (taken.data.length >= limit) break;
  }
  return taken;
}

/** Places of dead letters, such as "feed.jsonl:7" without the folder. */
export function placesOf(dead: readonly DeadLetter[]): string[] {
  return dead.map(({ error }) => error.where.slice(error.where.lastIndexOf("/") + 1));
}
