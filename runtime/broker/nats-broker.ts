// The broker on NATS JetStream. What it needs of a client library is nats/wire.ts; the rest of nats/ is the protocol on top.
import { asError, MillraceError } from "../event/errors.ts";
import type { Broker, BrokerStream, KeyValue, StreamSpec } from "./broker.ts";
import { requestFailed } from "./failures.ts";
import { Api } from "./nats/api.ts";
import { Appender } from "./nats/appender.ts";
import { Client } from "./nats/client.ts";
import { type Follower, TICK_MS } from "./nats/follower.ts";
import { Gate } from "./nats/gate.ts";
import { Keys } from "./nats/keys.ts";
import { notPermitted, type Refusal } from "./nats/permission.ts";
import { NatsStream, type StreamParts } from "./nats/stream.ts";
import { createStream, describeStream, listStreams, removeStream, streamConfig } from "./nats/streams.ts";
import type { ConnectOptions } from "./nats/wire.ts";
import { compareVersions, testedRange } from "./nats-server/version.ts";

/** JetStream of a server that has just started answers a moment later than the server. */
const READY_MS = 5_000;
/** max_payload counts the headers too. */
const HEADER_ROOM = 1_024;
/** After a reconnect so many consumers are made at a time. */
const CONSUMERS_AT_A_TIME = 64;
/** Subjects of which it is told that they are refused. */
const MOST_TOLD = 100;

export interface NatsOptions extends ConnectOptions {
  /** Replicas of the keys, if this connection is the one that makes them. Default 1. */
  readonly replicas?: 1 | 3;
  /** Told of streams that the server writes to no more (NATS_NOT_WRITING), again each 10 s while it lasts. */
  readonly mute?: (streams: readonly string[]) => void;
}

/**
 * Connects.
 *
 * @throws UNREACHABLE (no server there), NATS_AUTH, NATS_TLS, NATS_PERMISSION (not even to ask), NATS_TOO_OLD (below 2.10.23), NATS_NO_JETSTREAM
 */
export async function connect(options: NatsOptions): Promise<Broker> {
  const client = await Client.connect(options);
  try {
    const { version, jetstream } = client.server;
    if (compareVersions(version, testedRange.from) < 0) {
      throw new MillraceError("NATS_TOO_OLD", client.address, `This nats-server is ${version}; ${testedRange.from} or newer is needed`, "Leave --nats away to have one obtained and started, or install one from https://github.com/nats-io/nats-server/releases.");
    }
    if (!jetstream) throw noJetStream(client.address);
    const api = new Api(client);
    await isReady(api, client.address);
    return new NatsBroker(client, api, options);
  } catch (thrown) {
    await client.close();
    throw thrown;
  }
}

class NatsBroker implements Broker {
  readonly maxPayload: number;
  readonly version: string;
  readonly keys: KeyValue;
  readonly #client: Client;
  readonly #api: Api;
  readonly #appender: Appender;
  readonly #parts: StreamParts;
  readonly #followers = new Set<Follower>();
  readonly #listeners = new Set<(connected: boolean) => void>();
  readonly #served = new Set<() => void>();
  readonly #ticks: NodeJS.Timeout;
  #closed = false;

  constructor(client: Client, api: Api, { replicas = 1, refused = () => {}, mute = () => {} }: NatsOptions) {
    this.#client = client;
    this.#api = api;
    this.#appender = new Appender(client, api, mute);
    this.version = client.server.version;
    this.maxPayload = client.server.maxPayload - HEADER_ROOM;
    this.keys = new Keys(api, this.#appender, replicas);
    this.#parts = {
      client,
      api,
      appender: this.#appender,
      gate: new Gate(CONSUMERS_AT_A_TIME),
      maxPayload: this.maxPayload,
      followed: (follower) => this.#followers.add(follower),
      ended: (follower) => this.#followers.delete(follower),
    };
    client.onChange = (connected) => this.#change(connected);
    const told = new Set<string>();
    client.onRefusal = (refusal: Refusal) => {
      if (refusal.operation === "publish") this.#appender.refused(refusal.subject);
      const key = `${refusal.operation} ${refusal.subject}`;
      if (told.has(key) || told.size >= MOST_TOLD) return;
      told.add(key);
      refused(notPermitted(refusal));
    };
    this.#ticks = setInterval(() => {
      for (const follower of [...this.#followers]) follower.tick();
    }, TICK_MS);
    this.#ticks.unref();
  }

