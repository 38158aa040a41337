// Making, listing and deleting streams.
import { setTimeout as pause } from "node:timers/promises";
import type { StreamSpec } from "../broker.ts";
import { streamConflict, unreachable } from "../failures.ts";
import { type Api, ApiError, refused } from "./api.ts";

const NAME_IN_USE = 10058;
/** The server cannot make the stream's files: for a moment so where one of this name was removed just now. */
const STORE_NOT_MADE = 10049;
const STORE_TRIES = 5;
const STORE_PAUSE_MS = 100;
/** The next pause is twice as long: 1.5 s in all. */
const EMPTY_TRIES = 6;
const EMPTY_PAUSE_MS = 50;
const SUBJECTS_OVERLAP = 10065;
const STREAM_NOT_FOUND = 10059;
/** The least that the server takes; it keeps a table of ids for so long, which nobody here uses. */
const DUPLICATE_WINDOW_NS = 100_000_000;

/** A stream's configuration, as far as it is ours; no field that an older server does not know (strict API). */
export interface StreamConfig {
  readonly name: string;
  readonly subjects: readonly string[];
  readonly retention: "limits";
  readonly storage: "file";
  readonly discard: "new" | "old";
  readonly max_msgs: number;
  readonly max_bytes: number;
  readonly max_age: number;
  readonly max_msgs_per_subject: number;
  readonly max_msg_size: number;
  readonly max_consumers: number;
  readonly num_replicas: number;
  readonly duplicate_window: number;
  readonly allow_direct: false;
  readonly deny_delete: true;
  readonly allow_rollup_hdrs: boolean;
  /** Left out where it is 1. */
  readonly first_seq?: number;
}

export function streamConfig(spec: StreamSpec): StreamConfig {
  return {
    name: spec.name,
    subjects: [spec.subject],
    retention: "limits",
    storage: "file",
    // Refuse when full instead of dropping the oldest: that is the back-pressure.
    discard: spec.maxMessages === undefined ? "old" : "new",
    max_msgs: spec.maxMessages ?? -1,
    // Reserved up front where it is set.
    max_bytes: -1,
    max_age: spec.maxAgeMs === undefined ? 0 : spec.maxAgeMs * 1e6,
    max_msgs_per_subject: spec.maxPerSubject ?? -1,
    max_msg_size: -1,
    max_consumers: -1,
    num_replicas: spec.replicas,
    duplicate_window: DUPLICATE_WINDOW_NS,
    allow_direct: false,
    deny_delete: true,
    allow_rollup_hdrs: false,
    ...(spec.firstSequence === undefined ? {} : { first_seq: spec.firstSequence }),
  };
}

export async function createStream(api: Api, config: StreamConfig): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await createEmpty(api, config);
      return await forgetFirst(api, config);
    } catch (thrown) {
      if (!(thrown instanceof ApiError)) throw thrown;
      if (thrown.errCode !== STORE_NOT_MADE || tries === STORE_TRIES) throw refused(config.name, thrown);
      await pause(STORE_PAUSE_MS);
    }
  }
}

// A server removes the files of a stream some time after it has said that it is removed, and a new one of its name finds them (seen with
// 2.15.1, half of the time where it follows at once), or their numbers (2.10). Messages from before a stream was made are none of its own; others
// may have come from another node since.
async function createEmpty(api: Api, config: StreamConfig): Promise<void> {
  for (let tries = 1, pauseMs = EMPTY_PAUSE_MS; ; tries++, pauseMs *= 2) {
    const made = await create(api, config), state = made?.did_create === true ? made.state : undefined;
    if (made === undefined || state === undefined || state.last_seq < (config.first_seq ?? 1) || (state.messages > 0 && precise(state.first_ts) >= precise(made.created))) return;
    if (tries === EMPTY_TRIES) throw unreachable(config.name, `it was made, and the server gave it the numbers of a stream of this name that was removed before (${state.messages} messages, up to ${state.last_seq})`);
    await removeStream(api, config.name);
    await pause(pauseMs);
  }
}

// nats-server 2.10 begins a stream anew at its configured number each time it starts, without the messages that it has by then.
async function forgetFirst(api: Api, { first_seq, ...config }: StreamConfig): Promise<void> {
  if (first_seq !== undefined) await api.call(`STREAM.UPDATE.${config.name}`, config);
}

