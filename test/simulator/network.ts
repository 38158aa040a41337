// One node's connection to the broker: every step of every call waits in a lane until the scheduler carries it, and then it may
// be lost, come twice, or be answered by the server without being carried out.
import type { Leg, Network, Verdict } from "../../runtime/testing/network.ts";
import type { Lane, Owner, Scheduler } from "./scheduler.ts";

/** What becomes of one step. */
export type Fate = "carried" | "lost" | "twice" | Verdict;

const comesBack: ReadonlySet<Leg> = new Set(["ack", "answer", "deliver", "reply"]);

export class SimulatedNetwork implements Network {
  readonly #scheduler: Scheduler;
  readonly #owner: Owner & { readonly name: string };
  readonly #fate: (leg: Leg, subject: string) => Fate;
  readonly #sent: Set<Lane>;
  #down = false;
  #lanes = new Map<string, { readonly leg: Leg; readonly lane: Lane }>();

  /** @param sent all lanes that lead to the server, of whoever: where it loses its power what is in them is lost, too */
  constructor(scheduler: Scheduler, owner: Owner & { readonly name: string }, fate: (leg: Leg, subject: string) => Fate, sent: Set<Lane>) {
    this.#sent = sent;
    this.#scheduler = scheduler;
    this.#owner = owner;
    this.#fate = fate;
  }

  schedule(leg: Leg, subject: string, run: (verdict?: Verdict) => void): void {
    if (this.#owner.dead || this.#down) return;
    const key = `${leg} ${subject}`;
    let known = this.#lanes.get(key);
    // What is on its way to the server is no longer in the hands of who sent it.
    if (known === undefined) {
      this.#lanes.set(key, (known = { leg, lane: this.#scheduler.lane(`${this.#owner.name} ${key}`, comesBack.has(leg) ? this.#owner : undefined) }));
      if (!comesBack.has(leg)) this.#sent.add(known.lane);
    }
    this.#scheduler.add(known.lane, () => this.#carry(leg, subject, run));
  }

  /** The connection is lost. What was to come back never does; what was sent arrives at some time, or never. */
  cut(): void {
    this.#down = true;
    for (const { leg, lane } of this.#lanes.values()) if (comesBack.has(leg) || this.#scheduler.chance.hits(0.4)) this.#scheduler.clear(lane);
    this.#lanes = new Map();
  }

  mend(): void {
    this.#down = false;
  }

  #carry(leg: Leg, subject: string, run: (verdict?: Verdict) => void): void {
    const fate = this.#fate(leg, subject);
    if (fate !== "carried") this.#scheduler.trace?.(`    ${fate}`);
    if (fate === "lost") return;
    if (fate === "carried") return run();
    if (fate !== "twice") return run(fate);
    run();
    run();
  }
}
