// One child of a supervisor: its lives one after another, its place in the lifecycle, its deadlines. Carries out starts, stops
// and kills of this one child; what is to be done when is the supervisor's.
import { exitOf, type Exit } from "../actor/exit.ts";
import { ask, initial, next, type Lifecycle, type LifecycleEvent, type Why } from "../actor/lifecycle.ts";
import { MillraceError } from "../event/errors.ts";
import type { Run } from "./child.ts";
import { longestMs, type ChildSpec, type RestartType } from "./child-spec.ts";
import { reasonOf, type Decision } from "./decision.ts";
import type { Environment } from "./environment.ts";
import { fresh, type Standing } from "./verdict.ts";

/** What a member tells its supervisor; from within any call, so nothing may be done there and then. */
export interface Owner {
  /** A life ended that nobody asked to end. */
  exited(member: Member, exit: Exit, context: "start" | "run", ranMs: number | undefined): void;
  /** An event of it was given up as poison. */
  poisoned(member: Member, exit: Exit): void;
  /** A start is done, one way or the other; after `exited` where it failed. */
  settled(member: Member): void;
  /** It did not stop within its deadline; killed when this resolves. Never rejects. */
  overdue(member: Member, deadlineMs: number): Promise<void>;
}

interface Life {
  /** Monotonic ms; set when the start is done. */
  runningSince: number | undefined;
  /** Ends the wait for the start, until it is done. */
  settle: (() => void) | undefined;
}

/** The end of a life that was asked for. */
interface Halt {
  readonly done: Promise<void>;
  /** `event`: how the lifecycle moves, where its exit has not moved it already. Once. */
  readonly finish: (event?: LifecycleEvent) => void;
  readonly timers: (() => void)[];
}

export function whyOf(exit: Exit): Why {
  const { message, code } = reasonOf(exit), { error } = exit;
  return { message, ...(code === undefined ? {} : { code }), ...(error instanceof MillraceError ? { remedy: error.remedy } : {}) };
}

export class Member {
  readonly spec: ChildSpec;
  restart: RestartType;
  readonly #env: Environment;
  readonly #owner: Owner;
  #life: Life | undefined;
  #halt: Halt | undefined;
  lifecycle: Lifecycle = initial();
  standing: Standing = fresh;
  /** The newest decision about it that was no order. */
  last: Decision | undefined;
  /** Whether `last` and the count of restarts were read back from the log. */
  remembered = false;
  /** Monotonic ms at which it is to be started. */
  dueAt: number | undefined;
  /** Set while it is retried without a decision of its own: what is down. */
  suspended: string | undefined;
  /** To be stopped by its supervisor's strategy. */
  leaving = false;
  /** The exit that its supervisor has yet to answer; an order does away with it. */
  unanswered: Exit | undefined;
  /** Counts the orders given about it: the newest stands. */
  orders = 0;
  /** Stopped by order: only an order starts it. */
  held = false;
  /** Started at least once in this life of its supervisor, whatever came of it. */
  tried = false;

  constructor(spec: ChildSpec, restart: RestartType, env: Environment, owner: Owner) {
    this.spec = spec;
    this.restart = spec.restart ?? restart;
    this.#env = env;
    this.#owner = owner;
  }

  get id(): string {
    return this.spec.child.id;
  }

  /** Something of it runs, or is being started or stopped. */
  get alive(): boolean {
    return this.#life !== undefined;
  }

  get starting(): boolean {
    return this.#life?.settle !== undefined;
  }

  get halting(): boolean {
    return this.#halt !== undefined;
  }

  /** Not to be run: ended, or waiting for a person or another order. */
  get settledDown(): boolean {
    const { state } = this.lifecycle;
    return this.held || state === "ended" || state === "parked" || state === "fenced";
  }

  /** Moves its lifecycle, where that has a place for the event. */
  move(event: LifecycleEvent): void {
    if (ask(this.lifecycle, event.type).answer === "moves") this.#go(event);
  }

  /** A new budget and a new backoff; what people are shown stays. */
  renew(): void {
    this.standing = { ...fresh, restarts: this.standing.restarts };
    this.forget();
    this.tried = false;
  }

  /** Takes back what its supervisor was going to do with it. */
  forget(): void {
    this.unanswered = undefined;
    this.dueAt = undefined;
    this.suspended = undefined;
    this.leaving = false;
  }

  /** Whether its first start, in this life of its supervisor, is behind it or will never be. */
  get begun(): boolean {
    return this.settledDown || (this.tried && !this.starting);
  }

