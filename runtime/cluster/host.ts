// A node's part: follows the cluster's log, and has those actors run here that are placed here. Each actor goes its own way, one step at a
// time, towards what the newest record says. A failover needs nothing more: whoever starts an actor claims its log, and so fences who had it (P5).
import { Turnstile } from "../actor/environment.ts";
import { type Clock, pause } from "../event/clock.ts";
import { asError } from "../event/errors.ts";
import type { Logger } from "../flow/context.ts";
import type { Hosting, PlannedMove } from "./hosting.ts";
import type { Membership } from "./membership.ts";
import { type ClusterState, type FlowSeats, seatsOf, type SeatState } from "./placement-record.ts";

export interface HostOptions {
  readonly node: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly membership: Membership;
  readonly hosting: Hosting;
  /** An actor has come to where it is to be: what the node tells of it may be another now. */
  readonly onRunning: () => void;
  /** A flow that is held is not opened. Default: none is. */
  readonly isHeld?: (flow: string) => boolean;
}

/** In a planned move the new node waits so long for the old one to stop in order, then takes the log over. In ms. */
export const releaseMs = 10_000;
/** And only so long where that one says that it does not run it. */
const answeredMs = 1_000;
/** And the old one so long for the new one to be ready: until it is asked to stop the actor it lets it work. */
const handOverMs = { most: 60_000, look: 500 } as const;
/** Planned moves at the same time: more at once would make each take longer. */
const movesAtOnce = 4;
/** Whether it has stopped is asked after so long, doubled each time. */
const askMs = { min: 5, max: 100 } as const;
/** Who was fenced here and is still placed here claims again after so long, doubled each time. */
const fencedMs = { min: 1_000, max: 30_000 } as const;
/** Who was not fenced for so long begins anew. */
const calmMs = 300_000;
/** What failed is tried again after so long. */
const againMs = 1_000;

interface Slot {
  /** Under which record it runs here; `undefined`: it does not. */
  since: number | undefined;
  /** Hash of the code that it has. */
  code: string | undefined;
  /** How often it was fenced here without a quiet time between, and when at last. Monotonic ms. */
  fenced: number;
  fencedAt: number;
  isFenced: boolean;
  busy: boolean;
  /** Something changed while it was. */
  again: boolean;
  /** Number of the record that placed it elsewhere; of the newest one by which another node asked for it, and those who wait for that. */
  movedBy: number | undefined;
  askedBy: number;
  readonly waiting: Set<() => void>;
  wake: () => void;
}

export class Host {
  readonly #options: HostOptions;
  readonly #wanted = new Map<string, SeatState>();
  readonly #moves = Array.from({ length: movesAtOnce }, () => new Turnstile());
  #moved = 0;
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

