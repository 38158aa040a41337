// A life of an actor that has not begun, and that is made ready to while another node still runs it (head-start.ts). What it has is kept up with
// the log until it begins, or it is let go of.
import type { Actor } from "../actor/actor.ts";
import type { ActorEvents } from "../actor/environment.ts";
import { HeadStart } from "../actor/head-start.ts";
import { asError } from "../event/errors.ts";

export class NextLife {
  readonly actor: Actor;
  /** Resolves when nothing of it is open any more, unless it has begun. */
  readonly #over: Promise<void>;
  /** Whom it tells what becomes of it is known when it begins. */
  #events: ActorEvents;
  #keeping: Promise<void> = Promise.resolve();
  readonly #enough = new AbortController();

  constructor(create: (events: ActorEvents) => Actor) {
    let ended = (): void => {};
    this.#over = new Promise((done) => { ended = done; });
    this.#events = { onExit: () => ended(), onState: () => {}, onPoison: () => {} };
    this.actor = create({ onExit: (exit) => this.#events.onExit(exit), onState: (state, error) => this.#events.onState(state, error), onPoison: (event, error) => this.#events.onPoison(event, error) });
  }

  /** Resolves when it has what the log has, or cannot have it: then it is let go of. Never rejects. */
  async warm(signal: AbortSignal): Promise<void> {
    const giveUp = (): void => void this.close(), start = HeadStart.of(this.actor);
    this.actor.headStart = start;
    signal.addEventListener("abort", giveUp, { once: true });
    const ahead = await start.catch((thrown: unknown) => this.#failed(thrown));
    signal.removeEventListener("abort", giveUp);
    if (ahead !== undefined) this.#keeping = ahead.keepUp(this.#enough.signal).catch((thrown: unknown) => this.#failed(thrown));
  }

  /** Whether it may begin: it came to something. It is not kept up any more. */
  async isReady(): Promise<boolean> {
    this.#enough.abort();
    await this.#keeping;
    return !this.actor.signal.aborted;
  }

  /** To be started now. */
  begin(events: ActorEvents): Actor {
    this.#events = events;
    return this.actor;
  }

  /** Lets go of it. Resolves when nothing of it is open. */
  async close(): Promise<void> {
    this.#enough.abort();
    await this.#keeping;
    this.actor.exit({ class: "shutdown" });
    await this.#over;
  }

  #failed(thrown: unknown): undefined {
    this.actor.env.log.debug("an actor that is to come could not be made ready before", { actor: this.actor.address, reason: asError(thrown).message });
    this.actor.exit({ class: "shutdown" });
  }
}
