// What lies between a sender and its reader: which frames the reader has yet to get, and whether they are still anywhere: in the
// mailbox, or in a record of the sender (P31, P32).
import { decodeMessage } from "../event/frame.ts";
import type { ActorLook, InputLook, SentLook } from "./actor-look.ts";

/** Of one channel, or of the dead letters of one actor. */
export interface Gap {
  readonly from: string;
  readonly to: string;
  /** Numbers of frames. `gone`: nowhere any more. `anew`: the reader has them, the sender has forgotten that it sent them. */
  readonly is: "gone" | "anew";
  readonly first: number;
  readonly last: number;
}

/** What a channel lacks; none: all that its reader needs is there. */
export async function gapsOf(sender: ActorLook, readers: ReadonlyMap<string, ActorLook>, chainEnd: (subject: string) => Promise<number>): Promise<readonly Gap[]> {
  const gaps: Gap[] = [];
  for (const sent of sender.sent) {
    const { target, seq } = sent;
    if (typeof target === "string") {
      const kept = sent.fits ? seq : await chainEnd(target);
      gaps.push(...gone(sender.address, target, kept, sent));
      continue;
    }
    const [stage, its, partition, number] = target, reader = readers.get(`${sender.flow}/${stage}/${partition}`);
    if (reader === undefined || reader.generation !== its) continue;
    const cursor = reader.history.cursor(number, sender.address, sender.generation), input = reader.inputs.find((one) => one.input === number);
    if (cursor > seq) gaps.push({ from: sender.address, to: reader.address, is: "anew", first: seq + 1, last: cursor });
    else if (needs(sent, cursor) && input !== undefined) gaps.push(...gone(sender.address, reader.address, await reached(input, sender, cursor), sent));
  }
  return [...gaps, ...(await forgotten(sender, readers))];
}

/** Senders whose own log does not even know the channel. */
async function forgotten({ address, generation, history }: ActorLook, readers: ReadonlyMap<string, ActorLook>): Promise<readonly Gap[]> {
  const gaps: Gap[] = [];
  for (const reader of readers.values()) {
    for (const [input, from, its, seq] of reader.history.cursors.values()) {
      const known = [...history.sent.values()].some(({ target }) => typeof target !== "string" && target[0] === reader.stage && target[1] === reader.generation && target[2] === reader.partition && target[3] === input);
      if (from === address && its === generation && seq > 0 && !known) gaps.push({ from: address, to: reader.address, is: "anew", first: 1, last: seq });
    }
  }
  return gaps;
}

const oldest = ({ retained, seq }: SentLook): number => (retained === 0 ? seq + 1 : retained);
/** Whether the reader lacks frames that no record of the sender holds any more. */
const needs = (sent: SentLook, cursor: number): boolean => cursor + 1 < oldest(sent);

function gone(from: string, to: string, has: number, sent: SentLook): readonly Gap[] {
  return needs(sent, has) ? [{ from, to, is: "gone", first: has + 1, last: oldest(sent) - 1 }] : [];
}

/** Up to which number the frames after `cursor` lie in the mailbox, in order, as they would be read. */
async function reached({ stream, isThere, first, last, at, fits }: InputLook, { address, generation }: ActorLook, cursor: number): Promise<number> {
  let reach = cursor;
  if (!isThere) return reach;
  for await (const { data } of stream.read(fits ? Math.max(first, at + 1) : first, last)) {
    const frame = frameOf(data);
    if (frame?.from === address && frame.generation === generation && frame.seq === reach + 1) reach++;
  }
  return reach;
}

function frameOf(data: Uint8Array): { readonly from: string; readonly generation: string; readonly seq: number } | undefined {
  try {
    return decodeMessage(data);
  } catch {
    // What is no frame its reader refuses, too.
    return undefined;
  }
}
