// Runs all actors of a flow on the twins, in this process, until nothing is left to do. Sources are fed, sinks collect, what every
// stage gives is kept beside it; all else is the engine.
//
// H1. Nothing runs but in `settle` and `advance`: when they are done all that followed is committed, or waits for time.
// H2. The wall clock moves in `advance` alone. What the engine puts off for a moment goes by the monotonic clock, which moves when
//     nothing else can.
import { addressOf, type Division, deadStream, streamName, subjectsOf } from "../actor/environment.ts";
import { type Exit, exitOf } from "../actor/exit.ts";
import { MillraceError } from "../event/errors.ts";
import { shown } from "../flow/display.ts";
import type { FlowPlan, StagePlan } from "../flow/plan.ts";
import { strike } from "../supervision/restart-intensity.ts";
import { fresh, judge, type Standing } from "../supervision/verdict.ts";
import { Collector } from "./collector.ts";
import { CommittedState } from "./committed-state.ts";
import { Feed } from "./feed.ts";
import { FrameReader } from "./frame-reader.ts";
import { Life, type LifeEnvironment } from "./life.ts";
import { ManualClock, settle as turn } from "./manual-clock.ts";
import { MemoryServer } from "./memory-server.ts";
import { MemoryDisk } from "./memory-store.ts";
import type { MemoryStream } from "./memory-stream.ts";
import { RunQueue } from "./run-queue.ts";
import { SeededRandom } from "./seeded-random.ts";
import { tapped } from "./tap.ts";
import type { CrashPoint } from "./token.ts";
import { processorUnderTest } from "./under-test.ts";

const generation = "testrun0-1";
/** Longer than anything that the engine puts off for a moment. */
const momentMs = 2_000;
/** So often a moment may pass without a commit before what is left is taken to wait for something else: a mailbox that stays full. */
const fruitlessMoments = 3;
const mostSteps = 20_000_000;
const mostAlarms = 1_000_000;
/** User code that the engine sets no deadline for is waited for so long, in ms. */
const longestCallMs = 60_000;

/** One partition of one stage, through all its lives. */
class Slot {
  readonly stage: StagePlan;
  readonly partition: number;
  readonly address: string;
  readonly state: CommittedState;
  life: Life | undefined;
  /** It has ended: all its inputs have. */
  ended = false;
  standing: Standing = fresh;
  /** Where its lives are to end, one after the other. */
  crashes: CrashPoint[] = [];

  constructor(stage: StagePlan, partition: number, address: string, log: MemoryStream) {
    this.stage = stage;
    this.partition = partition;
    this.address = address;
    this.state = new CommittedState(log);
  }
}

export class FlowHost {
  /** The flow as it was declared. */
  readonly declared: FlowPlan;
  readonly clock: ManualClock;
  readonly feeds = new Map<string, Feed>();
  readonly collectors = new Map<string, Collector>();
  readonly deadLetters: FrameReader;
  readonly #seed: number;
  readonly #server: MemoryServer;
  readonly #queue: RunQueue;
  readonly #env: LifeEnvironment;
  readonly #slots: Slot[] = [];
  readonly #taps = new Map<string, FrameReader>();
  /** Time of the newest event that a source was sent; event time stands there. */
  #eventTime = -Infinity;
  /** Messages that were stored. */
  #stored = 0;
  #busy = 0;
  #idle = (): void => {};
  #failure: Error | undefined;
  #closed = false;

