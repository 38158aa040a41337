// Reads an actor's mailbox: from messages to frames that are next on their channel, in order; and from frames that are done
// to the position that the next record holds. PROTOCOL 6. Shared by processors and sinks.
//
// K1. Positions move in the order of the mailbox: what is dropped moves only with, or after, the frame taken before it.
// K2. A frame's watermark counts after its last event.
import type { BrokerStream, Stored, Subscription } from "../broker/broker.ts";
import { asError, MillraceError } from "../event/errors.ts";
import { decodeMessage, type Frame, roundOf } from "../event/frame.ts";
import { wentBack } from "../journal/verdict.ts";
import type { Actor } from "./actor.ts";
import { streamName, subjectsOf } from "./environment.ts";
import { exitOf } from "./exit.ts";
import type { Channel, Position } from "./inbound.ts";
import { watchForEnds } from "./missing-end.ts";
import { MailboxTrim } from "./trimming.ts";

/** A frame whose events are being handled. */
export interface OpenFrame {
  readonly frame: Frame;
  readonly channel: Channel;
  /** Events that are done. */
  done: number;
  /** Events that were handed out; ahead of `done` where several are under way. */
  given: number;
  /** Where the mailbox stands when it is done: its message, or a dropped one after it. */
  at: Position;
}

const input = 0;

export class Intake {
  readonly #actor: Actor;
  readonly #mailbox: BrokerStream;
  readonly #trim: MailboxTrim;
  readonly #open: OpenFrame[] = [];
  #subscription: Subscription | undefined;
  #readTo = 0;

  /** @param limit frames that the mailbox may hold */
  constructor(actor: Actor, limit: number) {
    const { env, stage, generation, partition } = actor, subject = subjectsOf(env.flow.name, stage.name, generation, partition).mailbox(input);
    this.#actor = actor;
    this.#mailbox = env.broker.stream(streamName(subject), subject);
    this.#trim = new MailboxTrim(this.#mailbox, env.clock, env.retainMs, limit, () => actor.availability.checked);
  }

  get position(): Position {
    return this.#actor.memory.inbound.positions[input] as Position;
  }

  get mailbox(): BrokerStream {
    return this.#mailbox;
  }

  /** Begins to read after a position. */
  follow(from = this.position.at + 1): void {
    this.#subscription = this.#mailbox.follow(from);
    this.#subscription.onReady(() => {
      this.#actor.pump();
    });
    watchForEnds(this.#actor, this).catch((error: unknown) => this.#actor.exit(exitOf(error)));
  }

  /**
   * Notes where the mailbox ends now. An owner that starts although the end is committed reads up to there: what its senders wrote anew
   * after a loss is to be seen (P17). Rejects with UNREACHABLE.
   */
  async look(): Promise<void> {
    this.#readTo = (await this.#mailbox.bounds()).last;
  }

  /** Whether it is read to where it ended then. */
  get isRead(): boolean {
    return this.position.at >= this.#readTo;
  }

  /** The frames taken and not done, oldest first. */
  get open(): readonly OpenFrame[] {
    return this.#open;
  }

  /**
   * The next frame, if one is here; dropped ones are passed over.
   * @throws MillraceError HISTORY_FORKED, FRAME_NEWER, BROKER_WENT_BACK: the actor parks
   */
  next(): OpenFrame | undefined {
    for (let stored = this.#subscription?.take(); stored !== undefined; stored = this.#subscription?.take()) {
      const frame = this.#read(stored), round = roundOf(stored.data) ?? null;
      const at: Position = { at: stored.seq, round, from: frame?.from ?? null, seq: frame?.seq ?? 0 };
      this.#actor.memory.inbound.reached[input] = at;
      const channel = frame === undefined ? undefined : this.#actor.memory.inbound.channel(input, frame.from, frame.generation);
      if (frame !== undefined && (channel === undefined || frame.seq === 1) && this.#actor.memory.inbound.lacksBefore(input, frame.from, frame.generation)) {
        throw wentBack(this.#actor.address, `the mailbox of ${this.#actor.address} holds what ${frame.from} sent, and lacks the end of the generation before it`);
      }
      if (frame === undefined || channel === undefined) { this.#drop(at); continue; }
      const verdict = this.#actor.memory.inbound.judge(channel, frame);
      if (verdict === "forked") throw new MillraceError("HISTORY_FORKED", this.#actor.address, `What ${frame.from} sent was written anew after a loss: its frame ${frame.seq} is not the one that was read, or does not follow it`, "Start the flow anew with --fresh, or bring the server's store back.");
      if (verdict !== "next") { this.#drop(at); continue; }
      // What is done of a frame is of the one after the last that was accepted; others of the channel may be open before this one.
      const done = frame.seq === channel.seq + 1 ? channel.done : 0, open: OpenFrame = { frame, channel, done, given: done, at };
      this.#actor.memory.inbound.take(channel, frame);
      this.#open.push(open);
      return open;
    }
    return undefined;
  }

  #read(stored: Stored): Frame | undefined {
    try {
      return decodeMessage(stored.data);
    } catch (error) {
      if (error instanceof MillraceError && error.code === "FRAME_NEWER") throw error;
      this.#actor.env.log.warn("a message in the mailbox is refused", { actor: this.#actor.address, sequence: stored.seq, reason: asError(error).message });
      return undefined;
    }
  }

  #drop(at: Position): void {
    const last = this.#open[this.#open.length - 1];
    if (last !== undefined) last.at = at;
    else this.#actor.memory.inbound.moveTo(input, at.at, at.round, at.from, at.seq);
  }

  /** So many events of the oldest open frame are done: its cursor, and once it is whole the position and watermark. */
  progress(done: number): void {
    const open = this.#open[0] as OpenFrame, { inbound } = this.#actor.memory, { frame, channel, at } = open;
    open.done = done;
    if (open.given < done) open.given = done;
    if (done < frame.rows.length) return inbound.advance(channel, frame, done);
    this.#open.shift();
    inbound.accept(channel, frame);
    inbound.moveTo(input, at.at, at.round, at.from, at.seq);
  }

  /** A record with this position is accepted: what is before it may go (I6). */
  trimTo(position: Position): void {
    this.#trim.committed(position);
  }

  async close(): Promise<void> {
    this.#trim.close();
    await this.#subscription?.close();
  }
}
