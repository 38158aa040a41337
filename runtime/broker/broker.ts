// The ports to the broker: what the engine needs of NATS, in its own words. Everything that is stored (mailbox, commit log,
// snapshot chunks, dead letters, decisions) is one subject in a stream: BrokerStream serves them all.

import type { MillraceError } from "../event/errors.ts";

/** A stored message. `data` is a copy of the caller's own: it may be kept. */
export interface Stored {
  readonly seq: number;
  readonly data: Uint8Array;
  /** Given by `get`. */
  readonly subject?: string;
}

/**
 * What became of an append. A number: accepted, stored under that sequence. "refused": the expectation did not hold, or the
 * broker says so for certain. "full": the stream's limit (back-pressure). "missing": there is no such stream. "unknown": it
 * may be stored, may be stored later, or never (time-out, disconnect, codes 10158, 10163, 10164). Never taken for refused.
 */
export type Appended = number | "refused" | "full" | "missing" | "unknown";

/** One subject of one stream. Cheap to make; touches the broker only when called. */
export interface BrokerStream {
  readonly subject: string;
  /** NATS_PERMISSION, where appends are "refused" since this user may not publish here. */
  readonly refusal?: MillraceError | undefined;
  /**
   * Appends. Calls go onto the wire in the order of the calls, also when none is awaited. With `expected`: only if the
   * sequence of the last message of this subject is `expected` (0: none). Never rejects; settles within `timeoutMs` (700).
   * `data` must stay as it is until then. A read may overtake an append that was called before it and has not settled.
   * @throws TOO_LARGE above `maxPayload`, at the call: split before.
   */
  append(data: Uint8Array, expected?: number, timeoutMs?: number): Promise<Appended>;
  /** The last message of the subject, read from the leader (never direct get). Rejects with UNREACHABLE when the broker cannot be asked, STREAM_MISSING when there is no stream. */
  last(): Promise<Stored | undefined>;
  /** The message at a sequence, from the leader; `undefined` where there is none (trimmed, or beyond the end). Rejects like `last`. */
  get(seq: number): Promise<Stored | undefined>;
  /** First and last sequence of the stream; of an empty one `first` = `last` + 1. Rejects like `last`. */
  bounds(): Promise<{ readonly first: number; readonly last: number }>;
  /** Stored messages of this subject from sequence `from` up to and including `to`, in order. Rejects when it cannot go on; then nothing after the last one given was skipped. */
  read(from: number, to: number): AsyncIterable<Stored>;
  /**
   * Messages from `from` on, as they come, in order; never acknowledged, the position is the caller's. Heals itself: on a gap
   * in the consumer's numbering, missed heartbeats, a reconnect, or a silent tail (P18 watchdog, 2 s) it goes on at the last
   * message given + 1.
   */
  follow(from: number): Subscription;
  /** Removes everything before sequence `before` (exclusive), from the front; changes no number, also beyond the end. Rejects like `last`. */
  purge(before: number): Promise<void>;
  /** Lets the stream hold at least so many messages (P32); nothing where it may already. Rejects like `last`. */
  raise(maxMessages: number): Promise<void>;
}

/** A live read. Buffers a bounded number of messages: when nobody takes, the broker is not asked for more. */
export interface Subscription {
  /** The next message if one is here already. */
  take(): Stored | undefined;
  /** Puts `call` in place of the one before: called, later, whenever messages came into an empty buffer, and once if some are there already. */
  onReady(call: () => void): void;
  /** Ends it. Nothing is given after. */
  close(): Promise<void>;
}

/** How a stream is made. All: file storage, limits retention, `allow_direct: false`, `deny_delete: true`, duplicate window at its minimum. */
export interface StreamSpec {
  /** Stream name: the subject with `_` for `.`, or the common one of a flow ("mr_dead_<flow>"). */
  readonly name: string;
  /** Its one subject, or a pattern where several writers share a stream. */
  readonly subject: string;
  /** Mailboxes: refuse when full (`discard: new`). */
  readonly maxMessages?: number;
  /** Decisions: so many for each subject. */
  readonly maxPerSubject?: number;
  readonly maxAgeMs?: number;
  /** Sequence of the first message, where the stream is made anew in place of one that is lost. Default 1. */
  readonly firstSequence?: number;
  readonly replicas: 1 | 3;
}

export interface KeyValue {
  /** Read from the leader. Rejects with UNREACHABLE. */
  get(key: string): Promise<{ readonly value: Uint8Array; readonly revision: number } | undefined>;
  /** Compare-and-set: `expected` is the revision read, 0 for a key that is not there. Gives the new revision; `undefined` where another was faster. */
  set(key: string, value: Uint8Array, expected: number): Promise<number | undefined>;
}

export interface Broker {
  /** Largest message, in bytes. */
  readonly maxPayload: number;
  /** Version of the server, such as "2.15.1". */
  readonly version: string;
  readonly connected: boolean;
  /** What the server is known to fail at, though it is connected: NATS_NOT_WRITING. */
  readonly fault?: MillraceError | undefined;
  /** Called on each change: false when the connection is lost (all appends under way become "unknown"), true when it is back. Returns what ends it. */
  onConnection(call: (connected: boolean) => void): () => void;
  /** Makes a stream that is not there and leaves one that is; rejects with STREAM_CONFLICT where it is made otherwise. A higher `maxMessages` is no conflict: P15 and P32 raise it. */
  create(spec: StreamSpec): Promise<void>;
  /** How a stream was made, without `firstSequence`; `undefined`: there is none. Rejects with UNREACHABLE. */
  describe(name: string): Promise<StreamSpec | undefined>;
  /** Names of the streams whose name starts so. */
  list(prefix: string): Promise<readonly string[]>;
  /** Deletes a stream; none there is no error. */
  remove(name: string): Promise<void>;
  /** A subject of a stream. */
  stream(name: string, subject: string): BrokerStream;
  readonly keys: KeyValue;
  /** Answers requests on a plain subject; the reply is what `answer` gives. Returns what ends it. */
  serve(subject: string, answer: (request: Uint8Array) => Promise<Uint8Array>): () => void;
  /** One request and its answer. Rejects with UNREACHABLE, NATS_PERMISSION, NOT_FOUND where nobody listens, or REQUEST_FAILED where `answer` rejected. */
  request(subject: string, data: Uint8Array, timeoutMs: number): Promise<Uint8Array>;
  close(): Promise<void>;
}
