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
  readonly #checked: () => boolean;
  #committed: Position | undefined;
  #trimmed = 0;
  #trimmedAt = -Infinity;
  #waits: (() => void) | undefined;
  #busy = false;
  #closed = false;

  /**
   * @param limit frames that the mailbox may hold
   * @param checked whether the broker still holds what it had acknowledged (P30), as far as known
   */
  constructor(mailbox: BrokerStream, clock: Clock, retainMs: number, limit: number, checked: () => boolean) {
    this.#mailbox = mailbox;
    this.#checked = checked;
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
    let isLater: boolean;
    try {
      // †Only while the anchor is still that message: after a loss the numbers belong to others.
      const fits = await isAnchor(this.#mailbox, to);
      // Nor before it is known that the log still says so. A log lost its tail with the server's power, its mailbox did not: after the
      // reconnect the mailbox was trimmed before the log was looked at, and who went on from the shorter log found nothing to read (I6).
      isLater = !this.#checked();
      if (fits && !isLater && !this.#closed) {
        await this.#mailbox.purge(to.at);
        this.#trimmed = to.at;
      }
    } catch {
      isLater = true;
    }
    this.#busy = false;
    // Also where nothing more is committed: a full mailbox may be what holds that up.
    if (isLater) return this.#later(this.#committed ?? to, Math.max(this.#retainMs, atMostEveryMs));
    if (this.#committed !== undefined && this.#committed.at > to.at) this.committed(this.#committed);
  }
}
