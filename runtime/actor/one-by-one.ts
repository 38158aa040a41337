// Event by event, each behind an attempt record: how an actor whose process died more than once finds the event that kills it
// (PROTOCOL 9, poison). On one node one event at a time is tried so, that no bystander is counted.
import type { Actor } from "./actor.ts";
import { idOf, type Item } from "./item.ts";

export interface Handles {
  /** What is next; "frame": one without events is past, or an event was set aside. */
  next(): Item | "frame" | undefined;
  handleAlone(item: Item): Promise<void>;
}

export class OneByOne {
  readonly #actor: Actor;
  readonly #handles: Handles;
  readonly #after: number;
  #trying = false;
  /** The attempt is written, or on its way: it counts against the event unless it comes to an end. */
  #isCounted = false;
  #draining = false;
  #leave: (() => void) | undefined;
  #waiting: (() => void)[] = [];

  /** @param after tries after which an event is not tried again */
  constructor(actor: Actor, handles: Handles, after: number) {
    this.#actor = actor;
    this.#handles = handles;
    this.#after = after;
  }

  /** Whether an event is at hand. */
  get trying(): boolean {
    return this.#trying;
  }

  /** Begins with the next event; says whether there is none. */
  work(): boolean {
    if (this.#trying || this.#draining) return false;
    const { tries } = this.#actor.memory, item = this.#handles.next();
    if (item === "frame") { this.#actor.soon(); return false; }
    if (item === undefined) return true;
    this.#trying = true;
    void this.#actor.env.oneByOne.enter().then((leave) => {
      if (this.#actor.signal.aborted || this.#draining) return leave();
      this.#leave = leave;
      this.#isCounted = true;
      if (tries.of(idOf(item)) >= this.#after) return this.#handle(item);
      this.#actor.attempt(idOf(item), () => this.#handle(item));
      this.#actor.pump();
    });
    return false;
  }

  #handle(item: Item): void {
    const { atWork, behaviour } = this.#actor;
    atWork.begin();
    const handled = this.#handles.handleAlone(item);
    atWork.end(behaviour);
    void handled.then(() => this.#actor.whenCommitted()).then(() => {
      this.close();
      this.#trying = false;
      this.#actor.soon();
    });
    this.#actor.soon();
  }

  /** Begins no more. Resolves when the try at hand has come to its end and is committed: cut off by a stop it would count as a death. */
  drain(): Promise<void> {
    this.#draining = true;
    return this.#isCounted ? new Promise((done) => { this.#waiting.push(done); }) : Promise.resolve();
  }

  close(): void {
    this.#leave?.();
    this.#leave = undefined;
    this.#isCounted = false;
    for (const done of this.#waiting.splice(0)) done();
  }
}
