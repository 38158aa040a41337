// What a person may ask of the leader about an upgrade: that it begins or goes on, and that those who went over return. Pure.
import { MillraceError } from "../event/errors.ts";
import type { NodeRecord } from "./node-record.ts";
import type { Ordered } from "./placement-order.ts";
import { type ClusterState, codeOf, type FlowSeats, seatsOf } from "./placement-record.ts";
import type { Canary, Upgrade } from "./upgrade.ts";
import { withSeat } from "./upgrade-step.ts";

/** - `upgrade`: the flow's actors go over to that code, which nodes have; of one that is held: it goes on. - `downgrade`: those that went over return. */
export type UpgradeOrder =
  | { readonly action: "upgrade"; readonly flow: string; readonly to: string; readonly canary: Canary | null }
  | { readonly action: "downgrade"; readonly flow: string };

/** @throws MillraceError FLOW_UNKNOWN, ENDED, NOTHING_TO_DO, UPGRADE_UNDER_WAY, CODE_MISSING, OPTION_INVALID */
export function decideUpgrade(order: UpgradeOrder, state: ClusterState, members: readonly NodeRecord[]): Ordered {
  const flow = flowOf(order.flow, state), { upgrade } = flow, n = state.n + 1, written = (next: Upgrade, seats = flow): Ordered => ({ decision: { kind: "place", flow: { ...seats, upgrade: next }, moves: [] } });
  if (order.action === "downgrade") {
    if (upgrade === undefined) throw new MillraceError("NOTHING_TO_DO", flow.name, `Flow "${flow.name}" is not being upgraded`, "There is nothing to go back from.");
    return upgrade.is === "back" ? { since: upgrade.since } : written({ ...upgrade, is: "back", failed: null });
  }
  const { to, canary } = order;
  checkCanary(flow, canary);
  if (upgrade === undefined && flow.code === to) throw new MillraceError("NOTHING_TO_DO", flow.name, `Flow "${flow.name}" runs that code already`, "There is nothing to do.");
  if (upgrade?.is === "back" || (upgrade?.is === "forward" && upgrade.to !== to)) throw new MillraceError("UPGRADE_UNDER_WAY", flow.name, upgrade.is === "back" ? `Flow "${flow.name}" is going back to the code that it had` : `Flow "${flow.name}" is going over to ${upgrade.to.slice(0, 12)}`, "One at a time: watch it with `millrace flows`, and order this one when that is done.");
  if (!members.some(({ flows }) => flows.some((its) => codeOf(its.name, its.code) === codeOf(flow.name, to)))) throw new MillraceError("CODE_MISSING", flow.name, `No node has loaded code ${to.slice(0, 12)} of flow "${flow.name}"`, "Deploy it; `millrace flows` tells who refuses it, and why.");
  if (upgrade?.to !== to) return written({ to, since: n, is: "forward", canary, failed: null });
  if (upgrade.is === "forward" && same(upgrade.canary, canary)) return { since: upgrade.since };
  return written({ ...upgrade, is: "forward", canary, failed: null }, again(flow, n));
}

/** The one that failed is tried again, with the same code. */
function again(flow: FlowSeats, n: number): FlowSeats {
  const failed = flow.upgrade?.failed?.actor, seat = failed === undefined ? undefined : new Map(seatsOf(flow)).get(failed);
  return failed === undefined || seat === undefined ? flow : withSeat(flow, failed, { ...seat, since: n, from: seat.node });
}

function checkCanary({ name, stages }: FlowSeats, canary: Canary | null): void {
  if (canary === null) return;
  const stage = stages.find((one) => one.name === canary.stage);
  if (stage === undefined) throw new MillraceError("OPTION_INVALID", "--canary", `Flow "${name}" has no stage "${canary.stage}"`, `Its stages are ${stages.map((one) => one.name).join(", ")}.`);
  if (canary.count < 1 || canary.count > stage.seats.length) throw new MillraceError("OPTION_INVALID", "--canary", `Stage "${canary.stage}" has ${stage.seats.length} actor${stage.seats.length === 1 ? "" : "s"}, not ${canary.count}`, `Give a number from 1 to ${stage.seats.length}.`);
}

function same(a: Canary | null, b: Canary | null): boolean {
  return a?.stage === b?.stage && a?.count === b?.count;
}

function flowOf(name: string, { flows }: ClusterState): FlowSeats {
  const flow = flows.get(name);
  if (flow === undefined) throw new MillraceError("FLOW_UNKNOWN", name, `No flow "${name}" is placed`, "`millrace placement` lists those that are.");
  if (flow.ended) throw new MillraceError("ENDED", name, `Flow "${name}" has ended: nothing of it runs any more`, "Undeploy it, and deploy the new code.");
  return flow;
}
