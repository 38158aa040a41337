// One connection to the broker in memory. Keeps the contract of broker.ts, with every step passing through a Network, so that a
// seeded scheduler decides what arrives, when, and how often.
import type { Appended, Broker, BrokerStream, KeyValue, Stored, StreamSpec, Subscription } from "../broker/broker.ts";
import { nobodyListens, requestFailed, streamConflict, streamMissing, tooLarge, unreachable } from "../broker/failures.ts";
import { asError } from "../event/errors.ts";
import { KEYS, type MemoryServer } from "./memory-server.ts";
import type { MemoryStream } from "./memory-stream.ts";
import { MemorySubscription } from "./memory-subscription.ts";
import { type Network, reliableNetwork } from "./network.ts";

const APPEND_TIMEOUT_MS = 700;
const READ_TIMEOUT_MS = 1_500;
const READ_PAGE = 64;

export class MemoryBroker implements Broker {
  readonly maxPayload: number;
  readonly version: string;
  readonly keys: KeyValue;
  readonly #server: MemoryServer;
  readonly #network: Network;
  // Appends and reads under way, by what ends them when the connection is lost.
  readonly #pending = new Set<() => void>();
  readonly #subscriptions = new Set<MemorySubscription>();
  readonly #listeners = new Set<(connected: boolean) => void>();
  readonly #served = new Set<() => void>();
  #connected = true;
  #closed = false;

  /** Connects. Steps go through `network`; default: nothing is lost. */
  constructor(server: MemoryServer, network: Network = reliableNetwork) {
    this.#server = server;
    this.#network = network;
    this.maxPayload = server.maxPayload;
    this.version = server.version;
    this.keys = {
      get: async (key) => {
        const found = await this.#ask(`$KV.millrace.${key}`, () => this.#server.streams.get(KEYS.name)?.lastOf(`$KV.millrace.${key}`));
        return found && { value: found.data, revision: found.seq };
      },
      set: (key, value, expected) => this.#set(`$KV.millrace.${key}`, value, expected),
    };
  }

  get connected(): boolean {
    return this.#connected;
  }

