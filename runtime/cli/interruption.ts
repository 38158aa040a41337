// Ctrl-C: the first asks for an orderly end, the second ends at once. Nothing is lost by either: what was committed goes on with the next start.
import { exitCode } from "./exit-code.ts";

const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
/** npm and a terminal each pass the same Ctrl-C on: what comes at the same moment is one. */
const sameMs = 250;

export class Interruption {
  /** Resolves at the first one. */
  readonly first: Promise<void>;
  #count = 0;
  #at = -Infinity;
  readonly #onSignal: () => void;

  /** `again`: called at the second, before the process ends. */
  constructor(again: () => void) {
    let resolve = (): void => {};
    this.first = new Promise((call) => (resolve = call));
    this.#onSignal = () => {
      const now = performance.now();
      if (now - this.#at < sameMs) return;
      this.#at = now;
      if (++this.#count === 1) return resolve();
      again();
      process.exit(exitCode.interrupted);
    };
    for (const signal of signals) process.on(signal, this.#onSignal);
  }

  get happened(): boolean {
    return this.#count > 0;
  }

  close(): void {
    for (const signal of signals) process.off(signal, this.#onSignal);
  }
}
