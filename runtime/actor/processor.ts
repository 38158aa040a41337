// The behaviour of a processor: events of its mailbox, held and waiting ones and timers through its chain of operators, one
// after the other; where the first operators keep no state, so many ahead as they allow, let go in order (PROTOCOL 8).
//
// R1. A turn ends between events: what an event did is in it whole, or not at all.
// R2. Timers and held events that event time lets go come before later events.
import type { EventInfo, Key } from "../event/event.ts";
import { type Frame, type Row, rowData } from "../event/frame.ts";
import type { ProcessorPlan } from "../flow/plan.ts";
import type { HeldEvent } from "../journal/record.ts";
import type { Actor } from "./actor.ts";
import { Ahead } from "./ahead.ts";
import type { Behaviour } from "./behaviour.ts";
import { atOnce, type Chain, type ChainHost, type Describe, EventScope, openChain } from "./chain.ts";
import { eventId, heldInfo, heldOf, rowInfo, spread } from "./event-info.ts";
import { DeadlineError, fateOf } from "./failure.ts";
import type { HeldEntry } from "./held.ts";
import type { Position } from "./inbound.ts";
import { Intake, type OpenFrame } from "./intake.ts";
import type { DueTimer } from "./timers.ts";
import { maxWaiting, type WaitingEntry } from "./waiting.ts";

/** So long it works without letting acks and other actors in, in ms. */
const sliceMs = 8;

/** What is handled next. */
export type Item =
  | { readonly kind: "row"; readonly open: OpenFrame; readonly index: number }
  | { readonly kind: "held"; readonly entry: HeldEntry }
  | { readonly kind: "waiting"; readonly entry: WaitingEntry }
  | { readonly kind: "timer"; readonly timer: DueTimer };

export class Processor implements Behaviour {
  readonly #actor: Actor;
  readonly #plan: ProcessorPlan;
  readonly #intake: Intake;
  readonly #chain: Chain;
  readonly #scope: EventScope;
  readonly #ahead: Ahead | undefined;
  /** Event time as operators see it while held events and timers are let go. */
  #time = -Infinity;
  #busy: Item | undefined;
  /** Whether a timer is at hand: what it sets after the end of everything else stays. */
  #firing = false;
  #token = 0;
  #drained: (() => void) | undefined;
  #draining = false;
  #suspendedUntil = -Infinity;
  #suspensions = 0;
  // Up to where the mailbox was filled when this owner began: past it the deaths before were no event's fault.
  #inFlightTo = 0;
  #leave: (() => void) | undefined;
  #cleared = false;

