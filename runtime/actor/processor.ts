// The behaviour of a processor: events of its mailbox, held and waiting ones and timers through its chain of operators, one
// after the other; where the first operators keep no state, so many ahead as they allow, let go in order (PROTOCOL 8).
//
// R1. A turn ends between events: what an event did is in it whole, or not at all.
// R2. Timers and held events that event time lets go come before later events.
import type { Key } from "../event/event.ts";
import { type Row, rowData } from "../event/frame.ts";
import type { ProcessorPlan } from "../flow/plan.ts";
import type { Actor } from "./actor.ts";
import { Aftermath } from "./aftermath.ts";
import { Ahead } from "./ahead.ts";
import type { Behaviour } from "./behaviour.ts";
import { atOnce, type Chain, type ChainHost, type Describe, type EventScope, openChain, scopeOf } from "./chain.ts";
import { eventId, heldOf, rowInfo, typeOf } from "./event-info.ts";
import { fateOf } from "./failure.ts";
import type { Position } from "./inbound.ts";
import { Intake, type OpenFrame } from "./intake.ts";
import { dataOf, idOf, infoOf, type Item, keptOf, rowOf } from "./item.ts";
import { sliceMs } from "./limits.ts";
import { OneByOne } from "./one-by-one.ts";
import { UnderWay } from "./under-way.ts";
import { maxWaiting } from "./waiting.ts";

export class Processor implements Behaviour {
  readonly #actor: Actor;
  readonly #plan: ProcessorPlan;
  readonly #intake: Intake;
  readonly #chain: Chain;
  readonly #scope: EventScope;
  readonly #ahead: Ahead | undefined;
  readonly #aftermath: Aftermath;
  readonly #underWay: UnderWay;
  #time = -Infinity;
  /** Whether a timer is at hand: what it sets after the end of everything else stays. */
  #firing = false;
  #draining = false;
  #oneByOne: OneByOne | undefined;

