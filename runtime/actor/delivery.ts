// Sends what is committed, in order, until it is known to be stored. Two ways: into a mailbox, pipelined and going back to
// the first frame that is not settled (P10 to P13); onto a chain, one at a time by compare-and-set (P29).
import type { BrokerStream } from "../broker/broker.ts";
import type { Clock, Random } from "../event/clock.ts";
import { decodeFrame, decodeMessage, message } from "../event/frame.ts";
import { sameTerm } from "../event/term.ts";

/** A frame that a record holds and that is accepted. */
export interface Outgoing {
  readonly seq: number;
  readonly frame: Uint8Array;
  /** Sequence under which it is known to be stored; 0: not known. */
  storedAt: number;
}

export interface DeliveryOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Called when more is settled, or back-pressure begins or ends. */
  readonly onChange: () => void;
  /** Whether the reader has ended: then it has all that came this way, and takes nothing out of its mailbox any more. */
  readonly readerEnded?: () => Promise<boolean>;
  /** Whether the reader's generation is over for good: what is sent to it counts as settled (P15). */
  readonly retired?: () => boolean;
  /** Of a chain: what it has under that number is of a history that was lost, and was written anew since (P17). Nothing is sent then. */
  readonly onForked?: (seq: number) => void;
}

/** At most so many frames, or bytes, ahead of the acks (P10). */
export const sendWindow = { frames: 64, bytes: 8 * 1024 * 1024 };
const fullDelay = { min: 5, max: 1_000 } as const;
const lostDelay = { min: 20, max: 1_000 } as const;

export abstract class Delivery {
  readonly stream: BrokerStream;
  protected readonly options: DeliveryOptions;
  protected readonly queue: Outgoing[] = [];
  /** All frames up to this number are known to be stored; and where the newest of them is. */
  settled = 0;
  settledAt = 0;
  /** Whether that is more than the newest record says. */
  moved = false;
  /** Whether the mailbox is full: back-pressure. */
  full = false;
  /** Frames that were sent again. */
  again = 0;
  /** Bytes that are committed and not settled. */
  bytes = 0;
  protected closed = false;
  protected waiting: (() => void) | undefined;
  protected delay = 0;

  constructor(stream: BrokerStream, options: DeliveryOptions) {
    this.stream = stream;
    this.options = options;
  }

  /** Frames that are committed and not settled. */
  get unsettled(): number {
    return this.queue.length;
  }

  /** Number of the oldest frame that is committed and not settled. */
  get firstUnsettled(): number | undefined {
    return this.queue[0]?.seq;
  }

  /** Whether nobody reads it any more, and its stream goes. */
  get retired(): boolean {
    return this.options.retired?.() === true;
  }

  /** Frame bytes are kept until they are settled. */
  add(seq: number, frame: Uint8Array): void {
    if (seq <= this.settled) return;
    this.queue.push({ seq, frame, storedAt: 0 });
    this.bytes += frame.length;
  }

  /** After replay: what a later record says to be settled is not sent again. */
  dropSettled(): void {
    while (this.queue.length > 0 && (this.queue[0] as Outgoing).seq <= this.settled) this.bytes -= (this.queue.shift() as Outgoing).frame.length;
  }

  /** Sends what may be sent now. */
  abstract send(): void;
  /** Ends the round†: acks under way no longer count, and what is not settled is sent again. */
  abstract reconnected(): void;

  close(): void {
    this.closed = true;
    this.waiting?.();
  }

  protected settle(): void {
    let settled = 0;
    while (settled < this.queue.length && (this.queue[settled] as Outgoing).storedAt > 0) {
      const frame = this.queue[settled++] as Outgoing;
      this.settled = frame.seq;
      this.settledAt = frame.storedAt;
      this.bytes -= frame.frame.length;
    }
    if (settled === 0) return;
    this.queue.splice(0, settled);
    this.moved = true;
    this.options.onChange();
  }

  /** All has arrived; where the newest of it is stored is not known. */
  protected settleAll(): void {
    const last = this.queue[this.queue.length - 1];
    if (last === undefined) return;
    this.settled = last.seq;
    this.settledAt = 0;
    this.dropSettled();
    this.moved = true;
    this.options.onChange();
  }

  /** Waits a little longer each time, then sends again. */
  protected later(delays: { readonly min: number; readonly max: number }): void {
    this.delay = Math.min(delays.max, Math.max(delays.min, this.delay * 2));
    this.waiting?.();
    const cancel = this.options.clock.after(this.delay, () => { this.waiting = undefined; this.send(); });
    this.waiting = () => { cancel(); this.waiting = undefined; };
  }
}

interface Round {
  readonly mark: Uint8Array;
  readonly begun: number;
}

export class MailboxDelivery extends Delivery {
  #round: Round | undefined;
  // Place in the queue, counted from its first frame ever, of the next one to send in this round.
  #next = 0;
  #inFlight = 0;
  #inFlightBytes = 0;
  #window = sendWindow.frames;