  constructor(actor: Actor, plan: ProcessorPlan) {
    this.#actor = actor;
    this.#plan = plan;
    this.#intake = new Intake(actor, plan.maxFrames);
    this.#scope = this.scope();
    const host: ChainHost = { actor, watermark: () => this.#time, stays: () => this.#firing && actor.memory.inbound.ended && actor.memory.held.size === 0 && actor.memory.waiting.size === 0 };
    const { steps } = plan, prefix = Ahead.prefixOf(steps), emit = (data: unknown, scope: { time: number; key: Key | undefined; type: string | undefined }) => actor.emitter.emit("", data, scope.time, scope.key, scope.type);
    if (prefix > 0) {
      const rest = openChain(host, steps, prefix, steps.length, emit, atOnce);
      this.#ahead = new Ahead(host, steps, prefix, rest, () => this.scope(), plan.poison.deadlineMs, () => actor.soon());
      this.#chain = this.#ahead.chain;
    } else this.#chain = openChain(host, steps, 0, steps.length, emit, atOnce);
  }

  scope(): EventScope {
    const { address, env, signal } = this.#actor;
    return new EventScope({ actor: address, log: env.log, now: () => env.clock.now(), signal });
  }

  apply(): void {}
  closing(): void {}
  write(): void {}

  async start(): Promise<void> {
    const { inbound, tries } = this.#actor.memory;
    this.#time = this.#plan.order === "time" ? Math.min(inbound.watermark, this.#actor.memory.held.next - 1) : inbound.watermark;
    if (tries.k >= 2) this.#inFlightTo = (await this.#intake.mailbox.bounds()).last;
    this.#intake.follow();
  }

  work(): void {
    const { clock } = this.#actor.env, until = clock.monotonic() + sliceMs;
    while (this.#busy === undefined && !this.#actor.full && !this.#draining && this.#leave === undefined) {
      if (clock.monotonic() >= until) return this.#actor.soon();
      if (clock.now() < this.#suspendedUntil) return;
      if (this.#careful) { this.#onlyOne(); return; }
      const due = this.#released();
      if (due !== undefined) this.#handle(due);
      else if (this.#ahead !== undefined) { if (!this.#workAhead(this.#ahead)) return; }
      else if (!this.#rows(until)) return;
    }
  }

  /** What event time, or the wall clock, lets go: held events and timers in the order of time, then events that wait for a try. */
  #released(): Item | undefined {
    const { env } = this.#actor, { timers, held, waiting, inbound } = this.#actor.memory, { watermark } = inbound, now = env.clock.now();
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
    this.#time = watermark;
    return undefined;
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
    const describe: Describe = () => this.infoOf(frame, row as Row);
    try {
      for (; i < rows.length; i++) {
        if ((i & 63) === 63 && (this.#actor.full || clock.monotonic() >= until)) break;
        row = rows[i] as Row;
        const key = row[2];
        emitter.save();
        if (inOrder && row[1] > watermark) held.add(heldOf(frame, row));
        else if (waiting.size > 0 && waiting.blocks(key)) waiting.add(eventId(frame, i), 0, 1, heldOf(frame, row));
        else if (tries.size > 0 && tries.of(eventId(frame, i)) >= this.#plan.poison.after) this.#poison(new Error("it was begun too often without coming to an end"), { kind: "row", open, index: i });
        else {
          const result = this.#chain.push(rowData(row, shapes), scope.reset(row[1], key ?? undefined, 1, describe));
          if (result !== undefined) {
            this.#commitTo(open, i);
            this.#await(result, { kind: "row", open, index: i }, scope);
            return true;
          }
        }
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
    if (tries.size > 0 && tries.of(this.idOf(item)) >= this.#plan.poison.after) {
      this.#poison(new Error("it was begun too often without coming to an end"), item);
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
      return chain.fire(operator, name, scope.reset(time, key, this.#actor.memory.tries.of(this.idOf(item)) + 1, () => this.#timerInfo(item.timer)));
    }
    if (item.kind === "row") {
      const { frame } = item.open, row = frame.rows[item.index] as Row;
      return chain.push(rowData(row, frame.shapes), scope.reset(row[1], row[2] ?? undefined, this.#actor.memory.tries.of(this.idOf(item)) + 1, () => this.infoOf(frame, row)));
    }
    const { event } = item.entry, row = event[5];
    const attempt = item.kind === "waiting" ? item.entry.attempt : 1;
    return chain.push(rowData(row, event[6] === null ? [] : spread(row, event[6])), scope.reset(row[1], row[2] ?? undefined, attempt, () => heldInfo(event)));
  }

  /** The event is past: what it did stays. */
  #done(item: Item): void {
    const { changes, tries, held, waiting } = this.#actor.memory;
    if (item.kind === "row") {
      this.#commitTo(item.open, item.index + 1);
      this.#actor.taken++;
    } else if (item.kind === "held") held.release(item.entry);
    else if (item.kind === "waiting") waiting.done(item.entry);
    if (tries.size > 0) tries.done(this.idOf(item));
    changes.keep();
    this.#actor.events++;
    this.#suspensions = 0;
  }

  #await(result: Promise<void>, item: Item, scope: EventScope): void {
    const token = ++this.#token, { deadlineMs } = this.#plan.poison;
    this.#busy = item;
    const settle = (then: () => void): void => {
      if (token !== this.#token || this.#actor.signal.aborted) return;
      this.#token++;
      cancel();
      this.#busy = undefined;
      then();
      this.#drained?.();
      this.#actor.pump();
    };
    const cancel = this.#actor.env.clock.after(deadlineMs, () => settle(() => {
      const error = new DeadlineError(deadlineMs);
      scope.abort(error);
      this.#failed(error, item, scope.attempt);
    }));
    result.then(() => settle(() => this.#done(item)), (error: unknown) => settle(() => this.#failed(error, item, scope.attempt)));
  }

  #failed(thrown: unknown, item: Item, attempt: number): void {
    const { emitter, env } = this.#actor, { changes, waiting, tries } = this.#actor.memory;
    changes.revert();
    emitter.revert();
    const fate = fateOf(thrown, attempt), id = this.idOf(item);
    if (fate.is === "dead letter") this.#giveUp(fate.code, fate.error, item, attempt);
    else if (fate.is === "retry" && item.kind === "waiting") return this.#postpone(item.entry, fate.afterMs, attempt);
    else if (fate.is === "retry" && item.kind !== "timer") waiting.add(id, env.clock.now() + fate.afterMs, attempt + 1, this.#heldOf(item));
    else if (fate.is === "unavailable" || fate.is === "retry") return this.#suspend(fate.afterMs, fate.error);
    else if (!(thrown instanceof DeadlineError) && tries.of(id) + 1 >= this.#plan.poison.after) this.#poison(fate.error, item);
    else return this.#actor.crash(fate.error, id);
    this.#done(item);
  }

  #postpone(entry: WaitingEntry, afterMs: number, attempt: number): void {
    this.#actor.memory.waiting.postpone(entry, this.#actor.env.clock.now() + afterMs, attempt + 1);
    this.#actor.memory.changes.keep();
    this.#actor.events++;
  }

  #suspend(afterMs: number, error: Error): void {
    const { env, address } = this.#actor;
    this.#suspendedUntil = env.clock.now() + Math.min(300_000, afterMs * 2 ** Math.min(8, this.#suspensions++));
    env.log.warn("suspended: something that it needs is down", { actor: address, reason: error.message });
    this.#actor.suspended(error);
  }

  #poison(error: Error, item: Item): void {
    const id = this.idOf(item), attempts = this.#actor.memory.tries.of(id) + 1;
    this.#giveUp("POISON", error, item, attempts);
    this.#actor.memory.tries.done(id);
    this.#actor.poisoned(id, error);
  }

  #giveUp(code: string, error: Error, item: Item, attempts: number): void {
    const { emitter } = this.#actor, { timers } = this.#actor.memory;
    if (item.kind === "timer") {
      timers.fired(item.timer);
      return emitter.deadLetter(code, error, attempts, this.#timerInfo(item.timer), { timer: item.timer.name });
    }
    const [event, data] = item.kind === "row"
      ? [this.infoOf(item.open.frame, item.open.frame.rows[item.index] as Row), rowData(item.open.frame.rows[item.index] as Row, item.open.frame.shapes)]
      : [heldInfo(item.entry.event), rowData(item.entry.event[5], item.entry.event[6] === null ? [] : spread(item.entry.event[5], item.entry.event[6]))];
    emitter.deadLetter(code, error, attempts, event, data);
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
      if (item.kind === "row" && waiting.blocks((item.open.frame.rows[item.index] as Row)[2])) {
        waiting.add(this.idOf(item), 0, 1, this.#heldOf(item));
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
        if (fate.is === "crash" || fate.is === "unavailable") this.#takeBack(ahead, item);
        this.#failed(thrown, item, attempt);
        if (fate.is === "unavailable") return true;
      }
    }
    return worked;
  }

  /** A throw aborts the later ones; they run again. */
  #takeBack(ahead: Ahead, item: Item): void {
    ahead.abort();
    for (const open of this.#intake.open) open.given = open.done;
    if (item.kind === "row") item.open.given = item.index;
  }

  // ── event by event, after deaths in a row without a known cause (PROTOCOL 9, poison)

  get #careful(): boolean {
    const { tries } = this.#actor.memory;
    return tries.k >= 2 && !this.#cleared;
  }

  #onlyOne(): void {
    const { env } = this.#actor, { tries } = this.#actor.memory, due = this.#released(), open = due === undefined ? (this.#intake.open[0] ?? this.#intake.next()) : undefined;
    if (open !== undefined && open.frame.rows.length === open.done) { this.#commitTo(open, open.done); return this.#actor.soon(); }
    if (due === undefined && this.#intake.position.at >= this.#inFlightTo) {
      this.#cleared = true;
      tries.calm();
      return this.#actor.soon();
    }
    const item: Item | undefined = due ?? (open === undefined ? undefined : { kind: "row", open, index: open.done });
    if (item === undefined) return;
    this.#leave = () => {};
    void env.oneByOne.enter().then((leave) => {
      if (this.#actor.signal.aborted) return leave();
      this.#leave = leave;
      const id = this.idOf(item);
      if (tries.of(id) >= this.#plan.poison.after) return this.#tryOne(item);
      this.#actor.attempt(id, () => this.#tryOne(item));
      this.#actor.pump();
    });
  }

  #tryOne(item: Item): void {
    this.#handle(item);
    void this.#actor.whenCommitted().then(() => {
      this.#leave?.();
      this.#leave = undefined;
      this.#actor.soon();
    });
    this.#actor.soon();
  }

  // ── what the actor asks

  get closable(): boolean {
    const { emitter } = this.#actor, { changes } = this.#actor.memory;
    return this.#busy === undefined || !(emitter.hasPartial || changes.hasPartial);
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
    return this.#busy === undefined && inbound.ended && held.size === 0 && waiting.size === 0 && timers.nextEvent === Infinity && this.#intake.open.length === 0 && (this.#ahead?.idle ?? true);
  }

  committed(position: Position | undefined): void {
    if (position !== undefined) this.#intake.trimTo(position);
  }

  get wake(): number {
    const { env } = this.#actor, { timers, waiting } = this.#actor.memory;
    if (env.clock.now() < this.#suspendedUntil) return this.#suspendedUntil;
    return Math.min(timers.nextWall, waiting.size > 0 ? waiting.nextDue : Infinity);
  }

  drain(): Promise<void> {
    this.#draining = true;
    if (this.#ahead !== undefined) this.#takeBack(this.#ahead, { kind: "row", open: { given: 0 } as OpenFrame, index: 0 });
    if (this.#busy === undefined) return Promise.resolve();
    return new Promise((done) => { this.#drained = done; });
  }

  finish(): Promise<void> {
    return Promise.resolve();
  }

  async close(): Promise<void> {
    this.#token++;
    this.#drained?.();
    this.#leave?.();
    this.#ahead?.abort();
    await this.#intake.close();
  }

  // ── words for events

  /** The same words for the same event at each try. */
  idOf(item: Item): string {
    if (item.kind === "row") return eventId(item.open.frame, item.index);
    if (item.kind === "waiting") return item.entry.id;
    if (item.kind === "timer") return `timer ${item.timer.operator} ${JSON.stringify(item.timer.key)} ${item.timer.name} ${item.timer.time}`;
    const [from, generation, , n, , row] = item.entry.event;
    return `${from}@${generation}.${n}.${row[0]}`;
  }

  #heldOf(item: Exclude<Item, { kind: "timer" }>): HeldEvent {
    return item.kind === "row" ? heldOf(item.open.frame, item.open.frame.rows[item.index] as Row) : item.entry.event;
  }

  infoOf(frame: Frame, row: Row): EventInfo {
    return rowInfo(frame.from, frame.generation, frame.n, row, row[3]?.[1] == null ? null : (frame.types[row[3][1]] ?? null));
  }

  #timerInfo({ key, name, time }: DueTimer): EventInfo {
    const { address, generation } = this.#actor;
    return { id: `${address}@${generation}.timer.${time}.${name}.${String(key)}`, type: "timer", time, key, source: address };
  }
}
