// How many actors of a node are started at the same time: after an outage, or on a node that took over from another, all of
// them want to recover at once, and each holds a batch of its log in memory while it does.

export class StartGate {
  #free: number;
  readonly #waiting = new Set<() => void>();

  constructor(atOnce: number) {
    this.#free = atOnce;
  }

  /** Takes a place and gives what frees it (once); with none free `undefined`, and `poke` is called, once, when it is worth asking again. */
  enter(poke: () => void): (() => void) | undefined {
    if (this.#free === 0) {
      this.#waiting.add(poke);
      return undefined;
    }
    this.#free--;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#free++;
      // All, not the first: whoever is poked may have no use for the place any more.
      const waiting = [...this.#waiting];
      this.#waiting.clear();
      for (const call of waiting) call();
    };
  }
}
