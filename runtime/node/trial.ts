// An actor on trial: of a flow that is being upgraded, under the new code. What would be restarted again and again, and at last take its stage and
// its flow along, is parked alone, and before the new code gives an event up: then the upgrade is held, and a person says how to go on.
import { type Exit, exitOf } from "../actor/exit.ts";
import { MillraceError } from "../event/errors.ts";
import type { StagePlan } from "../flow/plan.ts";
import type { Child, Run } from "../supervision/child.ts";
import { count, type Counted } from "../supervision/restart-intensity.ts";

const failures: ReadonlySet<Exit["class"]> = new Set(["crash", "process", "poison"]);

export class Trial<C extends Child> implements Child {
  readonly id: string;
  readonly child: C;
  readonly #stage: StagePlan;
  readonly #now: () => number;
  readonly #isOver: () => boolean;
  #counted: readonly Counted[] = [];
  /** Since when it has worked without failing; of one that has never failed: as long as may be. Monotonic ms. */
  calmSince = -Infinity;

  /** `isOver`: whether the code is the flow's by now. `now`: monotonic ms. */
  constructor(child: C, stage: StagePlan, now: () => number, isOver: () => boolean) {
    this.id = child.id;
    this.child = child;
    this.#stage = stage;
    this.#now = now;
    this.#isOver = isOver;
  }

  async start(run: Run): Promise<void> {
    const { exit } = run;
    if (this.calmSince !== -Infinity) this.calmSince = Infinity;
    run.exit = (its) => exit.call(run, this.#judged(its));
    try {
      await this.child.start(run);
      if (this.calmSince === Infinity) this.calmSince = this.#now();
    } catch (thrown) {
      run.exit(exitOf(thrown));
    }
  }

  stop(deadlineMs: number): Promise<void> {
    return this.child.stop(deadlineMs);
  }

  kill(): void {
    this.child.kill();
  }

  #judged(exit: Exit): Exit {
    if (!failures.has(exit.class) || this.#isOver()) return exit;
    this.calmSince = Infinity;
    const { intensity, periodMs } = this.#stage.supervision, after = this.#stage.kind === "source" ? Infinity : this.#stage.poison.after;
    // One less than would give an event up. That one event is at fault is not taken for granted here: each time counts.
    const { counted, exceeded } = count(this.#counted, { at: this.#now(), event: undefined }, { intensity: Math.max(0, Math.min(intensity, after - 2)), periodMs });
    this.#counted = counted;
    if (!exceeded) return exit;
    this.#counted = [];
    const why = exit.error?.message ?? exit.class;
    return { class: "parked", error: new MillraceError("UPGRADE_FAILED", this.id, `The new code fails: ${why}`, "Its events wait. `millrace deploy --back` lets it go on with the old code; or deploy code that is mended.", { cause: exit.error }) };
  }
}
