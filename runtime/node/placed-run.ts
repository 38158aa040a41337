// The run of a flow that is placed over nodes, as one of them knows it. Others change its record: this looks what the key says, when there is
// a reason to, and once a second.
import type { Clock } from "../event/clock.ts";
import { pause } from "../event/clock.ts";
import type { HostedRun } from "./hosted-flow.ts";
import type { FlowRun } from "./run.ts";
import type { RunRecord } from "./run-record.ts";

const againMs = 250;

export class PlacedRun implements HostedRun {
  readonly #run: FlowRun;
  readonly #clock: Clock;
  #current: Promise<void> = Promise.resolve();
  #next: Promise<void> | undefined;
  /** Called when the record is another. */
  onChanged = (_before: RunRecord): void => {};

  constructor(run: FlowRun, clock: Clock) {
    this.#run = run;
    this.#clock = clock;
  }

  get record(): RunRecord {
    return this.#run.record;
  }

  get resumed(): boolean {
    return this.#run.resumed;
  }

  /** Of the record. */
  get revision(): number {
    return this.#run.revision;
  }

  /** Resolves when what the key said after this call is adopted. @throws MillraceError UNREACHABLE */
  look(): Promise<void> {
    // Those who ask while one look is under way are answered by the next: it may have been asked before.
    return (this.#next ??= this.#current.then(() => {
      this.#next = undefined;
      const look = this.#look();
      this.#current = look.catch(() => {});
      return look;
    }));
  }

  /** The same, until NATS answers. */
  readonly keepUp = async (signal: AbortSignal): Promise<void> => {
    while (!signal.aborted) {
      try {
        return await this.look();
      } catch {
        await pause(againMs, { clock: this.#clock, signal });
      }
    }
  };

  async #look(): Promise<void> {
    const before = this.#run.record;
    if (await this.#run.refresh()) this.onChanged(before);
  }
}
