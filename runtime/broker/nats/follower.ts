// A live read of one subject through a named, memory-backed, one-replica pull consumer without acks (P18). Its position is nobody's
// truth: on any doubt it is made again at the last message given + 1. Messages are asked for only while the buffer has room. The
// client's consume() is not used: it stalls on several notices, and its heartbeats do not tell what was delivered.
import { MillraceError } from "../../event/errors.ts";
import type { Stored, Subscription } from "../broker.ts";
import { unreachable } from "../failures.ts";
import type { Api } from "./api.ts";
import type { Client } from "./client.ts";
import type { Message } from "./wire.ts";
import { createConsumer, deleteConsumer, isBehind, pullRequest } from "./consumer.ts";
import { parseNotice, parsePlace, type Place } from "./delivery.ts";
import type { Gate } from "./gate.ts";

const BUFFER_MESSAGES = 256;
const BUFFER_BYTES = 8 * 1024 * 1024;
/** The server counts the subjects too. */
const MESSAGE_OVERHEAD = 64 * 1024;
/** Less room than this is not worth a request. */
const LEAST_SHARE = 4;
/** The followers of a connection are looked at so often. */
export const TICK_MS = 500;
/** Nothing at all for so many ticks, though heartbeats were asked for: two heartbeats were missed. */
const SILENT_TICKS = 7;
/** No message for so many ticks: the consumer is asked whether it holds some back. Doubles while nothing comes. */
const IDLE_TICKS = 20;
const MOST_IDLE_TICKS = 600;
const LEAST_BACKOFF_MS = 50;
const MOST_BACKOFF_MS = 2_000;

const place: Place = { stream: 0, delivery: 0, pending: 0 };

export interface FollowerParts {
  readonly client: Client;
  readonly api: Api;
  readonly gate: Gate;
  /** Bytes of the largest message. */
  readonly maxPayload: number;
  /** It was closed. */
  readonly ended: (follower: Follower) => void;
}

export class Follower implements Subscription {
  readonly #parts: FollowerParts;
  readonly #stream: string;
  readonly #subject: string;
  readonly #byteLimit: number;
  #buffer: Stored[] = [];
  #head = 0;
  #bytes = 0;
  #listener: (() => void) | undefined;
  #notified = false;
  #closed = false;
  // The next sequence wanted; what is in the buffer lies before it.
  #next: number;
  // The consumer of now. What belongs to an earlier epoch does not count.
  #epoch = 0;
  #consumer: string | undefined;
  // One of before that could not be deleted for want of a connection.
  #orphan: string | undefined;
  #inbox = "";
  #unsubscribe: (() => void) | undefined;
  #retry: NodeJS.Timeout | undefined;
  #backoffMs = LEAST_BACKOFF_MS;
  // Of this consumer: the last delivery that arrived, and what was asked for and has not come.
  #arrived = 0;
  #asked = 0;
  #askedBytes = 0;
  // The next message has no room: nothing is asked for until the buffer is empty.
  #isBlocked = false;
  #silentTicks = 0;
  #idleTicks = 0;
  #idleLimit = IDLE_TICKS;
  /** The server has nothing more for now: what it had when the consumer was made has been given. */
  isDrained = false;
  /** Why there is no consumer, while there is none. */
  failure: MillraceError | undefined;
  /** For read(): `isDrained` or `failure` changed. */
  onChange: (() => void) | undefined;

  constructor(parts: FollowerParts, stream: string, subject: string, from: number) {
    this.#parts = parts;
    this.#stream = stream;
    this.#subject = subject;
    this.#next = Math.max(1, from);
    // Any one message has room in an empty buffer.
    this.#byteLimit = Math.max(BUFFER_BYTES, parts.maxPayload + MESSAGE_OVERHEAD);
    this.attach();
  }

