// A commit log as its owner sees it: one writer by compare-and-set (I1). Decides what an append came to, by P1 to P4.
import { type Clock, pause } from "../event/clock.ts";
import { MillraceError } from "../event/errors.ts";
import { sameTerm } from "../event/term.ts";
import type { BrokerStream, Stored } from "../broker/broker.ts";
import { decodeRecord } from "./record.ts";

/** "fenced": another owner has claimed the log. "lost": the log no longer holds what it had acknowledged (section 10). */
export type Outcome = "accepted" | "fenced" | "lost";

export interface FencedLogOptions {
  /** Called when an append has to be tried again because the broker does not answer. */
  readonly onWait?: (() => void) | undefined;
  /** Ends all waiting: the outcome is then "fenced". */
  readonly signal: AbortSignal;
  readonly clock: Clock;
}

/** Milliseconds between two tries to reach a broker that does not answer. */
const retryMs = 250;
/** The same after a refusal that changed nothing, doubled each time; the first try again is at once. */
const refusedMs = { min: 10, max: 1_000 } as const;

export class FencedLog {
  readonly stream: BrokerStream;
  /** Sequence of the record that was accepted last; 0: none. */
  at: number;
  readonly #options: FencedLogOptions;
  #mine: Uint8Array | undefined;

  constructor(stream: BrokerStream, at: number, mine: Uint8Array | undefined, options: FencedLogOptions) {
    this.stream = stream;
    this.at = at;
    this.#mine = mine;
    this.#options = options;
  }

  /** Appends one message. One call at a time. Waits out an outage of the broker; never rejects. */
  async append(bytes: Uint8Array): Promise<Outcome> {
    for (let refusals = 0; ; ) {
      const outcome = await this.stream.append(bytes, this.at);
      if (typeof outcome === "number") return this.#accept(outcome, bytes);
      if (this.#options.signal.aborted) return "fenced";
      const settled = await this.#settle(bytes);
      if (settled !== undefined) return settled;
      if (outcome !== "refused") this.#options.onWait?.();
      // Refused although the log is as it was: the server is out of room, or does not let this user write. It may last.
      else if (refusals++ > 0) {
        if (refusals > 2) this.#options.onWait?.();
        await pause(Math.min(refusedMs.max, refusedMs.min * 2 ** Math.min(10, refusals - 2)), this.#options);
      }
    }
  }

  #accept(seq: number, bytes: Uint8Array): "accepted" {
    this.at = seq;
    this.#mine = bytes;
    return "accepted";
  }

  /** P2: what the leader says of an outcome that is not known. `undefined`: not stored, append again. */
  async #settle(bytes: Uint8Array): Promise<Outcome | undefined> {
    const last = await this.#ask(() => this.stream.last());
    if (last === "aborted") return "fenced";
    // The bytes hold term with mark and number: equal bytes are this very record (†mark).
    if (last !== undefined && last.seq > this.at && Buffer.compare(last.data, bytes) === 0) return this.#accept(last.seq, bytes);
    if ((last?.seq ?? 0) === this.at && (this.#mine === undefined || last === undefined || Buffer.compare(last.data, this.#mine) === 0)) return undefined;
    if (this.at === 0) return "fenced";
    if (last === undefined || last.seq < this.at) return "lost";
    const built = await this.#ask(() => this.stream.get(this.at));
    if (built === "aborted") return "fenced";
    if (built === undefined) {
      const bounds = await this.#ask(() => this.stream.bounds());
      return bounds === "aborted" || bounds.first > this.at ? "fenced" : "lost";
    }
    return this.#mine === undefined || Buffer.compare(built.data, this.#mine) === 0 ? "fenced" : "lost";
  }

  /** P30: whether the log still holds the record that was accepted last, or had it purged. Rejects where the broker cannot be asked. */
  async holdsMine(): Promise<boolean> {
    const { at } = this, mine = this.#mine;
    if (at === 0) return true;
    const there = await this.stream.get(at);
    if (there === undefined) return (await this.stream.bounds()).first > at;
    return mine === undefined || Buffer.compare(there.data, mine) === 0;
  }

  /** Whether another owner has claimed the log since: then what looks like a loss is none, the numbers belong to that owner (P5). Rejects where the broker cannot be asked. */
  async hasNewOwner(): Promise<boolean> {
    const mine = this.#mine, last = mine && (await this.stream.last());
    return mine !== undefined && last !== undefined && last.seq > this.at && !sameTerm(decodeRecord(last.data).term, decodeRecord(mine).term);
  }

  /** The same for one that is to be over now: false where the broker does not say within a second. */
  async isClaimedOver(): Promise<boolean> {
    for (let tries = 0; tries < 4 && this.#mine !== undefined; tries++) {
      try {
        return await this.hasNewOwner();
      } catch {
        await pause(retryMs, { clock: this.#options.clock, signal: new AbortController().signal });
      }
    }
    return false;
  }

  async #ask<T extends Stored | undefined | { first: number; last: number }>(question: () => Promise<T>): Promise<T | "aborted"> {
    return untilAnswered(question, this.#options);
  }
}

/** Asks until the broker answers; "aborted" when the signal ends that. */
export async function untilAnswered<T>(question: () => Promise<T>, options: FencedLogOptions): Promise<T | "aborted"> {
  for (;;) {
    if (options.signal.aborted) return "aborted";
    try {
      return await question();
    } catch (error) {
      if (!(error instanceof MillraceError) || (error.code !== "UNREACHABLE" && error.code !== "STREAM_MISSING")) throw error;
      options.onWait?.();
      await pause(retryMs, options);
    }
  }
}
