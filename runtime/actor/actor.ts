// One life of an actor: claims its log, recovers, runs turns, and commits them. What a turn does is its behaviour's (source,
// processor, sink); the commit is the same for all (committer.ts). PROTOCOL sections 4, 5 and 7.
//
// A1. One turn is open while one record is under way (P8).
// A2. After the exit nothing of it writes, sends or calls back.
import { asError } from "../event/errors.ts";
import type { EventInfo } from "../event/event.ts";
import type { StagePlan } from "../flow/plan.ts";
import { fenced, recover, type Recovered } from "../journal/recovery.ts";
import type { Body } from "../journal/record.ts";
import { Anchors } from "./anchors.ts";
import type { Behaviour } from "./behaviour.ts";
import { type Closed, Committer } from "./committer.ts";
import type { Emitter } from "./emitter.ts";
import { type ActorEnvironment, type ActorEvents, addressOf, streamName, subjectsOf } from "./environment.ts";
import { rowInfo } from "./event-info.ts";
import { type Exit, exitOf } from "./exit.ts";
import { Memory } from "./memory.ts";
import { RecordKeeper } from "./record-keeper.ts";
import { replay } from "./replay.ts";
import { type Captured, Snapshots } from "./snapshot.ts";

/** A turn closes at so many events or bytes, and always when the log is free (P8). */
export const turnLimit = { events: 8_192, bytes: 4 * 1024 * 1024 };
/** More than that committed and not settled: nothing new is taken (P14). */
export const unsettledLimit = { frames: 1_024, bytes: 32 * 1024 * 1024 };
/** A frame stays so far below the largest message (PROTOCOL 3). */
export const frameReserve = { bytes: 64 * 1024 };
/** What need not be committed at once waits so long for something that must: positions, watermarks without events. */
const laterMs = 200;

export interface Counts {
  readonly in: number;
  readonly out: number;
  readonly late: number;
  readonly deadLetters: number;
}

export class Actor {
  readonly env: ActorEnvironment;
  readonly stage: StagePlan;
  readonly partition: number;
  readonly address: string;
  readonly generation: string;
  readonly memory: Memory;
  readonly emitter: Emitter;
  readonly behaviour: Behaviour;
  /** Events taken so far. */
  taken = 0;
  /** Events handled in the open turn. */
  events = 0;
  readonly #events: ActorEvents;
  readonly #abort = new AbortController();
  readonly #anchors: Anchors;
  /** Whether anybody behind it needs event time: then watermarks go without events, too. */
  readonly #timeful: boolean;
  #committer: Committer | undefined;
  #running = false;
  #over = false;
  #pumping = false;
  #soon = false;
  #laterAt = Infinity;
  #wake: { readonly at: number; readonly cancel: () => void } | undefined;
  #watermark = -Infinity;
  #watermarkSentAt = -Infinity;
  #ended = false;
  /** The last record, and what comes after it; nothing is closed after it. */
  #last: { closed: boolean; readonly then: () => void } | undefined;
  #attempt: (() => void) | undefined;
  #waitsForSettling = false;
  #down = false;
  #checked = true;
  #disconnect = () => {};

  constructor(env: ActorEnvironment, stage: StagePlan, partition: number, events: ActorEvents, parts: { readonly emitter: (actor: Actor) => Emitter; readonly behaviour: (actor: Actor) => Behaviour }) {
    this.env = env;
    this.stage = stage;
    this.partition = partition;
    this.address = addressOf(env.flow, stage, partition);
    this.generation = env.division(stage.name).generation;
    this.memory = new Memory(stage, this.address);
    this.#events = events;
    this.emitter = parts.emitter(this);
    this.#timeful = this.emitter.outlets.some(({ eventTime }) => eventTime);
    this.behaviour = parts.behaviour(this);
    this.#anchors = new Anchors(this);
  }

  /** Aborts when the actor is over. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** Records that it keeps: those since the newest snapshot, and older ones with frames that are not settled. */
  get journalLength(): number {
    return this.#committer?.keeper.length ?? 0;
  }

