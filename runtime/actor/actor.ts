// One life of an actor: claims its log, recovers, runs turns, commits them, and only then lets anything out (I2). What a turn
// does is its behaviour's (source, processor, sink); the commit is the same for all. PROTOCOL sections 4, 5 and 7.
//
// A1. One turn is open, one record is under way (P8), at most `journalAhead` records are accepted and not yet in the journal.
// A2. Frames of a record go to their deliveries after its journal batch is written, in the order of the records.
// A3. After the exit nothing of it writes, sends or calls back.
import { asError, MillraceError } from "../event/errors.ts";
import type { EventInfo } from "../event/event.ts";
import type { Row } from "../event/frame.ts";
import type { Term } from "../event/term.ts";
import type { StagePlan } from "../flow/plan.ts";
import type { FencedLog } from "../journal/fenced-log.ts";
import type { Entry, Journal } from "../journal/journal.ts";
import { fenced, recover, type Recovered, wentBack } from "../journal/recovery.ts";
import { type Body, type CommitRecord, messagesOf, type RecordKind, type RecordMessage } from "../journal/record.ts";
import { checkLog, checkMailbox, checkOutlet } from "./anchors.ts";
import type { Behaviour } from "./behaviour.ts";
import { Changes } from "./change.ts";
import type { ClosedFrame, Emitter } from "./emitter.ts";
import { type ActorEnvironment, type ActorEvents, addressOf, streamName, subjectsOf } from "./environment.ts";
import { type Exit, exitOf } from "./exit.ts";
import { Held } from "./held.ts";
import { Inbound, type Position } from "./inbound.ts";
import { type Outlet, outletId } from "./outlet.ts";
import { RecordKeeper } from "./record-keeper.ts";
import { type Captured, Snapshots } from "./snapshot.ts";
import { State } from "./state.ts";
import { Timers } from "./timers.ts";
import { Tries } from "./tries.ts";
import { WaitingEvents } from "./waiting.ts";

const journalAhead = 4;
/** A turn closes at so many events or bytes, and always when the log is free (P8). */
const turnEvents = 8_192;
const turnBytes = 4 * 1024 * 1024;
/** More than that committed and not settled: nothing new is taken (P14). */
const unsettledFrames = 1_024;
const unsettledBytes = 32 * 1024 * 1024;
/** What need not be committed at once waits so long for something that must: positions, watermarks without events. */
const laterMs = 200;

interface Closed {
  readonly kind: RecordKind;
  readonly n: number;
  readonly messages: readonly RecordMessage[];
  readonly frames: readonly ClosedFrame[];
  readonly captured: Captured | undefined;
  readonly position: Position | undefined;
}

export interface Counts {
  in: number;
  out: number;
  late: number;
  deadLetters: number;
}

export class Actor {
  readonly env: ActorEnvironment;
  readonly stage: StagePlan;
  readonly partition: number;
  readonly address: string;
  readonly generation: string;
  readonly changes = new Changes();
  readonly inbound = new Inbound();
  readonly timers = new Timers(this.changes);
  readonly waiting = new WaitingEvents(this.changes);
  readonly held = new Held(this.changes);
  readonly tries = new Tries();
  readonly state: State;
  readonly emitter: Emitter;
  /** Events taken so far. */
  taken = 0;
  /** Events handled in the open turn. */
  events = 0;
  readonly #events: ActorEvents;
  readonly #behaviour: Behaviour;
  readonly #abort = new AbortController();
  /** Whether anybody behind it needs event time: then watermarks go without events, too. */
  readonly #timeful: boolean;
  #journal: Journal | undefined;
  #log: FencedLog | undefined;
  #term: Term = [0, new Uint8Array(8)];
  #n = 0;
  #running = false;
  #over = false;
  #pumping = false;
  #soon = false;
  #appending = false;
  #journaling = 0;
  #laterAt = Infinity;
  #wake: { readonly at: number; readonly cancel: () => void } | undefined;
  #watermark = -Infinity;
  #watermarkSentAt = -Infinity;
  #ended = false;
  /** The last record, and what comes after it; nothing is closed after it. */
  #last: { closed: boolean; readonly then: () => void } | undefined;
  #attempt: { readonly event: string; readonly then: () => void } | undefined;
  #waiters: { readonly n: number; readonly then: () => void }[] = [];
  #snapshots: Snapshots | undefined;
  #keeper: RecordKeeper | undefined;
  #snapshotBody: Body | undefined;
  #snapshotting = false;
  #disconnect = () => {};
  #checked = true;
  #waitsForSettling = false;
  #down = false;

