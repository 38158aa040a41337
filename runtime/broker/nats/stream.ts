// One subject of one stream: appends with compare-and-set, and reads from the leader.
import { MillraceError } from "../../event/errors.ts";
import type { Appended, BrokerStream, Stored } from "../broker.ts";
import { tooLarge, unreachable } from "../failures.ts";
import { matches } from "../subject.ts";
import { type Api, ApiError } from "./api.ts";
import { APPEND_TIMEOUT_MS, type Appender } from "./appender.ts";
import type { StreamConfig } from "./streams.ts";
import { Follower, type FollowerParts } from "./follower.ts";

const NO_MESSAGE = 10037;
/** A range of so many sequences is read one by one: cheaper than a consumer. */
const FEW = 16;
/** Without a consumer so many are asked for at a time. */
const PAGE = 64;
/** A read that gets nothing for so long is given up. */
const READ_PATIENCE_MS = 5_000;
/** So long it is tried to make a consumer for a read that has all of it: a cluster of 2.10 may choose a server for it that is down, or behind, and another with the next try. */
const CONSUMER_PATIENCE_MS = 15_000;

/** A message as the API gives it. */
export interface ApiMessage {
  readonly subject: string;
  readonly seq: number;
  readonly data?: string;
  readonly hdrs?: string;
}

export interface StreamParts extends FollowerParts {
  readonly appender: Appender;
  readonly followed: (follower: Follower) => void;
}

/** A header block that makes the server check the stream, and the sequence of the last message of the subject (P1). */
export function expectation(stream: string, expected: number, more = ""): Uint8Array {
  return Buffer.from(`NATS/1.0\r\nNats-Expected-Stream: ${stream}\r\nNats-Expected-Last-Subject-Sequence: ${expected}\r\n${more}\r\n`, "latin1");
}

/** One message of a stream, from the leader; rejects with STREAM_MISSING or UNREACHABLE. */
export async function getMessage(api: Api, stream: string, which: { seq: number; next_by_subj?: string } | { last_by_subj: string }): Promise<ApiMessage | undefined> {
  try {
    return (await api.about<{ message: ApiMessage }>(stream, `STREAM.MSG.GET.${stream}`, which, undefined, [NO_MESSAGE])).message;
  } catch (thrown) {
    if (thrown instanceof ApiError) return undefined;
    throw thrown;
  }
}

export const messageData = (message: ApiMessage) => new Uint8Array(Buffer.from(message.data ?? "", "base64"));

export class NatsStream implements BrokerStream {
  readonly subject: string;
  readonly #name: string;
  readonly #parts: StreamParts;

  constructor(parts: StreamParts, name: string, subject: string) {
    this.#parts = parts;
    this.#name = name;
    this.subject = subject;
  }

