// Appends: core publishes whose acks come to one shared subscription. The client's own js.publish costs a timer and a request each and
// has no way to say "unknown".
import type { Appended } from "../broker.ts";
import type { Api } from "./api.ts";
import type { Client } from "./client.ts";
import { MuteStreams } from "./mute-streams.ts";
import { notPermitted } from "./permission.ts";
import type { Message } from "./wire.ts";
import { MillraceError } from "../../event/errors.ts";

export const APPEND_TIMEOUT_MS = 700;
const SWEEP_MS = 25;
/** A server that stands still takes nothing off the socket, which has no limit of its own: no more than this waits for acks. */
const UNACKED_BYTES = 64 * 1024 * 1024;
/** An ack that did not come in time counts as under way for so long; by then a dead connection has been noticed. */
const FORGET_MS = 30_000;
/** Of a message beside its data: so that many small ones count, too. */
const OVERHEAD = 256;
/** Subjects of which it is remembered that this user may not publish there. */
const MOST_REFUSALS = 1_000;

/** JetStream's numbers for what became of a publish. Whatever is not here is "unknown" (PROTOCOL 1: 10158, 10163, 10164 are). */
const WRONG_LAST_SEQUENCE = 10071;
const WRONG_STREAM = 10060;
const STORE_FAILED = 10077;

interface Pending {
  readonly stream: string;
  readonly subject: string;
  readonly bytes: number;
  deadline: number;
  /** Undefined: it was told as unknown, and its ack may still come. */
  settle: ((outcome: Appended) => void) | undefined;
}

export class Appender {
  readonly #client: Client;
  readonly #api: Api;
  readonly #inbox: string;
  readonly #pending = new Map<number, Pending>();
  readonly #refusals = new Map<string, MillraceError>();
  readonly #asked = new Map<string, Promise<"missing" | "unknown">>();
  readonly #mute: MuteStreams;
  #id = 0;
  #unacked = 0;
  #sweep: NodeJS.Timeout | undefined;
  #due = 0;

