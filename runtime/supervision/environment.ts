// What all supervisors of a node share: time, chance, the log of decisions and the way to it, observers, limits.
import type { Lifecycle } from "../actor/lifecycle.ts";
import type { Clock, Random } from "../event/clock.ts";
import { asError } from "../event/errors.ts";
import { delayAfter } from "./backoff.ts";
import type { Decision, DecisionLog } from "./decision.ts";
import { StartGate } from "./start-gate.ts";

/** Is told; what it throws is passed to `onFault` and changes nothing. */
export interface Observer {
  /** A decision that is in the log and about to be carried out. */
  onDecision?(decision: Decision): void;
  /** A child's lifecycle moved. */
  onState?(id: string, now: Lifecycle, before: Lifecycle): void;
  /** Something is wrong with the supervision itself: the log of decisions fails, a stop or an observer throws. */
  onFault?(error: Error, where: string): void;
}

export interface SupervisionOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: DecisionLog;
  readonly observer?: Observer;
  /** A start that takes longer has crashed (START_TIMEOUT). Each progress report begins the time anew. Default 10 minutes. */
  readonly startMs?: number;
  /** An append to the log of decisions that takes longer is tried again. Default 5 s. */
  readonly appendMs?: number;
  /** So many actors are started at the same time. Default 32. */
  readonly startsAtOnce?: number;
}

const appendBackoff = { minMs: 100, maxMs: 30_000, factor: 2, jitter: 0.2 };
/** A kill at a deadline waits so long for its record, and no longer: the deadline was promised. */
const lastWordMs = 1_000;

export class Environment {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: DecisionLog;
  readonly startMs: number;
  readonly starts: StartGate;
  readonly #appendMs: number;
  readonly #observer: Observer;

  constructor({ clock, random, log, observer = {}, startMs = 600_000, appendMs = 5_000, startsAtOnce = 32 }: SupervisionOptions) {
    this.clock = clock;
    this.random = random;
    this.log = log;
    this.startMs = startMs;
    this.starts = new StartGate(startsAtOnce);
    this.#appendMs = appendMs;
    this.#observer = observer;
  }

  tellState(id: string, now: Lifecycle, before: Lifecycle): void {
    this.#tell(id, () => this.#observer.onState?.(id, now, before));
  }

  fault(thrown: unknown, where: string): void {
    try {
      this.#observer.onFault?.(asError(thrown), where);
    } catch {
      // Nobody is left to be told.
    }
  }

  /**
   * Writes a decision before it is carried out (I8) and tells it. `true` when it is durable. A log that fails or hangs is asked
   * again, less and less often, for ever: a supervisor whose decisions cannot be recorded takes none, its child stays down,
   * and observers are told. `signal`, an order to stop, ends the wait: `false`, and nothing is to be carried out. Never rejects.
   */
  async record(decision: Decision, signal: AbortSignal): Promise<boolean> {
    for (let failures = 0; !signal.aborted; ) {
      if (await this.#append(decision, this.#appendMs, signal)) {
        if (signal.aborted) return false;
        this.#tell(decision.offender, () => this.#observer.onDecision?.(decision));
        return true;
      }
      failures++;
      await this.#within(delayAfter(failures, appendBackoff, this.random), signal);
    }
    return false;
  }

  /** The same for a kill at a deadline, which waits for the log only a second. */
  async recordAtOnce(decision: Decision): Promise<void> {
    await this.#append(decision, lastWordMs, undefined);
    this.#tell(decision.offender, () => this.#observer.onDecision?.(decision));
  }

  /** The newest decisions about somebody; none where the log cannot tell. Never rejects. */
  async remember(offender: string, signal: AbortSignal): Promise<readonly Decision[]> {
    let found: readonly Decision[] = [];
    const read = async (): Promise<void> => {
      try {
        found = await this.log.read(offender);
      } catch (error) {
        this.fault(error, offender);
      }
    };
    await this.#within(this.#appendMs, signal, read());
    return found;
  }

  async #append(decision: Decision, ms: number, signal: AbortSignal | undefined): Promise<boolean> {
    let outcome: "stored" | "failed" | "open" = "open";
    const append = async (): Promise<void> => {
      try {
        await this.log.append(decision);
        outcome = "stored";
      } catch (error) {
        outcome = "failed";
        this.fault(error, decision.offender);
      }
    };
    await this.#within(ms, signal, append());
    const now = outcome as "stored" | "failed" | "open";
    if (now === "open" && signal?.aborted !== true) this.fault(new Error(`the log of decisions did not answer within ${ms} ms, and nothing is done about ${decision.offender} before it does`), decision.offender);
    return now === "stored";
  }

  /** Resolves after `ms`, when the signal comes, or when `promise`, which never rejects, has settled. */
  #within(ms: number, signal: AbortSignal | undefined, promise?: Promise<void>): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted === true) return resolve();
      const done = (): void => {
        cancel();
        signal?.removeEventListener("abort", done);
        resolve();
      };
      const cancel = this.clock.after(ms, done);
      signal?.addEventListener("abort", done);
      void promise?.then(done);
    });
  }

  #tell(where: string, call: () => void): void {
    try {
      call();
    } catch (error) {
      this.fault(error, where);
    }
  }
}