  get connected(): boolean {
    return this.#client.connected;
  }

  get fault(): MillraceError | undefined {
    return this.#appender.fault;
  }

  onConnection(call: (connected: boolean) => void): () => void {
    this.#listeners.add(call);
    return () => this.#listeners.delete(call);
  }

  create(spec: StreamSpec): Promise<void> {
    return createStream(this.#api, streamConfig(spec));
  }

  describe(name: string): Promise<StreamSpec | undefined> {
    return describeStream(this.#api, name);
  }

  list(prefix: string): Promise<readonly string[]> {
    return listStreams(this.#api, prefix);
  }

  remove(name: string): Promise<void> {
    return removeStream(this.#api, name);
  }

  stream(name: string, subject: string): BrokerStream {
    return new NatsStream(this.#parts, name, subject);
  }

  serve(subject: string, answer: (request: Uint8Array) => Promise<Uint8Array>): () => void {
    const stop = this.#client.subscribe(subject, (message) => {
      const { reply } = message;
      // Who asks chooses where the answer goes: not into a mailbox or a log, where this node may publish and the asker may not.
      if (!reply || /^(mr\.|\$)/.test(reply)) return;
      const respond = (data: Uint8Array, headers?: Uint8Array) => {
        if (this.#client.connected) this.#client.publish(reply, data, "", headers);
      };
      answer(new Uint8Array(message.data)).then(
        (data) => respond(data),
        (thrown) => respond(new Uint8Array(), failureHeaders(asError(thrown))),
      ).catch(() => respond(new Uint8Array(), failureHeaders(new Error("the answer is too large"))));
    });
    this.#served.add(stop);
    return () => {
      if (this.#served.delete(stop)) stop();
    };
  }

  async request(subject: string, data: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    const message = await this.#client.request(subject, data, timeoutMs);
    const failure = message.headers?.get("Nats-Service-Error");
    if (failure) throw requestFailed(subject, failure);
    return new Uint8Array(message.data);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    clearInterval(this.#ticks);
    for (const stop of this.#served) stop();
    await Promise.all([...this.#followers].map((follower) => follower.close()));
    this.#listeners.clear();
    await this.#client.close();
  }

  // On the way back the listeners come first, so that an actor can hold what its mailbox gives until its anchors are checked (P30).
  #change(connected: boolean): void {
    if (!connected) {
      this.#appender.lost();
      for (const follower of [...this.#followers]) follower.lost();
    }
    for (const call of [...this.#listeners]) call(connected);
    if (connected) for (const follower of [...this.#followers]) follower.attach();
  }
}

/** The headers by which NATS services say that they failed. */
function failureHeaders(error: Error): Uint8Array {
  const text = error.message.replace(/[\r\n]+/g, " ").slice(0, 500) || "failed";
  return Buffer.from(`NATS/1.0\r\nNats-Service-Error-Code: 500\r\nNats-Service-Error: ${text}\r\n\r\n`, "utf8");
}

function noJetStream(address: string): MillraceError {
  return new MillraceError("NATS_NO_JETSTREAM", address, "This nats-server has no JetStream for this account", "Start it with -js, or add a jetstream block to its configuration and to the account.");
}

async function isReady(api: Api, address: string): Promise<void> {
  for (const end = performance.now() + READY_MS; ; ) {
    try {
      await api.call("INFO");
      return;
    } catch (thrown) {
      const error = asError(thrown);
      // 10039, 10076: not enabled, for the account or the server.
      if (error.name === "ApiError" && /\((10039|10076)\)/.test(error.message)) throw noJetStream(address);
      if (performance.now() > end || (error instanceof MillraceError && error.code === "NATS_PERMISSION")) throw thrown;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
