// What is to be known of an actor from outside, as plain data: of one in this thread, or of one in a thread of its own.
import type { Key } from "../event/event.ts";
import type { Actor, Counts } from "./actor.ts";

export interface ActorView {
  readonly generation: string;
  readonly counts: Counts;
  /** Commit records that a restart would read. */
  readonly journalLength: number;
  /** Ids of the outlets whose mailboxes are full. */
  readonly full: readonly string[];
  /** How far it has read each of its mailboxes. */
  readonly positions: readonly number[];
  /** Keys that wait for a person (`park: "key"`): how many, the first of them, and how many events wait behind them. */
  readonly parked: { readonly keys: number; readonly first: readonly Key[]; readonly events: number };
  /** Timers that are set and did not fire: once it has ended, those that stay. */
  readonly timers: number;
}

const mostKeys = 4;

export function viewOf(actor: Actor): ActorView {
  const { inbound, waiting, timers } = actor.memory, keys = [...waiting.parked].flatMap(({ key }) => (key === null ? [] : [key]));
  return {
    generation: actor.generation, counts: actor.counts, journalLength: actor.journalLength, full: actor.emitter.full, positions: inbound.positions.map(({ at }) => at),
    parked: { keys: keys.length, first: keys.slice(0, mostKeys), events: keys.reduce<number>((sum, key) => sum + waiting.ofKey(key) - 1, 0) }, timers: timers.pending,
  };
}
