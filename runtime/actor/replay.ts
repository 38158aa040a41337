// Replay: puts an actor's memory together again from what recovery gives, records applied in order. Performs no effect and
// runs no handler (I7); frames that are not known to be stored go back into their deliveries.
import { type Recovered, wentBack } from "../journal/recovery.ts";
import type { Body, CommitRecord, Target } from "../journal/record.ts";
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

export async function replay(actor: Actor, recovered: Recovered, keeper: RecordKeeper): Promise<Replayed> {
  const { memory, behaviour, emitter } = actor, { journal, folded, term } = recovered;
  const outletAt = (target: Target): Outlet => emitter.outletAt(target), frames: (readonly [outlet: Outlet, seq: number, frame: Uint8Array])[] = [];
  let own: Replayed["own"] = { watermark: null, ended: false, caught: false };
  let counts: Replayed["counts"] = { in: 0, out: 0, late: 0, deadLetters: 0 };
  let chunks: Replayed["chunks"] = [];
  const apply = (record: CommitRecord): void => {
    behaviour.apply(record);
    memory.apply(record.body);
    // A snapshot says each outlet's term itself.
    if (record.kind === "snapshot") emitter.routing.apply(record.body);
    else emitter.follow(record.body, record.term);
    applyOutlets(outletAt, record);
    own = record.body.own ?? own;
    counts = record.body.counts ?? counts;
  };
  if (folded !== undefined) {
    await memory.load(journal.store);
    apply({ kind: "snapshot", n: folded.n, term, previous: 0, code: "", body: folded.body });
  }
  for await (const { record, seq, size } of recovered.records()) {
    if (record.n > (folded?.n ?? 0) && record.kind !== "snapshot") apply(record);
    if (record.kind === "snapshot") chunks = record.body.snapshot?.chunks ?? [];
    const out: (readonly [Outlet, number])[] = [];
    for (const [target, number, frame] of record.body.out ?? []) {
      const outlet = outletAt(target);
      // Of a generation that was over, and all of it settled, as of the snapshot: that one does not know it any more.
      if (number > outlet.seq) continue;
      frames.push([outlet, number, frame]);
      out.push([outlet, number]);
    }
    // What a claim says of it is of a repair.
    if (record.kind === "claim") keeper.unsettle(record.body.settled ?? []);
    keeper.add({ n: record.n, seq, bytes: size, out, settled: record.body.settled ?? [] });
  }
  // Only now, as of the newest record: a repair makes less settled than it was before (P31).
  for (const [{ delivery }, number, frame] of frames) delivery.add(number, frame);
  for (const { id, isWhole, delivery } of emitter.all) if (!isWhole) throw wentBack(actor.address, `frame ${delivery.settled + 1} that ${actor.address} sent to ${id} is in no record, and none says that it was stored`);
  const { in: _taken, ...given } = counts;
  emitter.counts = { settled: 0, ...given };
  emitter.replayed();
  memory.replayed();
  return { own, counts, chunks };
}

function applyOutlets(outletAt: (target: Target) => Outlet, { body, term }: CommitRecord): void {
  for (const [target, seq, its] of body.sent ?? []) Object.assign(outletAt(target), { seq, term: its });
  for (const [target, seq] of body.out ?? []) Object.assign(outletAt(target), { seq, term });
  for (const [target, settled, settledAt] of body.settled ?? []) Object.assign(outletAt(target).delivery, { settled, settledAt });
}
