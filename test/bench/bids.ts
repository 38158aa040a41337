// The events of the bench, the same for all that is measured: bids on a thousand auctions, by number. What is to come out of
// them is known without running anything.
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import type { Latency } from "./contender.ts";
import { quantile } from "./median.ts";

export interface Bid {
  readonly auction: number;
  readonly bidder: number;
  readonly price: number;
  readonly channel: string;
  readonly url: string;
}

/** What the aggregate keeps of an auction. */
export interface Total {
  readonly n: number;
  readonly sum: number;
}

/** What it gives for each bid that counts. */
export interface Update extends Total {
  readonly key: string;
}

const auctions = 1_000;

export function bidOf(n: number): Bid {
  return { auction: n % auctions, bidder: n % 5_000, price: (n * 7) % 10_000, channel: "web", url: `https://x.y/z${n}` };
}

export function timeOf(n: number): number {
  return 1_700_000_000_000 + n;
}

export function keyOf(bid: Bid): string {
  return `auction-${bid.auction}`;
}

/** Whether a bid counts: one in a hundred does not. */
export function counts(bid: Bid): boolean {
  return bid.price >= 100;
}

export function plus(total: Total | undefined, bid: Bid): Total {
  return total === undefined ? { n: 1, sum: bid.price } : { n: total.n + 1, sum: total.sum + bid.price };
}

/** How many updates so many bids give. */
export function updatesOf(events: number): number {
  let updates = 0;
  for (let n = 0; n < events; n++) if ((n * 7) % 10_000 >= 100) updates++;
  return updates;
}

/** What came out at the end, checked: an update for each bid that counts, in order for each auction, and the right sums. */
export class Outcome {
  readonly #last = new Map<string, Total>();
  updates = 0;

  add({ key, n, sum }: Update): void {
    const before = this.#last.get(key)?.n ?? 0;
    if (n !== before + 1) throw new Error(`update ${n} of ${key} came after update ${before}`);
    this.#last.set(key, { n, sum });
    this.updates++;
  }

  /** @throws Error where it is not what so many bids give */
  check(events: number): void {
    const expected = new Map<string, Total>();
    for (let n = 0; n < events; n++) {
      const bid = bidOf(n);
      if (counts(bid)) expected.set(keyOf(bid), plus(expected.get(keyOf(bid)), bid));
    }
    for (const [key, { n, sum }] of expected) {
      const got = this.#last.get(key);
      if (got?.n !== n || got.sum !== sum) throw new Error(`${key} has ${JSON.stringify(got)}, and ${JSON.stringify({ n, sum })} is right`);
    }
  }
}

/** Checks a file of updates, one JSON object a line. */
export async function checkFile(path: string, events: number): Promise<void> {
  const outcome = new Outcome();
  for await (const line of createInterface({ input: createReadStream(path) })) outcome.add(JSON.parse(line) as Update);
  outcome.check(events);
}

/** Numbers of the bids that are due, from one to before the other: so many a second (0: all at once), in steps of `most`. */
export async function* due(from: number, events: number, rate: number, most: number): AsyncGenerator<readonly [from: number, to: number]> {
  const begun = performance.now();
  for (let n = from; n < events; ) {
    let to = n + most;
    if (rate > 0) {
      to = Math.min(to, from + Math.floor(((performance.now() - begun) * rate) / 1000));
      if (to <= n) {
        await sleep(1);
        continue;
      }
    }
    to = Math.min(to, events);
    yield [n, to];
    n = to;
  }
}

/** When each bid that counts was made, for the latency of its update. */
export class Made {
  readonly #times: number[][] = Array.from({ length: auctions }, () => []);
  readonly #latencies: number[] = [];

  made(bid: Bid): void {
    if (counts(bid)) this.#times[bid.auction]?.push(performance.now());
  }

  /** An update of these was written now. */
  written(updates: Iterable<Update>): void {
    const now = performance.now();
    for (const { key, n } of updates) {
      this.#latencies.push(now - (this.#times[Number(key.slice("auction-".length))]?.[n - 1] ?? Number.NaN));
    }
  }

  get latency(): Latency {
    return { p50: quantile(this.#latencies, 0.5), p99: quantile(this.#latencies, 0.99) };
  }
}
