// How many actors a cluster can have: a record with where all of them are is one message of the cluster's log. Pure.
import { MillraceError } from "../event/errors.ts";
import { type FlowSeats, seatsOf } from "./placement-record.ts";

/** What an actor takes of a packed record at most, with two copies, a pin and another code, in bytes; a third of it is room for moves. */
const actorBytes = 48;
/** A record tells of so many moves and why they are; where there are more, of the others the seats tell where from. */
export const mostMoves = 2_000;

/** All flows together. `maxPayload`: of a message, in bytes. */
export function mostPlaced(maxPayload: number): number {
  return Math.floor(maxPayload / actorBytes);
}

/** Why a flow cannot have so many actors beside those of the others that have not ended; `undefined`: it can. */
export function lacksRoom(flows: Iterable<FlowSeats>, flow: string, count: number, maxPayload: number): MillraceError | undefined {
  const most = mostPlaced(maxPayload);
  let others = 0;
  for (const one of flows) if (one.name !== flow && !one.ended) others += countOf(one);
  if (others + count <= most) return undefined;
  return new MillraceError("PLACEMENT_FULL", flow, `Flow "${flow}" would have ${count} actors, and other flows of this cluster have ${others}: with messages of ${maxPayload} bytes it can have ${most}`,
    "Give its stages less parallelism, raise max_payload on the server, or run it in a NATS account of its own.");
}

/** Without those that ended first, where there is no room for all: they have nothing to go on with. */
export function withRoom(flows: readonly FlowSeats[], maxPayload: number): readonly FlowSeats[] {
  let over = flows.reduce((sum, flow) => sum + countOf(flow), 0) - mostPlaced(maxPayload);
  return over <= 0 ? flows : flows.filter((flow) => {
    if (over <= 0 || !flow.ended) return true;
    over -= countOf(flow);
    return false;
  });
}

export function countOf(flow: FlowSeats): number {
  return [...seatsOf(flow)].length;
}
