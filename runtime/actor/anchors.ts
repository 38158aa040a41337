// P30: after every reconnect, and in every recovery, whether the broker still holds what it had acknowledged. A mismatch parks.
import type { BrokerStream } from "../broker/broker.ts";
import { untilReachable } from "../broker/until-reachable.ts";
import { MillraceError } from "../event/errors.ts";
import { decodeMessage, roundOf } from "../event/frame.ts";
import type { FencedLog } from "../journal/fenced-log.ts";
import { fenced, wentBack } from "../journal/verdict.ts";
import type { Actor } from "./actor.ts";
import { streamName, subjectsOf } from "./environment.ts";
import type { Position } from "./inbound.ts";
import type { Outlet } from "./outlet.ts";

/** Whether the message at a position is the one that was read there†. Of a mailbox of which nothing was read: true. */
export async function isAnchor(mailbox: BrokerStream, position: Position): Promise<boolean> {
  // Taken before the question: the position of an actor at work moves on.
  const { at, round: its, from } = position;
  if (at === 0) return true;
  const there = await mailbox.get(at);
  // Before the first message of a mailbox, nothing read of what is in it: where a repair puts a reader (P31).
  if (there === undefined) return its === null && from === null && (await mailbox.bounds()).first === at + 1;
  const round = roundOf(there.data);
  if (its === null || round === undefined) return its === null && round === undefined;
  return Buffer.compare(round, its) === 0;
}

/** @throws MillraceError BROKER_WENT_BACK, UNREACHABLE */
async function checkMailbox(where: string, mailbox: BrokerStream, position: Position): Promise<void> {
  if (position.at === 0) {
    // Who has read nothing has trimmed nothing: else it is the log that was lost.
    if ((await mailbox.bounds()).first === 1) return;
    throw wentBack(where, `the mailbox of ${where} was trimmed, its log says that nothing was read from it`);
  }
  if (await isAnchor(mailbox, position)) return;
  throw wentBack(where, `the mailbox of ${where} does not hold message ${position.at} that was read from it`);
}

/** The log still holds the record that was accepted last, and no other in its place. @throws as above */
async function checkLog(where: string, log: FencedLog): Promise<void> {
  const { at } = log;
  if (!(await log.holdsMine())) throw wentBack(where, `the log of ${where} does not hold the record at ${at} that was accepted`);
}

/**
 * Its reader has not read more than was sent. What is settled is still in the mailbox, or was trimmed and its reader's committed cursor is not lower†.
 * @throws as above
 */
async function checkOutlet(where: string, generation: string, { outlet, seq, settled, settledAt }: Sent, readerCursor: () => number | undefined): Promise<void> {
  const { delivery, id } = outlet, read = readerCursor();
  // What it does anew would be taken for what was read before, or come to a reader that has ended.
  if (read !== undefined && read > seq) throw wentBack(where, `${id} was read up to frame ${read}, the log of ${where} says that it sent ${seq}`);
  if (settledAt === 0) return;
  const there = await delivery.stream.get(settledAt);
  if (there !== undefined) {
    const frame = roundOf(there.data) === undefined ? undefined : decodeMessage(there.data);
    // On a chain it may be a later one: of another owner, who had sent more.
    const fits = typeof outlet.target === "string" ? (frame?.seq ?? 0) >= settled : frame?.seq === settled;
    if (frame?.from === where && frame.generation === generation && fits) return;
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

/** Milliseconds between two tries where the broker cannot be asked. */
const againMs = 200;

/** What an outlet knew to be stored, and where, before anything new was sent: what settles later could hide that it is gone. */
export interface Sent {
  readonly outlet: Outlet;
  /** Number of the newest frame. */
  readonly seq: number;
  readonly settled: number;
  readonly settledAt: number;
}

export class Anchors {
  readonly #actor: Actor;

  constructor(actor: Actor) {
    this.#actor = actor;
  }

  /** Own log and mailboxes, before the actor builds on them. @throws MillraceError BROKER_WENT_BACK */
  checkOwn(log: FencedLog): Promise<void> {
    const { env, address, stage, generation, partition, memory } = this.#actor, subjects = subjectsOf(env.flow.name, stage.name, generation, partition);
    // As of now: what is read later could hide that what was read before is gone.
    const positions = memory.inbound.positions.map((position, input) => ({ ...(memory.inbound.reached[input] ?? position) }));
    return this.#untilReachable(log, async () => {
      await checkLog(address, log);
      for (const [input, position] of positions.entries()) {
        const subject = subjects.mailbox(input);
        await checkMailbox(address, env.broker.stream(streamName(subject), subject), position);
      }
    });
  }

  /** To be asked for before anything new is sent. */
  sent(): readonly Sent[] {
    return this.#actor.emitter.all.map((outlet) => ({ outlet, seq: outlet.seq, settled: outlet.delivery.settled, settledAt: outlet.delivery.settledAt }));
  }

  /** What it has sent; those who read it may still be starting. @throws MillraceError BROKER_WENT_BACK */
  checkSent(log: FencedLog, sent: readonly Sent[]): Promise<void> {
    const { env, address, generation } = this.#actor;
    return this.#untilReachable(log, async () => {
      for (const one of sent) {
        const { target, delivery } = one.outlet;
        // Of a generation that is over the streams go (P15).
        if (delivery.retired) continue;
        await checkOutlet(address, generation, one, () => (typeof target === "string" ? undefined : env.readerCursor(`${env.flow.name}/${target[0]}/${target[2]}`, target[3], address, generation, target[1])));
      }
    });
  }

  // Of an actor that is over nobody wants to know it any more. And what does not fit may be the work of an owner, or of a generation (P15), that came after this one: before
  // that is known nothing is said, however long nobody can be asked.
  async #untilReachable(log: FencedLog, check: () => Promise<void>): Promise<void> {
    const { address, stage, generation, signal, env: { clock, generations } } = this.#actor;
    const checked = (): Promise<void> => check().catch(async (error: unknown) => {
      if (!(error instanceof MillraceError) || error.code !== "BROKER_WENT_BACK") throw error;
      throw generations?.retired(stage.name, generation) === true || (await log.hasNewOwner()) ? fenced(address) : error;
    });
    await untilReachable(checked, { clock, signal, againMs, codes: ["UNREACHABLE", "STREAM_MISSING"] }).catch((error: unknown) => { if (!signal.aborted) throw error; });
  }
}
