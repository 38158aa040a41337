// The records that an actor keeps: when a snapshot is due, and up to where log, journal and chunks may be purged: from the
// front, after the snapshot record was accepted†, never past its number, never past a frame that is not settled† (P23): settled as
// a record says, since what only memory knows the next owner cannot look for (P30).
import type { BrokerStream } from "../broker/broker.ts";
import type { Clock } from "../event/clock.ts";
import type { Entry, Journal } from "../journal/journal.ts";
import type { Body } from "../journal/record.ts";
import { type Outlet, outletId } from "./outlet.ts";
import { type Chunk, snapshotEvery, type Snapshots } from "./snapshot.ts";

interface Accepted {
  readonly n: number;
  readonly seq: number;
  readonly bytes: number;
  readonly out: readonly (readonly [outlet: Outlet, seq: number])[];
  /** What it says to be settled. */
  readonly settled: NonNullable<Body["settled"]>;
}

/** Pairs of numbers that both only rise, oldest first. Numbers alone: objects that live for a second are what the collector copies. */
class Pairs {
  readonly n: number[] = [];
  readonly seq: number[] = [];

  add(n: number, seq: number): void {
    this.n.push(n);
    this.seq.push(seq);
  }

  /** Drops those before number `n`. */
  dropBefore(n: number): void {
    const count = countBelow(this.n, n);
    this.n.splice(0, count);
    this.seq.splice(0, count);
  }
}

/** How many of numbers that rise are less than one. */
function countBelow(rising: readonly number[], than: number): number {
  let low = 0, high = rising.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((rising[middle] as number) < than) low = middle + 1;
    else high = middle;
  }
  return low;
}

export class RecordKeeper {
  readonly #log: BrokerStream;
  readonly #journal: Journal;
  readonly #clock: Clock;
  readonly #retainMs: number;
  /** Numbers of the records that are kept, and where they are in the log. */
  readonly #kept = new Pairs();
  /** By outlet: numbers of the kept records that send through it, and of their frames. */
  readonly #sent = new Map<Outlet, Pairs>();
  readonly #settled = new Map<string, number>();
  #records = 0;
  #bytes = 0;
  /** A snapshot is due at once: the newest one cannot be loaded. */
  #demanded = false;
  #foldedTo = 0;
  /** What ends the purges that wait for their time. */
  readonly #waiting = new Set<() => void>();

  constructor(log: BrokerStream, journal: Journal, clock: Clock, retainMs: number) {
    this.#log = log;
    this.#journal = journal;
    this.#clock = clock;
    this.#retainMs = retainMs;
  }

  get length(): number {
    return this.#kept.n.length;
  }

  add({ n, seq, bytes, out, settled }: Accepted): void {
    this.#kept.add(n, seq);
    for (const [outlet, frame] of out) {
      let sent = this.#sent.get(outlet);
      if (sent === undefined) this.#sent.set(outlet, sent = new Pairs());
      sent.add(n, frame);
    }
    for (const [target, to] of settled) {
      const id = outletId(target);
      if (to > (this.#settled.get(id) ?? 0)) this.#settled.set(id, to);
    }
    this.#records++;
    this.#bytes += bytes;
  }

  /** Less is settled than records before said: a repair sends again what is retained (P31). */
  unsettle(to: NonNullable<Body["settled"]>): void {
    for (const [target, seq] of to) this.#settled.set(outletId(target), seq);
  }

  get snapshotDue(): boolean {
    return this.#demanded || this.#records >= snapshotEvery.records || this.#bytes >= snapshotEvery.bytes;
  }

  /** A snapshot is due at once: the newest one cannot be loaded any more (P30). */
  demand(): void {
    this.#demanded = true;
  }

  /** State is folded up to number `n`. */
  folded(n: number): void {
    this.#foldedTo = n;
    this.postpone();
  }

  /** Counts anew until the next snapshot is due. */
  postpone(): void {
    this.#records = this.#bytes = 0;
    this.#demanded = false;
  }

  /** The snapshot record was accepted. */
  snapshotTaken(record: Entry, snapshots: Snapshots): void {
    // Of this snapshot: by the time of the purge the next one may be on its way, with chunks that no record names yet.
    // And of what is settled by now: what settles while it waits was not stored for long enough (P32).
    const to = this.#foldedTo, { chunks } = snapshots, settled = new Map(this.#settled), purge = () => void this.#purge(to, record, chunks, snapshots, settled);
    if (this.#retainMs === 0) return purge();
    // Each in its own time: snapshots may come more often than what they replace may go (P32).
    const cancel = this.#clock.after(this.#retainMs, () => { this.#waiting.delete(cancel); purge(); });
    this.#waiting.add(cancel);
  }

  close(): void {
    for (const cancel of this.#waiting) cancel();
  }

  async #purge(to: number, record: Entry, chunks: readonly Chunk[], snapshots: Snapshots, settled: ReadonlyMap<string, number>): Promise<void> {
    // The first that stays: after the snapshot, or with a frame that is not settled.
    let first = to + 1;
    for (const [{ id, delivery }, sent] of this.#sent) if (!delivery.retired) first = Math.min(first, sent.n[countBelow(sent.seq, (settled.get(id) ?? 0) + 1)] ?? Infinity);
    const count = countBelow(this.#kept.n, first), from = this.#kept.n[count], at = this.#kept.seq[count];
    if (count === 0 || from === undefined || at === undefined) return;
    try {
      // After a loss the numbers belong to others: only while the snapshot record is where it was.
      const there = await this.#log.get(record.seq);
      if (there === undefined || Buffer.compare(there.data, record.bytes) !== 0) return;
      if (!(await snapshots.hasChunks(chunks))) {
        this.#demanded = true;
        return;
      }
      this.#kept.dropBefore(from);
      for (const [outlet, sent] of this.#sent) {
        sent.dropBefore(from);
        if (sent.n.length === 0) this.#sent.delete(outlet);
      }
      await this.#journal.trim(from);
      await this.#log.purge(at);
      if (chunks[0] !== undefined) await snapshots.purge(chunks[0][0]);
    } catch {
      // Not reachable now: what is not purged takes room and does no harm; the next snapshot purges it.
    }
  }
}
