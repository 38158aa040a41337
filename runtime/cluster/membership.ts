// Which nodes are there, judged by their heartbeats. Time is counted in one's own beats as they come back through the stream: a node
// is gone when so many of mine have been stored since its last one. So no clock is read, who does not hear itself judges nobody (NATS
// is away, this process stood still), and a late reader of the stream comes to the same judgement. Advice: a node that was judged
// wrongly is fenced by those who take its actors over (P5).
import type { NodeRecord } from "./node-record.ts";

/** How often a node beats, in ms, and how many beats of the judge a node may miss: gone within 2.5 to 3.5 s. */
export const beatMs = 500;
export const missedBeats = 6;
/** Of so many nodes that have gone it is known. */
const mostFormer = 1_000;

/**
 * - `joined`: it is new, or was started again (another `life`). - `left`: it went in order. - `gone`: it is not heard any more.
 * - `changed`: what it offers or hosts is another.
 */
export type Change = "joined" | "left" | "gone" | "changed";

interface Member {
  record: NodeRecord;
  /** How many own beats had come when it was heard last. */
  heardAt: number;
}

export class Membership {
  readonly #self: Pick<NodeRecord, "name" | "life">;
  readonly #missed: number;
  readonly #members = new Map<string, Member>();
  readonly #former = new Map<string, NodeRecord>();
  /** Own beats that came back, each counted once; those that were not stored, or not seen before the next was, are not. */
  #beats = 0;
  #lastBeat = 0;

  constructor(self: Pick<NodeRecord, "name" | "life">, missed = missedBeats) {
    this.#self = self;
    this.#missed = missed;
  }

  /** Those that are there, by name. */
  get nodes(): readonly NodeRecord[] {
    return [...this.#members.values()].map(({ record }) => record).sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  node(name: string): NodeRecord | undefined {
    return this.#members.get(name)?.record;
  }

  /** Whether a start of a node is there: `life` of one that was started again is over. */
  has(name: string, life: string): boolean {
    return this.#members.get(name)?.record.life === life;
  }

  /** Whether a node that is there was heard since this one was: of who beat before only the last beat is known, and that may be old. */
  isHeard(name: string): boolean {
    return name === this.#self.name || (this.#members.get(name)?.heardAt ?? 0) > 0;
  }

  /** A node that has left or is gone, as of its last beat: which of the two its `state` tells. */
  former(name: string): NodeRecord | undefined {
    return this.#former.get(name);
  }

  /** Takes a record in the order of the stream; gives what came of it. */
  take(record: NodeRecord): readonly (readonly [name: string, change: Change])[] {
    const { name } = record, known = this.#members.get(name), changes: [string, Change][] = [];
    if (record.state === "left") {
      if (known?.record.life !== record.life) return changes;
      this.#members.delete(name);
      this.#leave(record);
      changes.push([name, "left"]);
      return changes;
    }
    this.#members.set(name, { record, heardAt: this.#beats });
    this.#former.delete(name);
    if (known?.record.life !== record.life) changes.push([name, "joined"]);
    else if (!sameOffer(known.record, record)) changes.push([name, "changed"]);
    if (name === this.#self.name && record.life === this.#self.life) changes.push(...this.#judge(record.beat));
    return changes;
  }

  #judge(beat: number): [string, Change][] {
    if (beat === this.#lastBeat) return [];
    this.#lastBeat = beat;
    this.#beats++;
    const gone = [...this.#members].filter(([name, { heardAt }]) => name !== this.#self.name && this.#beats - heardAt >= this.#missed).map(([name]) => name);
    for (const name of gone) this.#forget(name);
    return gone.map((name) => [name, "gone"]);
  }

  #forget(name: string): void {
    const member = this.#members.get(name);
    if (member === undefined) return;
    this.#members.delete(name);
    this.#leave(member.record);
  }

  /** Names are given once and never again where nobody gives them: the oldest are forgotten. */
  #leave(record: NodeRecord): void {
    this.#former.delete(record.name);
    this.#former.set(record.name, record);
    const [oldest] = this.#former.keys();
    if (this.#former.size > mostFormer) this.#former.delete(oldest as string);
  }
}

function sameOffer(a: NodeRecord, b: NodeRecord): boolean {
  const offer = ({ weight, labels, capacity, flows }: NodeRecord): string => JSON.stringify([weight, labels, capacity, flows]);
  return offer(a) === offer(b);
}
