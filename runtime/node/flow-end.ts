// How a flow on this node comes to its end: all its actors have ended, or one of them will not go on.
import type { Clock } from "../event/clock.ts";
import { asError, MillraceError } from "../event/errors.ts";
import type { Logger } from "../flow/context.ts";
import type { FlowRun } from "./run.ts";

/** What NATS does not take now is tried again so often, so many times: a run that is not marked is found interrupted, and ends at once. */
const again = { everyMs: 500, times: 20 } as const;

/**
 * An actor that another owner has claimed, of a flow that is still this node's, is claimed again after so long, doubled each time: who was late
 * is fenced by that and finds that the flow is not his. So many times for each actor: somebody who has no eye for the key is left to it then. In ms.
 */
const reclaim = { firstMs: 1_000, times: 5 } as const;

/** Is told what becomes of a flow on this node. */
export interface FlowWatch {
  readonly finished: boolean;
  readonly failure: Error | undefined;
  ended(): void;
  failed(error: Error): void;
  stopped(): Promise<void>;
}

export class FlowEnd implements FlowWatch {
  readonly #run: Pick<FlowRun, "mark" | "isHeld">;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #changed: () => void;
  readonly #unpark: (actor: string) => Promise<void>;
  /** How often each actor was fenced. */
  readonly #fenced = new Map<string, number>();
  #over = false;
  /** All its actors have ended, and that is on record. */
  finished = false;
  failure: Error | undefined;

  /** `changed`: called when it has finished or failed. `unpark`: starts an actor again that was fenced. */
  constructor(run: Pick<FlowRun, "mark" | "isHeld">, clock: Clock, log: Logger, changed: () => void, unpark: (actor: string) => Promise<void>) {
    this.#run = run;
    this.#clock = clock;
    this.#log = log;
    this.#changed = changed;
    this.#unpark = unpark;
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

  /** The first failure counts. That an actor belongs to another owner is none while the flow is this node's. */
  failed(error: Error): void {
    if (error instanceof MillraceError && error.code === "FLOW_TAKEN") void this.#claimAgain(error);
    else this.#fail(error);
  }

  // Two nodes, each fenced at one actor, would both leave the flow to the other. The key says whose it is: of the two, one goes on.
  async #claimAgain(error: MillraceError): Promise<void> {
    const actor = error.where, times = (this.#fenced.get(actor) ?? 0) + 1;
    this.#fenced.set(actor, times);
    if (times > reclaim.times) return this.#fail(error);
    for (let waited = false; !this.#over && this.failure === undefined; ) {
      try {
        if (!(await this.#run.isHeld())) return this.#fail(error);
        if (!waited) {
          waited = true;
          await this.#pause(reclaim.firstMs * 2 ** (times - 1));
          continue;
        }
        if (this.#over) return;
        this.#log.warn(`${actor}: claimed again, the flow is still this node's`);
        return await this.#unpark(actor);
      } catch (thrown) {
        const { code, message } = thrown instanceof MillraceError ? thrown : { code: "", message: asError(thrown).message };
        // It runs already, or was stopped with its node.
        if (["NOT_PARKED", "NOT_RUNNING", "NOT_FOUND"].includes(code)) return;
        if (code !== "UNREACHABLE") this.#log.warn(`${actor}: could not be claimed again`, { reason: message });
        await this.#pause(again.everyMs);
      }
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((done) => { this.#clock.after(ms, done); });
  }

  #fail(error: Error): void {
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
        await this.#pause(again.everyMs);
      }
    }
  }
}
