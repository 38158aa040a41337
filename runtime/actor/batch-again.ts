// A sink's batch that was begun and is not known to be written, put together again from the mailbox (P28): of each channel what lies
// between the cursors before the batch and those after it, in the order of the mailbox. Of the actor's memory nothing changes.
//
// After a repair (P31) the mailbox may hold more before it, in another order between channels, or what is needed may yet be sent
// again: each channel's own part is the same, whoever sent it anew is found by its terms (P17).
import type { BrokerStream, Subscription } from "../broker/broker.ts";
import type { Clock } from "../event/clock.ts";
import { MillraceError } from "../event/errors.ts";
import { decodeMessage, type Frame, type Row, rowData } from "../event/frame.ts";
import { sameTerm, type Term } from "../event/term.ts";
import { untilAnswered } from "../journal/fenced-log.ts";
import type { Body } from "../journal/record.ts";
import { wentBack } from "../journal/verdict.ts";
import { Received } from "./received.ts";

type Cursors = NonNullable<Body["cursors"]>;

/** Part of a channel: from the cursor before the batch to the one after it. */
interface Part {
  seq: number;
  term: Term | null;
  done: number;
  readonly to: { readonly seq: number; readonly term: Term | null; readonly done: number; readonly begun: Term | null };
}

/** What stands where in a mailbox. */
export interface BatchPlace {
  readonly where: string;
  readonly mailbox: BrokerStream;
  /** Sequence after which the mailbox is read. */
  readonly after: number;
  readonly from: Cursors;
  readonly to: Cursors;
  readonly clock: Clock;
}

/** What is trimmed away is waited for so long, in ms. */
const trimmedWaitMs = 30_000;

/** Waits for what is not there yet; gives nothing when the signal ends that. @throws MillraceError HISTORY_FORKED, BROKER_WENT_BACK */
export async function batchAgain({ where, mailbox, after, from, to, clock }: BatchPlace, signal: AbortSignal): Promise<readonly Received[] | undefined> {
  const before = new Map(from.map((cursor) => [idOf(cursor[1], cursor[2]), cursor])), parts = new Map<string, Part>(), events: Received[] = [];
  for (const [, sender, generation, seq, term, done, begun] of to) {
    const [, , , its = 0, itsTerm = null, itsDone = 0] = before.get(idOf(sender, generation)) ?? [];
    if (its < seq || itsDone < done) parts.set(idOf(sender, generation), { seq: its, term: itsTerm, done: itsDone, to: { seq, term, done, begun } });
  }
  if (parts.size === 0) return events;
  const bounds = await untilAnswered(() => mailbox.bounds(), { clock, signal });
  if (bounds === "aborted") return undefined;
  const subscription = mailbox.follow(after + 1), ready = new Ready(subscription, signal);
  // A record said that the batch is written, the mailbox was trimmed for that, and the record was lost with the server's power: only a
  // repair has it sent again (P31). The sink waited for it for ever, and nobody was told.
  let isGone = false;
  const cancel = bounds.first > after + 1 ? clock.after(trimmedWaitMs, () => { isGone = true; ready.wake(); }) : undefined;
  try {
    for (;;) {
      for (let stored = subscription.take(); stored !== undefined; stored = subscription.take()) {
        const frame = frameOf(stored.data), id = frame && idOf(frame.from, frame.generation), part = id === undefined ? undefined : parts.get(id);
        if (frame === undefined || part === undefined || frame.seq !== part.seq + 1) continue;
        if (take(where, frame, part, events)) parts.delete(id as string);
        if (parts.size === 0) return events;
      }
      if (signal.aborted) return undefined;
      if (isGone) throw wentBack(where, `the mailbox of ${where} is trimmed up to ${bounds.first}, its log says that a batch of what came after ${after} is not written`);
      await ready.wait();
    }
  } finally {
    cancel?.();
    ready.close();
    await subscription.close();
  }
}

const idOf = (from: string, generation: string): string => `${from}@${generation}`;

// A message that is no frame was refused when it was read.
function frameOf(data: Uint8Array): Frame | undefined {
  try {
    return decodeMessage(data);
  } catch (error) {
    if (error instanceof MillraceError && error.code === "FRAME_NEWER") throw error;
    return undefined;
  }
}

/** The next frame of a channel; says whether its part is whole. */
function take(where: string, frame: Frame, part: Part, events: Received[]): boolean {
  const { to } = part, isLast = frame.seq === to.seq, isBegun = frame.seq > to.seq;
  if (!sameTerm(frame.before, part.term) || (isLast && !sameTerm(frame.term, to.term)) || (isBegun && !sameTerm(frame.term, to.begun))) {
    throw new MillraceError("HISTORY_FORKED", where, `What ${frame.from} sent was written anew after a loss: its frame ${frame.seq} is not the one of the batch that was begun`, "Start the flow anew with --fresh, or bring the server's store back.");
  }
  const end = isBegun ? to.done : frame.rows.length;
  for (let i = part.done; i < end; i++) {
    const row = frame.rows[i] as Row;
    events.push(new Received(rowData(row, frame.shapes), frame, row));
  }
  if (isBegun) return true;
  part.seq = frame.seq;
  part.term = frame.term;
  part.done = 0;
  return isLast && to.done === 0;
}

/** Waits until something came, or the signal. */
class Ready {
  readonly #signal: AbortSignal;
  readonly wake = (): void => { this.#came = true; this.#call?.(); };
  #came = false;
  #call: (() => void) | undefined;

  constructor(subscription: Subscription, signal: AbortSignal) {
    this.#signal = signal;
    subscription.onReady(this.wake);
    signal.addEventListener("abort", this.wake);
  }

  async wait(): Promise<void> {
    if (!this.#came) await new Promise<void>((done) => { this.#call = done; });
    this.#came = false;
  }

  close(): void {
    this.#signal.removeEventListener("abort", this.wake);
  }
}
