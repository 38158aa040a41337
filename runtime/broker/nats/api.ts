// JetStream's API: JSON requests on $JS.API, answered by the leader.
import { MillraceError } from "../../event/errors.ts";
import { streamMissing, unreachable } from "../failures.ts";
import type { Client } from "./client.ts";

/** A question about a stream. */
export const READ_TIMEOUT_MS = 1_500;
/** Making and deleting: a busy server, or a cluster without a leader for a moment, takes longer. */
const MANAGE_TIMEOUT_MS = 5_000;

const STREAM_NOT_FOUND = 10059;
const NO_PEERS = 10005;

/** An answer that says no. `errCode` is JetStream's number for it. */
export class ApiError extends Error {
  readonly code: number;
  readonly errCode: number;
  constructor(verb: string, error: { code?: number; err_code?: number; description?: string }) {
    super(`${verb}: ${error.description ?? "refused"} (${error.err_code ?? error.code})`);
    this.name = "ApiError";
    this.code = error.code ?? 0;
    this.errCode = error.err_code ?? 0;
  }
}

const NOTHING = new Uint8Array();
const encoder = new TextEncoder();
const decoder = new TextDecoder();

export class Api {
  readonly #client: Client;

  constructor(client: Client) {
    this.#client = client;
  }

  /** Asks, and gives the answer; rejects with ApiError or UNREACHABLE. */
  async call<T>(verb: string, body?: object, timeoutMs = MANAGE_TIMEOUT_MS): Promise<T> {
    const request = body === undefined ? NOTHING : encoder.encode(JSON.stringify(body));
    const message = await this.#client.request(`$JS.API.${verb}`, request, timeoutMs).catch((thrown) => {
      // Nobody on $JS.API: JetStream is off, or not ready yet.
      if (thrown instanceof MillraceError && thrown.code === "NOT_FOUND") throw unreachable(verb, "JetStream does not answer", thrown);
      throw thrown;
    });
    const answer = JSON.parse(decoder.decode(message.data)) as T & { error?: { code?: number; err_code?: number; description?: string } };
    if (answer.error) throw new ApiError(verb, answer.error);
    return answer;
  }

  /** The same about one stream; rejects with STREAM_MISSING or UNREACHABLE, or with ApiError where `known` names its number. */
  async about<T>(stream: string, verb: string, body?: object, timeoutMs = READ_TIMEOUT_MS, known: readonly number[] = []): Promise<T> {
    try {
      return await this.call<T>(verb, body, timeoutMs);
    } catch (thrown) {
      if (!(thrown instanceof ApiError) || known.includes(thrown.errCode)) throw thrown;
      if (thrown.errCode === STREAM_NOT_FOUND) throw streamMissing(stream);
      throw refused(stream, thrown);
    }
  }
}

/** What JetStream refuses for good (a bad request, no permission) or for now (no leader, no room, a server away). */
export function refused(where: string, error: ApiError): MillraceError {
  // One of three servers is down while it is asked to keep a new stream: soon another answers.
  const isAway = error.errCode === NO_PEERS && error.message.includes("peer offline");
  if (error.code >= 400 && error.code < 500 && !isAway) return new MillraceError("BROKER_REFUSED", where, error.message, "The server's limits or permissions forbid it; its log says more.", { cause: error });
  return unreachable(where, error.message, error);
}
