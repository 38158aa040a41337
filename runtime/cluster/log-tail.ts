// What the newest record of an actor's log says about who runs it.
import { streamName, subjectsOf } from "../actor/environment.ts";
import type { Broker } from "../broker/broker.ts";
import { decodeRecord } from "../journal/record.ts";

/** - `free`: nobody has claimed it yet, or who did stopped in order, or was sealed. - `ended`: its actor has ended, and all that it sent is settled. - `held`: somebody has it, or died with it. */
export type LogTail = "free" | "ended" | "held";

/** @throws MillraceError UNREACHABLE, STREAM_MISSING, RECORD_NEWER, BYTES_REFUSED */
export async function tailOf(broker: Broker, flow: string, stage: string, generation: string, partition: number): Promise<LogTail> {
  const { log } = subjectsOf(flow, stage, generation, partition), last = await broker.stream(streamName(log), log).last();
  if (last === undefined) return "free";
  const { kind, body } = decodeRecord(last.data);
  if (kind === "seal") return "free";
  if (kind !== "stop") return "held";
  return body.own?.ended === true ? "ended" : "free";
}
