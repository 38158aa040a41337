// What a consumer sends: messages, whose place is told by their reply subject, and notices about the request for them.
import type { Message } from "./wire.ts";

/** The place of a delivered message. Reused: read it before the next one is parsed. */
export interface Place {
  /** Sequence in the stream. */
  stream: number;
  /** 1, 2, 3 … of what this consumer sent. */
  delivery: number;
  /** Messages that the consumer still has after this one. */
  pending: number;
}

/**
 * Reads "$JS.ACK.<stream>.<consumer>.<tries>.<sequence>.<delivery>.<time>.<pending>", and the longer form of newer servers:
 * "$JS.ACK.<domain>.<account>.<stream>.…<pending>.<random>". False where it is neither.
 */
export function parsePlace(reply: string, place: Place): boolean {
  let dots = 0;
  for (let at = 0; at < reply.length; at++) if (reply.charCodeAt(at) === DOT) dots++;
  if (dots < 8 || !reply.startsWith("$JS.ACK.")) return false;
  const before = dots === 8 ? 5 : 7;
  let at = 0;
  for (let token = 0; token < before; token++) at = reply.indexOf(".", at) + 1;
  const number = () => {
    let value = 0;
    for (let code = reply.charCodeAt(at); code >= 48 && code <= 57; code = reply.charCodeAt(++at)) value = value * 10 + code - 48;
    at++;
    return value;
  };
  place.stream = number();
  place.delivery = number();
  at = reply.indexOf(".", at) + 1;
  place.pending = number();
  return place.stream > 0 && place.delivery > 0;
}

const DOT = 46;

/** "heartbeat": nothing to send; `delivered` is the number of the last delivery. "ended": a request ended with so much of it left, `isTooSmall` because the next message did not fit into it. "broken": all else: the consumer must be made again. */
export type Notice =
  | { readonly kind: "heartbeat"; readonly delivered: number }
  | { readonly kind: "ended"; readonly messages: number; readonly bytes: number; readonly isTooSmall: boolean }
  | { readonly kind: "broken" };

export function parseNotice(message: Message): Notice {
  const { headers } = message;
  if (headers?.code === 100) return { kind: "heartbeat", delivered: Number(headers.get("Nats-Last-Consumer")) || 0 };
  // 408: it ran out of time; 409 "Message Size Exceeds MaxBytes": the next message does not fit. Both tell what is left; what tells that
  // the consumer is gone from where it was does not always.
  const left = headers?.get("Nats-Pending-Messages");
  if (headers && left && (headers.code === 408 || headers.code === 409) && !/leadership|shutdown|deleted/i.test(headers.description)) {
    return { kind: "ended", messages: Number(left) || 0, bytes: Number(headers.get("Nats-Pending-Bytes")) || 0, isTooSmall: /exceeds/i.test(headers.description) };
  }
  return { kind: "broken" };
}
