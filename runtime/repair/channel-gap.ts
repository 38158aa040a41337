// What lies between a sender and its reader: which frames the reader has yet to get, and whether they are still anywhere: in the
// mailbox, or in a record of the sender (P31, P32); and whether the sender tells them as the reader has read them (P17).
import { Channel, Inbound } from "../actor/inbound.ts";
import { decodeMessage, type Frame } from "../event/frame.ts";
import type { Term } from "../event/term.ts";
import type { Target } from "../journal/record.ts";
import type { ActorLook, InputLook, SentLook } from "./actor-look.ts";
import { holderOf } from "./frame-copy.ts";
import type { Cursor } from "./history.ts";

/** Of one channel, or of the dead letters of one actor. */
export interface Gap {
  readonly from: string;
  readonly to: string;
  /**
   * Numbers of frames; a reader has what it has read, and what its mailbox holds next. `gone`: nowhere any more. `anew`: the reader has them, and the sender
   * has forgotten that it sent them. `forked`: from the first on the sender tells another history than the reader has; it says more than `anew`, as the
   * reader parks for it. `unsaid`: in no record, and none says that they are settled, though the reader has them (P30).
   * `kept`: not in the mailbox, and the sender does not send them again, but the log, or the journal on `node`, holds them.
   */
  readonly is: "gone" | "kept" | "anew" | "forked" | "unsaid";
  readonly node?: string;
  /** Of `kept`. */
  readonly target?: Target;
  readonly first: number;
  readonly last: number;
}

/** What is to be known of a frame to judge it. */
type Head = Pick<Frame, "from" | "generation" | "seq" | "term" | "before">;

export interface Channels {
  /** Actor of a generation of a stage that is in force, or about to be. */
  readonly reader: (stage: string, generation: string, partition: number) => ActorLook | undefined;
  readonly readers: Iterable<ActorLook>;
  /** Number of the newest frame under the subject of a chain. */
  readonly chainEnd: (subject: string) => Promise<number>;
  readonly mailboxes: Mailboxes;
}

/** The frames in mailboxes after the position of their reader, each mailbox read once. */
export class Mailboxes {
  readonly #read = new Map<InputLook, Promise<readonly Head[]>>();

  of(input: InputLook): Promise<readonly Head[]> {
    const known = this.#read.get(input) ?? headsIn(input);
    this.#read.set(input, known);
    return known;
  }
}

async function headsIn({ stream, isThere, first, last, at, fits }: InputLook): Promise<readonly Head[]> {
  const heads: Head[] = [];
  if (!isThere) return heads;
  for await (const { data } of stream.read(fits ? Math.max(first, at + 1) : first, last)) {
    try {
      const { from, generation, seq, term, before } = decodeMessage(data);
      heads.push({ from, generation, seq, term, before });
    } catch {
      // What is no frame its reader refuses, too.
    }
  }
  return heads;
}

/** What a channel lacks; none: all that its reader needs is there. */
export async function gapsOf(sender: ActorLook, channels: Channels): Promise<readonly Gap[]> {
  const gaps: Gap[] = [];
  for (const sent of sender.sent) {
    const { target } = sent;
    if (typeof target === "string") {
      const kept = sent.fits ? sent.seq : await channels.chainEnd(target);
      gaps.push(...gone(sender.id, target, kept, sent), ...(needs(sent, kept) ? [] : unsaid(sender.id, target, sent)));
      continue;
    }
    const reader = channels.reader(target[0], target[1], target[2]);
    if (reader !== undefined) gaps.push(...(await between(sender, reader, sent, target, channels.mailboxes)));
  }
  return [...gaps, ...forgotten(sender, channels.readers)];
}

