// The keys of a cluster: a bucket as NATS tools know it, in the stream KV_millrace, but read from the leader and written by
// compare-and-set alone.
import type { KeyValue } from "../broker.ts";
import { unreachable } from "../failures.ts";
import { MillraceError } from "../../event/errors.ts";
import type { Api } from "./api.ts";
import { APPEND_TIMEOUT_MS, type Appender } from "./appender.ts";
import { type ApiMessage, expectation, getMessage, messageData } from "./stream.ts";
import { createStream, streamConfig } from "./streams.ts";

const STREAM = "KV_millrace";
const TRIES = 5;

export class Keys implements KeyValue {
  readonly #api: Api;
  readonly #appender: Appender;
  readonly #replicas: 1 | 3;

  constructor(api: Api, appender: Appender, replicas: 1 | 3) {
    this.#api = api;
    this.#appender = appender;
    this.#replicas = replicas;
  }

  async get(key: string): Promise<{ readonly value: Uint8Array; readonly revision: number } | undefined> {
    const message = await this.#last(subject(key));
    return message && !isDeleted(message) ? { value: messageData(message), revision: message.seq } : undefined;
  }

  async set(key: string, value: Uint8Array, expected: number): Promise<number | undefined> {
    const of = subject(key);
    // Tells this write from another of the same bytes, where its ack is lost.
    const mark = crypto.randomUUID();
    let last = expected;
    for (let attempt = 0; attempt < TRIES; attempt++) {
      const outcome = await this.#appender.append(STREAM, of, value, expectation(STREAM, last, `Millrace-Mark: ${mark}\r\n`), APPEND_TIMEOUT_MS);
      if (typeof outcome === "number") return outcome;
      if (outcome === "missing") {
        await this.#create();
        continue;
      }
      const refusal = outcome === "refused" ? this.#appender.refusalOf(of) : undefined;
      if (refusal !== undefined) throw refusal;
      const there = await this.#last(of);
      if (there && headers(there).includes(mark)) return there.seq;
      // A key that a person deleted with the nats tool is not there, though its mark of deletion is.
      if (expected === 0 && there && isDeleted(there)) last = there.seq;
      else if ((there?.seq ?? 0) !== last) return undefined;
    }
    throw unreachable(key, "the outcome of a write stayed unknown");
  }

  async #last(of: string): Promise<ApiMessage | undefined> {
    try {
      return await getMessage(this.#api, STREAM, { last_by_subj: of });
    } catch (thrown) {
      if (thrown instanceof MillraceError && thrown.code === "STREAM_MISSING") return undefined;
      throw thrown;
    }
  }

  #create(): Promise<void> {
    const config = streamConfig({ name: STREAM, subject: "$KV.millrace.>", maxPerSubject: 1, replicas: this.#replicas });
    return createStream(this.#api, { ...config, discard: "new", allow_rollup_hdrs: true });
  }
}

const subject = (key: string) => `$KV.millrace.${key}`;
const headers = (message: ApiMessage) => (message.hdrs === undefined ? "" : Buffer.from(message.hdrs, "base64").toString("latin1"));
const isDeleted = (message: ApiMessage) => /KV-Operation: *(DEL|PURGE)/i.test(headers(message));
