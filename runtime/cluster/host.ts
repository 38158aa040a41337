// A node's part: follows the cluster's log, and has those actors run here that are placed here. Each actor goes its own way, one step at a
// time, towards what the newest record says. A failover needs nothing more: whoever starts an actor claims its log, and so fences who had it (P5).
import { type Clock, pause } from "../event/clock.ts";
import { asError } from "../event/errors.ts";
import type { Logger } from "../flow/context.ts";
import type { Membership } from "./membership.ts";
import { type ClusterState, type FlowSeats, seatsOf, type SeatState } from "./placement-record.ts";

/** What the host needs of the rest of its node. */
export interface Hosting {
  /** Makes ready what the actors of a flow's run need, none of which is started yet. @throws MillraceError where this node cannot host it */
  open(flow: FlowSeats): Promise<void>;
  /** Stops what is left of a flow here and forgets it; one that is not open is no error. */
  close(flow: string): Promise<void>;
  /** Starts an actor of an open flow, or starts it again where it was fenced; resolves when that was tried. */
  start(actor: string): Promise<void>;
  /** Stops an actor in order, and forgets it; none is no error. */
  stop(actor: string): Promise<void>;
  /** Whether the last record of the actor's log says that nobody runs it: there is none, or it stopped in order. @throws MillraceError UNREACHABLE */
  released(actor: string): Promise<boolean>;
}

export interface HostOptions {
  readonly node: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly membership: Membership;
  readonly hosting: Hosting;
}

/** In a planned move the new node waits so long for the old one to stop in order, then takes the log over. In ms. */
const releaseMs = 10_000;
const askMs = 50;
/** Who was fenced here and is still placed here claims again after so long, doubled each time. */
const fencedMs = { min: 1_000, max: 30_000 } as const;
/** What failed is tried again after so long. */
const againMs = 1_000;

interface Slot {
  /** Under which record it runs here; `undefined`: it does not. */
  since: number | undefined;
  /** How often it was fenced while it was placed here. */
  fenced: number;
  isFenced: boolean;
  busy: boolean;
}

export class Host {
  readonly #options: HostOptions;
  readonly #wanted = new Map<string, SeatState>();
  readonly #slots = new Map<string, Slot>();
  readonly #open = new Map<string, { readonly run: string; readonly ready: Promise<boolean> }>();
  #flows: ReadonlyMap<string, FlowSeats> = new Map();
  readonly #stopped = new AbortController();
  /** What its pauses go by. */
  readonly #until: { readonly clock: Clock; readonly signal: AbortSignal };

  constructor(options: HostOptions) {
    this.#options = options;
    this.#until = { clock: options.clock, signal: this.#stopped.signal };
  }

