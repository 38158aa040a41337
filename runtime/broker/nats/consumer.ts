// The consumer behind a follower (P18): named, so that it can be deleted; in memory, on one replica, without acks: it may vanish at any
// time, and nothing is lost with it.
import { type Api, READ_TIMEOUT_MS } from "./api.ts";

const INACTIVE_MS = 300_000;
const HEARTBEAT_MS = 1_500;
const REQUEST_MS = 30_000;

/** Gives how many messages it holds. Rejects with STREAM_MISSING or UNREACHABLE. */
export async function createConsumer(api: Api, stream: string, name: string, subject: string, from: number): Promise<number> {
  const config = {
    name,
    deliver_policy: "by_start_sequence",
    opt_start_seq: from,
    ack_policy: "none",
    replay_policy: "instant",
    filter_subject: subject,
    inactive_threshold: INACTIVE_MS * 1e6,
    num_replicas: 1,
    mem_storage: true,
  };
  const body = { stream_name: stream, action: "create", config };
  return (await api.about<{ num_pending: number }>(stream, `CONSUMER.CREATE.${stream}.${name}.${subject}`, body, READ_TIMEOUT_MS)).num_pending;
}

/** One that is not deleted ends by itself after five minutes without a request. */
export async function deleteConsumer(api: Api, stream: string, name: string): Promise<void> {
  await api.call(`CONSUMER.DELETE.${stream}.${name}`, undefined, READ_TIMEOUT_MS).catch(() => {});
}

/** Whether it holds messages, or sent more than arrived; rejects like all questions. */
export async function isBehind(api: Api, stream: string, name: string, arrived: number): Promise<boolean> {
  const info = await api.about<{ num_pending: number; delivered: { consumer_seq: number } }>(stream, `CONSUMER.INFO.${stream}.${name}`);
  return info.num_pending > 0 || info.delivered.consumer_seq > arrived;
}

/** Subject and body of a request for messages. */
export function pullRequest(stream: string, name: string, messages: number, bytes: number): [subject: string, body: Uint8Array] {
  const body = `{"batch":${messages},"max_bytes":${bytes},"expires":${REQUEST_MS}000000,"idle_heartbeat":${HEARTBEAT_MS}000000}`;
  return [`$JS.API.CONSUMER.MSG.NEXT.${stream}.${name}`, Buffer.from(body, "latin1")];
}
