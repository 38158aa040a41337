// Trimming, always from the front: mailboxes up to what is committed (P19, I6), the log and its chunks up to the newest
// snapshot (P23). Where the broker syncs later than it acknowledges, what is superseded is kept for a while (P32).
import type { BrokerStream } from "../broker/broker.ts";
import type { Clock } from "../event/clock.ts";
import { isAnchor } from "./anchors.ts";
import type { Position } from "./inbound.ts";

const atMostEveryMs = 1_000;

/** Trims one mailbox. */
export class MailboxTrim {
  readonly #mailbox: BrokerStream;
  readonly #clock: Clock;
  readonly #retainMs: number;
  readonly #quarter: number;
  #committed: Position | undefined;
  #trimmed = 0;
  #trimmedAt = -Infinity;
  #waits: (() => void) | undefined;
  #busy = false;
  #closed = false;

  /** @param limit frames that the mailbox may hold */
  constructor(mailbox: BrokerStream, clock: Clock, retainMs: number, limit: number) {
    this.#mailbox = mailbox;
    this.#clock = clock;
    this.#retainMs = retainMs;
    this.#quarter = Math.max(1, Math.floor(limit / 4));
  }

  /** A record with this position was accepted. */
  committed(position: Position): void {
    if (position.at <= this.#trimmed) return;
    this.#committed = { ...position };
    const due = this.#retainMs === 0 && position.at - this.#trimmed >= this.#quarter ? 0 : Math.max(this.#retainMs, this.#trimmedAt + atMostEveryMs - this.#clock.monotonic());
    if (this.#busy || (this.#waits !== undefined && due > 0)) return;
    this.#waits?.();
    if (due === 0) void this.#trim(this.#committed);
    else this.#later(this.#committed, due);
  }

  #later(to: Position, ms: number): void {
    if (this.#closed) return;
    const cancel = this.#clock.after(ms, () => { this.#waits = undefined; void this.#trim(to); });
    this.#waits = () => { this.#waits = undefined; cancel(); };
  }

  close(): void {
    this.#closed = true;
    this.#waits?.();
  }

  async #trim(to: Position): Promise<void> {
    this.#busy = true;
    this.#trimmedAt = this.#clock.monotonic();
    try {
      // †Only while the anchor is still that message: after a loss the numbers belong to others.
      if (await isAnchor(this.#mailbox, to)) {
        await this.#mailbox.purge(to.at);
        this.#trimmed = to.at;
      }
    } catch {
      // Not reachable now. Tried again also where nothing more is committed: a full mailbox may be what holds that up.
      this.#busy = false;
      return this.#later(this.#committed ?? to, atMostEveryMs);
    }
    this.#busy = false;
    if (this.#committed !== undefined && this.#committed.at > to.at) this.committed(this.#committed);
  }
}