async function between(sender: ActorLook, reader: ActorLook, sent: SentLook, [, , , number]: Exclude<Target, string>, mailboxes: Mailboxes): Promise<readonly Gap[]> {
  const cursor = reader.history.cursor(number, sender.address, sender.generation), read = cursor?.[3] ?? 0, ends = { from: sender.id, to: reader.id };
  const input = reader.inputs.find((one) => one.input === number);
  const its = input === undefined ? [] : (await mailboxes.of(input)).filter(({ from, generation }) => from === sender.address && generation === sender.generation);
  const has = its.reduce((to, { seq }) => (seq === to + 1 ? seq : to), read);
  // Of one that has yet to begin with the state of others it is not known here what it will have read.
  const forked = cursor === undefined && reader.inherits ? undefined : firstForked(cursor, [...its, ...retainedOf(sent, read)]);
  if (forked !== undefined) return [{ ...ends, is: "forked", first: forked, last: Math.max(forked, has) }];
  // Nothing is sent before its record (P7): that one is gone, and what is done in its place will be told otherwise.
  if (has > sent.seq) return [{ ...ends, is: "anew", first: sent.seq + 1, last: has }];
  if (!needs(sent, has)) return unsaid(ends.from, ends.to, sent);
  const numbers = { first: has + 1, last: oldest(sent) - 1 }, node = input?.isThere === true ? await holderOf(sender, sent.target, numbers) : undefined;
  return node === undefined ? gone(ends.from, ends.to, has, sent) : [{ ...ends, is: "kept", ...numbers, node, target: sent.target }];
}

/** As the reader itself will judge them, one after the other: the number of the first that is told anew. */
function firstForked(cursor: Cursor | undefined, heads: readonly Head[]): number | undefined {
  const inbound = new Inbound(), channel = new Channel(0, "", "");
  if (cursor !== undefined) {
    const [, , , seq, term, done, begun, starts] = cursor;
    Object.assign(channel, { seq, term, done, begun, starts: [...starts], takenSeq: seq, takenTerm: term });
  }
  for (const head of heads) {
    const verdict = inbound.judge(channel, head);
    if (verdict === "forked") return head.seq;
    if (verdict !== "next") continue;
    const frame: Frame = { ...head, n: 0, edge: 0, watermark: null, note: null, shapes: [], types: [], rows: [] };
    inbound.take(channel, frame);
    inbound.accept(channel, frame);
  }
  return undefined;
}

/** What its records hold, and will be sent again; else its newest frame, as one that was read. */
function retainedOf({ retained, seq, term, before, terms }: SentLook, read: number): readonly Head[] {
  const head = (its: number, of: Term, prior: Term | null): Head => ({ from: "", generation: "", seq: its, term: of, before: prior });
  if (retained === 0) return term !== null && seq > 0 && seq <= read ? [head(seq, term, null)] : [];
  const heads: Head[] = [];
  let at = 0, prior = before;
  for (let its = retained; its <= seq; its++) {
    while ((terms[at + 1]?.[0] ?? Infinity) <= its) at++;
    const of = terms[at]?.[1] ?? term;
    if (of === null) break;
    if (prior !== undefined) heads.push(head(its, of, prior));
    prior = of;
  }
  return heads;
}

/** Senders whose own log does not even know the channel. */
function forgotten({ id, address, generation, history }: ActorLook, readers: Iterable<ActorLook>): readonly Gap[] {
  const gaps: Gap[] = [];
  for (const reader of readers) {
    for (const [input, from, its, seq] of reader.history.cursors.values()) {
      const known = [...history.sent.values()].some(({ target }) => typeof target !== "string" && target[0] === reader.stage && target[1] === reader.generation && target[2] === reader.partition && target[3] === input);
      if (from === address && its === generation && seq > 0 && !known) gaps.push({ from: id, to: reader.id, is: "anew", first: 1, last: seq });
    }
  }
  return gaps;
}

const oldest = ({ again, seq }: SentLook): number => (again === 0 ? seq + 1 : again);
/** Whether the reader lacks frames that the sender does not send again. */
const needs = (sent: SentLook, cursor: number): boolean => cursor + 1 < oldest(sent);

function gone(from: string, to: string, has: number, sent: SentLook): readonly Gap[] {
  return needs(sent, has) ? [{ from, to, is: "gone", first: has + 1, last: oldest(sent) - 1 }] : [];
}

/** A frame leaves the log only when a record says that it is settled (P23): where one is neither, that record was lost, and its actor parks. */
function unsaid(from: string, to: string, sent: SentLook): readonly Gap[] {
  return needs(sent, sent.settled) ? [{ from, to, is: "unsaid", first: sent.settled + 1, last: oldest(sent) - 1 }] : [];
}
