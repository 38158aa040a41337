// One life of an actor: claims its log, recovers, runs turns, and commits them. What a turn does is its behaviour's (source,
// processor, sink); the commit is the same for all (committer.ts). PROTOCOL sections 4, 5 and 7.
//
// A1. One turn is open while one record is under way (P8).
// A2. After the exit nothing of it writes, sends or calls back.
import { asError } from "../event/errors.ts";
import type { StagePlan } from "../flow/plan.ts";
import { isBroken } from "../journal/journal.ts";
import { fenced } from "../journal/verdict.ts";
import type { Body } from "../journal/record.ts";
import { Alarm } from "./alarm.ts";
import { Anchors } from "./anchors.ts";
import { AtWork } from "./at-work.ts";
import { Availability } from "./availability.ts";
import type { Behaviour } from "./behaviour.ts";
import type { Closed, Committer } from "./committer.ts";
import { DueRecord } from "./due-record.ts";
import type { Emitter } from "./emitter.ts";
import { type ActorEnvironment, type ActorEvents, addressOf, type Division, type Place } from "./environment.ts";
import { type Exit, type ExitClass, exitOf } from "./exit.ts";
import type { HeadStart } from "./head-start.ts";
import { Letters } from "./letters.ts";
import { laterMs, turnLimit, wallLookMs } from "./limits.ts";
import { Memory } from "./memory.ts";
import { OwnTime } from "./own-time.ts";
import { Pace } from "./pace.ts";
import { Sealing } from "./sealing.ts";
import type { Captured } from "./snapshot.ts";
import { takeOver } from "./takeover.ts";
import { turnRecord, wholeRecord } from "./turn-record.ts";

export type Counts = NonNullable<Body["counts"]>;

export class Actor {
  readonly env: ActorEnvironment;
  readonly stage: StagePlan;
  readonly partition: number;
  readonly address: string;
  readonly generation: string;
  /** The generation whose state it goes on with, where that may not be in its own log yet. */
  readonly from: Division | undefined;
  readonly memory: Memory;
  readonly emitter: Emitter;
  readonly behaviour: Behaviour;
  readonly availability: Availability;
  readonly letters: Letters;
  /** What was done before it starts, while another owner goes on. */
  headStart: Promise<HeadStart | undefined> | undefined;
  /** Events taken so far. */
  taken = 0;
  /** Events handled in the open turn. */
  events = 0;
  readonly pace: Pace;
  /** Monotonic ms; NaN: it did not run yet. */
  runningSince = NaN;
  readonly #events: ActorEvents;
  readonly #abort = new AbortController();
  readonly #anchors: Anchors;
  readonly #time: OwnTime;
  readonly #alarm: Alarm;
  readonly sealing: Sealing;
  readonly atWork: AtWork;
  #taking: ReturnType<typeof takeOver> | undefined;
  #committer: Committer | undefined;
  #running = false;
  #over = false;
  #exit: Exit | undefined;
  #pumping = false;
  #soon = false;
  #laterAt = Infinity;
  /** The last record, and what comes after it; nothing is closed after it. */
  readonly #last = new DueRecord();
  #attempt = new DueRecord();
  #waitsForSettling = false;
  /** Who waits for the open turn to be committed. */
  readonly #closing: (() => void)[] = [];

