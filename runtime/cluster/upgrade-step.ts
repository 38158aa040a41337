// What is next in an upgrade, from what the cluster's log says and what the nodes tell. Pure. Readers go before those who feed them: new code
// knows what old code sends, old code need not know what new code does. One actor is on its way at a time.
import type { PlacePlan } from "../flow/plan.ts";
import type { NodeRecord } from "./node-record.ts";
import { codeOf, type FlowSeats, seatsOf, type SeatState } from "./placement-record.ts";
import type { FailedSeat, Upgrade } from "./upgrade.ts";

/**
 * - `write`: the flow as it is to stand from the next record on, and what is to be said of it. - `wait`: for an actor, and why.
 * - `complete`: all actors have the code that they are to have, and work.
 */
export type UpgradeStep =
  | { readonly is: "write"; readonly flow: FlowSeats; readonly says: string }
  | { readonly is: "wait"; readonly for: string; readonly why: string }
  | { readonly is: "complete" };

type Seated = readonly [actor: string, seat: SeatState];

/** `n`: number of the next record. `undefined`: it is held, or there is none. */
export function upgradeStep(flow: FlowSeats, members: readonly NodeRecord[], n: number): UpgradeStep | undefined {
  const { upgrade } = flow;
  if (upgrade === undefined || upgrade.is === "held") return undefined;
  const target = upgrade.is === "forward" ? upgrade.to : flow.code, seats = inScope(flow, upgrade), there = seats.filter(([, seat]) => codeAt(flow, seat) === target);
  for (const [actor, seat] of there) {
    const failed = failureAt(flow, members, actor, seat);
    if (failed !== undefined) return held(flow, upgrade, seat, failed, n);
  }
  for (const [actor, seat] of there) {
    const why = seat.since > upgrade.since ? absence(flow, members, actor, seat) : undefined;
    if (why !== undefined) return { is: "wait", for: actor, why };
  }
  const next = inOrder(flow, seats.filter((one) => !there.includes(one)), target)[0];
  if (next !== undefined) return given(flow, members, next, target, n);
  if (upgrade.is === "forward" && upgrade.canary !== null) return { is: "write", flow: { ...flow, upgrade: { ...upgrade, is: "held" } }, says: `the first ${there.length} have the new code: held until a person goes on` };
  return { is: "complete" };
}

/** The flow when all its actors have gone over, or are back. `places`: where its stages may be by that code; what is not in it stays. */
export function completed({ upgrade, ...flow }: FlowSeats, places: ReadonlyMap<string, PlacePlan> = new Map()): FlowSeats {
  return { ...flow, code: upgrade?.is === "forward" ? upgrade.to : flow.code, stages: flow.stages.map(({ seats, name, place }) => ({ name, place: places.get(name) ?? place, seats: seats.map(withoutCode) })) };
}

/** As a seat of the flow's own code. */
export function withoutCode({ code: _, ...seat }: SeatState): SeatState {
  return seat;
}

/** Which code an actor has, or is to have. */
export function codeAt({ code }: FlowSeats, seat: SeatState): string {
  return seat.code ?? code;
}

/** Those that are to change their code. */
function inScope(flow: FlowSeats, { is, canary }: Upgrade): readonly Seated[] {
  const all = [...seatsOf(flow)];
  if (is === "back" || canary === null) return all;
  const only = new Set(Array.from({ length: canary.count }, (_, partition) => `${flow.name}/${canary.stage}/${partition}`));
  return all.filter(([actor]) => only.has(actor));
}

/** Those of a third code come first: that one is what the newest mends. */
function inOrder(flow: FlowSeats, seats: readonly Seated[], target: string): readonly Seated[] {
  const place = new Map([...flow.stages].reverse().map(({ name }, at) => [name, at])), rank = ([actor, seat]: Seated): number => {
    const code = codeAt(flow, seat);
    return (code !== flow.code && code !== target ? 0 : flow.stages.length) + (place.get(actor.split("/")[1] as string) as number);
  };
  return seats.toSorted((a, b) => rank(a) - rank(b));
}

function given(flow: FlowSeats, members: readonly NodeRecord[], [actor, seat]: Seated, target: string, n: number): UpgradeStep {
  const node = members.find(({ name }) => name === seat.node);
  if (seat.node !== null && node === undefined) return { is: "wait", for: actor, why: `node ${seat.node} is not there` };
  if (node?.flows.some((its) => codeOf(its.name, its.code) === codeOf(flow.name, target)) === false) return { is: "wait", for: actor, why: `node ${seat.node} does not have the code` };
  return { is: "write", flow: withSeat(flow, actor, { ...seat, code: target, since: n, from: seat.node }), says: `${actor} goes over to ${target.slice(0, 12)}` };
}

function held(flow: FlowSeats, upgrade: Upgrade, seat: SeatState, { actor, code, message, kept }: FailedSeat, n: number): UpgradeStep {
  // One that could not be begun there works on as it did.
  const stays = kept === undefined ? flow : withSeat(flow, actor, { ...seat, code: kept, since: n, from: seat.node });
  return { is: "write", flow: { ...stays, upgrade: { ...upgrade, is: "held", failed: { actor, code, message } } }, says: `held: ${actor} did not go on with the code: ${message} (${code})` };
}

function reportOf(flow: FlowSeats, members: readonly NodeRecord[], seat: SeatState) {
  return members.find(({ name }) => name === seat.node)?.flows.find(({ name, code }) => name === flow.name && code === codeAt(flow, seat));
}

function failureAt(flow: FlowSeats, members: readonly NodeRecord[], actor: string, seat: SeatState): FailedSeat | undefined {
  return reportOf(flow, members, seat)?.failed?.find((failed) => failed.actor === actor && failed.since === seat.since);
}

/** Why it is not known to work; `undefined`: it does. */
function absence(flow: FlowSeats, members: readonly NodeRecord[], actor: string, seat: SeatState): string | undefined {
  if (seat.node === null) return "it has no node";
  return reportOf(flow, members, seat)?.up?.[actor] === seat.since ? undefined : `it is on its way on node ${seat.node}`;
}

/** A seat of the flow's own code does not name it. */
export function withSeat(flow: FlowSeats, actor: string, seat: SeatState): FlowSeats {
  const its = seat.code === flow.code ? withoutCode(seat) : seat;
  return { ...flow, stages: flow.stages.map((stage) => ({ ...stage, seats: stage.seats.map((one, partition) => (`${flow.name}/${stage.name}/${partition}` === actor ? its : one)) })) };
}