  constructor(env: ActorEnvironment, stage: StagePlan, partition: number, events: ActorEvents, parts: { readonly emitter: (actor: Actor) => Emitter; readonly behaviour: (actor: Actor) => Behaviour }) {
    this.env = env;
    this.stage = stage;
    this.partition = partition;
    this.address = addressOf(env.flow, stage, partition);
    this.generation = env.division(stage.name).generation;
    this.#events = events;
    this.state = new State(stage.kind === "processor" ? stage.steps : [], this.changes, this.address);
    this.emitter = parts.emitter(this);
    this.#timeful = this.emitter.outlets.some(({ eventTime }) => eventTime);
    this.#behaviour = parts.behaviour(this);
  }

  /** Aborts when the actor is over. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  get behaviour(): Behaviour {
    return this.#behaviour;
  }

  /** Records accepted and not yet superseded by a snapshot. */
  get journalLength(): number {
    return this.#keeper?.length ?? 0;
  }

  get counts(): Counts {
    const { out, late, deadLetters } = this.emitter.counts;
    return { in: this.taken, out, late, deadLetters };
  }

  /** Whether a mailbox that it sends to is full: the stages that hold it up. */
  get heldUpBy(): readonly string[] {
    return this.emitter.outlets.filter(({ delivery }) => delivery.full).map(({ id }) => id);
  }

  /** Claims, recovers, runs. Rejects where it cannot: then it is over and nothing is left open. */
  async start(): Promise<void> {
    const { env, address } = this;
    const subjects = subjectsOf(env.flow.name, this.stage.name, this.generation, this.partition);
    try {
      for (const { from, input } of this.stage.inputs) {
        const { generation, count } = env.division(from);
        for (let p = 0; p < count; p++) this.inbound.declare(input, `${env.flow.name}/${from}/${p}`, generation);
      }
      this.#events.onState("claiming");
      const recovered = await recover({
        where: address, log: env.broker.stream(streamName(subjects.log), subjects.log), chunks: env.broker.stream(streamName(subjects.chunks), subjects.chunks),
        stores: env.stores, store: `${env.flow.name}/${this.stage.name}/${this.generation}/${this.partition}`,
        random: env.random, node: env.node, code: env.code, clock: env.clock, signal: this.signal,
        onClaimed: () => this.#events.onState("recovering"), onWait: () => this.#unreachable(),
      });
      this.#journal = recovered.journal;
      if (this.#over) throw fenced(address);
      await this.#load(recovered);
      this.#snapshots = new Snapshots(recovered.journal, env.broker.stream(streamName(subjects.chunks), subjects.chunks), () =>
        env.broker.create({ name: streamName(subjects.chunks), subject: subjects.chunks, replicas: env.replicas }));
      await this.#checkAnchors(false);
      this.#disconnect = env.broker.onConnection((connected) => (connected ? this.#reconnected() : this.#unreachable()));
      await this.#behaviour.start();
      if (this.#over) throw fenced(address);
    } catch (error) {
      await this.#close();
      throw error;
    }
    this.#running = true;
    this.#events.onState("running.active");
    for (const { delivery } of this.emitter.all) delivery.send();
    void this.#checkAnchors(true).catch((error: unknown) => this.exit(exitOf(error)));
    this.soon();
  }

  async #load(recovered: Recovered): Promise<void> {
    const { journal, folded } = recovered, outlets = new Map(this.emitter.all.map((outlet) => [outlet.id, outlet]));
    this.#log = recovered.log;
    this.#term = recovered.term;
    this.#n = recovered.n;
    this.#keeper = new RecordKeeper(recovered.log.stream, journal, this.env.clock, this.env.retainMs);
    if (folded !== undefined) {
      this.state.readFrom(journal.store);
      for (const part of [this.timers, this.waiting, this.held]) await part.load(journal.store, this.address);
      this.#apply({ kind: "snapshot", n: folded.n, term: recovered.term, previous: 0, code: "", body: folded.body }, outlets);
    }
    for await (const { record, seq, size } of recovered.records()) {
      if (record.n > (folded?.n ?? 0) && record.kind !== "snapshot") this.#apply(record, outlets);
      const out: (readonly [Outlet, number])[] = [];
      for (const [target, number, frame] of record.body.out ?? []) {
        const outlet = outlets.get(outletId(target));
        if (outlet === undefined) continue;
        outlet.delivery.add(number, frame);
        out.push([outlet, number]);
      }
      this.#keeper.add({ n: record.n, seq, bytes: size, out });
    }
    for (const outlet of outlets.values()) outlet.delivery.dropSettled();
    this.held.replayed();
    this.changes.close();
    this.tries.k = recovered.k;
  }

