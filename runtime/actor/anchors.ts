// P30: after every reconnect, and in every recovery, whether the broker still holds what it had acknowledged. A mismatch parks.
import type { BrokerStream } from "../broker/broker.ts";
import { decodeMessage, roundOf } from "../event/frame.ts";
import { wentBack } from "../journal/recovery.ts";
import type { Position } from "./inbound.ts";
import type { Outlet } from "./outlet.ts";

/** Whether the message at a position is the one that was read there†. Of a mailbox of which nothing was read: true. */
export async function isAnchor(mailbox: BrokerStream, position: Position): Promise<boolean> {
  if (position.at === 0) return true;
  const there = await mailbox.get(position.at);
  if (there === undefined) return false;
  const round = roundOf(there.data);
  if (position.round === null || round === undefined) return position.round === null && round === undefined;
  return Buffer.compare(round, position.round) === 0;
}

/** @throws MillraceError BROKER_WENT_BACK, UNREACHABLE */
export async function checkMailbox(where: string, mailbox: BrokerStream, position: Position): Promise<void> {
  if (await isAnchor(mailbox, position)) return;
  throw wentBack(where, `the mailbox of ${where} does not hold message ${position.at} that was read from it`);
}

/** The log still ends with, or goes on after, the record that was accepted last. @throws as above */
export async function checkLog(where: string, log: BrokerStream, at: number): Promise<void> {
  const { last } = await log.bounds();
  if (last < at) throw wentBack(where, `the log of ${where} ends at ${last}, record ${at} was accepted`);
}

/**
 * What is settled is still in the mailbox, or was trimmed and its reader's committed cursor is not lower†.
 * @throws as above
 */
export async function checkOutlet(where: string, generation: string, outlet: Outlet, readerCursor: () => number | undefined): Promise<void> {
  const { delivery, id } = outlet, { settled, settledAt } = delivery;
  if (settledAt === 0) return;
  const there = await delivery.stream.get(settledAt);
  if (there !== undefined) {
    const frame = roundOf(there.data) === undefined ? undefined : decodeMessage(there.data);
    if (frame?.from === where && frame.generation === generation && frame.seq === settled) return;
    throw wentBack(where, `${id} holds another message at ${settledAt} than the frame that ${where} sent`);
  }
  const { first } = await delivery.stream.bounds();
  if (typeof outlet.target === "string") {
    if (first > settledAt) return;
    throw wentBack(where, `${id} does not hold what ${where} sent`);
  }
  const cursor = readerCursor();
  if (first > settledAt && (cursor === undefined || cursor >= settled)) return;
  throw wentBack(where, `${id} does not hold frame ${settled} that ${where} sent`);
}
