// What a turn sends: events by edge, key and partition into the frames of its outlets; dead letters onto the actor's chain.
import { asError, MillraceError } from "../event/errors.ts";
import { type EventInfo, isKey, type Key } from "../event/event.ts";
import { type Note, type Row, rowData } from "../event/frame.ts";
import { partitionOf } from "../event/partition.ts";
import type { Term } from "../event/term.ts";
import type { EdgePlan } from "../flow/plan.ts";
import { wentBack } from "../journal/verdict.ts";
import type { Body, Target } from "../journal/record.ts";
import { type DeadLetter, type Replay, type Settlement, shortened, textOf } from "./dead-letter.ts";
import { unsettledLimit } from "./limits.ts";
import { type FrameHead, type Outlet, outletId } from "./outlet.ts";
import type { Routing } from "./routing.ts";

export type MailboxTarget = Exclude<Target, string>;

interface Route {
  readonly edge: EdgePlan;
  /** One for each partition of the reader, of the generation that is routed to. */
  outlets: readonly Outlet[];
  /** Where keyless events of this turn go; the next partition with each turn. */
  deal: number;
  dealt: boolean;
}

export type { DeadLetter } from "./dead-letter.ts";

export interface ClosedFrame {
  readonly outlet: Outlet;
  readonly seq: number;
  readonly bytes: Uint8Array;
}

export class Emitter {
  /** Those that are routed to, and those to earlier generations of a reader until these are over. */
  outlets: readonly Outlet[] = [];
  readonly routing: Routing;
  readonly #edges: readonly EdgePlan[];
  readonly #outlet: (target: MailboxTarget) => Outlet;
  readonly #known = new Map<string, Outlet>();
  #routed: ReadonlySet<Outlet> = new Set();
  readonly #routes = new Map<string, readonly Route[]>();
  readonly #main: readonly Route[];
  readonly #dead: Outlet;
  readonly #actor: string;
  readonly #code: string;
  readonly #defaultType: string;
  /** Ordinal of the next event that the record emits. */
  k = 0;
  readonly #saved = { k: 0, out: 0, late: 0, deadLetters: 0, settled: 0 };
  /** Takes no more: what a handler does that is over has no effect. */
  sealed = false;
  counts = { out: 0, late: 0, deadLetters: 0, settled: 0 };

  constructor(of: { readonly actor: string; readonly code: string; readonly type: string; readonly edges: readonly EdgePlan[]; readonly outlet: (target: MailboxTarget) => Outlet; readonly routing: Routing; readonly dead: Outlet }) {
    this.#actor = of.actor;
    this.#code = of.code;
    this.#defaultType = of.type;
    this.#dead = of.dead;
    this.#edges = of.edges;
    this.#outlet = of.outlet;
    this.routing = of.routing;
    for (const edge of of.edges) this.#routes.set(edge.output, [...(this.#routes.get(edge.output) ?? []), { edge, outlets: [], deal: 0, dealt: false }]);
    this.#main = this.#routes.get("") ?? [];
    this.#route();
  }