  /** Loses the connection. What is on its way to the server may still arrive there; what was to come back does not. */
  disconnect(): void {
    if (!this.#connected) return;
    this.#connected = false;
    for (const end of [...this.#pending]) end();
    for (const subscription of this.#subscriptions) subscription.disconnect();
    for (const call of [...this.#listeners]) call(false);
  }

  /** The connection is back. */
  reconnect(): void {
    if (this.#connected || this.#closed) return;
    this.#connected = true;
    for (const call of [...this.#listeners]) call(true);
    for (const subscription of this.#subscriptions) subscription.attach();
  }

  onConnection(call: (connected: boolean) => void): () => void {
    this.#listeners.add(call);
    return () => this.#listeners.delete(call);
  }

  async create(spec: StreamSpec): Promise<void> {
    const otherwise = await this.#ask(spec.name, () => this.#server.create(spec));
    if (otherwise !== undefined) throw streamConflict(spec.name, otherwise);
  }

  describe(name: string): Promise<StreamSpec | undefined> {
    return this.#ask(name, () => {
      const { firstSequence: _, ...spec } = this.#server.streams.get(name)?.spec ?? { name: "" };
      return spec.name === "" ? undefined : (spec as StreamSpec);
    });
  }

  list(prefix: string): Promise<readonly string[]> {
    return this.#ask(prefix, () => [...this.#server.streams.keys()].filter((name) => name.startsWith(prefix)).sort());
  }

  remove(name: string): Promise<void> {
    return this.#ask(name, () => this.#server.remove(name));
  }

  stream(name: string, subject: string): BrokerStream {
    const ask = <T>(question: (stream: MemoryStream) => T): Promise<T> =>
      this.#ask(subject, () => {
        const stream = this.#server.streams.get(name);
        if (!stream) throw streamMissing(name);
        return question(stream);
      });
    return {
      subject,
      append: (data, expected, timeoutMs) => this.#append(name, subject, data, expected, timeoutMs),
      last: () => ask((stream) => stream.lastOf(subject)),
      get: (seq) => ask((stream) => stream.at(seq)),
      bounds: () => ask((stream) => stream.bounds()),
      purge: (before) => ask((stream) => stream.purge(before)),
      raise: (maxMessages) => ask((stream) => stream.raise(maxMessages)),
      read: (from, to) => this.#read(ask, subject, from, to),
      follow: (from) => this.#follow(name, subject, from),
    };
  }

  serve(subject: string, answer: (request: Uint8Array) => Promise<Uint8Array>): () => void {
    const stop = this.#server.serve({ subject, connected: () => this.#connected, answer });
    this.#served.add(stop);
    return () => {
      this.#served.delete(stop);
      stop();
    };
  }

  request(subject: string, data: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    const sent = data.slice();
    return this.#round(subject, timeoutMs, "request", (reply) => {
      const responders = this.#server.responders(subject);
      if (responders.length === 0) reply("reply", () => { throw nobodyListens(subject); });
      for (const responder of responders) {
        responder.answer(sent.slice()).then(
          (answer) => reply("reply", () => answer.slice()),
          (thrown) => reply("reply", () => { throw requestFailed(subject, asError(thrown).message); }),
        );
      }
    });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const stop of this.#served) stop();
    for (const subscription of [...this.#subscriptions]) await subscription.close();
    this.#listeners.clear();
    this.disconnect();
  }

  #append(name: string, subject: string, data: Uint8Array, expected?: number, timeoutMs = APPEND_TIMEOUT_MS): Promise<Appended> {
    if (data.length > this.maxPayload) throw tooLarge(subject, data.length, this.maxPayload);
    if (!this.#connected) return Promise.resolve("unknown");
    const sent = data.slice();
    return new Promise((resolve) => {
      let cancel: (() => void) | undefined;
      const settle = (outcome: Appended) => {
        cancel?.();
        this.#pending.delete(lost);
        resolve(outcome);
      };
      const lost = () => settle("unknown");
      this.#pending.add(lost);
      // On a network that loses nothing no timer is needed.
      if (this.#network !== reliableNetwork) cancel = this.#server.clock.after(timeoutMs, lost);
      this.#network.schedule("append", subject, (verdict) => {
        const outcome = verdict ?? this.#server.streams.get(name)?.append(subject, sent, expected) ?? "missing";
        this.#network.schedule("ack", subject, () => settle(outcome));
      });
    });
  }

  /** A question to the server and its answer. */
  #ask<T>(subject: string, question: () => T): Promise<T> {
    return this.#round(subject, READ_TIMEOUT_MS, "read", (reply) => {
      let answer: () => T;
      try {
        const found = question();
        answer = () => found;
      } catch (thrown) {
        answer = () => { throw thrown; };
      }
      reply("answer", answer);
    });
  }

  #round<T>(subject: string, timeoutMs: number, there: "read" | "request", arrive: (reply: (leg: "answer" | "reply", answer: () => T) => void) => void): Promise<T> {
    if (!this.#connected) return Promise.reject(unreachable(subject, "not connected"));
    return new Promise((resolve, reject) => {
      let cancel: (() => void) | undefined;
      const end = (how: () => void) => {
        cancel?.();
        this.#pending.delete(lost);
        how();
      };
      const lost = () => end(() => reject(unreachable(subject, "the connection was lost")));
      this.#pending.add(lost);
      if (there === "request" || this.#network !== reliableNetwork) {
        cancel = this.#server.clock.after(timeoutMs, () => end(() => reject(unreachable(subject, `no answer within ${timeoutMs} ms`))));
      }
      this.#network.schedule(there, subject, () => {
        arrive((leg, answer) => {
          this.#network.schedule(leg, subject, () => {
            try {
              const given = answer();
              end(() => resolve(given));
            } catch (thrown) {
              end(() => reject(thrown));
            }
          });
        });
      });
    });
  }

  async *#read(ask: <T>(question: (stream: MemoryStream) => T) => Promise<T>, subject: string, from: number, to: number): AsyncGenerator<Stored> {
    for (let next = from; next <= to; ) {
      const page = await ask((stream) => {
        const found: Stored[] = [];
        for (let at = next; found.length < READ_PAGE; ) {
          const message = stream.next(subject, at);
          if (!message || message.seq > to) break;
          found.push(message);
          at = message.seq + 1;
        }
        return found;
      });
      yield* page;
      if (page.length < READ_PAGE) return;
      next = (page.at(-1) as Stored).seq + 1;
    }
  }

  #follow(name: string, subject: string, from: number): Subscription {
    const subscription = new MemorySubscription(this.#server, this.#network, name, subject, from, () => this.#subscriptions.delete(subscription));
    this.#subscriptions.add(subscription);
    if (this.#connected) subscription.attach();
    return subscription;
  }

  // An unknown outcome is settled by reading, as P2 does for the log.
  async #set(subject: string, value: Uint8Array, expected: number): Promise<number | undefined> {
    const stream = this.stream(KEYS.name, subject);
    for (let attempt = 0; attempt < 4; attempt++) {
      const outcome = await stream.append(value, expected);
      if (typeof outcome === "number") return outcome;
      const there = await stream.last();
      if (there && there.seq > expected && Buffer.compare(there.data, value) === 0 && (outcome === "unknown" || attempt > 0)) return there.seq;
      if ((there?.seq ?? 0) !== expected) return undefined;
    }
    throw unreachable(subject, "the outcome of a write stayed unknown");
  }
}