  /** `mute`: told of streams that the server writes to no more. */
  constructor(client: Client, api: Api, mute: (streams: readonly string[]) => void = () => {}) {
    this.#client = client;
    this.#api = api;
    this.#mute = new MuteStreams({ now: () => performance.now(), answers: (stream) => api.about(stream, `STREAM.INFO.${stream}`).then(() => true), told: mute });
    this.#inbox = `${client.newInbox()}.`;
    client.subscribe(`${this.#inbox}*`, (message) => this.#answer(message));
  }

  /** Publishes and waits for the ack. `headers` is a finished header block. Never rejects. */
  append(stream: string, subject: string, data: Uint8Array, headers: Uint8Array | undefined, timeoutMs: number): Promise<Appended> {
    if (!this.#client.connected) return Promise.resolve("unknown");
    const id = ++this.#id;
    // Too much under way: it is not sent, and found out by its time-out like one that was, so that nobody tries again at once.
    const bytes = this.#unacked > UNACKED_BYTES ? 0 : data.length + OVERHEAD;
    return new Promise((settle) => {
      this.#pending.set(id, { stream, subject, bytes, deadline: performance.now() + timeoutMs, settle });
      this.#unacked += bytes;
      if (this.#sweep === undefined) this.#arm();
      if (bytes === 0) return;
      try {
        this.#client.publish(subject, data, this.#inbox + id, headers);
      } catch {
        // It was closed in this moment, or the server came back with a lower limit.
        this.#settle(id, "unknown");
      }
    });
  }

  /** The connection was lost: the acks are lost with it, whatever became of the messages. */
  lost(): void {
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    this.#unacked = 0;
    this.#mute.lost();
    for (const { settle } of pending) settle?.("unknown");
  }

  /** The server does not let this user publish there: nothing of it is stored, and none of it is acknowledged. */
  refused(subject: string): void {
    if (this.#refusals.size < MOST_REFUSALS) this.#refusals.set(subject, notPermitted({ operation: "publish", subject }));
    for (const [id, pending] of this.#pending) if (pending.subject === subject) this.#settle(id, "refused");
  }

  /** Why appends to a subject are refused, where it is for want of a permission. */
  refusalOf(subject: string): MillraceError | undefined {
    return this.#refusals.get(subject);
  }

  /** What the server is known to fail at, though it answers. */
  get fault(): MillraceError | undefined {
    return this.#mute.fault;
  }

  #answer(message: Message): void {
    const id = Number(message.subject.slice(this.#inbox.length));
    const pending = this.#pending.get(id);
    if (!pending) return;
    this.#mute.answered(pending.stream);
    const outcome = parseAck(message, pending.stream);
    if (outcome === "nobody") void this.#whyNobody(pending.stream).then((why) => this.#settle(id, why));
    else this.#settle(id, outcome);
    if (this.#refusals.size > 0) this.#refusals.delete(pending.subject);
  }

  #settle(id: number, outcome: Appended): void {
    const pending = this.#pending.get(id);
    if (!pending) return;
    this.#pending.delete(id);
    this.#unacked -= pending.bytes;
    pending.settle?.(outcome);
  }

  // Nobody took the message: there is no such stream, or JetStream is not ready. One question for all who wait for the same answer.
  #whyNobody(stream: string): Promise<"missing" | "unknown"> {
    let asked = this.#asked.get(stream);
    if (!asked) {
      asked = this.#api.about(stream, `STREAM.INFO.${stream}`)
        .then(() => "unknown" as const, (thrown) => (thrown instanceof MillraceError && thrown.code === "STREAM_MISSING" ? ("missing" as const) : ("unknown" as const)))
        .finally(() => this.#asked.delete(stream));
      this.#asked.set(stream, asked);
    }
    return asked;
  }

  #arm(): void {
    this.#due = performance.now() + SWEEP_MS;
    this.#sweep = setTimeout(() => {
      // Where the event loop was held up, acks may wait in the socket: they are read first, in the poll phase between timers and
      // immediates.
      if (performance.now() > this.#due + SWEEP_MS) setImmediate(() => this.#expire());
      else this.#expire();
    }, SWEEP_MS);
    this.#sweep.unref();
  }

  #expire(): void {
    const now = performance.now() + SWEEP_MS;
    for (const [id, pending] of this.#pending) {
      if (pending.deadline > now) continue;
      if (pending.settle === undefined || pending.bytes === 0) {
        this.#settle(id, "unknown");
        continue;
      }
      pending.settle("unknown");
      pending.settle = undefined;
      this.#mute.unanswered(pending.stream);
      pending.deadline = now + FORGET_MS;
    }
    if (this.#pending.size > 0) this.#arm();
    else this.#sweep = undefined;
  }
}

/** What an ack says. Acks look like {"stream":"<name>","seq":7}, with a space after the comma up to 2.10. */
function parseAck(message: Message, stream: string): Appended | "nobody" {
  const { data } = message;
  if (data.length === 0) return message.headers?.code === 503 ? "nobody" : "unknown";
  const text = Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("latin1");
  // The usual one is read by position, without a parse: '{"stream":"' has 11 characters.
  if (text.startsWith(stream, 11) && text.startsWith('{"stream":"')) {
    let at = text.indexOf(':', 11 + stream.length) + 1;
    let seq = 0;
    for (let code = text.charCodeAt(at); code >= 48 && code <= 57; code = text.charCodeAt(++at)) seq = seq * 10 + code - 48;
    if (seq > 0 && text.charCodeAt(11 + stream.length) === 34 && text.charCodeAt(at) === 125) return seq;
  }
  let ack: { stream?: string; seq?: number; duplicate?: boolean; error?: { err_code?: number; description?: string } };
  try {
    ack = JSON.parse(text);
  } catch {
    return "unknown";
  }
  if (ack.error) {
    if (ack.error.err_code === WRONG_LAST_SEQUENCE) return "refused";
    if (ack.error.err_code === WRONG_STREAM) return "missing";
    if (ack.error.err_code === STORE_FAILED && /maximum messages/.test(ack.error.description ?? "")) return "full";
    return "unknown";
  }
  // Another stream has the subject.
  if (ack.stream !== stream) return "missing";
  return ack.seq && !ack.duplicate ? ack.seq : "unknown";
}