  /** Of what runs here, or was tried to: by which record, and with which code. */
  running(flow: string): readonly { readonly actor: string; readonly since: number; readonly code: string }[] {
    return [...this.#slots].flatMap(([actor, { since, code }]) => (flowOf(actor) === flow && since !== undefined && code !== undefined ? [{ actor, since, code }] : []));
  }

  /** How many actors are placed here. */
  get count(): number {
    return this.#wanted.size;
  }

  /** A record changed where actors are. */
  follow({ flows }: ClusterState): void {
    if (this.#stopped.signal.aborted) return;
    this.#flows = flows;
    const here = new Map<string, SeatState>(), { node } = this.#options;
    for (const flow of flows.values()) {
      if (flow.ended) continue;
      for (const [actor, seat] of seatsOf(flow)) {
        const slot = this.#slots.get(actor);
        if (seat.node === node) here.set(actor, seat);
        if (slot !== undefined) slot.movedBy = seat.node === node ? undefined : (slot.movedBy ?? seat.since);
      }
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
    const now = this.#options.clock.monotonic();
    slot.isFenced = true;
    slot.fenced = now - slot.fencedAt >= calmMs ? 1 : slot.fenced + 1;
    slot.fencedAt = now;
    this.#poke(actor);
  }

  /**
   * The node where an actor is now has made ready for it: it is stopped here. Resolves when it does not run here any more, or when the other one
   * is about to take it over. `since`: number of the record that placed it there.
   */
  handOver(actor: string, since: number): Promise<void> {
    const slot = this.#slots.get(actor);
    if (slot?.since === undefined || slot.since > since) return Promise.resolve();
    slot.askedBy = Math.max(slot.askedBy, since);
    slot.wake();
    const calm = this.#options.hosting.standsStill();
    return new Promise((resolve) => {
      const done = (): void => { cancel(); calm(); slot.waiting.delete(done); resolve(); }, cancel = this.#options.clock.after(releaseMs - answeredMs, done);
      slot.waiting.add(done);
    });
  }

  /** Closes a flow here, and opens it again for what is placed here, as soon as it is not held. */
  reopen(flow: string): void {
    this.#close(flow);
    for (const actor of this.#wanted.keys()) if (flowOf(actor) === flow) this.#poke(actor);
  }

  /** Nothing is started or stopped any more. */
  stop(): void {
    this.#stopped.abort();
  }

  #poke(actor: string): void {
    const slot = this.#slots.get(actor) ?? { since: undefined, code: undefined, fenced: 0, fencedAt: -Infinity, isFenced: false, busy: false, again: false, movedBy: undefined, askedBy: 0, waiting: new Set(), wake: () => {} };
    this.#slots.set(actor, slot);
    slot.again = slot.busy;
    if (slot.busy) return slot.wake();
    slot.busy = true;
    void this.#work(actor, slot).finally(() => {
      slot.busy = false;
      // Records that are read together all come before this is reached.
      if (slot.again) return this.#poke(actor);
      gone(slot);
      if (slot.since === undefined && !this.#wanted.has(actor)) this.#slots.delete(actor);
    });
  }

  async #work(actor: string, slot: Slot): Promise<void> {
    while (!this.#stopped.signal.aborted) {
      const wanted = this.#wanted.get(actor);
      try {
        if (wanted === undefined) {
          if (slot.since === undefined) return;
          await this.#asked(actor, slot);
          if (this.#wanted.has(actor) || this.#stopped.signal.aborted) continue;
          await this.#options.hosting.stop(actor, slot.movedBy);
          slot.since = undefined;
          slot.isFenced = false;
          gone(slot);
        } else if (slot.since !== undefined && !slot.isFenced) {
          const { since } = wanted, code = this.#codeOf(actor, wanted);
          // From here to here: its upgrade tries it again.
          if (slot.code !== code || (slot.since !== since && wanted.from === this.#options.node)) await this.#options.hosting.exchange(actor, code, since);
          // Its flow was closed meanwhile.
          if (slot.since === undefined) continue;
          slot.code = code;
          slot.since = since;
          if (this.#wanted.get(actor) === wanted) return this.#options.onRunning();
        } else {
          await this.#start(actor, slot, wanted);
        }
      } catch (thrown) {
        this.#options.log.warn(`${actor} could not be ${wanted === undefined ? "stopped" : "started"} here; it is tried again`, { reason: asError(thrown).message });
        await pause(againMs, this.#until);
      }
    }
  }

  /** Lets it work until the node that it goes to is ready for it, if that is there. */
  async #asked(actor: string, slot: Slot): Promise<void> {
    const { clock, membership, node } = this.#options;
    const calm = this.#options.hosting.hurry();
    try {
      for (const until = clock.monotonic() + handOverMs.most; clock.monotonic() < until && !this.#stopped.signal.aborted; ) {
        const seat = seatAt(this.#flows, actor);
        if (slot.isFenced || slot.since === undefined || seat?.node == null || seat.node === node || seat.from !== node || membership.node(seat.node) === undefined || slot.askedBy >= seat.since) return;
        const asked = new Promise<void>((resolve) => { slot.wake = resolve; });
        await Promise.race([asked, pause(handOverMs.look, this.#until)]);
      }
    } finally {
      calm();
    }
  }

  async #start(actor: string, slot: Slot, seat: SeatState): Promise<void> {
    const flow = this.#flows.get(flowOf(actor));
    if (flow === undefined || !(await this.#ready(flow))) return await pause(againMs, this.#until);
    const { membership, node } = this.#options, { from } = seat, isPlanned = !slot.isFenced && from !== null && from !== node && membership.node(from) !== undefined;
    const over: (() => void)[] = isPlanned ? [await (this.#moves[this.#moved++ % movesAtOnce] as Turnstile).enter()] : [];
    try {
      const move = isPlanned ? await this.#handedOver(actor, seat, from, over) : undefined, inOrder = move?.before != null || (await this.#wait(actor, slot, seat, move?.before === undefined ? releaseMs : answeredMs));
      // While it waited it may have been placed elsewhere.
      if (this.#wanted.get(actor)?.since !== seat.since || this.#stopped.signal.aborted) return isPlanned ? await this.#options.hosting.cool(actor) : undefined;
      slot.isFenced = false;
      slot.since = seat.since;
      slot.code = this.#codeOf(actor, seat);
      await this.#options.hosting.start(actor, move === undefined || inOrder ? move : { ...move, before: undefined }, slot.code).catch((thrown: unknown) => {
        slot.since = undefined;
        throw thrown;
      });
    } finally {
      for (const its of over) its();
    }
  }

  /** All that can be done while it works elsewhere is done; then it is asked for. `over`: what is to be called when it was tried to start it. */
  async #handedOver(actor: string, { since }: SeatState, from: string, over: (() => void)[]): Promise<PlannedMove | undefined> {
    const { clock, hosting, membership } = this.#options;
    const answered = new AbortController(), { signal } = answered
    // One that stands still, or has died, answers nothing: it is soon known to be gone, and then its actor works nowhere.
    const gone = (async (): Promise<void> => {
      while (!signal.aborted && !this.#stopped.signal.aborted && membership.node(from) !== undefined) await pause(askMs.max, { clock, signal });
    })();
    void gone.then(() => { if (!signal.aborted) over.push(hosting.hurry()); });
    try {
      await hosting.warm(actor);
      if (this.#wanted.get(actor)?.since !== since || this.#stopped.signal.aborted || membership.node(from) === undefined) return undefined;
      over.push(hosting.standsStill());
      const askedAt = clock.monotonic(), before = hosting.handOver(actor, from, since).finally(() => answered.abort());
      return { from, since, askedAt, before: await Promise.race([before, gone.then(() => (signal.aborted ? before : undefined))]) };
    } finally {
      answered.abort();
    }
  }

  /** Until nobody else runs it, as far as that can be known: a courtesy that keeps a planned move clean. The claim is what makes it safe. `true`: its log says so. */
  async #wait(actor: string, slot: Slot, { since, from }: SeatState, mostMs: number): Promise<boolean> {
    const { clock, hosting, membership, node } = this.#options;
    if (slot.isFenced) await pause(Math.min(fencedMs.max, fencedMs.min * 2 ** Math.min(slot.fenced - 1, 10)), this.#until);
    else if (from === null || from === node) return false;
    for (let until = clock.monotonic() + mostMs, waitMs: number = askMs.min; clock.monotonic() < until && !this.#stopped.signal.aborted; waitMs = Math.min(askMs.max, 2 * waitMs)) {
      if (this.#wanted.get(actor)?.since !== since || (!slot.isFenced && membership.node(from as string) === undefined)) return false;
      if (await hosting.released(actor)) return true;
      await pause(waitMs, this.#until);
    }
    return false;
  }

  /** Opens a flow once for all its actors. */
  async #ready(flow: FlowSeats): Promise<boolean> {
    if (this.#options.isHeld?.(flow.name) === true) return false;
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

  #codeOf(actor: string, seat: SeatState): string {
    return seat.code ?? this.#flows.get(flowOf(actor))?.code ?? "";
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

const flowOf = (actor: string): string => actor.slice(0, actor.indexOf("/"));
const gone = ({ waiting }: Slot): void => waiting.forEach((tell) => tell());

function seatAt(flows: ReadonlyMap<string, FlowSeats>, actor: string): SeatState | undefined {
  const [flow, stage, partition] = actor.split("/") as [string, string, string];
  return flows.get(flow)?.stages.find(({ name }) => name === stage)?.seats[Number(partition)];
}
