// P32: where the broker syncs later than it acknowledges, what was read stays for a while, and must not take the room of what was not
// read yet. The reader raises the limit of its mailbox by what only that keeps, at most once a second. It is never lowered.
import type { BrokerStream } from "../broker/broker.ts";
import type { Clock } from "../event/clock.ts";

/** Messages above a mailbox's limit for what was read, with which it is made where anything is retained. */
export const retainedFrames = 4_096;
const atMostEveryMs = 1_000;

export class MailboxRoom {
  readonly #mailbox: BrokerStream;
  readonly #clock: Clock;
  readonly #limit: number;
  /** Messages that it holds at most, as far as known. */
  #allowed: number;
  #first = 1;
  #readTo = 0;
  #askedAt = -Infinity;
  #cancel: (() => void) | undefined;
  #closed = false;

  /** @param limit frames that may wait to be read */
  constructor(mailbox: BrokerStream, clock: Clock, limit: number) {
    this.#mailbox = mailbox;
    this.#clock = clock;
    this.#limit = limit;
    this.#allowed = limit + 1 + retainedFrames;
  }

  /** It is read up to that sequence. */
  read(to: number): void {
    this.#readTo = to;
    if (this.#isTight) this.#look();
  }

  /** What is before that sequence is gone. */
  trimmed(first: number): void {
    this.#first = Math.max(this.#first, first);
  }

  get #retained(): number {
    return this.#readTo - this.#first + 1;
  }

  /** Whether what was read takes room that is meant for what was not. */
  get #isTight(): boolean {
    return this.#retained + this.#limit > this.#allowed;
  }

  #look(): void {
    if (this.#cancel !== undefined || this.#closed) return;
    this.#cancel = this.#clock.after(Math.max(0, this.#askedAt + atMostEveryMs - this.#clock.monotonic()), () => void this.#raise());
  }

  async #raise(): Promise<void> {
    this.#askedAt = this.#clock.monotonic();
    try {
      this.trimmed((await this.#mailbox.bounds()).first);
      if (this.#isTight && !this.#closed) {
        const wanted = this.#limit + 1 + 2 * this.#retained;
        await this.#mailbox.raise(wanted);
        this.#allowed = wanted;
      }
    } catch {
      // Not reachable now: asked again, also where the mailbox is full and nothing more is read.
    }
    this.#cancel = undefined;
    if (this.#isTight) this.#look();
  }

  close(): void {
    this.#closed = true;
    this.#cancel?.();
  }
}
