// The targets of the sinks of a world, and the way to them: a write may arrive late, in part, or after its writer has died or was fenced.
import type { Logger } from "../../runtime/flow/context.ts";
import type { Lane } from "./scheduler.ts";
import type { Target, TargetHost, TargetRules } from "./target.ts";
import type { World } from "./world.ts";

export class SimulatedTargets implements TargetHost {
  readonly #world: World;
  readonly #lanes = new Map<string, Lane>();
  /** By actor, as far as one has looked at its own. */
  readonly kept = new Map<string, Target>();
  /** After a loss of a sink's log somebody who had been fenced told the target what only the lost log had said: section 10 has it named, not undone. */
  toldLost = false;

  constructor(world: World) {
    this.#world = world;
  }

  get rules(): TargetRules {
    return this.#world.rules;
  }

  target(actor: string): Target {
    let target = this.kept.get(actor);
    if (target === undefined) this.kept.set(actor, (target = { batch: 0, data: [], finished: false }));
    return target;
  }

  told(log: Logger, actor: string): void {
    if (!this.#world.sinkLost) return;
    const lives = [...(this.#world.slots.find(({ address }) => address === actor)?.lives ?? [])], newest = Math.max(...lives.map(({ number }) => number));
    this.toldLost ||= lives.find(({ node }) => node.log === log)?.number !== newest;
  }

  call<T>(log: Logger, actor: string, there: (torn: () => number) => T): Promise<{ readonly answer: T } | undefined> {
    const { scheduler, profile, faults, alive } = this.#world, { chance } = scheduler, node = alive.find((one) => one.log === log);
    return new Promise((resolve, reject) => {
      if (node === undefined) return;
      const key = `${node.name} target ${actor}`, noAnswer = scheduler.after(1_000, `${key} timer`, node, () => resolve(undefined));
      let lane = this.#lanes.get(key);
      if (lane === undefined) this.#lanes.set(key, (lane = scheduler.lane(key, undefined, profile.slowTargets)));
      scheduler.add(lane, () => {
        // A writer that dies takes with it what its machine had not sent: all of it, or from some event on.
        if ((node.dead && chance.hits(0.5)) || faults.spend(profile.messageFaultShare)) return;
        const torn = (node.dead && chance.hits(0.3)) || faults.spend(profile.messageFaultShare);
        let answer: () => void;
        try {
          const given = there(() => (torn ? chance.below(3) : Infinity));
          answer = () => resolve({ answer: given });
        } catch (error) {
          answer = () => reject(error);
        }
        if (!torn) scheduler.alone(`${key} answers`, node, () => { noAnswer(); answer(); });
      });
    });
  }
}
