// What an actor's records say, without its state: how far it has read, what it has sent, what of that is retained. Put together
// from the newest snapshot and the records since, as replay does (I7), small enough to hold of all actors of a flow at once.
import { Inbound, type Position } from "../actor/inbound.ts";
import { outletId } from "../actor/outlet.ts";
import { checkBody } from "../journal/body-form.ts";
import { Assembler, type Body, decodeRecord, type RecordKind, type Target } from "../journal/record.ts";
import { decodeFrame } from "../event/frame.ts";
import { sameTerm, type Term } from "../event/term.ts";

/** Who makes claims where a node stands, and runs nothing. */
export const authors = ["repair", "backup"] as const;

export type Cursor = NonNullable<Body["cursors"]>[number];

/** One way out of an actor. */
export interface SentTo {
  readonly target: Target;
  /** Number of its newest frame. */
  seq: number;
  settled: number;
  settledAt: number;
  /** Term of its newest frame; `null`: not known. */
  term: Term | null;
  /** Number of the oldest frame that a record still holds; 0: none. */
  retained: number;
  /** Of that one the term of the frame before it; `undefined`: not known. */
  before: Term | null | undefined;
  /** Of each record that holds frames its number, and that of the first of them. */
  readonly held: (readonly [n: number, seq: number])[];
  /** Where the terms begin of the frames that records hold. */
  readonly terms: (readonly [seq: number, term: Term])[];
}

interface Small {
  readonly n: number;
  readonly kind: RecordKind;
  readonly term: Term;
  readonly body: Body;
  readonly out: readonly (readonly [target: Target, seq: number])[];
}

export interface SnapshotOf {
  readonly n: number;
  readonly chunks: NonNullable<Body["snapshot"]>["chunks"];
}

export class History {
  readonly positions = new Map<number, Position>();
  readonly cursors = new Map<string, Cursor>();
  readonly sent = new Map<string, SentTo>();
  sink: Body["sink"];
  targets: NonNullable<Body["targets"]> = [];
  own: Body["own"];
  /** Unclean ends in a row, as the newest record says. */
  k = 0;
  /** Number of the oldest record; 0: there is none. */
  first = 0;
  /** Newest record. */
  last: { readonly n: number; readonly kind: RecordKind; readonly term: Term; readonly code: string } | undefined;
  /** Snapshots that records name, oldest first. */
  readonly snapshots: SnapshotOf[] = [];
  /** Chunks that a seal names: those who go on with its state need them (PROTOCOL 11). */
  readonly sealed: (readonly [seq: number, crc: number])[] = [];
  /** Who wrote the newest record that is no claim of a repair or a backup; the node where a claim in the log tells it. */
  owner: { readonly term: Term; readonly node: string | undefined } | undefined;
  /** Number of the first record that is missing between what the state begins with and the oldest record; `undefined`: none. */
  missing: number | undefined;