  send(): void {
    if (this.closed || this.waiting !== undefined) return;
    if (this.retired) return this.#ended();
    while (this.#next < this.queue.length && this.#inFlight < this.#window && (this.#inFlight === 0 || this.#inFlightBytes < sendWindow.bytes)) {
      this.#round ??= { mark: this.options.random.bytes(8), begun: this.options.clock.monotonic() };
      this.#dispatch(this.queue[this.#next++] as Outgoing, this.#round);
    }
  }

  #dispatch(frame: Outgoing, round: Round): void {
    this.#inFlight++;
    this.#inFlightBytes += frame.frame.length;
    void this.stream.append(message(round.mark, frame.frame)).then((outcome) => {
      // †An ack of an ended round does not count: what it stored may stand after frames of the new round.
      if (round !== this.#round || this.closed) return;
      this.#inFlight--;
      this.#inFlightBytes -= frame.frame.length;
      if (typeof outcome === "number") this.#stored(frame, outcome);
      else this.#goBack(outcome);
    });
  }

  #stored(frame: Outgoing, at: number): void {
    frame.storedAt = at;
    this.delay = 0;
    if (this.#window < sendWindow.frames) this.#window = Math.min(sendWindow.frames, this.#window * 2);
    const before = this.queue.length;
    if (this.full) { this.full = false; this.options.onChange(); }
    this.settle();
    this.#next -= before - this.queue.length;
    this.send();
  }

  #goBack(outcome: "refused" | "full" | "missing" | "unknown"): void {
    this.#endRound();
    if (outcome === "full") {
      this.#window = 1;
      if (!this.full) { this.full = true; this.options.onChange(); }
    }
    this.later(outcome === "full" ? fullDelay : lostDelay);
    // Full for so long: it may be that nobody reads it any more.
    if (outcome === "full" && this.delay >= fullDelay.max) void this.options.readerEnded?.().then((ended) => { if (ended) this.#ended(); });
  }

  #ended(): void {
    if (this.closed) return;
    this.#endRound();
    this.waiting?.();
    this.full = false;
    this.settleAll();
  }

  #endRound(): void {
    this.again += this.#next;
    this.#round = undefined;
    this.#next = 0;
    this.#inFlight = this.#inFlightBytes = 0;
    for (const frame of this.queue) frame.storedAt = 0;
  }

  reconnected(): void {
    this.#endRound();
    this.waiting?.();
    this.send();
  }
}

/** Each writer has a subject of its own in the stream; readers keep each writer's last number. */
export class ChainDelivery extends Delivery {
  #busy = false;
  /** Sequence of the last message of the subject, as far as is known: what the next append expects. Not where a frame of this actor's record is. */
  #last: number | undefined;
  /** The number that it was found to bear: an earlier life of this actor, or another owner, has sent all frames up to it. */
  #there = 0;

  send(): void {
    if (this.closed || this.#busy || this.waiting !== undefined) return;
    const at = this.#last;
    if (at !== undefined && (this.queue[0]?.seq ?? Infinity) <= this.#there) {
      for (const its of this.queue) if (its.seq <= this.#there) its.storedAt = at;
      this.settle();
    }
    const frame = this.queue[0];
    if (frame === undefined) return;
    this.#busy = true;
    void this.#append(frame).then((stored) => {
      this.#busy = false;
      if (this.closed) return;
      if (!stored) { this.later(lostDelay); return; }
      this.delay = 0;
      this.settle();
      this.send();
    });
  }

  async #append(frame: Outgoing): Promise<boolean> {
    const outcome = await this.stream.append(message(this.options.random.bytes(8), frame.frame), this.#last ?? this.settledAt);
    if (typeof outcome === "number") { frame.storedAt = this.#last = outcome; return true; }
    if (outcome === "missing" || outcome === "full") return false;
    try {
      const last = await this.stream.last();
      // What was stored is gone, and not by its age: nothing is put in its place, else nobody would see that (P30).
      if ((last?.seq ?? 0) < this.settledAt && (await this.stream.bounds()).first <= this.settledAt) return false;
      this.#last = last?.seq ?? 0;
      const there = last === undefined ? undefined : decodeMessage(last.data), mine = this.queue.find(({ seq }) => seq === there?.seq);
      if (there !== undefined && mine !== undefined && !sameTerm(there.term, decodeFrame(mine.frame).term)) {
        this.options.onForked?.(there.seq);
        return false;
      }
      this.#there = there?.seq ?? 0;
      // Another owner of this actor has sent it, or later ones: the same frames, from the same log.
      if (last !== undefined && this.#there >= frame.seq) { frame.storedAt = last.seq; return true; }
    } catch { /* not reachable: asked again with the next try */ }
    return false;
  }

  reconnected(): void {
    this.waiting?.();
    this.send();
  }
}
