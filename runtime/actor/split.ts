// One split of a source, as its reader knows it.
import { fnv1a32 } from "../event/partition.ts";
import type { Reading } from "../flow/source.ts";

export type Positioned = Reading<unknown> & { readonly position: unknown };

/** What a schema made of a batch, event by event. */
export type Validated = readonly { readonly value: unknown; readonly refused: Error | undefined }[];

/** Which actor of its stage has a split, of so many. */
export const splitOwner = (split: string, count: number): number => fnv1a32(split) % count;

export class Split {
  readonly name: string;
  position: unknown;
  ended = false;
  /** Newest event time less what may be out of order; -Infinity: none yet. */
  watermark = -Infinity;
  moved = false;
  events: AsyncIterator<unknown> | undefined;
  batch: readonly Positioned[] = [];
  /** Where there is a schema. */
  validated: Validated | undefined;
  next = 0;
  asking = false;
  /** Since when it waits for its next event, monotonic ms. */
  waitsSince = Infinity;
  /** Given up since the last yield; and those that came with the batch. */
  letters: { readonly raw: unknown; readonly error: Error }[] = [];
  batchLetters: readonly { readonly raw: unknown; readonly error: Error }[] = [];

  constructor(name: string, position: unknown) {
    this.name = name;
    this.position = position;
  }

  /** Ends the reading: by that a source closes what it holds open, such as a file. Not while it is asked. */
  release(): void {
    void this.events?.return?.().catch(() => {});
  }
}
