// How an actor of an old generation comes to its end (PROTOCOL 11): once all who feed it are past their barriers† it says so to its
// readers, and from then on takes, fires and retries nothing; once all that it sent has arrived† its state is sealed, for those who go on with it.
import type { Actor } from "./actor.ts";
import type { Committer } from "./committer.ts";
import { exitOf } from "./exit.ts";
import type { OwnTime } from "./own-time.ts";
import { Sections } from "./section.ts";
import type { Captured } from "./snapshot.ts";

export type Successors = readonly [generation: string, count: number];

export class Sealing {
  readonly #actor: Actor;
  readonly #time: OwnTime;
  #begun = false;
  /** Since when it takes nothing, monotonic ms. */
  since: number | undefined;
  /** Entries of state that it has sealed, and how many of them go on in an actor of another partition. */
  readonly entries = { all: 0, moved: 0 };

  constructor(actor: Actor, time: OwnTime) {
    this.#actor = actor;
    this.#time = time;
  }

  /** The last record is on its way: nothing comes after it. */
  get begun(): boolean {
    return this.#begun;
  }

  /** It has said so to its readers. */
  get said(): boolean {
    return this.#time.sealed !== undefined;
  }

  /** For whom the turn that is open is its last. */
  get due(): Successors | undefined {
    const { memory: { inbound }, behaviour } = this.#actor;
    return inbound.closedFor !== undefined && this.#time.sealed === undefined && behaviour.quiet ? inbound.closedFor : undefined;
  }

  /** Nothing is under way, and all that it sent is settled. `capture`: what it is, as of its last record. */
  seal([generation, count]: Successors, committer: Committer, capture: (n: number) => Captured): void {
    const { availability, address, partition } = this.#actor;
    if (this.#begun || !availability.checked) return;
    this.#begun = true;
    committer.seal(capture(committer.next - 1), generation, new Sections(address, partition, count, this.entries)).catch((error: unknown) => this.#actor.exit(exitOf(error)));
  }
}
