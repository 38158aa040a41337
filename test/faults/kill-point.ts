// Where a process is to die: at the n-th time that it comes to a step. The process kills itself with SIGKILL, so nothing of it
// is cleaned up, flushed or told; or it kills its nats-server so, and lives on.
import { writeFileSync } from "node:fs";

/** Steps of PROTOCOL.md that a process can die at: before and after each thing that it does to the world, and within handlers. */
export const steps = [
  "read", "take", "handler-before", "handler-middle", "handler-after",
  "claim-before", "claim-sent", "claim-stored", "claim-acknowledged",
  "record-before", "record-sent", "record-stored", "record-acknowledged",
  "batch-before", "batch-after",
  "frame-before", "frame-sent", "frame-stored", "frames-stored",
  "letter-before", "letter-stored",
  "fold-before", "fold-middle", "fold-after", "chunk-before", "chunk-stored", "snapshot-before", "snapshot-sent", "snapshot-stored",
  "journal-trim-before", "journal-trim-after", "purge-before", "purge-after", "chunk-purge-before", "chunk-purge-after",
  "trim-before", "trim-after",
  "write-before", "write-after", "stop-before", "stop-stored", "finish-before", "finish-after",
] as const;
export type StepName = (typeof steps)[number];

export interface Victim {
  readonly pid: number;
  /** A file that says that it was killed. */
  readonly mark: string;
}

export class KillPoint {
  /** How often each step was come to. */
  readonly reached: Partial<Record<StepName, number>> = {};
  readonly #step: StepName | undefined;
  readonly #nth: number;
  readonly #signal: "SIGKILL" | "SIGSTOP";
  readonly #armed: () => boolean;
  readonly #other: Victim | undefined;

  /** Without a step it only counts. `armed`: nothing counts before. `other`: who dies in its place. */
  constructor(step: StepName | undefined, nth: number, signal: "SIGKILL" | "SIGSTOP" = "SIGKILL", armed = (): boolean => true, other?: Victim) {
    this.#other = other;
    this.#armed = armed;
    this.#signal = signal;
    this.#step = step;
    this.#nth = nth;
  }

  /** Another dies in its place. */
  get livesOn(): boolean {
    return this.#other !== undefined;
  }

  /** Counts; says whether the process is to die here. */
  isHere(step: StepName): boolean {
    if (!this.#armed()) return false;
    const count = (this.reached[step] ?? 0) + 1;
    this.reached[step] = count;
    return step === this.#step && count === this.#nth;
  }

  /** Counts, and dies where it is to. */
  at(step: StepName): void {
    if (this.isHere(step)) this.die();
  }

  /** Or stands still, until SIGCONT. */
  die(): void {
    if (this.#other !== undefined) writeFileSync(this.#other.mark, "");
    process.kill(this.#other?.pid ?? process.pid, this.#signal);
  }
}