  constructor(env: ActorEnvironment, stage: StagePlan, partition: number, events: ActorEvents, parts: { readonly emitter: (actor: Actor) => Emitter; readonly behaviour: (actor: Actor) => Behaviour }, as?: Place) {
    this.env = env;
    this.stage = stage;
    this.partition = partition;
    this.address = addressOf(env.flow, stage, partition);
    this.generation = as?.generation ?? env.division(stage.name).generation;
    this.from = as?.from;
    this.memory = new Memory(stage, this.address);
    this.#events = events;
    this.emitter = parts.emitter(this);
    this.#time = new OwnTime(this.emitter);
    this.sealing = new Sealing(this, this.#time);
    this.atWork = new AtWork(env.seats, this.address);
    this.pace = new Pace(env.clock, env.shares, env.flow.name);
    this.#alarm = new Alarm(env.clock, () => this.pump());
    this.letters = new Letters(this);
    this.behaviour = parts.behaviour(this);
    this.#anchors = new Anchors(this);
    this.availability = new Availability(this, this.#anchors, events.onState);
  }

  /** Aborts when the actor is over. */
  get signal(): AbortSignal { return this.#abort.signal; }

  /** Records that it keeps: those since the newest snapshot, and older ones with frames that are not settled. */
  get journalLength(): number { return this.#committer?.keeper.length ?? 0; }

  get hasEnded(): boolean { return this.#time.ended; }
  get counts(): Counts { return { in: this.taken, ...this.emitter.told }; }

  /** Claims, recovers, runs. Rejects where it cannot: then it is over and nothing is left open. */
  async start(): Promise<void> {
    try {
      this.#events.onState("claiming");
      this.pace.starts();
      const { committer, replayed } = await (this.#taking = takeOver(this, {
        onClaimed: () => this.#events.onState("recovering"), onWait: () => this.availability.lost(),
        accepted: () => { this.availability.back(); this.pump(); }, written: (closed) => this.#written(closed), failed: (error) => this.exit(exitOf(error)),
      }));
      this.#committer = committer;
      this.#time.restore(replayed.own);
      this.taken = replayed.counts.in;
      this.#mustLive();
      await this.#anchors.checkOwn(committer.log);
      this.#mustFollow();
      this.availability.watch(committer.log, (error) => this.exit(exitOf(error)));
      await this.behaviour.start();
      this.#mustLive();
    } catch (error) {
      await this.#close();
      throw (await this.#isMistaken(exitOf(error))) ? fenced(this.address) : error;
    }
    this.#running = true;
    this.pace.enter();
    this.runningSince = this.env.clock.monotonic();
    this.availability.running();
    const sent = this.#anchors.sent();
    for (const { delivery } of this.emitter.all) delivery.send();
    this.availability.holdFor(this.#anchors.checkSent((this.#committer as Committer).log, sent)).then(() => this.soon(), (error: unknown) => this.exit(exitOf(error)));
    this.soon();
  }

  #mustFollow(): void { if (!this.#time.ended && this.#time.sealed === undefined) this.emitter.mustFollow(); }
  #mustLive(): void { if (this.#over) throw this.#exit?.error ?? fenced(this.address); }
  /** An event was given up since it crashed its actor too often: that spends no restart. */
  poisoned(event: string, error: Error): void { this.#events.onPoison(event, error); }

  /** More of what was sent is settled, or back-pressure began or ended. */
  settled(): void { if (this.#waitsForSettling || this.#time.ended || this.#time.sealed !== undefined) this.soon(); }

  /** Works in a later task. */
  soon(): void {
    if (this.#soon || this.#over) return;
    this.#soon = true;
    this.env.soon(() => { this.#soon = false; this.pump(); });
  }

  /** Whether the open turn takes no more. */
  get full(): boolean {
    return this.#over || this.events >= this.pace.turnEvents || this.emitter.gathered >= turnLimit.bytes || this.#last.asked || this.#attempt.asked || this.#time.sealed !== undefined;
  }

  /** Works, and commits what there is to commit. */
  pump(): void {
    if (!this.#running || this.#over || this.#pumping) return;
    if (!this.pace.begin(() => this.pump())) return;
    this.#pumping = true;
    try {
      let begun: number;
      do {
        begun = this.env.clock.monotonic();
        this.#waitsForSettling = this.emitter.heldUp;
        if (!this.full && !this.#waitsForSettling) this.atWork.work(this.behaviour);
      } while (!this.#over && this.#closeIfDue());
      if (!this.#over) this.#rest(begun);
    } catch (error) {
      this.exit(exitOf(error));
    } finally {
      this.#pumping = false;
      this.pace.end();
    }
  }

  // Commits now if the log is free and something must be committed; says whether it did.
  #closeIfDue(): boolean {
    const committer = this.#committer as Committer, { behaviour } = this;
    if (!committer.free || !this.availability.checked || this.#last.closed || this.sealing.begun) return false;
    if (committer.appendSnapshot()) return true;
    if (!behaviour.closable) return false;
    if (this.#attempt.asked) return this.#attempt.close() && this.#closeTurn("attempt");
    if (this.#last.close()) return this.#closeTurn("stop");
    if (this.#time.sealed !== undefined) return false;
    const now = this.env.clock.monotonic();
    let { pending } = behaviour;
    if (pending === "now" || this.sealing.due !== undefined || (!this.#time.ended && (this.emitter.planDue || this.sealing.promiseDue !== undefined || (behaviour.finished && this.sealing.promised === undefined)))) return this.#closeTurn("turn");
    if (pending === "nothing" && this.#time.trails(behaviour)) pending = "later";
    if (pending === "nothing") return false;
    if (this.#laterAt === Infinity) this.#laterAt = now + laterMs;
    return now >= this.#laterAt ? this.#closeTurn("turn") : false;
  }

  #closeTurn(kind: "turn" | "stop" | "attempt"): true {
    const committer = this.#committer as Committer, n = committer.next, { body, frames } = turnRecord(this, this.#time, kind, committer.term, n);
    this.events = 0;
    this.#laterAt = Infinity;
    const [position] = this.memory.inbound.positions;
    for (const done of this.#closing.splice(0)) committer.whenWritten(n, done);
    committer.append(kind, body, frames, committer.isSnapshotDue(this.memory.changes.unfolded) ? this.#capture(n) : undefined, position === undefined ? undefined : { ...position });
    return true;
  }

  #capture(n: number): Captured { return { n, body: wholeRecord(this, this.#time), entries: this.memory.changes.capture() }; }

  /** A record is in the log and in the journal, its frames are out. */
  #written(closed: Closed): void {
    this.behaviour.committed(closed.position);
    if (closed.kind === "attempt") {
      const attempt = this.#attempt;
      this.#attempt = new DueRecord();
      attempt.written();
    }
    if (closed.kind === "snapshot") this.memory.state.release((this.#committer as Committer).journal.store);
    if (closed.kind === "seal") return void this.availability.whenChecked().then(() => this.exit({ class: "sealed" }));
    if (closed.kind === "stop") this.#last.written();
    else this.pump();
  }

  // Nothing more to do now: the end, if this was it, or when to look again.
  #rest(begun: number): void {
    const { env: { clock }, behaviour } = this, { sealed } = this.#time, { idle } = this.#committer as Committer;
    const isSettled = (this.#time.ended || sealed !== undefined) && idle && !this.#last.asked && this.emitter.all.every(({ delivery }) => delivery.unsettled === 0);
    if (isSettled && sealed !== undefined) return this.sealing.seal(sealed, this.#committer as Committer, (n) => this.#capture(n));
    if (isSettled && behaviour.finished) {
      this.#last.ask(() => void this.#finish());
      return this.soon();
    }
    const wall = behaviour.wake, due = (at: number): number => (at <= begun ? Infinity : at);
    // What was due when this began waits for something else, whose coming is told: an alarm would only ring again at once.
    this.#alarm.set(Math.min(due(this.#laterAt), wall === Infinity ? Infinity : due(clock.monotonic() + Math.min(wall - clock.now(), wallLookMs))));
  }

  /** The plan for one of the stages around it has changed. */
  planChanged(): void {
    if (this.env.generations?.retired(this.stage.name, this.generation) === true) return this.exit(exitOf(fenced(this.address)));
    // By what is committed: what only memory says it has gone over to may never be.
    if (this.#running) this.whenCommitted().then((committed) => { if (committed) this.#mustFollow(); }).catch((error: unknown) => this.exit(exitOf(error)));
    for (const { delivery } of this.emitter.outlets) if (delivery.retired) delivery.send();
    this.soon();
  }

  async #finish(): Promise<void> { await this.availability.whenChecked().then(() => (this.#over ? undefined : this.behaviour.finish())).then(() => this.exit({ class: "normal" }), (error: unknown) => this.exit(exitOf(error))); }

  /** Commits what is in the turn with an attempt of that event, then calls: for an actor that looks for the event that kills. */
  attempt(event: string, then: () => void): void {
    this.memory.tries.attempt(event);
    this.#attempt.ask(then);
  }

  /** Commits what came before the event that failed, with the count of its tries where it is to blame; then it is over (PROTOCOL 9, poison). */
  crash(thrown: unknown, event: string, isToBlame = true, as?: ExitClass): void {
    if (this.#last.asked) return;
    this.memory.tries[isToBlame ? "begin" : "withdraw"](event);
    this.memory.changes.sealed = this.emitter.sealed = true;
    const exit = exitOf(thrown, isToBlame ? event : undefined);
    this.#last.ask(() => this.exit(as === undefined ? exit : { ...exit, class: as }));
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
      this.#last.ask(() => this.exit({ class: "shutdown" }));
      this.soon();
    });
  }

  /** Resolves when everything up to the open turn is committed; false when the actor is over before. */
  whenCommitted(): Promise<boolean> {
    const committer = this.#committer, isOpen = this.memory.changes.dirty || this.events > 0;
    if (this.#over || committer === undefined) return Promise.resolve(false);
    this.soon();
    // What number the open turn gets is known when it is closed: a snapshot may come before it.
    return new Promise<void>((done) => { if (isOpen) this.#closing.push(done); else committer.whenWritten(committer.next - 1, done); }).then(() => !this.#over);
  }

  /** Ends it at once. The first call counts. */
  exit(exit: Exit): void { void this.#end(exit); }

  async #end(exit: Exit): Promise<void> {
    if (this.#over) return;
    this.#exit = exit;
    try {
      await this.#close();
    } catch (error) {
      this.env.log.warn("closing failed", { actor: this.address, error: asError(error).message });
    }
    this.#events.onExit((await this.#isMistaken(exit)) ? exitOf(fenced(this.address)) : exit);
  }

  /** Whether what it would park for is only that another owner has gone on, or the next generation, and its streams are gone (P15). */
  async #isMistaken({ class: its }: Exit): Promise<boolean> {
    return its === "parked" && ((await this.#committer?.log.isClaimedOver()) === true || this.env.generations?.retired(this.stage.name, this.generation) === true);
  }

  async #close(): Promise<void> {
    this.#over = true;
    this.#running = false;
    for (const its of [this.availability, this.#alarm, this.letters, this.atWork, this.pace, this.sealing]) its.close();
    this.#abort.abort();
    this.#committer?.stop();
    for (const done of this.#closing.splice(0)) done();
    for (const { delivery } of this.emitter.all) delivery.close();
    await this.behaviour.close();
    await (this.#taking ?? this.headStart?.then((its) => its?.close()))?.catch(() => {}); // What it opens is closed, too, before it is over.
    await this.#committer?.close(isBroken(this.#exit?.error));
  }
}