  // Edges that lead to one stage share its mailboxes: one channel each, numbers count over all of them.
  #route(): void {
    const routed = new Set<Outlet>();
    for (const route of [...this.#routes.values()].flat()) {
      const { edge: { to, input } } = route, { generation, count } = this.routing.of(to);
      route.outlets = Array.from({ length: count }, (_, partition) => this.#outletOf([to, generation, partition, input]));
      route.deal %= count;
      for (const outlet of route.outlets) routed.add(outlet);
    }
    this.#routed = routed;
    this.#list();
  }

  #list(): void {
    for (const [id, outlet] of this.#known) if (!this.#routed.has(outlet) && outlet.delivery.retired && outlet.delivery.unsettled === 0) this.#known.delete(id);
    this.outlets = [...this.#known.values()];
  }

  #outletOf(target: MailboxTarget): Outlet {
    const id = outletId(target);
    let known = this.#known.get(id);
    if (known === undefined) this.#known.set(id, (known = this.#outlet(target)));
    return known;
  }

  /** Replay: the outlet that a record names, whatever is routed to now. */
  outletAt(target: Target): Outlet {
    return typeof target === "string" ? this.#dead : this.#outletOf(target);
  }

  /** Replay is over: what the own log says of the routing holds. */
  replayed(): void {
    // What was routed to before the log was read, and never used, is forgotten.
    for (const [id, outlet] of this.#known) if (outlet.seq === 0 && outlet.term === null) this.#known.delete(id);
    this.#route();
  }

  /** Outlets that are routed to: those of earlier generations get nothing new. */
  isRouted(outlet: Outlet): boolean {
    return this.#routed.has(outlet);
  }

  /**
   * A generation of a reader is over only when all who feed it are past their barriers†: where the own log holds none, it was lost, and what
   * is sent there is read by nobody. @throws MillraceError BROKER_WENT_BACK
   */
  mustFollow(): void {
    for (const { to } of this.#edges) if (this.routing.isLeftBehind(to)) throw wentBack(this.#actor, `${to} has gone on from the actors that the log of ${this.#actor} still sends to`);
  }

  /** Whether there is a plan for a reader that this actor has to follow, or to refuse. */
  get planDue(): boolean {
    return this.#edges.some(({ to }) => this.routing.due(to) !== undefined || this.routing.refusalDue(to));
  }

  /** As a record says them. */
  get told(): Omit<NonNullable<Body["counts"]>, "in"> {
    const { settled, ...given } = this.counts;
    return settled === 0 ? given : this.counts;
  }

  isRead(output: string): boolean {
    return this.#routes.has(output);
  }

  /**
   * Sends one event by an output ("" is the stage's own stream) to all who read it.
   * @throws MillraceError KEY_INVALID, UNSERIALIZABLE, or what the key function throws
   */
  emit(output: string, data: unknown, time: number, key: Key | undefined, type: string | undefined, id: string | null = null): void {
    if (this.sealed) throw new Error("this handler is over: its event failed");
    const routes = output === "" ? this.#main : (this.#routes.get(output) ?? []);
    const named = type === undefined || type === this.#defaultType ? null : type, k = this.k;
    for (const route of routes) {
      const { edge, outlets } = route;
      const itsKey = edge.key === undefined ? key : this.#keyOf(edge, data);
      let partition = 0;
      if (itsKey !== undefined) partition = partitionOf(itsKey, outlets.length);
      else { partition = route.deal; route.dealt = true; }
      (outlets[partition] as Outlet).add(edge.index, k, time, itsKey ?? null, data, id, named);
    }
    this.k = k + 1;
    this.counts.out++;
  }

  #keyOf(edge: EdgePlan, data: unknown): Key {
    const key = (edge.key as (data: unknown) => Key)(data);
    if (!isKey(key)) throw new MillraceError("KEY_INVALID", this.#actor, `The key of an event on its way to "${edge.to}" is ${String(key).slice(0, 80)}`, "A key is a text of at most 512 bytes, in whole characters, or a safe integer.");
    return key;
  }

  /** Gives an event up, with its reason. */
  deadLetter(code: string, thrown: unknown, attempts: number, event: EventInfo, data: unknown, replay?: Replay): void {
    const { name, message, stack = "" } = asError(thrown);
    const letter = (shown: unknown, its?: Replay): DeadLetter => ({
      code, message, error: { name, message, stack: stack.split("\n").slice(0, 8).join("\n") }, actor: this.#actor, attempts, flow: this.#code,
      event: { id: event.id, type: event.type, time: event.time, key: event.key ?? null, source: event.source, data: shown },
      ...(its === undefined ? {} : { replay: its }),
    });
    try {
      this.#dead.add(0, this.k, event.time, event.key ?? null, letter(data, replay), null, null);
    } catch {
      this.#dead.add(0, this.k, event.time, event.key ?? null, letter(textOf(data)), null, null);
    }
    this.k++;
    this.counts.deadLetters++;
  }

  /** A dead letter is one no more: that stands behind it on the chain. */
  settled(settlement: Settlement): void {
    this.#dead.add(0, this.k++, settlement.at, null, settlement, null, null);
    this.counts.settled++;
  }

  /** An event begins: what it emits can be taken back from here. */
  save(): void {
    const saved = this.#saved, { out, late, deadLetters, settled } = this.counts;
    saved.k = this.k;
    saved.out = out;
    saved.late = late;
    saved.deadLetters = deadLetters;
    saved.settled = settled;
  }

  /** Whether anything was emitted since `save`. */
  get hasPartial(): boolean {
    return this.k !== this.#saved.k;
  }

  /** Takes back what was emitted since `save`. */
  revert(): void {
    const { k, ...counts } = this.#saved;
    for (const outlet of this.outlets) outlet.undo(k);
    this.#dead.undo(k);
    this.k = k;
    this.counts = counts;
  }

  /** Mailboxes that are full: what holds the actor up. */
  get full(): readonly string[] {
    return this.outlets.filter(({ delivery }) => delivery.full).map(({ id }) => id);
  }

  /** Whether so much is committed and not settled that nothing new may be taken (P14). */
  get heldUp(): boolean {
    let frames = 0, bytes = 0;
    for (const { delivery } of this.outlets) { frames += delivery.unsettled; bytes += delivery.bytes; }
    return frames > unsettledLimit.frames || bytes > unsettledLimit.bytes;
  }

  /** About how many bytes are gathered. */
  get gathered(): number {
    let bytes = 0;
    for (const outlet of this.outlets) bytes += outlet.gathered;
    return bytes;
  }

  /**
   * Ends the turn: frames for all outlets. Watermarks and notes go where they are asked for also without events. `followsPlan`: it goes over
   * to the generations that are planned for its readers, with a barrier in every old mailbox†, as of the next turn.
   */
  close(head: FrameHead, options: { readonly watermark: number; readonly watermarkAlone: boolean; readonly note: Note | null; readonly followsPlan?: boolean; readonly limit: number; readonly info: (row: Row) => EventInfo }): readonly ClosedFrame[] {
    const frames: ClosedFrame[] = [], barriers = options.followsPlan === true ? this.#barriers() : undefined;
    for (const outlet of this.outlets) {
      const isRouted = this.#routed.has(outlet), note = isRouted ? (barriers?.get(outlet.target[0] as string) ?? options.note) : null;
      const goes = outlet.gathered > 0 || note !== null || (options.watermarkAlone && isRouted && outlet.eventTime);
      if (!goes) continue;
      const tooLarge = (row: Row, shapes: readonly (readonly string[])[]) => {
        const error = new MillraceError("TOO_LARGE", this.#actor, `An event is larger than a message may be (${options.limit} bytes)`, "Send less in one event, or raise max_payload on the server.");
        this.deadLetter("TOO_LARGE", error, 1, options.info(row), textOf(rowData(row, shapes)));
      };
      for (const frame of outlet.close(head, options.watermark, note, options.limit, tooLarge)) frames.push({ outlet, ...frame });
    }
    const large: { readonly row: Row; readonly letter: DeadLetter }[] = [];
    for (const frame of this.#dead.close(head, -Infinity, null, options.limit, (row, shapes) => large.push({ row, letter: rowData(row, shapes) as DeadLetter }))) frames.push({ outlet: this.#dead, ...frame });
    // Nothing is given up without a trace: what no message can hold is kept shortened.
    for (const { row: [k, time, key], letter } of large) this.#dead.add(0, k, time, key, shortened(letter), null, null);
    for (const frame of this.#dead.close(head, -Infinity, null, options.limit, () => {})) frames.push({ outlet: this.#dead, ...frame });
    this.k = this.#saved.k = 0;
    for (const routes of this.#routes.values()) for (const route of routes) {
      if (route.dealt) { route.deal = (route.deal + 1) % route.outlets.length; route.dealt = false; }
    }
    if (barriers !== undefined) this.#follow(barriers, head.term);
    return frames;
  }

  #barriers(): ReadonlyMap<string, Note> | undefined {
    const barriers = new Map<string, Note>();
    for (const { to } of this.#edges) {
      const next = this.routing.due(to);
      if (next !== undefined) barriers.set(to, ["barrier", next.generation, next.count]);
      else if (this.routing.refusalDue(to)) this.routing.refuse(to);
    }
    return barriers.size === 0 ? undefined : barriers;
  }

  #follow(barriers: ReadonlyMap<string, Note>, term: Term): void {
    for (const [stage, note] of barriers) this.routing.set(stage, { generation: note[1] as string, count: note[2] as number });
    this.#route();
    for (const stage of barriers.keys()) this.#continues(stage, term);
  }

  /** Replay: a record of this term went over to these generations. */
  follow(body: Body, term: Term): void {
    this.routing.apply(body);
    for (const [stage] of body.routing ?? []) this.#continues(stage, term);
  }

  // †The first frame to a new generation goes on from the barrier: it says that one's term. Else a history that was written anew after a
  // loss, of which a part went to the old mailboxes, where nobody reads any more, would be taken for the one that the seals know (P17).
  #continues(stage: string, term: Term): void {
    const { generation, count } = this.routing.of(stage);
    for (const { to, input } of this.#edges) {
      if (to !== stage) continue;
      for (let partition = 0; partition < count; partition++) {
        const outlet = this.#outletOf([to, generation, partition, input]);
        if (outlet.seq === 0) outlet.term = term;
      }
    }
  }

  get all(): readonly Outlet[] {
    return [...this.outlets, this.#dead];
  }

  /** What a record says of what is settled, or all of it with the newest numbers and terms. */
  write(body: Body, whole: boolean): void {
    this.routing.write(body, whole);
    if (whole) this.#list();
    const settled: (readonly [Target, number, number])[] = [];
    for (const { target, delivery } of this.all) {
      if (delivery.settled > 0 && (whole || delivery.moved)) settled.push([target, delivery.settled, delivery.settledAt]);
      if (!whole) delivery.moved = false;
    }
    if (settled.length > 0) body.settled = settled;
    if (whole) body.sent = this.all.flatMap(({ target, seq, term }) => (term === null ? [] : [[target, seq, term] as const]));
  }
}
