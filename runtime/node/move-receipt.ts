// What planned moves of actors cost: what the nodes that they came to have counted, put together. Pure.
import type { Arrival } from "./move-ledger.ts";

export interface MovedActor {
  readonly actor: string;
  readonly from: string;
  readonly to: string;
  /** As of an arrival. `null`: not known, NATS could not be asked. */
  readonly pauseMs: number;
  readonly inFlight: number | null;
  readonly sentAgain: number | null;
  readonly lost: number | null;
  readonly compared: boolean;
}

/** 0 of none. */
export interface Pauses {
  readonly median: number;
  readonly most: number;
}

export function pausesOf(all: readonly number[]): Pauses {
  const sorted = [...all].sort((a, b) => a - b);
  return { median: sorted[(sorted.length - 1) >> 1] ?? 0, most: sorted.at(-1) ?? 0 };
}

export interface MoveReceipt {
  readonly actors: readonly MovedActor[];
  readonly moved: number;
  /** Of all of them. */
  readonly pauseMs: Pauses;
  /** Sums of what is known. */
  readonly inFlight: number;
  readonly sentAgain: number;
  readonly lost: number;
}

/** `arrivals`: by node. `of`: which are meant. */
export function moveReceipt(arrivals: ReadonlyMap<string, readonly Arrival[]>, of: (arrival: Arrival) => boolean): MoveReceipt {
  const actors = [...arrivals].flatMap(([to, its]) => its.filter(of).map(({ actor, from, pauseMs, frames, compared }): MovedActor => ({
    actor, from, to, pauseMs, inFlight: frames?.inFlight ?? null, sentAgain: frames?.sentAgain ?? null, lost: frames?.lost ?? null, compared,
  }))).sort((a, b) => (a.actor < b.actor ? -1 : 1));
  const sum = (what: "inFlight" | "sentAgain" | "lost"): number => actors.reduce((total, one) => total + (one[what] ?? 0), 0);
  return { actors, moved: actors.length, pauseMs: pausesOf(actors.map(({ pauseMs }) => pauseMs)), inFlight: sum("inFlight"), sentAgain: sum("sentAgain"), lost: sum("lost") };
}