  /** @param folded what a journal has folded, where it is there @throws MillraceError BYTES_REFUSED, RECORD_NEWER */
  static async of(where: string, records: AsyncIterable<Uint8Array>, folded: { readonly n: number; readonly body: Body } | undefined): Promise<History> {
    const its = new History(), assembler = new Assembler(), kept: Small[] = [];
    const before = new Map<string, Term | null | undefined>();
    let snapshot: { readonly n: number; readonly body: Body } | undefined;
    for await (const bytes of records) {
      const part = decodeRecord(bytes);
      if (its.first === 0) its.first = part.n;
      const by = part.kind === "claim" ? part.body.node : sameTerm(its.owner?.term, part.term) ? its.owner?.node : undefined;
      if (part.kind !== "claim" || !(authors as readonly unknown[]).includes(by)) its.owner = { term: part.term, node: by };
      its.last = { n: part.n, kind: part.kind, term: part.term, code: part.code };
      const record = assembler.take(part);
      if (record === undefined) continue;
      checkBody(where, record);
      for (const { chunks } of record.body.seal?.sections ?? []) for (const [seq, crc] of chunks) its.sealed.push([seq, crc]);
      for (const [target, , frame] of record.body.out ?? []) if (!before.has(outletId(target))) before.set(outletId(target), beforeOf(frame));
      if (record.kind === "snapshot" && record.body.snapshot !== undefined) {
        const { n, chunks } = record.body.snapshot;
        its.snapshots.push({ n, chunks });
        snapshot = { n, body: small(record.body) };
      }
      kept.push({ n: record.n, kind: record.kind, term: record.term, body: small(record.body), out: (record.body.out ?? []).map(([target, seq]) => [target, seq] as const) });
    }
    const base = snapshot ?? folded;
    if (its.first > (base?.n ?? 0) + 1) its.missing = (base?.n ?? 0) + 1;
    if (base !== undefined) its.#apply(small(base.body));
    for (const record of kept) {
      if (record.n > (base?.n ?? 0) && record.kind !== "snapshot") its.#record(record);
      for (const [target, seq] of record.out) {
        const to = its.#to(target);
        if (to.retained === 0) Object.assign(to, { retained: seq, before: before.get(outletId(target)) });
        if (to.held[to.held.length - 1]?.[0] !== record.n) to.held.push([record.n, seq]);
        if (!sameTerm(to.terms[to.terms.length - 1]?.[1], record.term)) to.terms.push([seq, record.term]);
        if (seq >= to.seq) Object.assign(to, { seq, term: record.term });
      }
    }
    return its;
  }

  get isEmpty(): boolean {
    return this.last === undefined;
  }

  /** Whether the actor has ended, and all that it sent was settled. */
  get hasEnded(): boolean {
    return this.last?.kind === "stop" && this.own?.ended === true;
  }

  position(input: number): Position {
    return this.positions.get(input) ?? { at: 0, round: null, from: null, seq: 0 };
  }

  /** How far a sender's frames are read; `undefined`: nothing is known of it. */
  cursor(input: number, from: string, generation: string): Cursor | undefined {
    return this.cursors.get(Inbound.id(input, from, generation));
  }

  #record({ kind, body }: Small): void {
    this.#apply(body);
    this.k = kind === "stop" ? 0 : (body.k ?? body.tries?.k ?? this.k);
  }

  #apply(body: Body): void {
    for (const [input, at, round, from, seq] of body.inputs ?? []) this.positions.set(input, { at, round, from, seq });
    for (const cursor of body.cursors ?? []) this.cursors.set(Inbound.id(cursor[0], cursor[1], cursor[2]), cursor);
    for (const [target, seq, term] of body.sent ?? []) Object.assign(this.#to(target), { seq, term });
    for (const [target, settled, settledAt] of body.settled ?? []) Object.assign(this.#to(target), { settled, settledAt });
    this.sink = body.sink ?? this.sink;
    this.targets = body.targets ?? this.targets;
    this.own = body.own ?? this.own;
  }

  #to(target: Target): SentTo {
    const id = outletId(target);
    let to = this.sent.get(id);
    if (to === undefined) this.sent.set(id, (to = { target, seq: 0, settled: 0, settledAt: 0, term: null, retained: 0, before: undefined, held: [], terms: [] }));
    return to;
  }
}

function beforeOf(frame: Uint8Array): Term | null | undefined {
  try {
    return decodeFrame(frame).before;
  } catch {
    // What is no frame its reader refuses, too.
    return undefined;
  }
}

/** Without state and frames. */
function small({ k, inputs, cursors, sent, settled, sink, targets, own, tries }: Body): Body {
  return {
    ...(k === undefined ? {} : { k }), ...(inputs === undefined ? {} : { inputs }), ...(cursors === undefined ? {} : { cursors }), ...(sent === undefined ? {} : { sent }),
    ...(settled === undefined ? {} : { settled }), ...(sink === undefined ? {} : { sink }), ...(targets === undefined ? {} : { targets }), ...(own === undefined ? {} : { own }), ...(tries === undefined ? {} : { tries }),
  };
}
