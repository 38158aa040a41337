// What stands in for a source: gives what a test sends, and ends when the test says so. Its position counts what was sent, so an
// actor that starts again goes on where its journal says.
import type { Clock } from "../event/clock.ts";
import { instant } from "../event/event.ts";
import type { SourcePlan } from "../flow/plan.ts";
import type { PullSource, Yielded } from "../flow/source.ts";
import type { Life } from "./life.ts";
import type { Item } from "./token.ts";

type FedEvent = Extract<Item, { kind: "event" }>;
type Fed = FedEvent | { readonly kind: "watermark"; readonly watermark: number };

const never = new Promise<never>(() => {});

export class Feed {
  /** Whether each event moves event time for somebody: then one is done with before the next, so that how they travel together decides nothing. */
  timely: boolean;
  readonly #clock: Clock;
  readonly #saw: (time: number) => void;
  readonly #sent: Fed[] = [];
  #ended = false;
  #more = (): void => {};
  /** The event whose time is asked for: one is given at a time. */
  #given: FedEvent | undefined;

  readonly #eventTime: boolean;

  /** @param saw is told the time of each event */
  constructor({ readers, outOfOrder }: SourcePlan, clock: Clock, saw: (time: number) => void) {
    this.#eventTime = readers.some(({ eventTime }) => eventTime);
    this.timely = this.#eventTime && outOfOrder !== "any";
    this.#clock = clock;
    this.#saw = saw;
  }

  get ended(): boolean {
    return this.#ended;
  }

  give(event: FedEvent): void {
    this.#sent.push(event);
    this.#more();
  }

  /** Event time is so far: nothing at this time or before it comes any more. */
  lift(watermark: number): void {
    if (this.#ended) return;
    this.timely = this.#eventTime;
    this.#sent.push({ kind: "watermark", watermark });
    this.#more();
  }

  end(): void {
    this.#ended = true;
    this.#more();
  }

  /** The source as one life of its actor runs it. Event time moves by what is sent alone: no silence lets it follow the clock. */
  planOf(source: SourcePlan, life: Life): SourcePlan {
    const { kind } = source.source, { time, schema } = source, standard = schema?.["~standard"];
    const fed: PullSource<unknown, number> = { kind, guarantee: "replayable", start: 0, ends: true, read: (from) => this.#read(from, life) };
    return {
      ...source, source: fed as PullSource<unknown, unknown>, idleAfterMs: Infinity, time: (data) => this.#timeOf(data, time),
      ...(standard === undefined ? {} : { schema: { "~standard": { version: 1, vendor: standard.vendor, validate: (value: unknown) => life.follow(standard.validate(value)) } } }),
    };
  }

  #timeOf(data: unknown, time: SourcePlan["time"]): unknown {
    const given = this.#given?.time ?? (time === undefined ? this.#clock.now() : time(data)), ms = instant(given);
    if (ms !== undefined) this.#saw(ms);
    return given;
  }

  #read(from: number, life: Life): AsyncIterable<Yielded<unknown, number>> {
    let place = from;
    const next = async (): Promise<IteratorResult<Yielded<unknown, number>>> => {
      for (;;) {
        if (life.dead) return never;
        const fed = this.#sent[place];
        if (fed === undefined) {
          if (this.#ended) return { done: true, value: undefined };
          await new Promise<void>((resolve) => { this.#more = resolve; });
          continue;
        }
        if (fed.kind === "watermark") return { done: false, value: { position: ++place, watermark: fed.watermark } };
        if (life.reaches("before-handler")) return never;
        this.#given = fed;
        const { data, id } = fed;
        return { done: false, value: { data, position: ++place, ...(id === undefined ? {} : { id }) } };
      }
    };
    return { [Symbol.asyncIterator]: () => ({ next }) };
  }
}
