// Trimming, always from the front: mailboxes up to what is committed (P19, I6), the log and its chunks up to the newest
// snapshot (P23). Where the broker syncs later than it acknowledges, what is superseded is kept for a while (P32).
import type { BrokerStream } from "../broker/broker.ts";
import type { Clock } from "../event/clock.ts";
import { isAnchor } from "./anchors.ts";
import type { Position } from "./inbound.ts";
import { MailboxRoom } from "./mailbox-room.ts";

/** Unless a quarter of the room is taken: a purge holds the mailbox up in the server for some ms. */
const atMostEveryMs = 5_000;
/** Who could not trim tries again after so long: a full mailbox may be what holds all up. */
const againMs = 1_000;

/** Trims one mailbox. */
export class MailboxTrim {
  readonly #mailbox: BrokerStream;
  readonly #clock: Clock;
  readonly #retainMs: number;
  readonly #quarter: number;
  readonly #checked: () => boolean;
  /** Where what was read is retained. */
  readonly #room: MailboxRoom | undefined;
  #committed: Position | undefined;
  #trimmed = 0;
  #trimmedAt = -Infinity;
  /** When the next trim is due, monotonic ms, and what ends the wait for it. */
  #due = Infinity;
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
    this.#room = retainMs === 0 ? undefined : new MailboxRoom(mailbox, clock, limit);
  }

  /** A record with this position was accepted. */
  committed(position: Position): void {
    if (position.at <= this.#trimmed) return;
    this.#committed = { ...position };
    this.#room?.read(position.at);
    if (this.#busy) return;
    const now = this.#clock.monotonic(), isMuch = position.at - this.#trimmed >= this.#quarter;
    const due = Math.max(now + this.#retainMs, isMuch ? 0 : this.#trimmedAt + atMostEveryMs);
    if (due >= this.#due) return;
    this.#waits?.();
    if (due <= now) void this.#trim(this.#committed);
    else this.#later(this.#committed, due - now);
  }

  #later(to: Position, ms: number): void {
    if (this.#closed) return;
    this.#due = this.#clock.monotonic() + ms;
    const cancel = this.#clock.after(ms, () => {
      this.#due = Infinity;
      // What came since has not been stored for long enough, where that counts.
      void this.#trim(this.#retainMs === 0 ? (this.#committed ?? to) : to);
    });
    this.#waits = () => { this.#due = Infinity; cancel(); };
  }

  close(): void {
    this.#closed = true;
    this.#room?.close();
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
        this.#room?.trimmed(to.at);
      }
    } catch {
      isLater = true;
    }
    this.#busy = false;
    // Also where nothing more is committed.
    if (isLater) return this.#later(this.#committed ?? to, Math.max(this.#retainMs, againMs));
    if (this.#committed !== undefined && this.#committed.at > to.at) this.committed(this.#committed);
  }
}