  /** @param start of the clock, ms since the epoch */
  constructor(declared: FlowPlan, start: number, seed: number) {
    const random = new SeededRandom(seed), clock = new ManualClock(start), { flow, taps } = tapped(declared);
    this.declared = declared;
    this.clock = clock;
    this.#seed = seed;
    // What is carried here is never lost: nobody waits for an answer in vain.
    this.#server = new MemoryServer({ clock: { now: () => clock.now(), monotonic: () => clock.monotonic(), after: () => () => {} } });
    this.#queue = new RunQueue(random);
    const divisions = new Map<string, Division>([...flow.stages.map(({ name, parallelism }) => [name, parallelism] as const), ...taps.map(({ name }) => [name, 1] as const)].map(([name, count]) => [name, { generation, count }]));
    this.#env = {
      flow, server: this.#server, disk: new MemoryDisk(), clock, random, queue: this.#queue,
      division: (stage) => divisions.get(stage) as Division,
      readerCursor: (reader, input, from, its) => this.#slots.find(({ address, life }) => address === reader && life?.running === true)?.life?.actor.memory.inbound.channel(input, from, its)?.seq,
      busy: (change) => { this.#busy += change; if (change < 0) this.#idle(); },
    };
    const dead = deadStream(flow.name);
    this.deadLetters = new FrameReader(this.#create(dead, `mr.dead.${flow.name}.>`));
    for (const { name, stage, output } of taps) {
      const subject = subjectsOf(flow.name, name, generation, 0).mailbox(0);
      this.#taps.set(tapKey(stage, output), new FrameReader(this.#create(streamName(subject), subject)));
    }
    for (const stage of flow.stages) {
      if (stage.kind === "source") this.feeds.set(stage.name, new Feed(stage, clock, (time) => { this.#eventTime = Math.max(this.#eventTime, time); }));
      if (stage.kind === "sink") this.collectors.set(stage.name, new Collector());
      for (let p = 0; p < stage.parallelism; p++) {
        const { log, mailbox } = subjectsOf(flow.name, stage.name, generation, p);
        if (stage.kind !== "source") this.#create(streamName(mailbox(0)), mailbox(0), stage.maxFrames + 1);
        this.#slots.push(new Slot(stage, p, addressOf(flow, stage, p), this.#create(streamName(log), log)));
      }
    }
    for (const slot of this.#slots) this.#start(slot);
  }

  #create(name: string, subject: string, maxMessages?: number): MemoryStream {
    this.#server.create({ name, subject, replicas: 1, ...(maxMessages === undefined ? {} : { maxMessages }) });
    const stream = this.#server.streams.get(name) as MemoryStream;
    stream.watchers.add({ grown: () => { this.#stored++; }, lost: () => {} });
    return stream;
  }

  /** What a stage gave by an output. */
  given(stage: string, output: string): FrameReader | undefined {
    return this.#taps.get(tapKey(stage, output));
  }

  /** Committed state of one partition. */
  stateOf(stage: string, partition: number): CommittedState | undefined {
    return this.#slots.find((slot) => slot.stage.name === stage && slot.partition === partition)?.state;
  }

  // ── lives

  #start(slot: Slot): void {
    try {
      const life: Life = new Life(this.#env, slot.stage, slot.partition, (its) => this.#underTest(slot.stage, its), {
        onRunning: () => { life.crashAt = slot.crashes[0]; },
        onCrash: () => { slot.crashes.shift(); this.#restart(slot); },
        onPoison: (event) => { slot.standing = { ...slot.standing, counted: strike(slot.standing.counted, event) }; },
        onExit: (exit) => this.#exited(slot, exit),
      });
      slot.life = life;
      life.start().catch((error: unknown) => this.#exited(slot, exitOf(error)));
    } catch (error) {
      // An operator that cannot be opened.
      this.#failure ??= this.#givenUp(slot, exitOf(error));
    }
  }

  #underTest(stage: StagePlan, life: Life): StagePlan {
    if (stage.kind === "source") return (this.feeds.get(stage.name) as Feed).planOf(stage, life);
    if (stage.kind === "sink") return (this.collectors.get(stage.name) as Collector).planOf(stage, life);
    const declared = this.declared.stages.find(({ name }) => name === stage.name) as StagePlan;
    return processorUnderTest(stage, life, (output) => declared.readers.some((edge) => edge.output === output));
  }

  #restart(slot: Slot): void {
    this.#queue.lane().add(() => { if (!this.#closed) this.#start(slot); });
  }

  /** As its supervisor decides; only the waits of its backoff are left out. */
  #exited(slot: Slot, exit: Exit): void {
    if (this.#closed) return;
    const { supervision } = slot.stage, now = this.clock.now();
    const { action, standing } = judge(slot.standing, exit, { kind: "stage", plan: supervision, restart: supervision.restart, now, ranMs: 0, random: this.#env.random });
    slot.standing = standing;
    if (action === undefined) slot.ended = true;
    else if (action === "restart" || action === "dead-letter" || action === "suspend") this.#restart(slot);
    else this.#failure ??= this.#givenUp(slot, exit);
  }

  #givenUp({ address, stage, standing: { restarts } }: Slot, { class: its, error, event }: Exit): Error {
    const cause = error === undefined ? its : `${error.name}: ${error.message}`, at = event === undefined ? "" : ` (at event ${event}${this.#dataOf(event)})`;
    const times = restarts === 0 ? "" : ` after ${restarts === 1 ? "a restart" : `${restarts} restarts`}`;
    return new MillraceError("GIVEN_UP", address, `Stage "${stage.name}" was given up${times}: ${cause}${at}; seed ${this.#seed}`,
      "Look at the cause: a node would stop this flow and wait for a person.", error === undefined ? {} : { cause: error });
  }

  #dataOf(event: string): string {
    for (const tap of this.#taps.values()) for (const { id, data } of tap.events) if (id === event) return `, ${shown(data)}`;
    return "";
  }

  // ── crashes

  /** The stage's actors are to end where they next come to that point. */
  arm(stage: string, point: CrashPoint): void {
    for (const slot of this.#slots) {
      if (slot.stage.name !== stage || slot.ended) continue;
      slot.crashes.push(point);
      if (slot.life !== undefined) slot.life.crashAt = slot.crashes[0];
    }
  }

  /** Those that did not come there end now. True where there are any. */
  crashRest(): boolean {
    let any = false;
    for (const slot of this.#slots) {
      if (slot.crashes.length === 0) continue;
      slot.crashes = [];
      any = this.#crash(slot) || any;
    }
    return any;
  }

  /** All actors end now. */
  crashAll(): void {
    for (const slot of this.#slots) this.#crash(slot);
  }

  #crash(slot: Slot): boolean {
    if (slot.ended) return false;
    slot.life?.kill();
    this.#restart(slot);
    return true;
  }

  // ── time

  /**
   * Resolves when nothing is left to do without time going on.
   * @throws MillraceError GIVEN_UP, TEST_HANGS, TEST_OVER
   */
  async settle(): Promise<void> {
    for (let fruitless = 0; fruitless < fruitlessMoments; ) {
      await this.#run();
      const before = this.#stored;
      if (this.clock.jump(momentMs) === 0) return;
      await this.#run();
      fruitless = this.#stored === before ? fruitless + 1 : 0;
    }
  }

  /** Moves the clock, and event time as far; what falls due happens at its own time. Throws as `settle` does. */
  async advance(ms: number): Promise<void> {
    const { clock } = this, until = clock.now() + ms, eventTime = (this.#eventTime === -Infinity ? clock.now() : this.#eventTime) + ms;
    for (let alarms = 0; clock.now() < until; alarms++) {
      if (alarms > mostAlarms) throw this.#hangs(`more than ${mostAlarms} things fell due within one move of the clock`, "Something sets a timer again and again: advance less far.");
      clock.advance(Math.min(clock.next ?? Infinity, until - clock.now()));
      await this.settle();
    }
    this.#eventTime = eventTime;
    for (const feed of this.feeds.values()) feed.lift(eventTime);
    await this.settle();
  }

  /** Runs steps until there are none and no user code is under way. */
  async #run(): Promise<void> {
    for (let steps = 0; ; ) {
      while (this.#queue.step()) {
        if (++steps > mostSteps) throw this.#hangs(`it was not done after ${mostSteps} steps`, "Send less at once.");
        await undefined;
      }
      await turn();
      if (this.#closed) throw new MillraceError("TEST_OVER", this.declared.name, `The test of flow "${this.declared.name}" is over`, "Await what is sent before the test ends.");
      if (this.#failure !== undefined) throw this.#failure;
      if (!this.#queue.isEmpty) continue;
      if (this.#busy === 0) return;
      await this.#userCode();
    }
  }

  /** While user code is under way real time goes on, for the deadlines that the engine has set. */
  async #userCode(): Promise<void> {
    const { next } = this.clock, ms = Math.min(next ?? longestCallMs, longestCallMs);
    const done = await new Promise<boolean>((resolve) => {
      const timer = setTimeout(() => resolve(false), ms);
      this.#idle = () => { clearTimeout(timer); resolve(true); };
    });
    this.#idle = () => {};
    if (done) return;
    if (next === undefined) throw this.#hangs(`a schema, or what it calls, was not done after ${ms} ms`, "Let it end.");
    this.clock.jump(ms);
  }

  #hangs(why: string, remedy: string): MillraceError {
    return new MillraceError("TEST_HANGS", this.declared.name, `The test of flow "${this.declared.name}" was stopped: ${why}; seed ${this.#seed}`, remedy);
  }

  /** Ends everything at once. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const { life } of this.#slots) life?.kill();
    this.#idle();
    await turn();
  }
}

const tapKey = (stage: string, output: string): string => JSON.stringify([stage, output]);
