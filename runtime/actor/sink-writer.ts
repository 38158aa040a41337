// The behaviour of a sink: record n fixes batch n and is accepted before batch n is written†; after a crash the same batch is
// put together again and written again: same events, same order, same number (P28, models/sink.mjs).
import { isDeepStrictEqual } from "node:util";
import { decode, encode, plain } from "../event/codec.ts";
import { MillraceError } from "../event/errors.ts";
import { type Row, rowData } from "../event/frame.ts";
import { shown } from "../flow/display.ts";
import type { SinkPlan } from "../flow/plan.ts";
import type { Batch, Written } from "../flow/sink.ts";
import { pause } from "../event/clock.ts";
import type { Body, CommitRecord } from "../journal/record.ts";
import type { Actor } from "./actor.ts";
import type { Behaviour } from "./behaviour.ts";
import { batchAgain } from "./batch-again.ts";
import { heldOf } from "./event-info.ts";
import { addressOf } from "./environment.ts";
import { exitOf } from "./exit.ts";
import { fateOf } from "./failure.ts";
import type { HeldEntry } from "./held.ts";
import type { Position } from "./inbound.ts";
import { Intake } from "./intake.ts";
import { Received, received } from "./received.ts";

/** Most events in one batch. */
export const batchLimit = { events: 8_192 };

interface Session {
  readonly written: Written<unknown>;
  write(batch: Batch<unknown>): Promise<unknown>;
  finish?(): Promise<void>;
  close?(): Promise<void>;
}

type Begun = NonNullable<Body["sink"]>;

export class SinkWriter implements Behaviour {
  readonly #actor: Actor;
  readonly #plan: SinkPlan;
  readonly #intake: Intake;
  #session: Session | undefined;
  /** As of the newest record: the batch begun, the mark of the one before it, whether a record says that it is written. */
  #begun: Begun;
  /** Targets of partitions that this generation has not: finished with its own. */
  #kept: NonNullable<Body["targets"]> = [];
  /** What is gathered for the next batch, by arrival. */
  #gathered: Received[] = [];
  /** Held events that the batch begun is made of; they go with the next record. */
  #taken: HeldEntry[] = [];
  /** The batch that is fixed by a record under way, or being written. */
  #fixed: readonly Received[] | undefined;
  /** Records that are under way, in order: what each of them begins, and the events of its batch. */
  readonly #closed: { readonly begun: Begun; readonly events: readonly Received[] }[] = [];
  #fixing = false;
  /** Mark of the batch begun, once it is written. */
  #mark: unknown;
  #from: Begun["from"];
  #draining = false;
  #drained: (() => void) | undefined;
  #over = false;
  #failures = 0;

  constructor(actor: Actor, plan: SinkPlan) {
    this.#actor = actor;
    this.#plan = plan;
    this.#intake = new Intake(actor, plan.maxFrames);
    const start = plan.sink.guarantee === "transactional" ? plan.sink.start : null;
    this.#begun = { number: 0, events: 0, mark: start, written: true, from: { inputs: [], cursors: [] } };
    this.#mark = start;
    this.#from = this.#begun.from;
  }

  apply({ body }: CommitRecord): void {
    if (body.sink !== undefined) this.#begun = body.sink;
    if (body.targets !== undefined) this.#kept = body.targets;
  }

