// The behaviour of a processor: events of its mailbox, held and waiting ones and timers through its chain of operators, one
// after the other; where the first operators keep no state, so many ahead as they allow, let go in order (PROTOCOL 8).
//
// R1. A turn ends between events: what an event did is in it whole, or not at all.
// R2. Timers and held events that event time lets go come before later events.
import type { Key } from "../event/event.ts";
import { type Row, rowData } from "../event/frame.ts";
import type { ProcessorPlan } from "../flow/plan.ts";
import type { Actor } from "./actor.ts";
import type { Replay } from "./dead-letter.ts";
import { Aftermath } from "./aftermath.ts";
import { Ahead } from "./ahead.ts";
import { AheadWork } from "./ahead-work.ts";
import type { Behaviour } from "./behaviour.ts";
import { Cancellations } from "./cancellations.ts";
import { atOnce, type Chain, type ChainHost, type Describe, type EventScope, openChain, scopeOf } from "./chain.ts";
import { eventId, heldOf, rowInfo, typeOf } from "./event-info.ts";
import type { Position } from "./inbound.ts";
import { Intake, type OpenFrame } from "./intake.ts";
import { dataOf, idOf, infoOf, type Item, keptOf, rowOf } from "./item.ts";
import { cautiousTurn, turnLimit } from "./limits.ts";
import { OneByOne } from "./one-by-one.ts";
import { StageTime } from "./stage-time.ts";
import { Suspects } from "./suspects.ts";
import { UnderWay } from "./under-way.ts";

export class Processor implements Behaviour {
  readonly #actor: Actor;
  readonly #plan: ProcessorPlan;
  readonly #intake: Intake;
  readonly #chain: Chain;
  readonly #scope: EventScope;
  readonly #ahead: Ahead | undefined;
  readonly #aheadWork: AheadWork | undefined;
  readonly #aftermath: Aftermath;
  readonly #underWay: UnderWay;
  readonly #time: StageTime;
  /** Whether a timer is at hand: what it sets after the end of everything else stays. */
  #firing = false;
  #draining = false;
  #oneByOne: OneByOne | undefined;
  #suspects: Suspects | undefined;

