// How an actor of an old generation comes to its end (PROTOCOL 11): once all who feed it are past their barriers† it says so to its
// readers, and from then on takes, fires and retries nothing; once all that it sent has arrived† its state is sealed, for those who go on with it.
import type { Actor } from "./actor.ts";
import type { Committer } from "./committer.ts";
import type { Division } from "./environment.ts";
import { exitOf } from "./exit.ts";
import type { OwnTime } from "./own-time.ts";
import { Sections } from "./section.ts";
import type { Captured } from "./snapshot.ts";

export type Successors = readonly [generation: string, count: number];

export class Sealing {
  readonly #actor: Actor;
  readonly #time: OwnTime;
  #begun = false;
  /** Nobody has its keys until it is sealed: others work in short rounds meanwhile. */
  #calm: (() => void) | undefined;
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
    const { memory: { inbound }, behaviour, stage, env } = this.#actor, { promised } = this, next = promised === undefined ? undefined : env.generations?.next(stage.name);
    const closedFor: Successors | undefined = next?.stands === true && next.generation === promised?.generation ? [next.generation, next.count] : inbound.closedFor;
    return closedFor !== undefined && this.#time.sealed === undefined && !this.#time.ended && behaviour.quiet ? closedFor : undefined;
  }

  /** Of a source: the next generation that it hands its splits over to when all of its stage have promised the same†. Until that one is withdrawn it does not end. */
  get promised(): Division | undefined {
    const { stage, generation, emitter, env } = this.#actor;
    if (stage.kind !== "source") return undefined;
    const its = emitter.routing.of(stage.name);
    return its.generation === generation || env.generations?.retired(stage.name, its.generation) === true ? undefined : its;
  }

  /** Of a source: what it has yet to promise. */
  get promiseDue(): Division | undefined {
    const { stage, emitter } = this.#actor;
    return stage.kind === "source" && this.#time.sealed === undefined ? emitter.routing.due(stage.name) : undefined;
  }

  /** It promises what is due: the record of this turn says so. */
  promise(): void {
    const { stage, emitter } = this.#actor, its = this.promiseDue;
    if (its !== undefined) emitter.routing.set(stage.name, its);
  }

  /** Nothing is under way, and all that it sent is settled. `capture`: what it is, as of its last record. */
  seal([generation, count]: Successors, committer: Committer, capture: (n: number) => Captured): void {
    const { availability, address, partition, env } = this.#actor;
    if (this.#begun || !availability.checked) return;
    this.#begun = true;
    this.#calm = env.shares?.hurry();
    committer.seal(capture(committer.next - 1), generation, new Sections(address, partition, count, this.entries)).catch((error: unknown) => this.#actor.exit(exitOf(error)));
  }

  close(): void {
    this.#calm?.();
  }
}
