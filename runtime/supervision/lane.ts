// What a supervisor has to do, one thing after another. A restart attempt is a message here and never a loop, so that an order
// to stop gets in between. Holds a few messages for each child at most.

export class Lane {
  readonly #tasks: (() => void | Promise<void>)[] = [];
  readonly #onFault: (error: unknown) => void;
  #busy = false;

  constructor(onFault: (error: unknown) => void) {
    this.#onFault = onFault;
  }

  /** Done in its turn, never within the call. What it throws goes to `onFault`, and the next one is done. */
  post(task: () => void | Promise<void>): void {
    this.#tasks.push(task);
    if (this.#busy) return;
    this.#busy = true;
    queueMicrotask(() => void this.#work());
  }

  async #work(): Promise<void> {
    for (let task = this.#tasks.shift(); task !== undefined; task = this.#tasks.shift()) {
      try {
        await task();
      } catch (error) {
        this.#onFault(error);
      }
    }
    this.#busy = false;
  }
}
