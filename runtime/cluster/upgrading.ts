// What the leader does about flows that are being upgraded: one step after the other, each written into the cluster's log before it is carried out.
import type { Logger } from "../flow/context.ts";
import type { FlowDirectory } from "./leader.ts";
import type { Lease } from "./lease.ts";
import type { Membership } from "./membership.ts";
import type { PlacementLog } from "./placement-log.ts";
import type { FlowSeats } from "./placement-record.ts";
import { completed, upgradeStep } from "./upgrade-step.ts";

export interface UpgradingOptions {
  readonly log: Logger;
  readonly lease: Lease;
  readonly placements: PlacementLog;
  readonly membership: Membership;
  /** What is wrong with one flow is its own. */
  readonly apart: (flow: string, work: () => Promise<void>) => Promise<void>;
  /** As in FlowDirectory. */
  readonly upgraded: FlowDirectory["upgraded"];
}

export class Upgrading {
  readonly #options: UpgradingOptions;
  #waits = new Map<string, string>();

  constructor(options: UpgradingOptions) {
    this.#options = options;
  }

  /** By flow: what its upgrade waits for. */
  get waits(): ReadonlyMap<string, string> {
    return this.#options.lease.held ? this.#waits : new Map();
  }

  /** `true`: something was written, look again. */
  async step(): Promise<boolean> {
    const { placements, apart } = this.#options;
    this.#waits = new Map();
    let moved = false;
    for (const flow of [...placements.state.flows.values()]) if (!flow.ended && flow.upgrade !== undefined) await apart(flow.name, async () => { moved = (await this.#of(flow)) || moved; });
    return moved;
  }

  async #of(flow: FlowSeats): Promise<boolean> {
    const { placements, membership, log, upgraded } = this.#options, step = upgradeStep(flow, membership.nodes, placements.state.n + 1);
    if (step === undefined) return false;
    if (step.is === "wait") this.#waits.set(flow.name, `${step.for}: ${step.why}`);
    if (step.is === "wait") return false;
    if (step.is === "write") return await this.#write(step.flow, () => log.info(`${flow.name}: upgrade: ${step.says}`));
    this.#waits.set(flow.name, "its end is being put on record");
    const places = await upgraded(flow);
    if (places === undefined) return false;
    const done = completed(flow, places);
    return await this.#write(done, () => log.info(`${flow.name}: ${flow.upgrade?.is === "back" ? "back on the code that it had" : "upgraded"}`, { code: done.code }));
  }

  async #write(flow: FlowSeats, say: () => void): Promise<boolean> {
    const { lease, placements } = this.#options;
    if (!lease.held || placements.state.flows.get(flow.name)?.run !== flow.run) return false;
    if (await placements.append({ kind: "place", flow, moves: [] }, lease.term)) say();
    return true;
  }
}
