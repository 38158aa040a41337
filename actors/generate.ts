// A source of made-up events: for tests, benches and first steps.
import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { defineSource, MillraceError, type Reading, type SourceActor, type SourceContext } from "../runtime/index.ts";

export interface GenerateOptions<T> {
  /** How many events in all, over all splits. Default: without end. */
  count?: number;
  /** Events a second on the wall clock, over all splits. After a standstill at most a second's worth is made up for. Default: as fast as they are taken. */
  rate?: number;
  /** Another seed gives other random numbers. Default 1. */
  seed?: number | string;
  /** Events handed over at a time, 1 to 8,192. Default 1,024; with a `rate` what is due, every millisecond or more. */
  batch?: number;
  /** Parts that can be made side by side, for a `parallelism` above 1: part i makes the events n ≡ i mod splits. Default 1. */
  splits?: number;
  /**
   * Makes event n, from 0. `random` gives numbers from 0 up to but not including 1, the same ones for the same n: so the
   * events are the same wherever making them begins. It is good for this call only.
   */
  make: (n: number, random: () => number) => T;
}

/**
 * Makes events. Position: the number of the next one. Ends by itself if it has a `count`.
 * @throws MillraceError OPTION_INVALID
 */
export function generate<T>(options: GenerateOptions<T>): SourceActor<T> {
  const { count = Infinity, rate = Infinity, seed = 1, batch = 1024, splits = 1, make } = options;
  check("count", count, count === Infinity || (Number.isSafeInteger(count) && count >= 0), "a whole number from 0 on");
  check("rate", rate, rate > 0, "a number of events a second above 0");
  check("seed", seed, typeof seed === "string" || Number.isFinite(seed), "a number or a text");
  check("batch", batch, Number.isInteger(batch) && batch >= 1 && batch <= 8192, "a whole number from 1 to 8192");
  check("splits", splits, Number.isInteger(splits) && splits >= 1 && splits <= 1024, "a whole number from 1 to 1024");
  check("make", make, typeof make === "function", "a function (n, random) => data");
  const names = Array.from({ length: splits }, (_, i) => String(i));
  const pace = { count, ratePerMs: rate / 1000 / splits, batch, splits };
  return defineSource<T, number>({
    kind: "generate", guarantee: "replayable", start: 0, ends: count !== Infinity,
    ...(splits === 1 ? {} : { splits: async () => names }),
    fingerprint: async () => `generate-${createHash("sha256").update(JSON.stringify([seed, count, splits])).digest("hex").slice(0, 32)}`,
    read: (from, ctx) => run(from, ctx, pace, make, new Numbers(seed)),
  });
}

interface Pace {
  readonly count: number;
  /** Of one split. */
  readonly ratePerMs: number;
  readonly batch: number;
  readonly splits: number;
}

async function* run<T>(from: number, ctx: SourceContext, { count, ratePerMs, batch, splits }: Pace, make: GenerateOptions<T>["make"], numbers: Numbers): AsyncGenerator<(Reading<T> & { position: number })[], void> {
  const split = Number(ctx.split);
  let n = from + ((split - (from % splits) + splits) % splits);
  let begun = performance.now();
  let made = 0;
  while (n < count) {
    ctx.signal.throwIfAborted();
    let due = batch;
    if (ratePerMs !== Infinity) {
      const now = performance.now();
      const most = ratePerMs * 1000;
      if ((now - begun) * ratePerMs - made > most) begun = now - (made + most) / ratePerMs;
      due = Math.min(batch, Math.floor((now - begun) * ratePerMs) - made);
      if (due < 1) {
        await sleep(Math.max(1, begun + (made + 1) / ratePerMs - now), undefined, { signal: ctx.signal });
        continue;
      }
    }
    const readings: (Reading<T> & { position: number })[] = [];
    for (; readings.length < due && n < count; n += splits) {
      numbers.restart(n);
      readings.push({ data: make(n, numbers.next), position: n + 1 });
    }
    made += readings.length;
    yield readings;
  }
}

/** Seeded random numbers that begin anew with each n (splitmix32 over seed and n). */
class Numbers {
  readonly #seed: number;
  #state = 0;

  constructor(seed: number | string) {
    this.#seed = createHash("sha256").update(`${typeof seed}:${seed}`).digest().readUInt32LE(0);
  }

  restart(n: number): void {
    this.#state = mix(mix(this.#seed ^ (n >>> 0)) + Math.floor(n / 2 ** 32));
  }

  readonly next = (): number => {
    this.#state = (this.#state + 0x9e3779b9) | 0;
    return (mix(this.#state) >>> 0) / 2 ** 32;
  };
}

function mix(value: number): number {
  let x = value | 0;
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
  return x ^ (x >>> 15);
}

function check(name: string, value: unknown, good: boolean, expected: string): void {
  if (good) return;
  throw new MillraceError("OPTION_INVALID", `generate.${name}`, `${name} of generate is ${typeof value === "function" ? "a function" : String(value)}`, `Give ${expected}.`);
}
