// A record that an actor is asked for and closes once, with nothing else in its way: the last one of its life, or an attempt (PROTOCOL 9).
export class DueRecord {
  #then: (() => void) | undefined;
  #closed = false;

  /** Whether it is asked for, or was. */
  get asked(): boolean { return this.#then !== undefined; }

  /** Whether it is on its way: it is closed once. */
  get closed(): boolean { return this.#closed; }

  /** `then` is called when it is written. The first call counts. */
  ask(then: () => void): void { this.#then ??= then; }

  /** Whether it is to be closed now. */
  close(): boolean {
    const isDue = this.asked && !this.#closed;
    this.#closed ||= isDue;
    return isDue;
  }

  written(): void { this.#then?.(); }
}
