// What a node of a cluster answers about the placement, and the orders about it that it takes while it leads.
import type { Host } from "../cluster/host.ts";
import type { Leader } from "../cluster/leader.ts";
import type { Membership } from "../cluster/membership.ts";
import type { NodeRecord } from "../cluster/node-record.ts";
import type { PlacementLog } from "../cluster/placement-log.ts";
import type { PlacementOrder } from "../cluster/placement-order.ts";
import { type FlowSeats, seatsOf } from "../cluster/placement-record.ts";
import { isCanary, type Upgrade } from "../cluster/upgrade.ts";
import { MillraceError } from "../event/errors.ts";
import type { MoveLedger } from "./move-ledger.ts";
import type { RunningNode } from "./node.ts";
import type { Question } from "./questions.ts";
import { type Refusal, refusalOf } from "./refusal.ts";

/** As one node knows it. */
export interface PlacementAnswer {
  readonly term: number;
  readonly leader?: string;
  /** Number of the newest record. */
  readonly n: number;
  readonly nodes: readonly NodeRecord[];
  /** Names of nodes that take no actors. */
  readonly cordoned: readonly string[];
  /** Actors that are on such a node, or on none, and why; known where the node leads. */
  readonly lingering: Readonly<Record<string, string>>;
  /** `actors`: which node each is on. `moves`: of those that were moved there, from where, and by which record. `pins`: of those that a person chose a node for. */
  readonly flows: readonly {
    readonly name: string;
    readonly run: string;
    readonly ended: boolean;
    readonly actors: Readonly<Record<string, string | null>>;
    readonly moves: Readonly<Record<string, { readonly from: string; readonly since: number }>>;
    readonly pins: Readonly<Record<string, string>>;
    /** Hash of its code. */
    readonly code: string;
    /** `over`: which actors have another code, and which. `waits`: what it waits for; known where the node leads. */
    readonly upgrade?: Upgrade & { readonly over: Readonly<Record<string, string>>; readonly waits: string | null };
  }[];
}

/** `since`: number of the record by which the order stands; what moved because of it moved by later ones. */
export type OrderAnswer = { readonly since: number } | Refusal;

export interface PlacementParts {
  readonly placements: PlacementLog;
  readonly membership: Membership;
  readonly leader: Leader;
  readonly host: Host;
  readonly moves: MoveLedger;
}

export function answerPlacement(node: RunningNode, { placements, membership, leader, host, moves }: PlacementParts): void {
  node.questions.answer("placement", () => Promise.resolve(placementOf(placements, membership, leader)));
  node.questions.answer("moves", ({ since }) => Promise.resolve(moves.arrivals(typeof since === "number" ? since : 0)));
  node.orders.answer("hand over", async ({ actor, since }) => {
    if (typeof actor !== "string" || typeof since !== "number") throw new MillraceError("QUESTION_UNKNOWN", node.name, "an order to hand an actor over names it, and the record that placed it elsewhere", "Ask with the millrace of the same version.");
    await host.handOver(actor, since);
    return moves.departure(actor, since) ?? null;
  });
  node.orders.answer("place", async (question): Promise<OrderAnswer> => {
    try {
      return { since: await leader.order(orderOf(node.name, question)) };
    } catch (error) {
      return refusalOf(error);
    }
  });
}

function placementOf({ state: { term, leader: leading, n, flows, cordons } }: PlacementLog, { nodes }: Membership, leader: Leader): PlacementAnswer {
  return {
    term, ...(leading === undefined ? {} : { leader: leading.node }), n, nodes, lingering: Object.fromEntries(leader.lingering),
    cordoned: cordons.filter(({ node, life }) => nodes.some((its) => its.name === node && its.life === life)).map(({ node }) => node),
    flows: [...flows.values()].map((flow) => {
      const seats = [...seatsOf(flow)];
      return {
        name: flow.name, run: flow.run, ended: flow.ended, actors: Object.fromEntries(seats.map(([actor, { node }]) => [actor, node])),
        moves: Object.fromEntries(seats.flatMap(([actor, { from, since }]) => (from === null ? [] : [[actor, { from, since }]]))),
        pins: Object.fromEntries(seats.flatMap(([actor, { pin }]) => (pin === undefined ? [] : [[actor, pin.node]]))),
        code: flow.code, ...upgradeOf(flow, leader),
      };
    }),
  };
}

function upgradeOf(flow: FlowSeats, leader: Leader): Pick<PlacementAnswer["flows"][number], "upgrade"> {
  const { name, upgrade } = flow;
  return upgrade === undefined ? {} : { upgrade: { ...upgrade, waits: leader.upgradeWaits.get(name) ?? null, over: Object.fromEntries([...seatsOf(flow)].flatMap(([actor, { code }]) => (code === undefined ? [] : [[actor, code]]))) } };
}

function orderOf(asked: string, { action, node, actor, flow, to, canary }: Question): PlacementOrder {
  if (action === "downgrade" && typeof flow === "string") return { action, flow };
  if (action === "upgrade" && typeof flow === "string" && typeof to === "string" && (canary === null || isCanary(canary))) return { action, flow, to, canary };
  if ((action === "cordon" || action === "uncordon") && typeof node === "string") return { action, node };
  if (action === "pin" && typeof actor === "string" && typeof node === "string") return { action, actor, node };
  if (action === "release" && typeof actor === "string") return { action, actor };
  throw new MillraceError("QUESTION_UNKNOWN", asked, "an order about the placement names action, and a node or an actor", "Ask with the millrace of the same version.");
}
