// A mailbox as its reader and its senders need it at the stated commit: what the reader has yet to take, of what the senders' logs in the copy
// tell. A frame of a later record is left out: whoever goes on decides that record anew (P7, P17).
import { streamName, subjectsOf } from "../actor/environment.ts";
import type { StreamSpec } from "../broker/broker.ts";
import { MillraceError } from "../event/errors.ts";
import { decodeMessage, type Frame } from "../event/frame.ts";
import { type ActorCopy, type CopyPlace, overtaken } from "./actor-copy.ts";
import type { StreamManifest } from "./manifest.ts";
import { readStreamFile, StreamFileWriter } from "./stream-file.ts";

/** What was caught of a mailbox: an unbroken run up to a moment after its senders' logs were copied. */
export interface CaughtMailbox {
  readonly spec: StreamSpec;
  readonly path: string;
  readonly held: { readonly first: number; readonly last: number };
}

/** Actors of the copy, by address and generation. */
export type Senders = ReadonlyMap<string, ActorCopy>;

export const senderId = (address: string, generation: string): string => `${address}@${generation}`;

/** Whether a message of a mailbox or a chain is of a record that the copy knows; what is no frame, and what a generation sent that is over, stays. */
export function isKnown(data: Uint8Array, senders: Senders): Frame | "no frame" | undefined {
  let frame: Frame;
  try {
    frame = decodeMessage(data);
  } catch (error) {
    if (error instanceof MillraceError && error.code === "BYTES_REFUSED") return "no frame";
    throw error;
  }
  const sender = senders.get(senderId(frame.from, frame.generation));
  return sender === undefined || frame.n <= sender.whole ? frame : undefined;
}

/** @throws MillraceError BACKUP_OVERTAKEN, BROKER_WENT_BACK where frames that the reader needs are nowhere */
export async function copyMailbox(caught: CaughtMailbox, reader: ActorCopy, input: number, order: "arrival" | "time", senders: Senders, { file }: CopyPlace): Promise<StreamManifest> {
  const { spec, held, path } = caught, { history } = reader, { at } = history.position(input);
  // A batch that was begun is put together again from where it begins (P28); what is held is in the log.
  const begun = history.sink !== undefined && !history.sink.written && order === "arrival" ? history.sink.from : undefined;
  const floor = Math.min(at, begun === undefined ? at : (begun.inputs.find(([its]) => its === input)?.[1] ?? 0));
  if (held.first > floor + 1) throw overtaken(reader.address, `its mailbox was trimmed to ${held.first} before ${floor + 1} was read`);
  const reached = new Map((begun?.cursors ?? [...history.cursors.values()]).filter(([its]) => its === input).map(([, from, generation, seq]) => [senderId(from, generation), seq]));
  let isWhole = at === 0 ? held.first === 1 : held.first <= at;
  for await (const { seq: stands, data } of readStreamFile(path)) {
    const frame = isKnown(data, senders);
    if (frame === undefined) isWhole = false;
    else if (stands > floor && frame !== "no frame" && frame.seq === (reached.get(senderId(frame.from, frame.generation)) ?? 0) + 1) reached.set(senderId(frame.from, frame.generation), frame.seq);
  }
  check(reader, input, reached, senders);
  const place = file(spec.name), writer = await StreamFileWriter.create(place.path);
  let seq = isWhole ? held.first - 1 : 0, largest = 0;
  try {
    for await (const stored of readStreamFile(path)) {
      if (!isWhole && (stored.seq <= floor || isKnown(stored.data, senders) === undefined)) continue;
      await writer.add({ seq: ++seq, data: stored.data });
      largest = Math.max(largest, stored.data.length);
    }
    const first = isWhole ? held.first : 1, sum = await writer.close();
    return { spec, file: place.file, first, last: seq, largest, verbatim: isWhole, ...sum };
  } catch (error) {
    await writer.abandon();
    throw error;
  }
}

/** What a sender's log counts as settled its reader has, or finds here: nobody would send it again. */
function check(reader: ActorCopy, input: number, reached: ReadonlyMap<string, number>, senders: Senders): void {
  for (const [id, { history, address }] of senders) {
    for (const { target, settled } of history.sent.values()) {
      if (typeof target === "string" || target[0] !== reader.stage || target[1] !== reader.generation || target[2] !== reader.partition || target[3] !== input) continue;
      if ((reached.get(id) ?? 0) < settled) throw new MillraceError("BROKER_WENT_BACK", reader.address, `Frame ${(reached.get(id) ?? 0) + 1} from ${address} is neither read nor in the mailbox, and counts as settled`, "The server lost it: `millrace doctor` tells more, `millrace repair` brings back what the journals hold; then make the backup.");
    }
  }
}

export function mailboxName({ flow, stage, generation, partition }: Pick<ActorCopy, "flow" | "stage" | "generation" | "partition">, input: number): string {
  return streamName(subjectsOf(flow, stage, generation, partition).mailbox(input));
}