  /** Begins a life. `release` is called when the start is done, one way or the other. */
  begin(release: () => void): void {
    const { child, kind } = this.spec;
    this.dueAt = undefined;
    this.tried = true;
    const { state } = this.lifecycle;
    this.#go({ type: state === "backing-off" || state.startsWith("unavailable") ? "restart" : "start" });
    const life: Life = { runningSince: undefined, settle: undefined };
    this.#life = life;
    let cancel = (): void => {};
    const bound = (): void => {
      cancel();
      // A supervisor's start is bounded by those of its actors.
      if (kind !== "actor" || life.settle === undefined) return;
      // While it says that what it needs is down, the time is no fault of its own.
      cancel = this.#env.clock.after(this.#env.startMs, () => this.fail({ class: this.lifecycle.state.startsWith("unavailable") ? "unavailable" : "crash", error: startTimeout(this.id, this.#env.startMs) }));
    };
    life.settle = () => {
      life.settle = undefined;
      cancel();
      release();
      this.#owner.settled(this);
    };
    bound();
    const member = this;
    const run: Run = {
      get lifecycle() {
        return member.lifecycle;
      },
      report: (progress) => {
        if (this.#life !== life) return;
        this.#go(progress);
        bound();
      },
      poisoned: (event, error) => {
        if (this.#life === life) this.#owner.poisoned(this, { class: "poison", event, error });
      },
      exit: (exit) => this.#over(life, exit),
    };
    const started = async (): Promise<void> => {
      try {
        await child.start(run);
      } catch (thrown) {
        return this.#over(life, exitOf(thrown));
      }
      if (this.#life !== life || life.settle === undefined) return;
      life.runningSince = this.#env.clock.monotonic();
      this.suspended = undefined;
      if (!this.halting) for (const type of ["available", "claimed", "recovered"] as const) this.move({ type });
      life.settle();
    };
    void started();
  }

  /** Stops it: in order, and at the deadline (ms from now) by a kill. A further call may bring the deadline forward. Never rejects. */
  halt(deadlineMs: number): Promise<void> {
    const life = this.#life, { child, kind } = this.spec;
    if (life === undefined) {
      this.move({ type: "stop" });
      return Promise.resolve();
    }
    if (this.#halt === undefined) this.#drain(life, deadlineMs);
    // A supervisor hands the deadline down and is bounded by its actors: by each call anew.
    else if (kind !== "actor") void child.stop(deadlineMs).catch((error: unknown) => this.#env.fault(error, this.id));
    const halt = this.#halt;
    if (halt === undefined) return Promise.resolve();
    if (kind === "actor" && deadlineMs < Infinity) halt.timers.push(this.#env.clock.after(Math.min(deadlineMs, longestMs), () => void this.#overdue(halt, deadlineMs)));
    return halt.done;
  }

  /** Ends it at once. */
  kill(): void {
    const life = this.#life, halt = this.#halt;
    if (life !== undefined) this.#kill();
    if (halt !== undefined) return halt.finish({ type: "stop" });
    this.#life = undefined;
    this.move({ type: "stop" });
    life?.settle?.();
  }

  /** Ends it at once, as an exit that it did not report itself: it hangs, or its process is gone. */
  fail(exit: Exit): void {
    const life = this.#life;
    if (life === undefined) return;
    this.#kill();
    this.#over(life, exit);
  }

  #drain(life: Life, deadlineMs: number): void {
    let resolve = (): void => {};
    const halt: Halt = {
      timers: [],
      done: new Promise<void>((call) => (resolve = call)),
      finish: (event) => {
        if (this.#halt !== halt) return;
        this.#halt = undefined;
        this.#life = undefined;
        for (const cancel of halt.timers) cancel();
        if (event !== undefined) this.move(event);
        life.settle?.();
        resolve();
      },
    };
    this.#halt = halt;
    this.move({ type: "drain" });
    const stopped = async (): Promise<void> => {
      try {
        await this.spec.child.stop(deadlineMs);
        halt.finish({ type: "drained" });
      } catch (error) {
        this.#env.fault(error, this.id);
        // By now it may have been killed at its deadline, and have a new life.
        if (this.#halt !== halt) return;
        this.#kill();
        halt.finish({ type: "stop" });
      }
    };
    void stopped();
  }

  async #overdue(halt: Halt, deadlineMs: number): Promise<void> {
    if (this.#halt !== halt) return;
    await this.#owner.overdue(this, deadlineMs);
    if (this.#halt !== halt) return;
    this.#kill();
    halt.finish({ type: "stop" });
  }

  #over(life: Life, exit: Exit): void {
    if (this.#life !== life) return;
    const context = life.settle === undefined ? "run" : "start";
    const ranMs = life.runningSince === undefined ? undefined : this.#env.clock.monotonic() - life.runningSince;
    this.#life = undefined;
    this.move(this.#moveOf(exit));
    const halt = this.#halt;
    if (halt !== undefined) return halt.finish();
    // Whether and when it is started again is decided anew.
    this.dueAt = undefined;
    this.unanswered = exit;
    this.#owner.exited(this, exit, context, ranMs);
    life.settle?.();
  }

  #moveOf(exit: Exit): LifecycleEvent {
    switch (exit.class) {
      case "normal": case "sealed": return { type: "end" };
      case "shutdown": return { type: "stop" };
      case "fenced": return { type: "fence", why: whyOf(exit) };
      case "unavailable": return this.lifecycle.state === "draining" ? { type: "stop" } : { type: "unavailable", why: whyOf(exit) };
      default: return { type: "failed", why: whyOf(exit) };
    }
  }

  #go(event: LifecycleEvent): void {
    const before = this.lifecycle;
    this.lifecycle = next(before, event, this.id);
    if (this.lifecycle !== before) this.#env.tellState(this.id, this.lifecycle, before);
  }

  #kill(): void {
    try {
      this.spec.child.kill();
    } catch (error) {
      this.#env.fault(error, this.id);
    }
  }
}

function startTimeout(id: string, ms: number): MillraceError {
  return new MillraceError("START_TIMEOUT", id, `${id} made no progress with its start for ${ms} ms`, "It is killed and started again; `millrace tree` and `millrace doctor` show what it waits for.");
}