  append(data: Uint8Array, expected?: number, timeoutMs = APPEND_TIMEOUT_MS): Promise<Appended> {
    if (data.length > this.#parts.maxPayload) throw tooLarge(this.subject, data.length, this.#parts.maxPayload);
    // Without an expectation the ack tells the stream; a header would be stored with each frame.
    const headers = expected === undefined ? undefined : expectation(this.#name, expected);
    return this.#parts.appender.append(this.#name, this.subject, data, headers, timeoutMs);
  }

  get refusal(): MillraceError | undefined {
    return this.#parts.appender.refusalOf(this.subject);
  }

  async last(): Promise<Stored | undefined> {
    const message = await getMessage(this.#parts.api, this.#name, { last_by_subj: this.subject });
    return message && { seq: message.seq, data: messageData(message) };
  }

  async get(seq: number): Promise<Stored | undefined> {
    if (seq < 1) return undefined;
    const message = await getMessage(this.#parts.api, this.#name, { seq });
    return message && { seq, data: messageData(message), subject: message.subject };
  }

  async bounds(): Promise<{ readonly first: number; readonly last: number }> {
    const { state } = await this.#parts.api.about<{ state: { messages: number; first_seq: number; last_seq: number } }>(this.#name, `STREAM.INFO.${this.#name}`);
    return { first: state.messages === 0 ? state.last_seq + 1 : state.first_seq, last: state.last_seq };
  }

  async purge(before: number): Promise<void> {
    // The server takes a sequence beyond the end for an order to go on numbering from there.
    const seq = Math.min(before, (await this.bounds()).last + 1);
    if (seq > 1) await this.#parts.api.about(this.#name, `STREAM.PURGE.${this.#name}`, { seq });
  }

  async raise(maxMessages: number): Promise<void> {
    const { config } = await this.#parts.api.about<{ config: StreamConfig }>(this.#name, `STREAM.INFO.${this.#name}`);
    if (config.max_msgs > 0 && config.max_msgs < maxMessages) await this.#parts.api.about(this.#name, `STREAM.UPDATE.${this.#name}`, { ...config, max_msgs: maxMessages });
  }

  follow(from: number): Follower {
    const follower = new Follower(this.#parts, this.#name, this.subject, from);
    this.#parts.followed(follower);
    return follower;
  }

  async *read(from: number, to: number): AsyncGenerator<Stored> {
    if (to < from) return;
    const { first, last } = await this.bounds();
    const start = Math.max(from, first);
    const end = Math.min(to, last);
    if (end - start < FEW) yield* this.#readFew(start, end);
    else {
      let at = start - 1;
      try {
        for await (const message of this.#readMany(start, end)) {
          at = message.seq;
          yield message;
        }
      } catch (thrown) {
        if (!(thrown instanceof MillraceError) || thrown.code !== "NATS_PERMISSION") throw thrown;
        yield* this.#readByNumber(at + 1, end);
      }
    }
  }

  // For who may make no consumer: one has its messages sent to any subject of the account, so only nodes are let (nats-roles.conf).
  async *#readByNumber(from: number, to: number): AsyncGenerator<Stored> {
    for (let at = from; at <= to; at += PAGE) {
      let any = false;
      for await (const message of this.#readFew(at, Math.min(to, at + PAGE - 1))) {
        any = true;
        yield message;
      }
      if (any || at + PAGE > to) continue;
      const next = await getMessage(this.#parts.api, this.#name, { seq: at + PAGE, next_by_subj: this.subject });
      if (next === undefined) return;
      at = next.seq - PAGE;
    }
  }

  async *#readFew(from: number, to: number): AsyncGenerator<Stored> {
    const asked: Promise<ApiMessage | undefined>[] = [];
    for (let seq = from; seq <= to; seq++) asked.push(getMessage(this.#parts.api, this.#name, { seq }));
    for (const message of await Promise.all(asked)) {
      if (message && matches(this.subject, message.subject)) yield { seq: message.seq, data: messageData(message) };
    }
  }

  async *#readMany(from: number, to: number): AsyncGenerator<Stored> {
    const follower = this.follow(from);
    let at = from - 1, failsSince: number | undefined;
    try {
      for (;;) {
        for (let message = follower.take(); message; message = follower.take()) {
          if (message.seq > to) return;
          at = message.seq;
          yield message;
          if (message.seq === to) return;
        }
        const { isDrained } = follower;
        // All up to `to` was there when this began, but its consumer is on one replica, which may be behind: only the leader knows that nothing is left.
        if (isDrained && !(await this.#hasMore(at, to))) return;
        const failure = isDrained ? unreachable(this.#name, "a server that is behind its leader reads for it") : follower.failure, now = performance.now();
        failsSince = failure === undefined ? undefined : (failsSince ?? now);
        if (failure !== undefined && (failure.code !== "UNREACHABLE" || !this.#parts.client.connected || now - (failsSince as number) > CONSUMER_PATIENCE_MS)) throw failure;
        if (isDrained) follower.attachLater();
        await this.#change(follower);
      }
    } finally {
      void follower.close();
    }
  }

  async #hasMore(after: number, to: number): Promise<boolean> {
    const next = await getMessage(this.#parts.api, this.#name, { seq: after + 1, next_by_subj: this.subject });
    return next !== undefined && next.seq <= to;
  }

  #change(follower: Follower): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(unreachable(this.#name, `a read got nothing for ${READ_PATIENCE_MS} ms`)), READ_PATIENCE_MS);
      const change = () => {
        clearTimeout(timer);
        follower.onChange = undefined;
        resolve();
      };
      follower.onChange = change;
      follower.onReady(change);
    });
  }
}
