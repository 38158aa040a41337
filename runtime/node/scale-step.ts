// What is next in scaling a stage, from what is known (PROTOCOL 11): pure. Whoever leads takes the steps one after the other; each can be
// taken again, so a leader that crashes between two of them is followed by one that looks at the same facts.
import type { Division } from "../actor/environment.ts";

/** One change at a time; kept under the flow's key until it is done or taken back. */
export interface Change {
  readonly stage: string;
  readonly from: Division;
  readonly to: Division;
  readonly takenBack: boolean;
  /** It was taken back in vain. */
  readonly stands?: boolean | undefined;
  /** It is on record that all old ones are sealed and the new ones may start. */
  readonly started?: boolean | undefined;
}

/** An actor of a stage that feeds it: what its log says of this change. "away": it cannot be asked now. */
export interface Upstream {
  readonly actor: string;
  readonly stance: "barrier" | "refused" | "ended" | "open" | "away";
}

export interface OldActor {
  readonly actor: string;
  readonly state: "runs" | "sealed" | "ended" | "away";
}

export interface NewActor {
  readonly actor: string;
  /** "ended": it ran, and all that came is past. */
  readonly state: "runs" | "ended" | "away";
}

export interface Facts {
  /** Of a source its own actors: they have nobody who feeds them. */
  readonly upstream: readonly Upstream[];
  readonly isSource: boolean;
  readonly old: readonly OldActor[];
  readonly new: readonly NewActor[];
}

/**
 * - `start`: all old ones are sealed: those that go on with their state may start†.
 * - `finish`: all new ones run: the new generation is the one in force, the old streams go.
 * - `withdraw`: nobody will follow the plan any more: it goes, with the streams that were made for it.
 * - `stand`: it cannot be taken back: who refused follows it after all, and the actors of a source, which have all promised to, hand their splits over.
 * - `wait`: for these.
 */
export type Step =
  | { readonly is: "start" | "finish" | "withdraw" | "stand" }
  | { readonly is: "wait"; readonly for: readonly string[]; readonly why: "upstream" | "seal" | "start" };

export function nextStep({ takenBack, started, stands }: Pick<Change, "takenBack" | "started" | "stands">, facts: Facts): Step {
  if (facts.isSource && stands !== true && started !== true) return untilPromised(takenBack, facts);
  const { upstream, old, new: its } = started === true ? { ...facts, upstream: [], old: [] } : facts.isSource ? { ...facts, upstream: [] } : facts;
  const has = (stance: Upstream["stance"]) => upstream.some((one) => one.stance === stance), goesOn = upstream.length === 0 || has("barrier");
  if (!goesOn && upstream.every(({ stance }) => stance === "ended" || (takenBack && stance === "refused"))) return { is: "withdraw" };
  // It has the end of all who feed it, so that none of them is past a barrier, as far as it knows: who is by now lost its log meanwhile, and parks.
  if (old.some(({ state }) => state === "ended")) return { is: "withdraw" };
  if (takenBack && has("barrier")) return { is: "stand" };
  const open = upstream.filter(({ stance }) => stance !== "ended" && stance !== (goesOn || !takenBack ? "barrier" : "refused"));
  if (open.length > 0) return { is: "wait", for: open.map(({ actor }) => actor), why: "upstream" };
  const unsealed = old.filter(({ state }) => state !== "sealed");
  if (unsealed.length > 0) return { is: "wait", for: unsealed.map(({ actor }) => actor), why: "seal" };
  const away = its.filter(({ state }) => state === "away");
  if (away.length === its.length) return { is: "start" };
  return away.length > 0 ? { is: "wait", for: away.map(({ actor }) => actor), why: "start" } : { is: "finish" };
}

/** †One that has ended hands nothing over, and it may have when another hears of the plan: nobody does before all have promised not to end. */
function untilPromised(takenBack: boolean, { upstream, old }: Facts): Step {
  if (takenBack || upstream.some(({ stance }) => stance === "ended") || old.some(({ state }) => state === "ended")) return { is: "withdraw" };
  const open = upstream.filter(({ stance }) => stance !== "barrier");
  return open.length > 0 ? { is: "wait", for: open.map(({ actor }) => actor), why: "upstream" } : { is: "stand" };
}
