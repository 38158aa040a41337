// What a broker rejects with, the same words for NATS and for the twin in memory.
import { MillraceError } from "../event/errors.ts";

const because = (cause: unknown) => (cause === undefined ? {} : { cause });

export function unreachable(where: string, why: string, cause?: unknown): MillraceError {
  return new MillraceError("UNREACHABLE", where, `NATS cannot be asked: ${why}`, "Check that the server runs and has a quorum. What runs asks again by itself; a command is to be given again.", because(cause));
}

export function streamMissing(name: string): MillraceError {
  return new MillraceError("STREAM_MISSING", name, `There is no stream "${name}"`, "It was deleted, or its flow belongs to another NATS account: look with `millrace doctor`.");
}

export function streamConflict(name: string, detail: string, cause?: unknown): MillraceError {
  return new MillraceError("STREAM_CONFLICT", name, `The stream "${name}" is there but made otherwise: ${detail}`, "Another program or an older run made it: delete it, or give this flow another name.", because(cause));
}

export function nobodyListens(subject: string): MillraceError {
  return new MillraceError("NOT_FOUND", subject, `Nobody answers on "${subject}"`, "Check the name, and that the node it belongs to runs.");
}

export function requestFailed(subject: string, message: string, cause?: unknown): MillraceError {
  return new MillraceError("REQUEST_FAILED", subject, `Who answers on "${subject}" failed: ${message}`, "The log of the node that answered says why.", because(cause));
}

export function tooLarge(subject: string, bytes: number, limit: number): MillraceError {
  return new MillraceError("TOO_LARGE", subject, `A message of ${bytes} bytes is above the limit of ${limit}`, "Split it before it is appended, or raise max_payload on the server.");
}

/** The server answers, and writes no more to these streams. `remedy`: default that for a server that runs by itself. */
export function notWriting(streams: readonly string[], remedy = "Its disk was full, which its log says: make room where its store is, then restart it (a node's own server is restarted by its node). Nothing is lost, and everything goes on by itself."): MillraceError {
  const [first = ""] = streams, others = streams.length - 1;
  return new MillraceError("NATS_NOT_WRITING", first, `nats-server answers, and writes nothing more to ${first}${others > 0 ? ` and ${others} others` : ""}`, remedy);
}
