// A network of which a test says what becomes of which step; what it does not speak of is carried at once.
import type { Leg, Network, Verdict } from "../../runtime/testing/network.ts";

/** "held": waits until `release`; the caller may have given up by then. */
export type StepFate = "carried" | "lost" | "held" | "twice" | Verdict;

export class ScriptedNetwork implements Network {
  readonly #script: { readonly leg: Leg; readonly subject: string; readonly fate: StepFate }[] = [];
  #held: (() => void)[] = [];
  /** Steps that passed, such as "append mr.x". */
  readonly seen: string[] = [];

  /** What becomes of the next steps of this kind, in order. `subject`: the end of it; "" for any. */
  next(leg: Leg, fates: readonly StepFate[], subject = ""): this {
    for (const fate of fates) this.#script.push({ leg, subject, fate });
    return this;
  }

  /** Whether all that was scripted has happened. */
  get done(): boolean {
    return this.#script.length === 0;
  }

  /** Steps that are held. */
  get holds(): number {
    return this.#held.length;
  }

  /** What was held is carried now, in order. */
  release(): void {
    const held = this.#held;
    this.#held = [];
    for (const run of held) run();
  }

  count(step: string): number {
    return this.seen.filter((one) => one.startsWith(step)).length;
  }

  schedule(leg: Leg, subject: string, run: (verdict?: Verdict) => void): void {
    this.seen.push(`${leg} ${subject}`);
    const at = this.#script.findIndex((step) => step.leg === leg && subject.endsWith(step.subject));
    const fate = at < 0 ? "carried" : (this.#script.splice(at, 1)[0] as { fate: StepFate }).fate;
    if (fate === "lost") return;
    if (fate === "held") { this.#held.push(() => run()); return; }
    queueMicrotask(() => {
      run(...(fate === "carried" || fate === "twice" ? [] : [fate]));
      if (fate === "twice") run();
    });
  }
}
