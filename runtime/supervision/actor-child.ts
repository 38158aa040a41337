// An actor as a child of its supervisor: the engine's object lives once, the child has all its lives.
import type { ActorEvents } from "../actor/environment.ts";
import type { Exit } from "../actor/exit.ts";
import { ask, type StateName } from "../actor/lifecycle.ts";
import type { Clock } from "../event/clock.ts";
import { MillraceError } from "../event/errors.ts";
import type { Child, Run } from "./child.ts";

/** What the engine offers: one life of an actor. */
export interface OneLife {
  /** Rejects where it cannot run: then nothing is left open, and `onExit` need not come. */
  start(): Promise<void>;
  /** Resolves when everything of it is closed. */
  stop(): Promise<void>;
  /** Ends it at once; `onExit` follows when everything of it is closed. */
  exit(exit: Exit): void;
}

/** A new life waits so long, in ms, for one that was killed to close its journal. */
const closingMs = 5_000;

export class ActorChild<A extends OneLife> implements Child {
  readonly id: string;
  readonly #clock: Clock;
  readonly #create: (events: ActorEvents) => A;
  #actor: A | undefined;
  #closed: Promise<void> = Promise.resolve();
  /** Counts starts, stops and kills: a start that was overtaken while it waited begins nothing. */
  #calls = 0;

  /** `create`: makes the actor of one life. */
  constructor(id: string, clock: Clock, create: (events: ActorEvents) => A) {
    this.id = id;
    this.#clock = clock;
    this.#create = create;
  }

  /** The actor of the newest life; `undefined` before the first. */
  get actor(): A | undefined {
    return this.#actor;
  }

  async start(run: Run): Promise<void> {
    const call = ++this.#calls;
    await this.closed();
    if (call !== this.#calls) return run.exit({ class: "shutdown" });
    let closed = (): void => {};
    this.#closed = new Promise((resolve) => (closed = resolve));
    const actor = this.#create({
      onExit: (exit) => {
        closed();
        run.exit(exit);
      },
      onState: (state, error) => reportState(run, state, error),
      onPoison: (event, error) => run.poisoned(event, error),
    });
    this.#actor = actor;
    try {
      await actor.start();
    } catch (error) {
      closed();
      throw error;
    }
  }

  async stop(): Promise<void> {
    this.#calls++;
    await this.#actor?.stop();
  }

  kill(): void {
    this.#calls++;
    this.#actor?.exit({ class: "shutdown" });
  }

  /** Resolves when no life of it holds its journal any more: a stop within a start is over before that. At the latest after 5 s. */
  closed(): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#clock.after(closingMs, resolve);
      void this.#closed.then(() => {
        cancel();
        resolve();
      });
    });
  }
}

/** The engine says where it is; the lifecycle wants to know what happened. */
export function reportState(run: Run, state: StateName, error: Error | undefined): void {
  const told = (type: "claimed" | "recovered" | "available"): void => {
    if (ask(run.lifecycle, type).answer === "moves") run.report({ type });
  };
  if (state.startsWith("unavailable")) {
    const why = error === undefined ? { code: "UNREACHABLE", message: "NATS does not answer" } : { ...(error instanceof MillraceError ? { code: error.code } : {}), message: error.message };
    if (ask(run.lifecycle, "unavailable").answer === "moves") run.report({ type: "unavailable", why });
    return;
  }
  if (state !== "claiming" && state !== "recovering" && state !== "running.active") return;
  told("available");
  if (state !== "claiming") told("claimed");
  if (state === "running.active") told("recovered");
}
