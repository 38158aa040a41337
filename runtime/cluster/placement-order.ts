// What a person may ask of the cluster's leader: that a node takes no actors, and that an actor is on a certain node. Pure.
import { MillraceError } from "../event/errors.ts";
import type { NodeRecord } from "./node-record.ts";
import { lacks, type PlacementNode } from "./placement.ts";
import { actorsOf, type ClusterState, codeOf, type Decision, type FlowSeats, seatsOf, type SeatState } from "./placement-record.ts";
import { decideUpgrade, type UpgradeOrder } from "./upgrade-order.ts";
import { withSeat } from "./upgrade-step.ts";

/**
 * - `cordon`: the node takes no actors, and those that it has move to others. - `uncordon`: it takes them again.
 * - `pin`: the actor moves to that node and stays there. - `release`: it may be moved again.
 */
export type PlacementOrder =
  | { readonly action: "cordon"; readonly node: string }
  | { readonly action: "uncordon"; readonly node: string }
  | { readonly action: "pin"; readonly actor: string; readonly node: string }
  | { readonly action: "release"; readonly actor: string }
  | UpgradeOrder;

/** What is to be written for an order. `since` instead: it stands already, by that record. */
export type Ordered = { readonly decision: Decision } | { readonly since: number };

const mostNamed = 10;

/** @throws MillraceError NODE_UNKNOWN, NODE_CORDONED, NODE_FULL, LABEL_MISSING, CODE_MISSING, ACTOR_UNKNOWN, ENDED, NOTHING_TO_DO; as decideUpgrade does */
export function decide(order: PlacementOrder, state: ClusterState, members: readonly NodeRecord[]): Ordered {
  if (order.action === "cordon" || order.action === "uncordon") return decideCordon(order.node, order.action === "cordon", state, members);
  if (order.action === "upgrade" || order.action === "downgrade") return decideUpgrade(order, state, members);
  const flow = flowOf(order.actor, state), seat = new Map(seatsOf(flow)).get(order.actor) as SeatState;
  if (order.action === "release") {
    if (seat.pin === undefined) throw new MillraceError("NOTHING_TO_DO", order.actor, `${order.actor} is pinned to no node`, "There is nothing to release; `millrace placement --why` tells what is pinned.");
    const { pin: _, ...free } = seat;
    return { decision: { kind: "place", flow: withSeat(flow, order.actor, free), moves: [] } };
  }
  checkPin(order.actor, order.node, flow, state, members);
  if (seat.pin?.node === order.node) return { since: seat.pin.since };
  return { decision: { kind: "place", flow: withSeat(flow, order.actor, { ...seat, pin: { node: order.node, since: state.n + 1 } }), moves: [] } };
}

/** As it takes actors now. */
export function offered({ name, life, weight, labels, capacity, flows }: NodeRecord, { cordons }: Pick<ClusterState, "cordons">): PlacementNode {
  const cordoned = cordons.some((cordon) => cordon.node === name && cordon.life === life);
  return { name, weight, labels, ...(capacity === undefined ? {} : { capacity }), ...(cordoned ? { cordoned } : {}), code: flows.map((flow) => codeOf(flow.name, flow.code)) };
}

function decideCordon(node: string, on: boolean, { cordons }: ClusterState, members: readonly NodeRecord[]): Ordered {
  const { life } = member(node, members), stands = cordons.find((cordon) => cordon.node === node && cordon.life === life);
  if (on && stands !== undefined) return { since: stands.since };
  if (!on && stands === undefined) throw new MillraceError("NOTHING_TO_DO", node, `Node ${node} takes actors already`, "There is nothing to take back.");
  return { decision: { kind: "cordon", node, life, on } };
}

function checkPin(actor: string, node: string, flow: FlowSeats, state: ClusterState, members: readonly NodeRecord[]): void {
  const record = member(node, members), to = offered(record, state), its = actorsOf(flow).find(({ address }) => address === actor) as ReturnType<typeof actorsOf>[number];
  const lack = lacks(to, its), { capacity = Infinity } = to;
  if (to.cordoned === true) throw new MillraceError("NODE_CORDONED", node, `Node ${node} takes no actors: it is being drained`, `\`millrace drain ${node} --undo\` lets it take some again.`);
  const missing = its.place.labels.find((label) => !to.labels.includes(label));
  if (missing !== undefined) throw new MillraceError("LABEL_MISSING", node, `${actor} is only for nodes with label ${missing}, and ${node} does not offer it`, `Start the node with --label ${missing}, or choose another.`);
  if (lack !== undefined) throw new MillraceError("CODE_MISSING", node, `Node ${node} ${lack}`, "Give the node the flow's code, as it was when the run began.");
  const others = [...state.flows.values()].filter(({ ended }) => !ended).flatMap((one) => [...seatsOf(one)]).filter(([address, seat]) => seat.node === node && address !== actor);
  if (others.length >= capacity) throw new MillraceError("NODE_FULL", node, `Node ${node} has ${others.length} ${others.length === 1 ? "actor" : "actors"}, and takes no more than ${capacity}`, "Move one away first, or start the node with a higher --capacity.");
}

function member(node: string, members: readonly NodeRecord[]): NodeRecord {
  const found = members.find(({ name }) => name === node), names = members.map(({ name }) => name);
  if (found === undefined) throw new MillraceError("NODE_UNKNOWN", node, `There is no node "${node}" in the cluster`, `Nodes that are there: ${names.slice(0, mostNamed).join(", ")}${names.length > mostNamed ? ` and ${names.length - mostNamed} more` : ""}.`);
  return found;
}

function flowOf(actor: string, { flows }: ClusterState): FlowSeats {
  const flow = flows.get(actor.split("/")[0] as string);
  if (flow === undefined) throw new MillraceError("ACTOR_UNKNOWN", actor, `No flow of that name is placed: "${actor}"`, "Write flow/stage/partition, such as quakes/by-region/2; `millrace placement` lists them.");
  if (flow.ended) throw new MillraceError("ENDED", actor, `Flow "${flow.name}" has ended: nothing of it runs any more`, "Start it again first.");
  if (![...seatsOf(flow)].some(([address]) => address === actor)) throw new MillraceError("ACTOR_UNKNOWN", actor, `Flow "${flow.name}" has no actor "${actor}"`, `Its stages are ${flow.stages.map(({ name, seats }) => `${name} (${seats.length})`).join(", ")}; write flow/stage/partition.`);
  return flow;
}