  constructor(actor: Actor, plan: ProcessorPlan) {
    this.#actor = actor;
    this.#plan = plan;
    this.#intake = new Intake(actor, plan.maxFrames);
    this.#scope = scopeOf(actor);
    this.#underWay = new UnderWay(actor.env.clock, plan.poison.deadlineMs);
    this.#aftermath = new Aftermath(actor, plan.poison.after);
    const host: ChainHost = { actor, watermark: () => this.#time, stays: () => this.#firing && actor.memory.inbound.ended && actor.memory.held.size === 0 && actor.memory.waiting.size === 0 };
    const { steps } = plan, prefix = Ahead.prefixOf(steps), emit = (data: unknown, scope: { time: number; key: Key | undefined; type: string | undefined }) => actor.emitter.emit("", data, scope.time, scope.key, scope.type);
    if (prefix > 0) {
      const rest = openChain(host, steps, prefix, steps.length, emit, atOnce);
      this.#ahead = new Ahead(host, steps, prefix, rest, () => scopeOf(actor), plan.poison.deadlineMs, () => actor.soon());
      this.#chain = this.#ahead.chain;
    } else this.#chain = openChain(host, steps, 0, steps.length, emit, atOnce);
  }

  apply(): void {}
  write(): void {}
  closing(): void {}

  async start(): Promise<void> {
    const { tries } = this.#actor.memory;
    this.#time = this.#plan.order === "time" ? Math.min(this.#reached, this.#actor.memory.held.next - 1) : this.#reached;
    if (tries.k >= 2) this.#oneByOne = new OneByOne(this.#actor, this, this.#plan.poison.after, (await this.#intake.mailbox.bounds()).last);
    this.#intake.follow();
  }

  work(): void {
    const { clock } = this.#actor.env, until = clock.monotonic() + sliceMs;
    while (!this.#underWay.busy && !this.#actor.full && !this.#draining) {
      if (clock.monotonic() >= until) return this.#actor.soon();
      if (clock.now() < this.#aftermath.suspendedUntil) return;
      if (this.#oneByOne !== undefined) {
        if (!this.#oneByOne.work(this.#intake.position.at)) return;
        this.#oneByOne = undefined;
      }
      const due = this.#released();
      if (due !== undefined) this.#handle(due);
      else if (this.#ahead !== undefined) { if (!this.#workAhead(this.#ahead)) return; }
      else if (!this.#rows(until)) return;
    }
  }

  /** What event time, or the wall clock, lets go: held events and timers in the order of time, then events that wait for a try; timers wait for those. */
  #released(): Item | undefined {
    const { env } = this.#actor, { timers, held, waiting } = this.#actor.memory, now = env.clock.now(), watermark = this.#reached;
    const entry = held.due(watermark), timer = timers.due(watermark, now);
    if (entry !== undefined && (timer === undefined || entry.time <= timer.time)) {
      this.#time = Math.max(this.#time, entry.time - 1);
      return { kind: "held", entry };
    }
    if (timer !== undefined) {
      if (timer.time <= watermark) this.#time = Math.max(this.#time, timer.time);
      return { kind: "timer", timer };
    }
    if (waiting.size > 0) {
      const first = waiting.due(now);
      if (first !== undefined) return { kind: "waiting", entry: first };
    }
    this.#time = Math.max(this.#time, watermark);
    return undefined;
  }

  /** Event time that is reached: not past an event that waits for a try. */
  get #reached(): number {
    const { inbound, waiting } = this.#actor.memory;
    return waiting.size > 0 ? Math.min(inbound.watermark, waiting.earliest - 1) : inbound.watermark;
  }

  // The oldest frame's events, one after the other, until it is done or a handler is not. The hot path: no allocation of its own.
  #rows(until: number): boolean {
    const { emitter } = this.#actor, { waiting, inbound, changes, tries, held } = this.#actor.memory;
    if (waiting.size >= maxWaiting) return false;
    this.#firing = false;
    const open = this.#intake.open[0] ?? this.#intake.next();
    if (open === undefined) return false;
    const { frame } = open, { rows, shapes } = frame, scope = this.#scope, inOrder = this.#plan.order === "time", { watermark } = inbound, clock = this.#actor.env.clock;
    let i = open.done, row = rows[i];
    const describe: Describe = () => rowInfo(frame.from, frame.generation, frame.n, row as Row, typeOf(frame, row as Row));
    try {
      for (; i < rows.length; i++) {
        if ((i & 63) === 63 && (this.#actor.full || clock.monotonic() >= until)) break;
        row = rows[i] as Row;
        const key = row[2];
        emitter.save();
        if (inOrder && row[1] > watermark) held.add(heldOf(frame, row));
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
      this.#commitTo(open, i);
      this.#failed(error, { kind: "row", open, index: i }, scope.attempt);
      return true;
    }
    this.#commitTo(open, i);
    return true;
  }

  #commitTo(open: OpenFrame, done: number): void {
    if (this.#intake.open[0] === open && (done > open.done || open.frame.rows.length === done)) this.#intake.progress(done);
  }

  /** One item, whatever it is. */
  #handle(item: Item): void {
    const { emitter } = this.#actor, { tries } = this.#actor.memory, scope = this.#scope;
    this.#firing = false;
    emitter.save();
    if (tries.size > 0 && tries.of(idOf(item)) >= this.#plan.poison.after) {
      this.#aftermath.tooOften(item);
      return this.#done(item);
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

  /** Handlers of several events under way; says whether there was something to do. */
  #workAhead(ahead: Ahead): boolean {
    const { emitter } = this.#actor, { waiting, inbound, held } = this.#actor.memory, inOrder = this.#plan.order === "time";
    let worked = false;
    while (ahead.room && waiting.size < maxWaiting) {
      const open = this.#intake.open.find(({ given, frame }) => given < frame.rows.length) ?? this.#intake.next();
      if (open === undefined) break;
      worked = true;
      if (open.given >= open.frame.rows.length) { if (this.#intake.open[0] === open) this.#intake.progress(open.done); continue; }
      const index = open.given++, row = open.frame.rows[index] as Row;
      if (inOrder && row[1] > inbound.watermark) ahead.add({ kind: "row", open, index }, () => { emitter.save(); held.add(heldOf(open.frame, row)); });
      else ahead.start({ kind: "row", open, index }, (scope) => this.#push({ kind: "row", open, index }, scope));
    }
    for (let first = ahead.settled(); first !== undefined && !this.#actor.full; first = ahead.settled()) {
      worked = true;
      const { item, release, error, attempt } = first;
      if (item.kind === "row" && waiting.blocks(rowOf(item)[2])) {
        waiting.add(idOf(item), 0, 1, keptOf(item));
        ahead.shift();
        this.#done(item);
        continue;
      }
      emitter.save();
      try {
        if (error !== undefined) throw error.thrown;
        const result = release();
        ahead.shift();
        if (result !== undefined) { this.#await(result, item, this.#scope); return true; }
        this.#done(item);
      } catch (thrown) {
        if (ahead.first === first) ahead.shift();
        const fate = fateOf(thrown, attempt);
        if (fate.is === "crash" || fate.is === "unavailable") this.#takeBack(ahead);
        this.#failed(thrown, item, attempt);
        if (fate.is === "unavailable") return true;
      }
    }
    return worked;
  }

  /** A throw aborts the later ones; they run again. */
  #takeBack(ahead: Ahead): void {
    ahead.abort();
    for (const open of this.#intake.open) open.given = open.done;
  }

  /** What is next, alone: for an actor that looks for the event that kills. */
  next(): Item | "frame" | undefined {
    const due = this.#released();
    if (due !== undefined) return due;
    const open = this.#intake.open[0] ?? this.#intake.next();
    if (open === undefined) return undefined;
    if (open.done < open.frame.rows.length) return { kind: "row", open, index: open.done };
    this.#intake.progress(open.done);
    return "frame";
  }

  /** Handles it; resolves when its handler is done, whatever came of it. */
  handleAlone(item: Item): Promise<void> {
    this.#handle(item);
    return this.#underWay.settled();
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

  /** Below everything that may still be emitted: timers and held events that are due, events that wait. */
  get watermark(): number {
    const { inbound, timers, held, waiting } = this.#actor.memory;
    let { watermark } = inbound;
    if (timers.nextEvent <= watermark) watermark = timers.nextEvent - 1;
    if (held.next <= watermark) watermark = held.next - 1;
    return waiting.size > 0 ? Math.min(watermark, waiting.earliest - 1) : watermark;
  }

  get finished(): boolean {
    const { inbound, held, waiting, timers } = this.#actor.memory;
    return !this.#underWay.busy && inbound.ended && held.size === 0 && waiting.size === 0 && timers.nextEvent === Infinity && this.#intake.open.length === 0 && (this.#ahead?.idle ?? true);
  }

  committed(at: Position | undefined): void { if (at !== undefined) this.#intake.trimTo(at); }

  get wake(): number {
    const { env } = this.#actor, { timers, waiting } = this.#actor.memory;
    if (env.clock.now() < this.#aftermath.suspendedUntil) return this.#aftermath.suspendedUntil;
    return Math.min(timers.nextWall, waiting.size > 0 ? waiting.nextDue : Infinity);
  }

  drain(): Promise<void> {
    this.#draining = true;
    if (this.#ahead !== undefined) this.#takeBack(this.#ahead);
    return this.#underWay.settled();
  }

  async finish(): Promise<void> {}

  async close(): Promise<void> {
    this.#underWay.close();
    this.#oneByOne?.close();
    this.#ahead?.abort();
    await this.#intake.close();
  }
}
