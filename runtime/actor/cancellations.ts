// The signals of the events that are under way in an actor: each aborts with its event, all of them when the actor is over.
// Not AbortSignal.any: for each signal that it makes it leaves a reference on the actor's, for as long as that lives.

export class Cancellations {
  readonly #over: AbortSignal;
  readonly #live = new Set<AbortController>();

  constructor(over: AbortSignal) {
    this.#over = over;
    over.addEventListener("abort", () => { for (const controller of this.#live) controller.abort(over.reason); this.#live.clear(); }, { once: true });
  }

  get size(): number {
    return this.#live.size;
  }

  /** One for an event; it is to be closed when the event is done. */
  open(): AbortController {
    const controller = new AbortController();
    if (this.#over.aborted) controller.abort(this.#over.reason);
    else this.#live.add(controller);
    return controller;
  }

  close(controller: AbortController): void {
    this.#live.delete(controller);
  }
}
