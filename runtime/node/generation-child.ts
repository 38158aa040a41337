// An actor through all its lives and generations, as one child of its supervisor: where its old generation is sealed, it goes on in place
// as one of the next, and that is no end, no failure and no restart.
import { exitOf } from "../actor/exit.ts";
import { sealedInVain } from "../journal/seal.ts";
import type { OneLife, ActorChild } from "../supervision/actor-child.ts";
import type { Child, Run } from "../supervision/child.ts";
import type { After } from "./succession.ts";

export class GenerationChild<A extends OneLife> implements Child {
  readonly id: string;
  readonly #local: ActorChild<A>;
  readonly #succeeds: (signal: AbortSignal) => Promise<After>;
  #waiting = new AbortController();

  /** `succeeds`: a generation is sealed; what comes after it, once that is known. */
  constructor(local: ActorChild<A>, succeeds: (signal: AbortSignal) => Promise<After>) {
    this.id = local.id;
    this.#local = local;
    this.#succeeds = succeeds;
  }

  get actor(): A | undefined {
    return this.#local.actor;
  }

  start(run: Run): Promise<void> {
    this.#end();
    const { signal } = (this.#waiting = new AbortController());
    const its: Run = {
      get lifecycle() { return run.lifecycle; },
      report: (progress) => run.report(progress),
      poisoned: (event, error) => run.poisoned(event, error),
      exit: (exit) => void (exit.class === "sealed" ? this.#succeed(its, signal) : run.exit(exit)),
    };
    return this.#local.start(its);
  }

  async #succeed(run: Run, signal: AbortSignal): Promise<void> {
    const after = await this.#succeeds(signal);
    if (signal.aborted) return;
    if (after === "withdrawn") return run.exit(exitOf(sealedInVain(this.id)));
    if (after === "over") return run.exit({ class: "normal" });
    try {
      await this.#local.start(run);
    } catch (error) {
      run.exit(exitOf(error));
    }
  }

  stop(): Promise<void> {
    this.#end();
    return this.#local.stop();
  }

  kill(): void {
    this.#end();
    this.#local.kill();
  }

  #end(): void {
    this.#waiting.abort();
  }
}
