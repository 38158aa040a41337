// How a flow on this node comes to its end: all its actors have ended, or one of them will not go on.
import type { Clock } from "../event/clock.ts";
import { asError, MillraceError } from "../event/errors.ts";
import type { Logger } from "../flow/context.ts";
import type { FlowRun } from "./run.ts";

/** What NATS does not take now is tried again so often, so many times: a run that is not marked is found interrupted, and ends at once. */
const again = { everyMs: 500, times: 20 } as const;

/** Is told what becomes of a flow on this node. */
export interface FlowWatch {
  readonly finished: boolean;
  readonly failure: Error | undefined;
  ended(): void;
  failed(error: Error): void;
  stopped(): Promise<void>;
}

export class FlowEnd implements FlowWatch {
  readonly #run: FlowRun;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #changed: () => void;
  #over = false;
  /** All its actors have ended, and that is on record. */
  finished = false;
  failure: Error | undefined;

  /** `changed`: called when it has finished or failed. */
  constructor(run: FlowRun, clock: Clock, log: Logger, changed: () => void) {
    this.#run = run;
    this.#clock = clock;
    this.#log = log;
    this.#changed = changed;
  }

  /** Every actor has ended, and all that they sent is settled. */
  ended(): void {
    if (this.#over) return;
    this.#over = true;
    void this.#mark("finished").then(() => {
      this.finished = true;
      this.#changed();
    });
  }

  /** The first failure counts. */
  failed(error: Error): void {
    if (this.failure !== undefined || this.#over) return;
    this.failure = error;
    this.#changed();
  }

  /** Its actors were stopped in order. */
  async stopped(): Promise<void> {
    if (this.#over) return;
    this.#over = true;
    await this.#run.mark("stopped");
  }

  async #mark(state: "finished"): Promise<void> {
    for (let attempt = 0; attempt < again.times; attempt++) {
      try {
        return await this.#run.mark(state);
      } catch (thrown) {
        const error = asError(thrown);
        if (!(error instanceof MillraceError) || error.code !== "UNREACHABLE" || attempt + 1 === again.times) {
          this.#log.warn("the end of the flow could not be recorded; the next start finds it", { reason: error.message });
          return;
        }
        await new Promise<void>((done) => { this.#clock.after(again.everyMs, done); });
      }
    }
  }
}