interface Made {
  readonly did_create?: boolean;
  readonly created: string;
  readonly state?: { readonly messages: number; readonly last_seq: number; readonly first_ts: string };
}

/** A server's instant, such as "2026-11-26T21:33:30.2630923Z", with all nine digits: as text, earlier is less. */
const precise = (instant: string): string => instant.replace(/(?:\.(\d+))?Z$/, (_, digits = "") => `.${(digits as string).padEnd(9, "0")}`);

/** `undefined`: it was there already. */
async function create(api: Api, config: StreamConfig): Promise<Made | undefined> {
  try {
    return await api.call<Made>(`STREAM.CREATE.${config.name}`, config);
  } catch (thrown) {
    if (!(thrown instanceof ApiError) || thrown.errCode === STORE_NOT_MADE) throw thrown;
    if (thrown.errCode === SUBJECTS_OVERLAP) throw streamConflict(config.name, `another stream has the subject ${config.subjects[0]}`, thrown);
    if (thrown.errCode !== NAME_IN_USE) throw refused(config.name, thrown);
    const { config: there } = await api.about<{ config: StreamConfig }>(config.name, `STREAM.INFO.${config.name}`);
    const otherwise = difference(there, config);
    if (otherwise !== undefined) throw streamConflict(config.name, otherwise, thrown);
    return undefined;
  }
}

function difference(there: StreamConfig, wanted: StreamConfig): string | undefined {
  if (there.subjects.length !== 1 || there.subjects[0] !== wanted.subjects[0]) return `subject is ${there.subjects.join(", ")}, not ${wanted.subjects[0]}`;
  // A limit above the one asked for was raised on purpose (P15, P32).
  const raised = there.max_msgs > 0 && wanted.max_msgs > 0 && there.max_msgs >= wanted.max_msgs;
  if (there.max_msgs !== wanted.max_msgs && !raised) return `max_msgs is ${there.max_msgs}, not ${wanted.max_msgs}`;
  for (const field of ["retention", "storage", "discard", "max_age", "max_msgs_per_subject", "num_replicas"] as const) {
    if (there[field] !== wanted[field]) return `${field} is ${there[field]}, not ${wanted[field]}`;
  }
  // A reader may be sent to a replica that is behind; interior deletes are refused.
  if (there.allow_direct) return "allow_direct is on";
  return undefined;
}

/** As it was asked for; a stream that somebody else made otherwise is told as far as a StreamSpec can tell it. */
export async function describeStream(api: Api, name: string): Promise<StreamSpec | undefined> {
  const info = await api.call<{ config: StreamConfig }>(`STREAM.INFO.${name}`).catch((thrown) => {
    if (!(thrown instanceof ApiError)) throw thrown;
    if (thrown.errCode === STREAM_NOT_FOUND) return undefined;
    throw refused(name, thrown);
  });
  if (info === undefined) return undefined;
  const { subjects, max_msgs, max_msgs_per_subject, max_age, num_replicas } = info.config;
  return {
    name, subject: subjects[0] ?? "", replicas: num_replicas === 3 ? 3 : 1,
    ...(max_msgs > 0 ? { maxMessages: max_msgs } : {}), ...(max_msgs_per_subject > 0 ? { maxPerSubject: max_msgs_per_subject } : {}), ...(max_age > 0 ? { maxAgeMs: max_age / 1e6 } : {}),
  };
}

export async function listStreams(api: Api, prefix: string): Promise<readonly string[]> {
  const found: string[] = [];
  for (let offset = 0; ; ) {
    const page = await api.call<{ total: number; streams: string[] | null }>("STREAM.NAMES", { offset }).catch((thrown) => {
      throw thrown instanceof ApiError ? refused(prefix, thrown) : thrown;
    });
    const names = page.streams ?? [];
    for (const name of names) if (name.startsWith(prefix)) found.push(name);
    offset += names.length;
    if (names.length === 0 || offset >= page.total) return found;
  }
}

export async function removeStream(api: Api, name: string): Promise<void> {
  try {
    await api.call(`STREAM.DELETE.${name}`);
  } catch (thrown) {
    if (!(thrown instanceof ApiError)) throw thrown;
    if (thrown.errCode !== STREAM_NOT_FOUND) throw refused(name, thrown);
  }
}