  /** Addresses of what is placed here. */
  hosted(flow: string): readonly string[] {
    return [...this.#wanted.keys()].filter((actor) => flowOf(actor) === flow);
  }

  /** How many actors are placed here. */
  get count(): number {
    return this.#wanted.size;
  }

  /** A record changed where actors are. */
  follow({ flows }: ClusterState): void {
    if (this.#stopped.signal.aborted) return;
    this.#flows = flows;
    const here = new Map<string, SeatState>();
    for (const flow of flows.values()) {
      if (flow.ended) continue;
      for (const [actor, seat] of seatsOf(flow)) if (seat.node === this.#options.node) here.set(actor, seat);
    }
    for (const actor of this.#wanted.keys()) if (!here.has(actor)) this.#wanted.delete(actor);
    for (const [actor, seat] of here) this.#wanted.set(actor, seat);
    // A flow that has ended, or has another run, is closed as a whole: its actors have ended, or are of a run that is no more.
    for (const [flow, { run }] of this.#open) if (flows.get(flow)?.ended !== false || flows.get(flow)?.run !== run) this.#close(flow);
    for (const actor of new Set([...this.#slots.keys(), ...this.#wanted.keys()])) this.#poke(actor);
  }

  /** Another owner has claimed the log of an actor that ran here. Where it is still placed here, the other one was late: claimed again. */
  fenced(actor: string): void {
    const slot = this.#slots.get(actor);
    if (slot === undefined) return;
    slot.isFenced = true;
    slot.fenced++;
    this.#poke(actor);
  }

  /** Nothing is started or stopped any more. */
  stop(): void {
    this.#stopped.abort();
  }

  #poke(actor: string): void {
    const slot = this.#slots.get(actor) ?? { since: undefined, fenced: 0, isFenced: false, busy: false };
    this.#slots.set(actor, slot);
    if (slot.busy) return;
    slot.busy = true;
    void this.#work(actor, slot).finally(() => {
      slot.busy = false;
      if (slot.since === undefined && !this.#wanted.has(actor)) this.#slots.delete(actor);
    });
  }

  async #work(actor: string, slot: Slot): Promise<void> {
    while (!this.#stopped.signal.aborted) {
      const seat = this.#wanted.get(actor);
      try {
        if (seat === undefined) {
          if (slot.since === undefined) return;
          await this.#options.hosting.stop(actor);
          slot.since = undefined;
          slot.isFenced = false;
        } else if (slot.since !== undefined && !slot.isFenced) {
          slot.since = seat.since;
          return;
        } else {
          await this.#start(actor, slot, seat);
        }
      } catch (thrown) {
        this.#options.log.warn(`${actor} could not be ${seat === undefined ? "stopped" : "started"} here; it is tried again`, { reason: asError(thrown).message });
        await pause(againMs, this.#until);
      }
    }
  }

  async #start(actor: string, slot: Slot, seat: SeatState): Promise<void> {
    const flow = this.#flows.get(flowOf(actor));
    if (flow === undefined || !(await this.#ready(flow))) return await pause(againMs, this.#until);
    await this.#wait(actor, slot, seat);
    // While it waited it may have been placed elsewhere.
    if (this.#wanted.get(actor)?.since !== seat.since || this.#stopped.signal.aborted) return;
    slot.isFenced = false;
    slot.since = seat.since;
    try {
      await this.#options.hosting.start(actor);
    } catch (thrown) {
      slot.since = undefined;
      throw thrown;
    }
  }

  /** Until nobody else runs it, as far as that can be known: a courtesy that keeps a planned move clean. The claim is what makes it safe. */
  async #wait(actor: string, slot: Slot, { since, from }: SeatState): Promise<void> {
    const { clock, hosting, membership, node } = this.#options;
    if (slot.isFenced) await pause(Math.min(fencedMs.max, fencedMs.min * 2 ** Math.min(slot.fenced - 1, 10)), this.#until);
    else if (from === null || from === node) return;
    for (const until = clock.monotonic() + releaseMs; clock.monotonic() < until && !this.#stopped.signal.aborted; ) {
      if (this.#wanted.get(actor)?.since !== since || (!slot.isFenced && membership.node(from as string) === undefined) || (await hosting.released(actor))) return;
      await pause(askMs, this.#until);
    }
  }

  /** Opens a flow once for all its actors. */
  async #ready(flow: FlowSeats): Promise<boolean> {
    let open = this.#open.get(flow.name);
    if (open?.run !== flow.run) {
      const ready = this.#options.hosting.open(flow).then(() => true, (thrown: unknown) => {
        this.#options.log.warn(`${flow.name} cannot be hosted here; it is tried again`, { reason: asError(thrown).message });
        if (this.#open.get(flow.name) === open) this.#open.delete(flow.name);
        return false;
      });
      open = { run: flow.run, ready };
      this.#open.set(flow.name, open);
    }
    return await open.ready;
  }

  #close(flow: string): void {
    this.#open.delete(flow);
    for (const [actor, slot] of this.#slots) if (flowOf(actor) === flow) slot.since = undefined;
    void this.#options.hosting.close(flow).catch((thrown: unknown) => {
      // A node that stops takes all its flows with it.
      if (!this.#stopped.signal.aborted) this.#options.log.warn(`${flow} could not be closed here`, { reason: asError(thrown).message });
    });
  }
}

function flowOf(actor: string): string {
  return actor.slice(0, actor.indexOf("/"));
}
