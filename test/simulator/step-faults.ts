// Faults of single steps: messages that are lost, repeated or refused, disks that are full, handlers that throw; a schedule has so many of them.
import type { Leg } from "../../runtime/testing/network.ts";
import type { Fate } from "./network.ts";
import type { Profile } from "./profile.ts";
import type { Scheduler } from "./scheduler.ts";

export class StepFaults {
  readonly #scheduler: Scheduler;
  readonly #profile: Profile;
  /** Nothing goes wrong any more. */
  quiet = false;
  #messageFaults: number;
  #handlerFaults: number;

  constructor(scheduler: Scheduler, profile: Profile) {
    this.#scheduler = scheduler;
    this.#profile = profile;
    this.#messageFaults = profile.messageFaults;
    this.#handlerFaults = profile.handlerFaults;
  }

  /** Whether one of those that are left happens now. */
  spend(share: number): boolean {
    if (this.quiet || this.#messageFaults <= 0 || !this.#scheduler.chance.hits(share)) return false;
    this.#messageFaults--;
    return true;
  }

  /** What becomes of a step on its way. */
  of(leg: Leg): Fate {
    const profile = this.#profile, { chance } = this.#scheduler;
    if (!profile.legs.test(leg) || !this.spend(profile.messageFaultShare)) return "carried";
    if (leg !== "append") return "lost";
    const which = chance.below(10);
    return which < 5 ? "lost" : which < 6 ? "twice" : which < 7 ? "refused" : which < 8 ? "full" : which < 9 ? "unknown" : "missing";
  }

  fails(what: "source" | "handler"): boolean {
    if (this.quiet || this.#handlerFaults <= 0 || !this.#scheduler.chance.hits(what === "source" ? 0.05 : 0.02)) return false;
    this.#handlerFaults--;
    return true;
  }
}