  constructor(actor: Actor, plan: ProcessorPlan) {
    this.#actor = actor;
    this.#plan = plan;
    this.#intake = new Intake(actor, plan.maxFrames);
    const cancellations = new Cancellations(actor.signal);
    this.#scope = scopeOf(actor, cancellations);
    this.#time = new StageTime(actor);
    this.#underWay = new UnderWay(actor.env.clock, plan.poison.deadlineMs);
    this.#aftermath = new Aftermath(actor, plan.poison);
    const host: ChainHost = { actor, watermark: () => this.#time.now, stays: () => this.#firing && actor.memory.inbound.ended && actor.memory.held.size === 0 && actor.memory.waiting.size === 0 };
    const { steps } = plan, prefix = Ahead.prefixOf(steps), emit = (data: unknown, scope: { time: number; key: Key | undefined; type: string | undefined }) => actor.emitter.emit("", data, scope.time, scope.key, scope.type);
    if (prefix > 0) {
      const rest = openChain(host, steps, prefix, steps.length, emit, atOnce);
      this.#ahead = new Ahead(host, steps, prefix, rest, () => scopeOf(actor, cancellations), plan.poison.deadlineMs, () => actor.soon());
      this.#chain = this.#ahead.chain;
      this.#aheadWork = new AheadWork(actor, plan, this.#intake, this.#ahead, {
        push: (item, its) => this.#push(item, its), await: (result, item) => this.#await(result, item, this.#scope),
        done: (item) => this.#done(item), failed: (thrown, item, attempt) => this.#failed(thrown, item, attempt), tooOften: (item) => { this.#aftermath.tooOften(item); }, idle: () => this.#past(0, true),
      });
    } else this.#chain = openChain(host, steps, 0, steps.length, emit, atOnce);
  }

  apply(): void {}
  write(): void {}
  closing(): void {}

  async start(): Promise<void> {
    const { tries } = this.#actor.memory;
    this.#time.restore();
    if (tries.k > 0) {
      this.#suspects = new Suspects(tries, (await this.#intake.mailbox.bounds()).last, this.#ahead?.concurrency ?? 0);
      if (this.#suspects.alone) this.#oneByOne = new OneByOne(this.#actor, this, this.#plan.poison.after);
      this.#actor.pace.limit = cautiousTurn.events;
    }
    if (this.#actor.hasEnded) await this.#intake.look();
    this.#intake.follow();
    // What an earlier owner committed and did not trim would fill the mailbox for good.
    this.#intake.trimTo(this.#intake.position);
  }

  work(): void {
    const { clock } = this.#actor.env, until = clock.monotonic() + this.#actor.pace.sliceMs;
    while (!this.#underWay.busy && !this.#actor.full && !this.#draining) {
      if (clock.monotonic() >= until) return this.#actor.soon();
      if (clock.now() < this.#aftermath.suspendedUntil) return;
      if (this.#oneByOne !== undefined) {
        if (this.#oneByOne.work()) this.#past(0, true);
        if (this.#oneByOne !== undefined) return;
      }
      const letter = this.#actor.letters.next(), due = letter === undefined ? this.#time.released() : undefined;
      if (letter !== undefined) this.#handle({ kind: "letter", letter });
      else if (due !== undefined) this.#handle(due);
      else if (this.#aheadWork !== undefined) { if (!this.#aheadWork.work()) return; }
      else if (!this.#rows(until)) return;
    }
  }

  // The oldest frame's events, one after the other, until it is done or a handler is not. The hot path: no allocation of its own.
  #rows(until: number): boolean {
    const { emitter } = this.#actor, { waiting, inbound, changes, tries, held } = this.#actor.memory;
    if (waiting.full) return false;
    this.#firing = false;
    const open = this.#intake.open[0] ?? this.#intake.next();
    if (open === undefined) { this.#past(0, true); return false; }
    const { frame } = open, { rows, shapes } = frame, scope = this.#scope, inOrder = this.#plan.order === "time", { watermark } = inbound, clock = this.#actor.env.clock;
    let i = open.done, row = rows[i];
    const describe: Describe = () => rowInfo(frame.from, frame.generation, frame.n, row as Row, typeOf(frame, row as Row));
    try {
      for (; i < rows.length; i++) {
        if (((i & 63) === 63 || this.#suspects !== undefined) && (this.#actor.full || clock.monotonic() >= until)) break;
        row = rows[i] as Row;
        const key = row[2];
        emitter.save();
        if (inOrder && row[1] > watermark) held.add(heldOf(frame, row));
        else if (waiting.size > 0 && waiting.full) break;
        else if (waiting.size > 0 && waiting.blocks(key)) waiting.add(eventId(frame, i), 0, 1, heldOf(frame, row));
        else if (tries.size > 0 && tries.of(eventId(frame, i)) >= this.#plan.poison.after) this.#aftermath.tooOften({ kind: "row", open, index: i });
        else {
          const attempt = tries.size === 0 ? 1 : tries.of(eventId(frame, i)) + 1, result = this.#chain.push(rowData(row, shapes), scope.reset(row[1], key ?? undefined, attempt, describe));
          if (result !== undefined) {
            this.#commitTo(open, i);
            this.#await(result, { kind: "row", open, index: i }, scope);
            return true;
          }
        }
        if (tries.size > 0) tries.done(eventId(frame, i));
        changes.keep();
        this.#actor.taken++;
        this.#actor.events++;
      }
    } catch (error) {
      if (i > open.done) this.#aftermath.calm();
      this.#commitTo(open, i);
      this.#failed(error, { kind: "row", open, index: i }, scope.attempt);
      return true;
    }
    if (i > open.done) this.#aftermath.calm();
    this.#commitTo(open, i);
    return true;
  }

  /** Suspects go by; once none is left, work goes on as usual. */
  #past(events: number, idle: boolean): void {
    if (this.#suspects?.past(events, this.#intake.position.at, idle) !== true) return;
    this.#suspects = this.#oneByOne = undefined;
    this.#actor.pace.limit = turnLimit.events;
  }

  #commitTo(open: OpenFrame, done: number): void {
    if (this.#suspects !== undefined) this.#past(done - open.done, false);
    if (this.#intake.open[0] === open && (done > open.done || open.frame.rows.length === done)) this.#intake.progress(done);
  }

  /** One item, whatever it is. */
  #handle(item: Item): void {
    const { emitter } = this.#actor, { tries } = this.#actor.memory, scope = this.#scope;
    this.#firing = false;
    emitter.save();
    if (tries.size > 0 && tries.of(idOf(item)) >= this.#plan.poison.after) {
      if (this.#aftermath.tooOften(item) === "past") this.#done(item);
      return;
    }
    try {
      const result = this.#push(item, scope);
      if (result !== undefined) this.#await(result, item, scope);
      else this.#done(item);
    } catch (error) {
      this.#failed(error, item, scope.attempt);
    }
  }

  #push(item: Item, scope: EventScope): void | Promise<void> {
    const chain = this.#chain;
    if (item.kind === "timer") {
      const { operator, key, name, time } = item.timer;
      this.#actor.memory.timers.fired(item.timer);
      this.#firing = true;
      return chain.fire(operator, name, scope.reset(time, key, this.#actor.memory.tries.of(idOf(item)) + 1, () => infoOf(this.#actor, item)));
    }
    if (item.kind === "letter") {
      const { letter } = item, { step, timer, time, type } = letter.replay as Replay, its = scope.reset(time, letter.event.key, letter.attempts + 1, () => letter.event);
      its.type = type ?? undefined;
      return timer === null ? chain.enter(step, letter.data, its) : chain.fire(step, timer, its);
    }
    const row = rowOf(item), attempt = item.kind === "waiting" ? item.entry.attempt : this.#actor.memory.tries.of(idOf(item)) + 1;
    return chain.push(dataOf(item), scope.reset(row[1], row[2] ?? undefined, attempt, () => infoOf(this.#actor, item)));
  }

  /** The event is past: what it did stays. */
  #done(item: Item): void {
    const { changes, tries, held, waiting } = this.#actor.memory;
    if (item.kind === "row") {
      this.#commitTo(item.open, item.index + 1);
      this.#actor.taken++;
    } else if (item.kind === "held") held.release(item.entry);
    else if (item.kind === "waiting") waiting.done(item.entry);
    else if (item.kind === "letter") {
      const parked = this.#actor.letters.parkedBy(item.letter);
      if (parked !== undefined) waiting.done(parked);
      this.#actor.letters.replayed(item.letter);
    }
    if (item.kind !== "row" && this.#suspects !== undefined) this.#past(1, false);
    if (tries.size > 0) tries.done(idOf(item));
    changes.keep();
    this.#actor.events++;
    this.#aftermath.calm();
  }

  #await(result: Promise<void>, item: Item, scope: EventScope): void {
    this.#underWay.begin(result, scope, (failed) => {
      if (failed === undefined) this.#done(item);
      else this.#failed(failed.thrown, item, scope.attempt);
      this.#actor.pump();
    });
  }

  #failed(thrown: unknown, item: Item, attempt: number): void {
    if (this.#aftermath.of(thrown, item, attempt) === "past") this.#done(item);
  }

  /** What is next, alone: for an actor that looks for the event that kills. */
  next(): Item | "frame" | undefined {
    const due = this.#time.released();
    if (due !== undefined) return due;
    if (this.#actor.memory.waiting.full) return undefined;
    const open = this.#intake.open[0] ?? this.#intake.next();
    if (open === undefined) return undefined;
    if (open.done >= open.frame.rows.length) {
      this.#intake.progress(open.done);
      return "frame";
    }
    const item = { kind: "row", open, index: open.done } as const;
    if (!this.#setAside(item)) return item;
    this.#done(item);
    return "frame";
  }

  // What is not handled now: its time has not come, or one of its key waits for a later try.
  #setAside(item: Item & { readonly kind: "row" }): boolean {
    const { inbound, held, waiting } = this.#actor.memory, row = rowOf(item);
    if (this.#plan.order === "time" && row[1] > inbound.watermark) held.add(keptOf(item, this.#actor));
    else if (waiting.blocks(row[2])) waiting.add(idOf(item), 0, 1, keptOf(item, this.#actor));
    else return false;
    return true;
  }

  /** Handles it; resolves when its handler is done, whatever came of it. */
  handleAlone(item: Item): Promise<void> {
    this.#handle(item);
    return this.#underWay.settled();
  }

  get busy(): boolean {
    return this.#underWay.busy || this.#ahead?.idle === false;
  }

  get closable(): boolean {
    const { emitter } = this.#actor, { changes } = this.#actor.memory;
    return !this.#underWay.busy || !(emitter.hasPartial || changes.hasPartial);
  }

  get pending(): "now" | "later" | "nothing" {
    const { emitter, events } = this.#actor, { changes, inbound, tries } = this.#actor.memory;
    if (events > 0 || changes.dirty || emitter.gathered > 0 || tries.moved) return "now";
    return inbound.moved ? "later" : "nothing";
  }

  get watermark(): number {
    return this.#time.promise;
  }

  get finished(): boolean {
    const { inbound, held, waiting, timers } = this.#actor.memory;
    return this.#intake.isRead && !this.#underWay.busy && inbound.ended && held.size === 0 && waiting.size === 0 && timers.nextEvent === Infinity && this.#intake.open.length === 0 && (this.#ahead?.idle ?? true);
  }

  get quiet(): boolean {
    return !this.#underWay.busy && this.#intake.open.length === 0 && (this.#ahead?.idle ?? true) && this.#oneByOne?.trying !== true;
  }

  committed(at: Position | undefined): void { if (at !== undefined) this.#intake.trimTo(at); }

  get wake(): number {
    const { env } = this.#actor, { timers, waiting } = this.#actor.memory;
    if (env.clock.now() < this.#aftermath.suspendedUntil) return this.#aftermath.suspendedUntil;
    return Math.min(timers.nextWall, waiting.size > 0 ? waiting.nextDue : Infinity);
  }

  drain(): Promise<void> {
    this.#draining = true;
    this.#aheadWork?.takeBack();
    return this.#oneByOne?.drain() ?? this.#underWay.settled();
  }

  async finish(): Promise<void> {}

  async close(): Promise<void> {
    this.#underWay.close();
    this.#oneByOne?.close();
    this.#ahead?.abort();
    await this.#intake.close();
  }
}