  get counts(): Counts {
    return { in: this.taken, ...this.emitter.counts };
  }

  /** Mailboxes that are full: what holds it up. */
  get heldUpBy(): readonly string[] {
    return this.emitter.outlets.filter(({ delivery }) => delivery.full).map(({ id }) => id);
  }

  get #subjects(): ReturnType<typeof subjectsOf> {
    return subjectsOf(this.env.flow.name, this.stage.name, this.generation, this.partition);
  }

  /** Claims, recovers, runs. Rejects where it cannot: then it is over and nothing is left open. */
  async start(): Promise<void> {
    const { env, address } = this, { log, chunks } = this.#subjects;
    try {
      for (const { from, input } of this.stage.inputs) {
        const { generation, count } = env.division(from);
        for (let p = 0; p < count; p++) this.memory.inbound.declare(input, `${env.flow.name}/${from}/${p}`, generation);
      }
      this.#events.onState("claiming");
      const recovered = await recover({
        where: address, log: env.broker.stream(streamName(log), log), chunks: env.broker.stream(streamName(chunks), chunks),
        stores: env.stores, store: `${env.flow.name}/${this.stage.name}/${this.generation}/${this.partition}`,
        random: env.random, node: env.node, code: env.code, clock: env.clock, signal: this.signal,
        onClaimed: () => this.#events.onState("recovering"), onWait: () => this.#unreachable(),
      });
      await this.#load(recovered);
      if (this.#over) throw fenced(address);
      await this.#anchors.checkOwn((this.#committer as Committer).log);
      this.#disconnect = env.broker.onConnection((connected) => (connected ? this.#reconnected() : this.#unreachable()));
      await this.behaviour.start();
      if (this.#over) throw fenced(address);
    } catch (error) {
      await this.#close();
      throw error;
    }
    this.#running = true;
    this.#events.onState("running.active");
    for (const { delivery } of this.emitter.all) delivery.send();
    // Beside its work: those who read what it sends may still be starting.
    this.#anchors.checkSent().catch((error: unknown) => this.exit(exitOf(error)));
    this.soon();
  }

  async #load(recovered: Recovered): Promise<void> {
    const { env, address } = this, { journal, log, term, n, k } = recovered, { chunks } = this.#subjects;
    const keeper = new RecordKeeper(log.stream, journal, env.clock, env.retainMs);
    const snapshots = new Snapshots(journal, env.broker.stream(streamName(chunks), chunks), () => env.broker.create({ name: streamName(chunks), subject: chunks, replicas: env.replicas }));
    this.#committer = new Committer({
      where: address, code: env.code, term, n, log, journal, keeper, snapshots, maxPayload: env.broker.maxPayload,
      accepted: () => { this.available(); this.pump(); }, written: (closed) => this.#written(closed), failed: (error) => this.exit(exitOf(error)),
    });
    const { own, counts } = await replay(this, recovered, keeper);
    this.#watermark = own.watermark ?? -Infinity;
    this.#ended = own.ended;
    this.taken = counts.in;
    this.memory.tries.k = k;
  }

  #unreachable(): void {
    if (this.#over) return;
    this.#down = true;
    this.#events.onState(this.#running ? "unavailable.running" : "unavailable.claiming");
  }

  #reconnected(): void {
    if (this.#over || !this.#running) return;
    // Nothing new is committed before the check is done: what went back must not be built upon.
    this.#checked = false;
    this.#anchors.checkOwn((this.#committer as Committer).log).then(() => this.#anchors.checkSent()).then(() => {
      if (this.#over) return;
      this.#checked = true;
      this.available();
      for (const { delivery } of this.emitter.all) delivery.reconnected();
      this.soon();
    }).catch((error: unknown) => this.exit(exitOf(error)));
  }

  /** What was down is back. */
  available(): void {
    if (!this.#down || !this.#running) return;
    this.#down = false;
    this.#events.onState("running.active");
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

  /** Whether the open turn takes no more. */
  get full(): boolean {
    return this.events >= turnLimit.events || this.emitter.gathered >= turnLimit.bytes || this.#last !== undefined || this.#attempt !== undefined;
  }

  get #heldUp(): boolean {
    let frames = 0, bytes = 0;
    for (const { delivery } of this.emitter.outlets) { frames += delivery.unsettled; bytes += delivery.bytes; }
    this.#waitsForSettling = frames > unsettledLimit.frames || bytes > unsettledLimit.bytes;
    return this.#waitsForSettling;
  }

  /** Works, and commits what there is to commit. */
  pump(): void {
    if (!this.#running || this.#over || this.#pumping) return;
    this.#pumping = true;
    try {
      do {
        if (!this.full && !this.#heldUp) this.behaviour.work();
      } while (!this.#over && this.#closeIfDue());
      if (!this.#over) this.#rest();
    } catch (error) {
      this.exit(exitOf(error));
    } finally {
      this.#pumping = false;
    }
  }

  // Commits now if the log is free and something must be committed; says whether it did.
  #closeIfDue(): boolean {
    const committer = this.#committer as Committer, { behaviour } = this;
    if (!committer.free || !this.#checked || this.#last?.closed === true) return false;
    if (committer.appendSnapshot()) return true;
    if (!behaviour.closable) return false;
    if (this.#attempt !== undefined) return this.#closeTurn("attempt");
    if (this.#last !== undefined) {
      this.#last.closed = true;
      return this.#closeTurn("stop");
    }
    const now = this.env.clock.monotonic();
    let { pending } = behaviour;
    if (pending === "now" || (!this.#ended && behaviour.finished)) return this.#closeTurn("turn");
    if (pending === "nothing" && this.#trails(Math.max(this.#watermark, behaviour.watermark))) pending = "later";
    if (pending === "nothing") return false;
    if (this.#laterAt === Infinity) this.#laterAt = now + laterMs;
    return now >= this.#laterAt ? this.#closeTurn("turn") : false;
  }

  #closeTurn(kind: "turn" | "stop" | "attempt"): true {
    const { behaviour, emitter, env } = this, committer = this.#committer as Committer, n = committer.next, now = env.clock.monotonic();
    behaviour.closing();
    const ends = !this.#ended && kind === "turn" && behaviour.finished;
    const watermark = ends ? Infinity : Math.max(this.#watermark, behaviour.watermark), rises = watermark > this.#watermark;
    const alone = ends || (this.#trails(watermark) && now - this.#watermarkSentAt >= laterMs), body: Body = {};
    const frames = emitter.close({ from: this.address, generation: this.generation, term: committer.term, n }, {
      watermark, watermarkAlone: alone, note: ends ? ["end"] : null, limit: env.broker.maxPayload - frameReserve.bytes, info: (row) => rowInfo(this.address, this.generation, n, row, null) as EventInfo,
    });
    if (alone) this.#watermarkSentAt = now;
    this.#ended ||= ends;
    this.#watermark = watermark;
    if (rises || ends) body.own = this.#own();
    this.memory.write(body);
    if (frames.length > 0) body.out = frames.map(({ outlet, seq, bytes }) => [outlet.target, seq, bytes]);
    emitter.write(body, false);
    behaviour.write(body, false);
    body.counts = this.counts;
    this.events = 0;
    this.#laterAt = Infinity;
    const [position] = this.memory.inbound.positions;
    committer.append(kind, body, frames, committer.snapshotDue ? this.#capture(n) : undefined, position === undefined ? undefined : { ...position });
    return true;
  }

  /** Whether somebody behind it who needs event time was not told this watermark. */
  #trails(watermark: number): boolean {
    return this.#timeful && !this.#ended && this.emitter.outlets.some((outlet) => outlet.eventTime && outlet.watermark < watermark);
  }

  #own(): NonNullable<Body["own"]> {
    return { watermark: this.#watermark === -Infinity ? null : this.#watermark, ended: this.#ended, caught: false };
  }

  // At this moment memory is exactly what it is as of the turn that is being closed.
  #capture(n: number): Captured {
    const body: Body = { own: this.#own(), counts: this.counts };
    this.memory.writeWhole(body);
    this.emitter.write(body, true);
    this.behaviour.write(body, true);
    return { n, body, entries: this.memory.changes.capture() };
  }

  /** A record is in the log and in the journal, its frames are out. */
  #written(closed: Closed): void {
    this.behaviour.committed(closed.position);
    if (closed.kind === "attempt") {
      const then = this.#attempt;
      this.#attempt = undefined;
      then?.();
    }
    if (closed.kind === "snapshot") {
      this.memory.state.readFrom((this.#committer as Committer).journal.store);
      this.memory.state.release();
    }
    if (closed.kind === "stop") this.#last?.then();
    else this.pump();
  }

  // Nothing more to do now: the end, if this was it, or when to look again.
  #rest(): void {
    const { env: { clock }, behaviour } = this, { idle } = this.#committer as Committer;
    if (this.#ended && idle && this.#last === undefined && this.emitter.all.every(({ delivery }) => delivery.unsettled === 0)) {
      this.#last = { closed: false, then: () => void this.#finish() };
      return this.soon();
    }
    const wall = behaviour.wake, at = Math.min(this.#laterAt, wall === Infinity ? Infinity : clock.monotonic() + Math.max(0, wall - clock.now()));
    if (this.#wake?.at === at) return;
    this.#wake?.cancel();
    this.#wake = undefined;
    if (at === Infinity) return;
    const cancel = clock.after(Math.min(2 ** 31 - 1, Math.max(0, at - clock.monotonic())), () => { this.#wake = undefined; this.pump(); });
    this.#wake = { at, cancel };
  }

  async #finish(): Promise<void> {
    try {
      await this.behaviour.finish();
      this.exit({ class: "normal" });
    } catch (error) {
      this.exit(exitOf(error));
    }
  }

  /** Commits what is in the turn with an attempt of that event, then calls: for an actor that looks for the event that kills. */
  attempt(event: string, then: () => void): void {
    this.memory.tries.begin(event);
    this.#attempt = then;
  }

  /** Commits what came before the event that failed, with the count of its tries; then it is over (PROTOCOL 9, poison). */
  crash(thrown: unknown, event: string): void {
    if (this.#last !== undefined) return;
    this.memory.tries.begin(event);
    this.memory.changes.sealed = this.emitter.sealed = true;
    const exit = exitOf(thrown, event);
    this.#last = { closed: false, then: () => this.exit(exit) };
    this.soon();
  }

  /** Takes nothing new, commits what it has, stops. Resolves when nothing of it runs any more. */
  async stop(): Promise<void> {
    if (this.#over) return;
    if (!this.#running) return this.#end({ class: "shutdown" });
    this.#events.onState("draining");
    await this.behaviour.drain();
    if (this.#over) return;
    await new Promise<void>((done) => {
      (this.#committer as Committer).whenWritten(Infinity, done);
      this.#last ??= { closed: false, then: () => this.exit({ class: "shutdown" }) };
      this.soon();
    });
  }

  /** Resolves when everything up to the open turn is committed; false when the actor is over before. */
  whenCommitted(): Promise<boolean> {
    const committer = this.#committer;
    if (this.#over || committer === undefined) return Promise.resolve(false);
    return new Promise((done) => {
      committer.whenWritten(this.memory.changes.dirty || this.events > 0 ? committer.next : committer.next - 1, () => done(!this.#over));
      this.soon();
    });
  }

  /** Ends it at once. The first call counts. */
  exit(exit: Exit): void {
    void this.#end(exit);
  }

  async #end(exit: Exit): Promise<void> {
    if (this.#over) return;
    try {
      await this.#close();
    } catch (error) {
      this.env.log.warn("closing failed", { actor: this.address, error: asError(error).message });
    }
    this.#events.onExit(exit);
  }

  async #close(): Promise<void> {
    this.#over = true;
    this.#running = false;
    this.#disconnect();
    this.#wake?.cancel();
    this.#abort.abort();
    this.#committer?.close();
    for (const { delivery } of this.emitter.all) delivery.close();
    await this.behaviour.close();
    await this.#committer?.journal.store.close();
  }
}
