// Replay: puts an actor's memory together again from what recovery gives, records applied in order. Performs no effect and
// runs no handler (I7); frames that are not known to be stored go back into their deliveries.
import type { Term } from "../event/term.ts";
import type { Journal } from "../journal/journal.ts";
import type { Body, CommitRecord, Target } from "../journal/record.ts";
import type { ReadRecord } from "../journal/record-reader.ts";
import type { Recovered } from "../journal/recovery.ts";
import { wentBack } from "../journal/verdict.ts";
import type { Actor } from "./actor.ts";
import type { Outlet } from "./outlet.ts";
import type { RecordKeeper } from "./record-keeper.ts";

/** What the actor itself keeps of its records. */
export interface Replayed {
  readonly own: NonNullable<Body["own"]>;
  readonly counts: NonNullable<Body["counts"]>;
  /** Of the newest snapshot. */
  readonly chunks: NonNullable<Body["snapshot"]>["chunks"];
}

/** A fold sends nothing: no frame of it has this term. */
const noTerm: Term = [0, new Uint8Array(8)];

export class Replay {
  readonly #actor: Actor;
  readonly #keeper: RecordKeeper;
  readonly #frames: (readonly [outlet: Outlet, seq: number, frame: Uint8Array])[] = [];
  #foldedTo = 0;
  #own: Replayed["own"] = { watermark: null, ended: false, caught: false };
  #counts: Replayed["counts"] = { in: 0, out: 0, late: 0, deadLetters: 0 };
  #chunks: Replayed["chunks"] = [];

  /** `keeper`: is told of the records that are kept. */
  constructor(actor: Actor, keeper: RecordKeeper) {
    this.#actor = actor;
    this.#keeper = keeper;
  }

  /** State as of the newest fold, first of all. */
  async load(journal: Journal, folded: Recovered["folded"]): Promise<void> {
    if (folded === undefined) return;
    this.#foldedTo = folded.n;
    await this.#actor.memory.load(journal.store);
    this.#apply({ kind: "snapshot", n: folded.n, term: noTerm, previous: 0, code: "", body: folded.body });
  }

  /** The records since, and older ones for their frames; what came after those that it took before. */
  async take(records: AsyncIterable<ReadRecord>): Promise<void> {
    for await (const { record, seq, size } of records) {
      if (record.n > this.#foldedTo && record.kind !== "snapshot") this.#apply(record);
      if (record.kind === "snapshot") this.#chunks = record.body.snapshot?.chunks ?? [];
      const out: (readonly [Outlet, number])[] = [];
      for (const [target, number, frame] of record.body.out ?? []) {
        const outlet = this.#actor.emitter.outletAt(target);
        // Of a generation that was over, and all of it settled, as of the snapshot: that one does not know it any more.
        if (number > outlet.seq) continue;
        this.#frames.push([outlet, number, frame]);
        out.push([outlet, number]);
      }
      // What a claim says of it is of a repair.
      if (record.kind === "claim") this.#keeper.unsettle(record.body.settled ?? []);
      this.#keeper.add({ n: record.n, seq, bytes: size, out, settled: record.body.settled ?? [] });
    }
  }

  /** All is taken. */
  end(): Replayed {
    const { memory, emitter, address } = this.#actor;
    // Only now, as of the newest record: a repair makes less settled than it was before (P31).
    for (const [{ delivery }, number, frame] of this.#frames) delivery.add(number, frame);
    for (const { id, isWhole, delivery } of emitter.all) if (!isWhole) throw wentBack(address, `frame ${delivery.settled + 1} that ${address} sent to ${id} is in no record, and none says that it was stored`);
    const { in: _taken, ...given } = this.#counts;
    emitter.counts = { settled: 0, ...given };
    emitter.replayed();
    memory.replayed();
    return { own: this.#own, counts: this.#counts, chunks: this.#chunks };
  }

  #apply(record: CommitRecord): void {
    const { behaviour, memory, emitter } = this.#actor;
    behaviour.apply(record);
    memory.apply(record.body);
    // A snapshot says each outlet's term itself.
    if (record.kind === "snapshot") emitter.routing.apply(record.body);
    else emitter.follow(record.body, record.term);
    applyOutlets((target) => emitter.outletAt(target), record);
    this.#own = record.body.own ?? this.#own;
    this.#counts = record.body.counts ?? this.#counts;
  }
}

function applyOutlets(outletAt: (target: Target) => Outlet, { body, term }: CommitRecord): void {
  for (const [target, seq, its] of body.sent ?? []) Object.assign(outletAt(target), { seq, term: its });
  for (const [target, seq] of body.out ?? []) Object.assign(outletAt(target), { seq, term });
  for (const [target, settled, settledAt] of body.settled ?? []) Object.assign(outletAt(target).delivery, { settled, settledAt });
}
