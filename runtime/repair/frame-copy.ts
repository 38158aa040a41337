// Frames that are in no mailbox, and that their sender does not send again, since its journal begins later; and that the log still holds, which
// went back, or a journal of a node where the sender ran before. Their readers get them from there.
import { outletId } from "../actor/outlet.ts";
import { message } from "../event/frame.ts";
import type { Random } from "../event/clock.ts";
import { MillraceError } from "../event/errors.ts";
import type { BrokerStream } from "../broker/broker.ts";
import type { ActorLook } from "./actor-look.ts";
import { Assembler, decodeRecord, type Target } from "../journal/record.ts";

type Numbers = { readonly first: number; readonly last: number };

/** Where a node stands, for the log. */
const ofLog = "the log";

type Sender = Pick<ActorLook, "journals" | "log" | "bounds">;

/** Records of a sender by where they are. What forked from the log tells of another history. */
function* sourcesOf({ journals, log, bounds }: Sender): Generator<readonly [from: string, records: () => AsyncIterable<Uint8Array>]> {
  if (bounds.isThere) yield [ofLog, async function* () { for await (const { data } of log.read(bounds.first, bounds.last)) yield data; }];
  for (const { copy, standing } of journals) if (standing.is !== "forked") yield [copy.node, async function* () { for await (const { bytes } of copy.bytes(0)) yield bytes; }];
}

/** Who holds all of them: a node's name, or "the log"; `undefined`: nobody. */
export async function holderOf(sender: Sender, target: Target, { first, last }: Numbers): Promise<string | undefined> {
  for (const [from, records] of sourcesOf(sender)) {
    let next = first;
    for await (const [seq] of framesIn(records(), target, { first, last })) if (seq === next) next++;
    if (next > last) return from;
  }
  return undefined;
}

/** Puts them into the mailbox, in order; numbers and terms sort out what its reader has (P16, P17). @throws MillraceError REPAIR_RACED, UNREACHABLE */
export async function give(sender: Sender, node: string, target: Target, numbers: Numbers, mailbox: BrokerStream, random: Random): Promise<void> {
  const [, records] = [...sourcesOf(sender)].find(([from]) => from === node) ?? [];
  if (records === undefined) return;
  let room = (await mailbox.bounds()).last + numbers.last - numbers.first + 2;
  for await (const [seq, frame] of framesIn(records(), target, numbers)) {
    const bytes = message(random.bytes(8), frame);
    let outcome = await mailbox.append(bytes);
    if (outcome === "full") {
      await mailbox.raise(++room);
      outcome = await mailbox.append(bytes);
    }
    if (typeof outcome !== "number") throw new MillraceError("UNREACHABLE", mailbox.subject, `NATS did not take frame ${seq} (${outcome})`, "See that the server is well (millrace doctor), then repair it again.");
  }
}

async function* framesIn(records: AsyncIterable<Uint8Array>, target: Target, { first, last }: Numbers): AsyncGenerator<readonly [seq: number, frame: Uint8Array]> {
  const assembler = new Assembler(), id = outletId(target);
  for await (const bytes of records) {
    for (const [to, seq, frame] of assembler.take(decodeRecord(bytes))?.body.out ?? []) if (seq >= first && seq <= last && outletId(to) === id) yield [seq, frame];
  }
}
