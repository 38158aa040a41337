// P30: a reader waits for the end of each sender. Once a sender is over, all that it sent has arrived†: where its end is not in the mailbox,
// it was lost, or went to those before this reader, which a sender that went back together with its log does not know to be over.
import type { Broker } from "../broker/broker.ts";
import { pause } from "../event/clock.ts";
import { decodeRecord, isFinal } from "../journal/record.ts";
import { wentBack } from "../journal/verdict.ts";
import type { Actor } from "./actor.ts";
import { streamName, subjectsOf } from "./environment.ts";
import type { Channel } from "./inbound.ts";
import type { Intake } from "./intake.ts";
import { silence } from "./limits.ts";

/** Looks while the actor lives and waits for an end. @throws MillraceError BROKER_WENT_BACK */
export async function watchForEnds(actor: Actor, intake: Intake): Promise<void> {
  const { signal, memory: { inbound }, env: { clock } } = actor, heard = new WeakMap<Channel, number>();
  while (silence.ms < Infinity && !signal.aborted && !inbound.ended) {
    await pause(silence.ms, { clock, signal });
    for (const channel of [...inbound.channels]) {
      const isSilent = heard.get(channel) === channel.seq;
      heard.set(channel, channel.seq);
      if (isSilent && !signal.aborted && await isMissing(actor, intake, channel)) throw wentBack(actor.address, `${channel.from} is over, and its end is not in the mailbox of ${actor.address}`);
    }
  }
}

async function isMissing({ env: { broker } }: Actor, intake: Intake, channel: Channel): Promise<boolean> {
  if (channel.ended || !(await isOver(broker, channel.from, channel.generation))) return false;
  const end = await intake.mailbox.bounds().catch(() => undefined);
  return end !== undefined && !channel.ended && intake.position.at >= end.last;
}

/** Whether the last record of an actor's log says that it has ended, or was sealed; false where that cannot be said now. */
export async function isOver(broker: Broker, address: string, generation: string): Promise<boolean> {
  const [flow, stage, partition] = address.split("/") as [string, string, string], { log } = subjectsOf(flow, stage, generation, Number(partition));
  try {
    const last = await broker.stream(streamName(log), log).last();
    return last !== undefined && isFinal(decodeRecord(last.data));
  } catch {
    return false;
  }
}