  take(): Stored | undefined {
    const message = this.#buffer[this.#head];
    if (message === undefined) return undefined;
    this.#head++;
    this.#bytes -= message.data.length;
    // Also where it never runs empty, what was taken must not be held.
    if (this.#head === this.#buffer.length || this.#head === BUFFER_MESSAGES) {
      this.#buffer = this.#buffer.slice(this.#head);
      this.#head = 0;
    }
    this.#ask();
    return message;
  }

  onReady(call: () => void): void {
    this.#listener = call;
    if (this.#head < this.#buffer.length) this.#notify();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#buffer = [];
    this.#head = 0;
    this.#listener = undefined;
    this.#parts.ended(this);
    await this.#detach();
  }

  /** Makes the consumer, or makes it again: at the start, on any doubt, and when the connection is back. */
  attach(): void {
    void this.#detach();
    if (this.#closed || !this.#parts.client.connected) return;
    const epoch = this.#epoch;
    const inbox = this.#parts.client.newInbox();
    const consumer = `mr_${inbox.slice(inbox.indexOf(".") + 1).replaceAll(".", "_")}`;
    this.#unsubscribe = this.#parts.client.subscribe(inbox, (message) => {
      if (epoch === this.#epoch) this.#arrive(message);
    });
    this.#create(epoch, consumer).then(
      (pending) => {
        if (epoch !== this.#epoch) return void this.#delete(consumer);
        this.#consumer = consumer;
        this.failure = undefined;
        this.#inbox = inbox;
        if (pending === 0) this.#drained();
        this.#ask();
        if (this.#orphan !== undefined) void this.#delete(this.#orphan);
        this.#orphan = undefined;
      },
      (thrown) => {
        if (epoch !== this.#epoch) return;
        this.failure = thrown instanceof MillraceError ? thrown : unreachable(this.#stream, String(thrown), thrown);
        this.onChange?.();
        this.attachLater();
      },
    );
  }

  /** The connection was lost: what is under way does not come. */
  lost(): void {
    void this.#detach();
    // What was not given yet is read again: a server that comes back may have lost it, and give its numbers to others (P30).
    const next = this.#buffer[this.#head];
    if (next !== undefined) this.#next = next.seq;
    this.#buffer = [];
    this.#head = this.#bytes = 0;
    this.failure = unreachable(this.#stream, "the connection was lost");
    this.onChange?.();
  }

  /** Twice a second, from one timer for all followers. */
  tick(): void {
    if (this.#consumer === undefined || this.#asked === 0) return;
    if (++this.#silentTicks >= SILENT_TICKS) return this.attachLater();
    if (++this.#idleTicks < this.#idleLimit) return;
    this.#idleTicks = 0;
    this.#idleLimit = Math.min(this.#idleLimit * 2, MOST_IDLE_TICKS);
    void this.#askWhy(this.#epoch, this.#consumer, this.#arrived);
  }

  #arrive(message: Message): void {
    this.#silentTicks = 0;
    const { reply } = message;
    if (!reply) return this.#notice(message);
    if (!parsePlace(reply, place)) return;
    if (place.delivery !== this.#arrived + 1) return this.attachLater();
    this.#arrived = place.delivery;
    this.#asked--;
    this.#askedBytes -= message.size();
    this.#idleTicks = 0;
    this.#idleLimit = IDLE_TICKS;
    this.#backoffMs = LEAST_BACKOFF_MS;
    // A start beyond the end is moved to the end by 2.10.
    if (place.stream >= this.#next) {
      this.#next = place.stream + 1;
      const data = own(message.data);
      this.#buffer.push({ seq: place.stream, data });
      this.#bytes += data.length;
      if (this.#buffer.length - this.#head === 1) this.#notify();
    }
    if (place.pending === 0) this.#drained();
    this.#ask();
  }

  #notice(message: Message): void {
    const notice = parseNotice(message);
    if (notice.kind === "broken") return this.attachLater();
    if (notice.kind === "heartbeat") {
      // A lost tail shows no gap; the server's own count shows it (P18).
      if (notice.delivered > this.#arrived) this.attachLater();
      return;
    }
    this.#asked -= notice.messages;
    this.#askedBytes -= notice.bytes;
    this.#isBlocked = notice.isTooSmall;
    this.#ask();
  }

  // More is asked for before all of it has come, so that the line never runs dry; never more than there is room for.
  #ask(): void {
    if (this.#consumer === undefined) return;
    if (this.#asked <= 0) this.#asked = this.#askedBytes = 0;
    const held = this.#buffer.length - this.#head;
    if (this.#isBlocked && held > 0) return;
    this.#isBlocked = false;
    const messages = BUFFER_MESSAGES - held - this.#asked;
    if (messages < BUFFER_MESSAGES / LEAST_SHARE) return;
    const bytes = this.#byteLimit - this.#bytes - Math.max(0, this.#askedBytes);
    if (bytes < this.#byteLimit / LEAST_SHARE) return;
    const [subject, body] = pullRequest(this.#stream, this.#consumer, messages, bytes);
    try {
      this.#parts.client.publish(subject, body, this.#inbox);
    } catch {
      // Not connected: the reconnect attaches anew.
      return;
    }
    this.#asked += messages;
    this.#askedBytes += bytes;
  }

  // A consumer that was asked and says that it holds messages, while none came in the meantime, is stuck.
  async #askWhy(epoch: number, consumer: string, arrived: number): Promise<void> {
    const isStuck = await isBehind(this.#parts.api, this.#stream, consumer, arrived).catch((thrown) => !(thrown instanceof MillraceError && thrown.code === "UNREACHABLE"));
    if (isStuck && epoch === this.#epoch && arrived === this.#arrived && this.#asked > 0) this.attachLater();
  }

  #drained(): void {
    if (this.isDrained) return;
    this.isDrained = true;
    this.onChange?.();
  }

  #notify(): void {
    if (!this.#listener || this.#notified) return;
    this.#notified = true;
    // After the whole of what the socket gave has been read, so that one call finds all of it.
    setImmediate(() => {
      this.#notified = false;
      if (this.#head < this.#buffer.length) this.#listener?.();
    });
  }

  /** Attaches anew after a while; longer each time, until something comes. */
  attachLater(): void {
    void this.#detach();
    if (this.#closed) return;
    this.#retry = setTimeout(() => this.attach(), this.#backoffMs);
    this.#retry.unref();
    this.#backoffMs = Math.min(this.#backoffMs * 2, MOST_BACKOFF_MS);
  }

  async #detach(): Promise<void> {
    this.#epoch++;
    clearTimeout(this.#retry);
    this.#unsubscribe?.();
    this.#unsubscribe = undefined;
    this.#arrived = this.#asked = this.#askedBytes = 0;
    this.#silentTicks = this.#idleTicks = 0;
    this.isDrained = false;
    const consumer = this.#consumer;
    this.#consumer = undefined;
    if (consumer === undefined) return;
    if (this.#parts.client.connected) await this.#delete(consumer);
    else this.#orphan = consumer;
  }

  #create(epoch: number, consumer: string): Promise<number> {
    return this.#parts.gate.through(async () => {
      if (epoch !== this.#epoch) throw unreachable(this.#stream, "given up while it waited");
      return createConsumer(this.#parts.api, this.#stream, consumer, this.#subject, this.#next);
    });
  }

  #delete(consumer: string): Promise<void> {
    return deleteConsumer(this.#parts.api, this.#stream, consumer);
  }
}

/** Bytes that may be kept. A payload is a view of what the socket read, up to 64 KiB, or of a buffer of its own where it came in pieces; neither is written to again. */
function own(payload: Uint8Array): Uint8Array {
  return payload.buffer.byteLength > 2 * payload.length ? new Uint8Array(payload) : new Uint8Array(payload.buffer, payload.byteOffset, payload.length);
}
