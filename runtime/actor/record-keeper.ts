// The records that an actor keeps: when a snapshot is due, and up to where log, journal and chunks may be purged: from the
// front, after the snapshot record was accepted†, never past its number, never past a frame that is not settled† (P23).
import type { BrokerStream } from "../broker/broker.ts";
import type { Clock } from "../event/clock.ts";
import type { Entry, Journal } from "../journal/journal.ts";
import type { Outlet } from "./outlet.ts";
import { snapshotEvery, type Snapshots } from "./snapshot.ts";

interface Kept {
  readonly n: number;
  readonly seq: number;
  readonly bytes: number;
  readonly out: readonly (readonly [outlet: Outlet, seq: number])[];
}

export class RecordKeeper {
  readonly #log: BrokerStream;
  readonly #journal: Journal;
  readonly #clock: Clock;
  readonly #retainMs: number;
  readonly #kept: Kept[] = [];
  #records = 0;
  #bytes = 0;
  #foldedTo = 0;
  #cancel: () => void = () => {};

  constructor(log: BrokerStream, journal: Journal, clock: Clock, retainMs: number) {
    this.#log = log;
    this.#journal = journal;
    this.#clock = clock;
    this.#retainMs = retainMs;
  }

  get length(): number {
    return this.#kept.length;
  }

  add(record: Kept): void {
    this.#kept.push(record);
    this.#records++;
    this.#bytes += record.bytes;
  }

  get snapshotDue(): boolean {
    return this.#records >= snapshotEvery.records || this.#bytes >= snapshotEvery.bytes;
  }

  /** State is folded up to number `n`. */
  folded(n: number): void {
    this.#foldedTo = n;
    this.postpone();
  }

  /** Counts anew until the next snapshot is due. */
  postpone(): void {
    this.#records = this.#bytes = 0;
  }

  /** The snapshot record was accepted. */
  snapshotTaken(record: Entry, snapshots: Snapshots): void {
    const to = this.#foldedTo, purge = () => void this.#purge(to, record, snapshots.firstChunk, snapshots);
    if (this.#retainMs === 0) purge();
    else {
      this.#cancel();
      this.#cancel = this.#clock.after(this.#retainMs, purge);
    }
  }

  close(): void {
    this.#cancel();
  }

  async #purge(to: number, record: Entry, firstChunk: number | undefined, snapshots: Snapshots): Promise<void> {
    let count = 0;
    for (const { n, out } of this.#kept) {
      if (n > to || out.some(([{ delivery }, seq]) => seq > delivery.settled)) break;
      count++;
    }
    const first = this.#kept[count];
    if (count === 0 || first === undefined) return;
    try {
      // After a loss the numbers belong to others: only while the snapshot record is where it was.
      const there = await this.#log.get(record.seq);
      if (there === undefined || Buffer.compare(there.data, record.bytes) !== 0) return;
      this.#kept.splice(0, count);
      await this.#journal.trim(first.n);
      await this.#log.purge(first.seq);
      if (firstChunk !== undefined) await snapshots.purge(firstChunk);
    } catch {
      // Not reachable now: what is not purged takes room and does no harm; the next snapshot purges it.
    }
  }
}