  async start(): Promise<void> {
    // No event of a user's code kills it: unclean ends are counted for processors only.
    this.#actor.memory.tries.calm();
    const { number, mark, written, events, from } = this.#begun, { address } = this.#actor;
    if (this.#actor.sealing.said) {
      // Its target is another's by now; what its own log says of it stays.
      this.#mark = mark;
      this.#from = this.#where();
      return this.#intake.follow();
    }
    const last: Written<unknown> = { batch: written ? number : number - 1, mark };
    this.#session = await this.#open(last);
    // It may be over by now: nobody else would close what was opened.
    if (this.#over) return void (await this.#session.close?.());
    if (this.#actor.hasEnded) await this.#intake.look();
    const holds = this.#session.written;
    checkTarget(address, holds, last, number);
    this.#mark = holds.mark;
    this.#trim(this.#begun, this.#intake.position);
    if (holds.batch < number) this.#again(events, from);
    // Written, and no record says so: what the batch was made of goes with the next record.
    else if (!written && this.#plan.order === "time") this.#takeHeld(events);
    this.#from = this.#where();
    this.#intake.follow();
  }

  async #open(last: Written<unknown>, partition = this.#actor.partition): Promise<Session> {
    const { stage, generation, signal, env } = this.#actor, ctx = { actor: addressOf(env.flow, stage, partition), partition, generation, signal, log: env.log }, { sink } = this.#plan;
    if (sink.guarantee === "transactional") return sink.open({ ...ctx, last });
    const session = await sink.open(ctx);
    return { written: last, write: async (batch) => { await session.write(batch); return null; }, ...(session.close === undefined ? {} : { close: () => (session.close as () => Promise<void>)() }) };
  }

  /** The batch that was begun, as it was: of what is held so many events, or the same part of the mailbox. */
  #again(events: number, { inputs: [input], cursors }: Begun["from"]): void {
    if (this.#plan.order === "time") {
      this.#takeHeld(events);
      this.#fixed = this.#taken.map(({ event }) => received(event));
      return void this.#write();
    }
    // Until it is fixed no record may be closed. Not waited for: who sends it again may start after this one.
    this.#fixing = true;
    const { address, signal, memory, env: { clock } } = this.#actor, to: Body = {};
    memory.inbound.write(to, true);
    batchAgain({ where: address, mailbox: this.#intake.mailbox, after: input?.[1] ?? 0, from: cursors, to: to.cursors ?? [], clock }, signal).then((batch) => {
      if (batch === undefined || this.#over) return;
      if (batch.length !== events) throw new MillraceError("HISTORY_FORKED", address, `Batch ${this.#begun.number} of ${address} has ${events} events in its log and ${batch.length} in the mailbox`, "Start the flow anew with --fresh, or bring the server's store back.");
      this.#fixing = false;
      this.#fixed = batch;
      void this.#write();
    }).catch((error: unknown) => this.#actor.exit(exitOf(error)));
  }

  // Up to so many events of what is held and due, in order; they stay in the state until the next record.
  #takeHeld(most: number): void {
    const { held, inbound } = this.#actor.memory;
    for (let entry = held.due(inbound.watermark); entry !== undefined && this.#taken.length < most; entry = held.due(inbound.watermark)) {
      held.take(entry);
      this.#taken.push(entry);
    }
  }

  work(): void {
    if (this.#draining) return;
    this.#gather(batchLimit.events, this.#actor.env.clock.monotonic() + this.#actor.pace.sliceMs);
  }

  #gather(most: number, until: number): void {
    const { env } = this.#actor, { inbound, held, changes } = this.#actor.memory, inOrder = this.#plan.order === "time";
    for (;;) {
      if (this.#gathered.length >= most || (inOrder && this.#actor.full)) return;
      if (env.clock.monotonic() >= until) return this.#actor.soon();
      const open = this.#intake.open[0] ?? this.#intake.next();
      if (open === undefined) return;
      const { frame } = open;
      let i = open.done;
      for (; i < frame.rows.length && (inOrder || this.#gathered.length < most); i++) {
        const row = frame.rows[i] as Row;
        if (inOrder) held.add(heldOf(frame, row));
        else {
          this.#gathered.push(new Received(rowData(row, frame.shapes), frame, row));
        }
        changes.keep();
        this.#actor.events++;
      }
      this.#actor.taken += i - open.done;
      this.#intake.progress(i);
      if (inOrder && inbound.ended) return;
    }
  }

  #where(): Begun["from"] {
    const body: Body = {};
    this.#actor.memory.inbound.write(body, true);
    return { inputs: body.inputs ?? [], cursors: body.cursors ?? [] };
  }

  /** Whether batch and record are both done with: the next batch may be fixed. */
  get #free(): boolean {
    return this.#fixed === undefined && !this.#fixing;
  }

  get busy(): boolean {
    return this.#fixed !== undefined;
  }

  /** What is gathered belongs to the next batch: no record may hold its positions before that batch can be fixed. */
  get closable(): boolean {
    return this.#free;
  }

  get #due(): boolean {
    const { held, inbound } = this.#actor.memory;
    return this.#gathered.length > 0 || held.due(inbound.watermark) !== undefined;
  }

  closing(): void {
    const { held } = this.#actor.memory, inOrder = this.#plan.order === "time";
    for (const entry of this.#taken.splice(0)) held.forget(entry);
    if (inOrder) this.#takeHeld(batchLimit.events);
    const events = inOrder ? this.#taken.map(({ event }) => received(event)) : this.#gathered, { number } = this.#begun;
    this.#gathered = [];
    this.#begun = { number: events.length > 0 ? number + 1 : number, events: events.length, mark: this.#mark, written: events.length === 0, from: this.#from };
    this.#from = this.#where();
    this.#fixing = events.length > 0;
    this.#closed.push({ begun: this.#begun, events });
  }

  write(body: Body, whole: boolean): void {
    body.sink = { ...this.#begun, mark: plain(this.#begun.mark) };
    if (whole && this.#kept.length > 0) body.targets = this.#kept;
  }

  committed(position: Position | undefined): void {
    const closed = position === undefined ? undefined : this.#closed.shift();
    if (closed === undefined || position === undefined) return;
    const { begun, events } = closed;
    if (events.length > 0) {
      this.#fixing = false;
      this.#fixed = events;
      void this.#write();
    }
    this.#trim(begun, position);
  }

  // †Only up to what a record says is written: batch n - 1 by record n.
  #trim({ written, from: { inputs: [from] } }: Begun, position: Position): void {
    if (written || this.#plan.order === "time") this.#intake.trimTo(position);
    else if (from !== undefined) this.#intake.trimTo({ at: from[1], round: from[2], from: from[3], seq: from[4] });
  }

  async #write(): Promise<void> {
    const events = this.#fixed as readonly Received[], { env, emitter } = this.#actor;
    for (;;) {
      try {
        const mark = await (this.#session as Session).write({ number: this.#begun.number, events });
        if (this.#over) return;
        this.#mark = mark;
        this.#fixed = undefined;
        this.#failures = 0;
        emitter.counts.out += events.length;
        this.#actor.availability.resumed();
        this.#drained?.();
        return this.#actor.soon();
      } catch (thrown) {
        if (this.#over) return;
        const fate = fateOf(thrown, 1);
        if (fate.is !== "unavailable" && fate.is !== "retry") return this.#actor.exit(exitOf(thrown));
        // The batch is fixed: the same one again, until the target takes it.
        this.#actor.availability.suspended(fate.error);
        const wait = Math.min(300_000, fate.afterMs * 2 ** Math.min(8, this.#failures++));
        await pause(wait, { clock: env.clock, signal: this.#actor.signal });
        if (this.#over) return;
      }
    }
  }

  get pending(): "now" | "later" | "nothing" {
    if (this.#due) return "now";
    if (!this.#begun.written) return this.#actor.memory.inbound.ended ? "now" : "later";
    if (this.#actor.memory.changes.dirty) return "now";
    return this.#actor.memory.inbound.moved || this.#actor.memory.tries.moved ? "later" : "nothing";
  }

  get watermark(): number {
    return -Infinity;
  }

  get finished(): boolean {
    const { inbound, held } = this.#actor.memory;
    return this.#intake.isRead && inbound.ended && held.size === 0 && this.quiet;
  }

  get quiet(): boolean {
    return this.#free && this.#begun.written && this.#gathered.length === 0 && this.#taken.length === 0 && this.#intake.open.length === 0;
  }

  get wake(): number {
    return Infinity;
  }

  drain(): Promise<void> {
    this.#draining = true;
    if (this.#free) return Promise.resolve();
    return new Promise((done) => { this.#drained = done; });
  }

  async finish(): Promise<void> {
    await this.#session?.finish?.();
    const { env, stage } = this.#actor;
    for (const [partition, batch, mark] of this.#kept) {
      if (this.#over) return;
      const session = await this.#open({ batch, mark }, partition);
      try {
        checkTarget(addressOf(env.flow, stage, partition), session.written, { batch, mark }, batch);
        await session.finish?.();
      } finally {
        await session.close?.();
      }
    }
  }

  async close(): Promise<void> {
    this.#over = true;
    this.#drained?.();
    await this.#intake.close();
    await this.#session?.close?.();
  }
}

/** @param begun the batch that may have been written after the last one that its log knows of. @throws MillraceError SINK_DIVERGED */
function checkTarget(address: string, holds: Written<unknown>, last: Written<unknown>, begun: number): void {
  const diverged = (what: string) => new MillraceError("SINK_DIVERGED", address, `The target of ${address} ${what}`, "Look who else writes to the target; then start anew with --fresh.");
  if (holds.batch !== last.batch && holds.batch !== begun) throw diverged(`holds batch ${holds.batch}, its log says ${last.batch}`);
  if (holds.batch === last.batch && !isSameMark(holds.mark, last.mark)) throw diverged(`says ${shown(holds.mark)} of batch ${holds.batch}, its log ${shown(last.mark)}`);
}

/** As it comes back from the log: whatever a mark is made of, and in whatever order a target gives its properties. */
function isSameMark(a: unknown, b: unknown): boolean {
  return isDeepStrictEqual(decode(encode(plain(a))), decode(encode(plain(b))));
}
