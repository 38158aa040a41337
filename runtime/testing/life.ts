// One life of an actor under test, as if in a process of its own: its connection, its stores, its timers. Killed, as by SIGKILL,
// it does nothing more that others could see; what it had sent and was not carried yet is lost with it. Its disk stays.
import type { Actor } from "../actor/actor.ts";
import { type ActorEnvironment, type ActorEvents, subjectsOf, Turnstile } from "../actor/environment.ts";
import { createActor } from "../actor/wiring.ts";
import type { Clock, Random } from "../event/clock.ts";
import { MillraceError } from "../event/errors.ts";
import { isPromise } from "../flow/display.ts";
import type { FlowPlan, StagePlan } from "../flow/plan.ts";
import type { ManualClock } from "./manual-clock.ts";
import { MemoryBroker } from "./memory-broker.ts";
import type { MemoryServer } from "./memory-server.ts";
import { type MemoryDisk, MemoryStores } from "./memory-store.ts";
import type { Leg, Network, Verdict } from "./network.ts";
import type { Lane, RunQueue } from "./run-queue.ts";
import type { CrashPoint } from "./token.ts";

/** What all lives of a flow share. */
export interface LifeEnvironment {
  readonly flow: FlowPlan;
  readonly server: MemoryServer;
  readonly disk: MemoryDisk;
  readonly clock: ManualClock;
  readonly random: Random;
  readonly queue: RunQueue;
  readonly division: ActorEnvironment["division"];
  readonly readerCursor: ActorEnvironment["readerCursor"];
  /** User code is under way (1), or is done (-1). */
  readonly busy: (change: number) => void;
}

export interface LifeEvents {
  readonly onRunning: () => void;
  readonly onExit: ActorEvents["onExit"];
  readonly onPoison: ActorEvents["onPoison"];
  /** It reached the point at which it was to end, and is dead. */
  readonly onCrash: () => void;
}

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

export class Life implements Network {
  readonly partition: number;
  readonly actor: Actor;
  dead = false;
  /** Where it is to end. Only an actor that runs comes there. */
  crashAt: CrashPoint | undefined;
  readonly #env: LifeEnvironment;
  readonly #events: LifeEvents;
  readonly #lane: Lane;
  readonly #stores: MemoryStores;
  readonly #timers = new Set<() => void>();
  readonly #log: string;
  readonly #chunks: string;
  #running = false;
  #underWay = 0;
  /** Frames on their way. */
  #sending = 0;

  /** @param stageOf the stage as this life runs it */
  constructor(env: LifeEnvironment, stage: StagePlan, partition: number, stageOf: (life: Life) => StagePlan, events: LifeEvents) {
    const { flow, server, disk, random, queue, division, readerCursor } = env;
    this.partition = partition;
    this.#env = env;
    this.#events = events;
    this.#lane = queue.lane();
    const subjects = subjectsOf(flow.name, stage.name, division(stage.name).generation, partition);
    this.#log = subjects.log;
    this.#chunks = subjects.chunks;
    this.#stores = new MemoryStores(disk, (_store, run) => this.#lane.add(() => { run(); this.reaches("after-journal"); }));
    const own: ActorEnvironment = {
      flow, division, readerCursor, random, code: "test", node: "test", broker: new MemoryBroker(server, this), stores: this.#stores, clock: this.#clock(), log: silent,
      soon: (call) => this.#lane.add(call), retainMs: 0, replicas: 1, oneByOne: new Turnstile(),
    };
    this.actor = createActor(own, stageOf(this), partition, {
      onState: (state) => { if (state === "running.active" && !this.#running) { this.#running = true; events.onRunning(); } },
      onPoison: (event, error) => { if (!this.dead) events.onPoison(event, error); },
      onExit: (exit) => { if (this.#die()) events.onExit(exit); },
    });
  }

  /** Runs, and has its state back. */
  get running(): boolean {
    return this.#running && !this.dead;
  }

  /** Rejects where it cannot run: it is over then. */
  async start(): Promise<void> {
    try {
      await this.actor.start();
    } catch (error) {
      if (this.#die()) throw error;
    }
  }

  #clock(): Clock {
    const { clock } = this.#env;
    return {
      now: () => clock.now(),
      monotonic: () => clock.monotonic(),
      after: (ms, call) => {
        if (this.dead) return () => {};
        let live = true;
        const cancel = (): void => { live = false; stop(); this.#timers.delete(cancel); };
        const stop = clock.after(ms, () => this.#lane.add(() => { if (live) { cancel(); call(); } }));
        this.#timers.add(cancel);
        return cancel;
      },
    };
  }

  schedule(leg: Leg, subject: string, run: (verdict?: Verdict) => void): void {
    if (this.dead) return;
    if (leg === "deliver") return this.#lane.add(() => { if (this.actor.stage.kind !== "sink" || !this.reaches("before-handler")) run(); });
    if ((leg !== "append" && leg !== "ack") || subject === this.#chunks) return this.#lane.add(run);
    if (subject === this.#log) {
      if (leg === "ack") this.#lane.add(run);
      else if (!this.reaches("before-commit")) this.#lane.add(() => { run(); this.reaches("after-commit"); });
    } else if (leg === "append") {
      this.#sending++;
      this.#lane.add(() => { run(); this.reaches("while-sending"); });
    } else this.#lane.add(() => { run(); if (--this.#sending === 0) this.reaches("after-sending"); });
  }

  /** A sink has written its batch, which is what it sends. */
  wrote(): void {
    if (this.reaches("while-sending")) return;
    this.#lane.add(() => this.reaches("after-sending"));
  }

  /** It comes to a point of a turn. True: it is dead, and nothing more may be done for it. */
  reaches(point: CrashPoint): boolean {
    if (this.dead) return true;
    if (!this.#running || this.crashAt !== point) return false;
    this.kill();
    this.#events.onCrash();
    return true;
  }

  /** User code that is not done at once is waited for. */
  follow<T>(result: T): T {
    if (!isPromise(result) || this.dead) return result;
    const leave = (): void => { if (!this.dead) { this.#underWay--; this.#env.busy(-1); } };
    this.#underWay++;
    this.#env.busy(1);
    result.then(leave, leave);
    return result;
  }

  /** As by SIGKILL. Handlers under way cannot be ended; their signals abort. */
  kill(): void {
    if (!this.#die()) return;
    this.#stores.kill();
    // Later: it may be in the middle of something.
    queueMicrotask(() => this.actor.exit({ class: "process" }));
  }

  /** Its thread is ended in the middle of a handler; its supervisor is told what that of an isolated actor is. */
  endThread(deadlineMs: number): void {
    const { address } = this.actor;
    if (this.dead) return;
    this.kill();
    const error = new MillraceError("LOOP_STALLED", address, `A handler did not come back within ${deadlineMs} ms (poison.deadline)`, "Look at it for a loop that does not end.");
    queueMicrotask(() => this.#events.onExit({ class: "process", error, event: `in the thread of ${address}` }));
  }

  #die(): boolean {
    if (this.dead) return false;
    this.dead = true;
    this.#lane.close();
    for (const cancel of this.#timers) cancel();
    if (this.#underWay > 0) this.#env.busy(-this.#underWay);
    return true;
  }
}
