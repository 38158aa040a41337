// The broker's server in memory: streams, and who answers on plain subjects. It outlives the actors and nodes that connect to it
// (memory-broker.ts).
import type { StreamSpec } from "../broker/broker.ts";
import { matches } from "../broker/subject.ts";
import { type Clock, systemClock } from "../event/clock.ts";
import { MemoryStream } from "./memory-stream.ts";

/** The stream of `Broker.keys`; there from the start. */
export const KEYS: StreamSpec = { name: "KV_millrace", subject: "$KV.millrace.>", maxPerSubject: 1, replicas: 1 };

export interface Responder {
  readonly subject: string;
  readonly connected: () => boolean;
  readonly answer: (request: Uint8Array) => Promise<Uint8Array>;
}

export interface MemoryServerOptions {
  /** Time-outs, watchdogs and ages. Default: the system's. */
  readonly clock?: Clock;
  /** Largest message in bytes. Default 1 MiB. */
  readonly maxPayload?: number;
  readonly version?: string;
}

export class MemoryServer {
  readonly clock: Clock;
  readonly maxPayload: number;
  readonly version: string;
  readonly streams = new Map<string, MemoryStream>();
  readonly #responders = new Set<Responder>();

  constructor(options: MemoryServerOptions = {}) {
    this.clock = options.clock ?? systemClock;
    this.maxPayload = options.maxPayload ?? 1024 * 1024;
    this.version = options.version ?? "2.15.1";
    this.create(KEYS);
  }

  /** Makes a stream; gives what is there otherwise, in words, or nothing. */
  create(spec: StreamSpec): string | undefined {
    const stream = this.streams.get(spec.name);
    if (!stream) {
      for (const other of this.streams.values()) if (other.spec.subject === spec.subject) return `its subject belongs to "${other.spec.name}"`;
      this.streams.set(spec.name, new MemoryStream(spec, () => this.clock.now()));
      return undefined;
    }
    const there = stream.spec;
    if (there.subject !== spec.subject) return `subject is ${there.subject}, not ${spec.subject}`;
    // A limit that was raised is no conflict: P15 and P32 raise it while the flow runs.
    if ((there.maxMessages ?? Infinity) < (spec.maxMessages ?? Infinity) || (there.maxMessages === undefined) !== (spec.maxMessages === undefined)) return `maxMessages is ${there.maxMessages}, not ${spec.maxMessages}`;
    for (const field of ["maxPerSubject", "maxAgeMs", "replicas"] as const) {
      if (there[field] !== spec[field]) return `${field} is ${there[field]}, not ${spec[field]}`;
    }
    return undefined;
  }

  remove(name: string): void {
    const stream = this.streams.get(name);
    this.streams.delete(name);
    stream?.dismiss();
  }

  /** A power loss with lazy fsync: the stream loses what is above `toSeq`, and its readers must ask anew. */
  rollback(name: string, toSeq: number): void {
    this.streams.get(name)?.truncate(toSeq);
  }

  serve(responder: Responder): () => void {
    this.#responders.add(responder);
    return () => this.#responders.delete(responder);
  }

  responders(subject: string): readonly Responder[] {
    return [...this.#responders].filter((responder) => responder.connected() && matches(responder.subject, subject));
  }
}
