// What an actor has done, in frames, as a planned move counts it: where it was when it stopped there, and where it came when it has its state back.
import type { Actor } from "../actor/actor.ts";
import { streamName, subjectsOf } from "../actor/environment.ts";
import type { Broker } from "../broker/broker.ts";
import type { Done } from "../cluster/hosting.ts";

/** Of a life that has its state back. */
export interface RecoveredFrames {
  readonly done: Done;
  /** That were sent and not known to be stored: they are sent again. */
  readonly unsettled: number;
  /** Rejects where NATS could not be asked, or its thread has ended before. */
  readonly mailboxes: Promise<MailboxFrames>;
}

export interface MailboxFrames {
  /** That were stored in its mailboxes, and that it had not taken. */
  readonly waiting: number;
  /** That are gone from them before it took them. */
  readonly missing: number;
}

export function doneBy({ emitter, memory }: Actor): Done {
  let taken = 0;
  for (const { seq } of memory.inbound.channels) taken += seq;
  // What went to generations that are over is nobody's any more: who goes on from the log need not know of it.
  return { taken, sent: emitter.all.reduce((sum, { seq, delivery }) => sum + (delivery.retired ? 0 : seq), 0) };
}

export function recoveredFrames(actor: Actor, broker: Broker): RecoveredFrames {
  return { done: doneBy(actor), unsettled: actor.emitter.all.reduce((sum, { delivery }) => sum + delivery.unsettled, 0), mailboxes: mailboxesOf(actor, broker) };
}

async function mailboxesOf({ env: { flow }, stage, partition, generation, memory: { inbound } }: Actor, broker: Broker): Promise<MailboxFrames> {
  let waiting = 0, missing = 0;
  for (const [input, { at }] of inbound.positions.entries()) {
    const subject = subjectsOf(flow.name, stage.name, generation, partition).mailbox(input), { first, last } = await broker.stream(streamName(subject), subject).bounds();
    waiting += Math.max(0, last - at);
    // It is trimmed up to what is taken, and it takes more meanwhile: where it is now counts.
    missing += Math.max(0, first - 1 - (inbound.positions[input]?.at ?? at));
  }
  return { waiting, missing };
}