  /** Replay of one record: recorded changes, no handler (I7). */
  #apply(record: CommitRecord, outlets: ReadonlyMap<string, Outlet>): void {
    const { body } = record;
    this.#behaviour.apply(record);
    this.inbound.apply(body);
    this.tries.apply(body);
    if (body.state !== undefined) this.state.apply(body.state);
    if (body.timers !== undefined) this.timers.apply(body.timers);
    if (body.waiting !== undefined) this.waiting.apply(body.waiting);
    if (body.held !== undefined) this.held.apply(body.held);
    for (const [target, seq, term] of body.sent ?? []) Object.assign(outlets.get(outletId(target)) ?? {}, { seq, term });
    for (const [target, seq] of body.out ?? []) Object.assign(outlets.get(outletId(target)) ?? {}, { seq, term: record.term });
    for (const [target, settled, settledAt] of body.settled ?? []) {
      const delivery = outlets.get(outletId(target))?.delivery;
      if (delivery !== undefined) Object.assign(delivery, { settled, settledAt });
    }
    if (body.own !== undefined) {
      this.#watermark = body.own.watermark ?? -Infinity;
      this.#ended = body.own.ended;
      for (const outlet of this.emitter.outlets) outlet.watermark = this.#watermark;
    }
    if (body.counts !== undefined) {
      const { in: taken, ...counts } = body.counts;
      this.taken = taken;
      this.emitter.counts = counts;
    }
  }

  /** P30. Own log and mailboxes before it runs; what others read of it beside its work, since they may still be starting. */
  async #checkAnchors(outlets: boolean): Promise<void> {
    const { env, address } = this, subjects = subjectsOf(env.flow.name, this.stage.name, this.generation, this.partition);
    for (;;) {
      try {
        if (!outlets) {
          await checkLog(address, (this.#log as FencedLog).stream, (this.#log as FencedLog).at);
          for (const [input, position] of this.inbound.positions.entries()) {
            const subject = subjects.mailbox(input);
            await checkMailbox(address, env.broker.stream(streamName(subject), subject), position);
          }
          return;
        }
        for (const outlet of this.emitter.all) {
          const { target } = outlet;
          await checkOutlet(address, this.generation, outlet, () => (typeof target === "string" ? undefined : env.readerCursor(`${env.flow.name}/${target[0]}/${target[2]}`, target[3], address, this.generation)));
        }
        return;
      } catch (error) {
        if (this.#over || !(error instanceof MillraceError) || !["UNREACHABLE", "STREAM_MISSING"].includes(error.code)) { if (this.#over) return; throw error; }
        await new Promise<void>((done) => env.clock.after(laterMs, done));
      }
    }
  }

  #unreachable(): void {
    if (this.#over) return;
    this.#down = true;
    this.#events.onState(this.#running ? "unavailable.running" : "unavailable.claiming");
  }

  #reconnected(): void {
    if (this.#over) return;
    // Nothing new is sent, trimmed or committed from before the check is done: what went back must not be built upon.
    this.#checked = false;
    void this.#checkAnchors(false).then(() => this.#checkAnchors(true)).then(() => {
      if (this.#over) return;
      this.#checked = true;
      this.available();
      for (const { delivery } of this.emitter.all) delivery.reconnected();
      this.soon();
    }, (error: unknown) => this.exit(exitOf(error)));
  }

  /** What was down is back. */
  available(): void {
    if (!this.#down) return;
    this.#down = false;
    if (this.#running) this.#events.onState("running.active");
  }

  /** A handler says that something it needs is down; it is tried again in place. */
  suspended(error: Error): void {
    this.#down = true;
    this.#events.onState("unavailable.running", error);
  }

  /** An event was given up since it crashed its actor too often: that spends no restart. */
  poisoned(event: string, error: Error): void {
    this.#events.onPoison(event, error);
  }

  /** More of what was sent is settled, or back-pressure began or ended. */
  settled(): void {
    if (this.#waitsForSettling || this.#ended) this.soon();
  }

  /** Works in a later task. */
  soon(): void {
    if (this.#soon || this.#over) return;
    this.#soon = true;
    this.env.soon(() => { this.#soon = false; this.pump(); });
  }

  /** Whether the open turn takes no more: it is full, or too much of what was committed is not settled (P14). */
  get full(): boolean {
    return this.events >= turnEvents || this.emitter.gathered >= turnBytes || this.#last !== undefined || this.#attempt !== undefined;
  }

  get #heldUp(): boolean {
    let frames = 0, bytes = 0;
    for (const { delivery } of this.emitter.outlets) { frames += delivery.unsettled; bytes += delivery.bytes; }
    this.#waitsForSettling = frames > unsettledFrames || bytes > unsettledBytes;
    return this.#waitsForSettling;
  }

  /** Works, and commits what there is to commit. */
  pump(): void {
    if (!this.#running || this.#over || this.#pumping) return;
    this.#pumping = true;
    try {
      do {
        if (!this.full && !this.#heldUp) this.#behaviour.work();
      } while (!this.#over && this.#checked && this.#closeIfDue());
      if (!this.#over) this.#rest();
    } catch (error) {
      this.exit(exitOf(error));
    } finally {
      this.#pumping = false;
    }
  }

  // Commits now if the log is free and something must be committed; says whether it did.
  #closeIfDue(): boolean {
    if (this.#appending || this.#journaling >= journalAhead || this.#last?.closed === true) return false;
    if (this.#snapshotBody !== undefined) {
      const body = this.#snapshotBody;
      this.#snapshotBody = undefined;
      this.#append("snapshot", body, [], undefined, undefined);
      return true;
    }
    if (!this.#behaviour.closable) return false;
    if (this.#attempt !== undefined) return this.#closeTurn("attempt");
    if (this.#last !== undefined) {
      this.#last.closed = true;
      return this.#closeTurn("stop");
    }
    const now = this.env.clock.monotonic();
    let { pending } = this.#behaviour;
    if (pending === "nothing" && this.#timeful && this.#behaviour.watermark > this.#watermark) pending = "later";
    if (pending === "now" || (!this.#ended && this.#behaviour.finished)) return this.#closeTurn("turn");
    if (pending === "later" && this.#laterAt === Infinity) this.#laterAt = now + laterMs;
    return pending !== "nothing" && now >= this.#laterAt ? this.#closeTurn("turn") : false;
  }

  #closeTurn(kind: "turn" | "stop" | "attempt"): true {
    const n = this.#n + 1, now = this.env.clock.monotonic(), behaviour = this.#behaviour;
    behaviour.closing();
    const ends = !this.#ended && kind === "turn" && behaviour.finished;
    const watermark = ends ? Infinity : Math.max(this.#watermark, behaviour.watermark);
    const body: Body = {};
    const alone = watermark > this.#watermark && (ends || now - this.#watermarkSentAt >= laterMs);
    const limit = this.env.broker.maxPayload - 64 * 1024;
    const frames = this.emitter.close({ from: this.address, generation: this.generation, term: this.#term, n }, { watermark, watermarkAlone: alone, note: ends ? ["end"] : null, limit, info: (row) => this.infoOf(row, n) });
    if (watermark > this.#watermark || ends) {
      if (alone) this.#watermarkSentAt = now;
      this.#watermark = watermark;
      this.#ended ||= ends;
      body.own = this.#own();
    }
    this.inbound.write(body, false);
    const changed = this.changes.close();
    const state = this.state.rows(changed), timers = this.timers.rows(changed), waiting = this.waiting.rows(changed), held = this.held.rows(changed);
    if (state.length > 0) body.state = state;
    if (timers.length > 0) body.timers = timers;
    if (waiting.length > 0) body.waiting = waiting;
    if (held.length > 0) body.held = held;
    if (frames.length > 0) body.out = frames.map(({ outlet, seq, bytes }) => [outlet.target, seq, bytes]);
    this.emitter.write(body, false);
    this.tries.write(body);
    behaviour.write(body, false);
    body.counts = this.counts;
    this.events = 0;
    this.#laterAt = Infinity;
    const [position] = this.inbound.positions;
    this.#append(kind, body, frames, this.#capture(n), position === undefined ? undefined : { ...position });
    return true;
  }

  #own(): NonNullable<Body["own"]> {
    return { watermark: this.#watermark === -Infinity ? null : this.#watermark, ended: this.#ended, caught: false };
  }

  // At this moment memory is exactly what it is as of the turn that is being closed.
  #capture(n: number): Captured | undefined {
    if (this.#snapshotting || !(this.#keeper as RecordKeeper).snapshotDue) return undefined;
    this.#snapshotting = true;
    const body: Body = { own: this.#own(), counts: this.counts };
    this.inbound.write(body, true);
    this.emitter.write(body, true);
    this.tries.write(body);
    this.#behaviour.write(body, true);
    return { n, body, entries: this.changes.capture() };
  }

  #append(kind: RecordKind, body: Body, frames: readonly ClosedFrame[], captured: Captured | undefined, position: Position | undefined): void {
    const log = this.#log as FencedLog, n = this.#n + 1;
    const messages = messagesOf({ kind, n, term: this.#term, code: this.env.code, body }, log.at, this.env.broker.maxPayload - 1024);
    this.#n += messages.length;
    this.#appending = true;
    void this.#commit({ kind, n, messages, frames, captured, position });
  }

  async #commit(closed: Closed): Promise<void> {
    const log = this.#log as FencedLog, entries: Entry[] = [];
    for (const { n, bytes } of closed.messages) {
      const message = bytes(log.at), outcome = await log.append(message);
      if (this.#over) return;
      if (outcome === "fenced") return this.exit(exitOf(fenced(this.address)));
      if (outcome === "lost") return this.exit(exitOf(wentBack(this.address, `the log of ${this.address} does not hold the record that was accepted last`)));
      entries.push({ n, seq: log.at, bytes: message });
    }
    this.available();
    this.#appending = false;
    this.#journaling++;
    const written = (this.#journal as Journal).write(entries);
    this.pump();
    try {
      await written;
    } catch (error) {
      return this.exit(exitOf(error));
    }
    if (this.#over) return;
    this.#journaling--;
    this.#committed(closed, entries);
    this.pump();
  }

  /** The record is in the log and in the journal: now its frames may go out. */
  #committed(closed: Closed, entries: readonly Entry[]): void {
    const keeper = this.#keeper as RecordKeeper, out: (readonly [Outlet, number])[] = [];
    for (const { outlet, seq, bytes } of closed.frames) {
      outlet.delivery.add(seq, bytes);
      out.push([outlet, seq]);
    }
    for (const [outlet] of out) outlet.delivery.send();
    keeper.add({ n: closed.n, seq: (entries[0] as Entry).seq, bytes: entries.reduce((sum, entry) => sum + entry.bytes.length, 0), out });
    this.#behaviour.committed(closed.position);
    if (closed.kind === "attempt") {
      const attempt = this.#attempt;
      this.#attempt = undefined;
      attempt?.then();
    }
    if (closed.kind === "snapshot") {
      const snapshot = this.#snapshots as Snapshots;
      this.#snapshotting = false;
      this.state.release();
      keeper.snapshotTaken(entries[0] as Entry, snapshot);
    } else if (closed.captured !== undefined) void this.#snapshot(closed.captured);
    const ready = this.#waiters.filter(({ n }) => n <= closed.n);
    this.#waiters = this.#waiters.filter(({ n }) => n > closed.n);
    for (const { then } of ready) then();
    if (closed.kind === "stop") this.#last?.then();
  }

  async #snapshot(captured: Captured): Promise<void> {
    try {
      const body = await (this.#snapshots as Snapshots).write(captured);
      if (this.#over) return;
      this.state.readFrom((this.#journal as Journal).store);
      (this.#keeper as RecordKeeper).folded(captured.n);
      this.#snapshotBody = body;
      this.pump();
    } catch (error) {
      if (this.#over) return;
      if (!(error instanceof MillraceError) || error.code !== "UNREACHABLE") return this.exit(exitOf(error));
      // The broker did not take a chunk: the next snapshot, a base, is tried after as many records again.
      this.#snapshotting = false;
      (this.#keeper as RecordKeeper).postpone();
    }
  }

  // Nothing more to do now: the end, if this was it, or when to look again.
  #rest(): void {
    const { clock } = this.env, idle = !this.#appending && this.#journaling === 0 && !this.#snapshotting;
    if (this.#ended && idle && this.#last === undefined && this.emitter.all.every(({ delivery }) => delivery.unsettled === 0)) {
      this.#last = { closed: false, then: () => void this.#finish() };
      return this.soon();
    }
    const wall = this.#behaviour.wake, at = Math.min(this.#laterAt, wall === Infinity ? Infinity : clock.monotonic() + Math.max(0, wall - clock.now()));
    if (this.#wake?.at === at) return;
    this.#wake?.cancel();
    this.#wake = undefined;
    if (at === Infinity) return;
    const cancel = clock.after(Math.min(2 ** 31 - 1, Math.max(0, at - clock.monotonic())), () => { this.#wake = undefined; this.pump(); });
    this.#wake = { at, cancel };
  }

  async #finish(): Promise<void> {
    try {
      await this.#behaviour.finish();
      this.exit({ class: "normal" });
    } catch (error) {
      this.exit(exitOf(error));
    }
  }

  /** Commits what is in the turn with an attempt of that event, then calls: for an actor that looks for the event that kills. */
  attempt(event: string, then: () => void): void {
    this.tries.begin(event);
    this.#attempt = { event, then };
  }

  /** Commits what came before the event that failed, with the count of its tries; then it is over (PROTOCOL 9, poison). */
  crash(thrown: unknown, event: string): void {
    if (this.#last !== undefined) return;
    this.tries.begin(event);
    const exit = exitOf(thrown, event);
    this.#last = { closed: false, then: () => this.exit(exit) };
  }

  /** Takes nothing new, commits what it has, stops. */
  async stop(): Promise<void> {
    if (this.#over) return;
    if (!this.#running) return this.#end({ class: "shutdown" });
    this.#events.onState("draining");
    await this.#behaviour.drain();
    if (this.#over) return;
    await new Promise<void>((done) => {
      this.#waiters.push({ n: Infinity, then: done });
      this.#last ??= { closed: false, then: () => this.exit({ class: "shutdown" }) };
      this.soon();
    });
  }

  /** Resolves when everything up to the open turn is committed; false when the actor is over before. */
  whenCommitted(): Promise<boolean> {
    if (this.#over) return Promise.resolve(false);
    if (!this.changes.dirty && !this.#appending && this.#journaling === 0) return Promise.resolve(true);
    return new Promise((done) => {
      this.#waiters.push({ n: this.changes.dirty ? this.#n + 1 : this.#n, then: () => done(!this.#over) });
      this.soon();
    });
  }

  /** What is known of an event of a row that record `n` emits. */
  infoOf(row: Row, n: number): EventInfo {
    const key = row[2];
    return { id: row[3]?.[0] ?? `${this.address}@${this.generation}.${n}.${row[0]}`, type: `${this.env.flow.name}.${this.stage.name}`, time: row[1], source: this.address, ...(key === null ? {} : { key }) };
  }

  /** Ends it at once. The first call counts. */
  exit(exit: Exit): void {
    void this.#end(exit);
  }

  async #end(exit: Exit): Promise<void> {
    if (this.#over) return;
    this.#over = true;
    try {
      await this.#close();
    } catch (error) {
      this.env.log.warn("closing failed", { actor: this.address, error: asError(error).message });
    }
    for (const { then } of this.#waiters.splice(0)) then();
    this.#events.onExit(exit);
  }

  async #close(): Promise<void> {
    this.#over = true;
    this.#running = false;
    this.#disconnect();
    this.#wake?.cancel();
    this.#abort.abort();
    for (const { delivery } of this.emitter.all) delivery.close();
    this.#keeper?.close();
    await this.#behaviour.close();
    await this.#journal?.store.close();
  }
}
