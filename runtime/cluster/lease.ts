// Who leads the cluster. A lease is a `lead` record in the cluster's log with the next term; it is renewed by its holder's heartbeat, and
// free when that is not heard any more. Whoever sees it free claims; compare-and-set lets one through. That a deposed leader decides
// nothing is the log's doing, not time's: its next record is refused, and it sees that it leads no longer.
import type { Membership } from "./membership.ts";
import type { PlacementLog } from "./placement-log.ts";
import { withRoom } from "./placement-room.ts";

export interface LeaseHolder {
  readonly name: string;
  /** Of this start of the node. */
  readonly life: string;
}

export class Lease {
  readonly #log: PlacementLog;
  readonly #membership: Membership;
  readonly #self: LeaseHolder;

  constructor(log: PlacementLog, membership: Membership, self: LeaseHolder) {
    this.#log = log;
    this.#membership = membership;
    this.#self = self;
  }

  /** As far as this node knows; the log knows better. */
  get held(): boolean {
    const { leader } = this.#log.state;
    return leader?.node === this.#self.name && leader.life === this.#self.life;
  }

  /** 0: nobody has led yet. */
  get term(): number {
    return this.#log.state.term;
  }

  get free(): boolean {
    const { leader } = this.#log.state;
    return leader === undefined || !this.#membership.has(leader.node, leader.life);
  }

  /** Takes the lease if it is free, or takes it again where NATS has lost what was decided; `true` when this node holds it. @throws MillraceError UNREACHABLE */
  async seek(): Promise<boolean> {
    if (this.held && !this.#log.isLost) return true;
    return (this.held || this.free) && this.#membership.has(this.#self.name, this.#self.life) ? await this.#claim(this.term + 1) : false;
  }

  /** Writes the lease once more, with all that was decided, so that what is before can be purged. @throws MillraceError UNREACHABLE */
  async refresh(): Promise<boolean> {
    // What was decided about nodes that have gone meanwhile is over.
    return this.held && (await this.#claim(this.term, this.#log.state.cordons.filter(({ node, life }) => this.#membership.has(node, life))));
  }

  #claim(term: number, cordons = this.#log.state.cordons): Promise<boolean> {
    const flows = withRoom([...this.#log.state.flows.values()], this.#log.maxPayload);
    return this.#log.append({ kind: "lead", node: this.#self.name, life: this.#self.life, flows, ...(cordons.length === 0 ? {} : { cordons }) }, term);
  }
}
