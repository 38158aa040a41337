// Carries records into the log and the journal, in order, and then lets their frames out (I2): P1, P7, P8, P21 to P23.
//
// C1. One record is under way to the log at a time; at most `journalAhead` are accepted and not yet in the journal.
// C2. `written` is called for each record, in order, once its journal batch is written and its frames are handed to their deliveries.
// C3. After `stop` nothing is called.
import { MillraceError } from "../event/errors.ts";
import type { Term } from "../event/term.ts";
import type { FencedLog } from "../journal/fenced-log.ts";
import type { Entry, Journal } from "../journal/journal.ts";
import { fenced, wentBack } from "../journal/verdict.ts";
import { type Body, messagesOf, type RecordKind, type RecordMessage } from "../journal/record.ts";
import type { ClosedFrame } from "./emitter.ts";
import type { Position } from "./inbound.ts";
import type { Outlet } from "./outlet.ts";
import type { RecordKeeper } from "./record-keeper.ts";
import type { Sections } from "./section.ts";
import { type Captured, snapshotEvery, type Snapshots } from "./snapshot.ts";

const journalAhead = 4;

/** A record on its way. */
export interface Closed {
  readonly kind: RecordKind;
  /** Its number; of a record in parts that of the first. */
  readonly n: number;
  readonly messages: readonly RecordMessage[];
  readonly frames: readonly ClosedFrame[];
  /** What a snapshot as of it is made of, where one is due. */
  readonly captured: Captured | undefined;
  /** How far the mailbox is read as of it. */
  readonly position: Position | undefined;
  /** What it says to be settled. */
  readonly settled: NonNullable<Body["settled"]>;
}

export interface CommitterOptions {
  readonly where: string;
  readonly code: string;
  readonly term: Term;
  /** Number of the claim. */
  readonly n: number;
  readonly log: FencedLog;
  readonly journal: Journal;
  readonly keeper: RecordKeeper;
  readonly snapshots: Snapshots;
  readonly maxPayload: number;
  /** A record was accepted: the log is free. */
  readonly accepted: () => void;
  readonly written: (closed: Closed) => void;
  /** It cannot go on: fenced, a loss, a store that fails. */
  readonly failed: (error: unknown) => void;
}

export class Committer {
  readonly log: FencedLog;
  readonly journal: Journal;
  readonly keeper: RecordKeeper;
  readonly #options: CommitterOptions;
  #n: number;
  #writtenTo: number;
  #appending = false;
  #journaling = 0;
  #snapshotting = false;
  #snapshotBody: Body | undefined;
  #closed = false;
  #first: { readonly done: () => void; readonly fail: (error: unknown) => void } | undefined;
  #waiters: { readonly n: number; readonly then: () => void }[] = [];

  constructor(options: CommitterOptions) {
    this.log = options.log;
    this.journal = options.journal;
    this.keeper = options.keeper;
    this.#options = options;
    this.#n = this.#writtenTo = options.n;
  }

  /** Number of the next record. */
  get next(): number {
    return this.#n + 1;
  }

  get term(): Term {
    return this.#options.term;
  }

  /** Whether a record may be appended now. */
  get free(): boolean {
    return !this.#appending && this.#journaling < journalAhead;
  }

  /** Whether nothing is under way. */
  get idle(): boolean {
    return !this.#appending && this.#journaling === 0 && !this.#snapshotting;
  }

  /** Whether the turn that is being closed is to be caught for a snapshot; so many entries are not folded yet. */
  isSnapshotDue(unfolded: number): boolean {
    return !this.#snapshotting && (this.keeper.snapshotDue || unfolded >= snapshotEvery.entries);
  }

  /** A snapshot record waits for the log to be free; says whether it took it. */
  appendSnapshot(): boolean {
    const body = this.#snapshotBody;
    if (body === undefined) return false;
    this.#snapshotBody = undefined;
    this.append("snapshot", body, [], undefined, undefined);
    return true;
  }

  append(kind: RecordKind, body: Body, frames: readonly ClosedFrame[], captured: Captured | undefined, position: Position | undefined): void {
    const { term, code, maxPayload } = this.#options, n = this.#n + 1;
    const messages = messagesOf({ kind, n, term, code, body }, this.log.at, maxPayload - 1024);
    this.#n += messages.length;
    this.#appending = true;
    if (captured !== undefined) this.#snapshotting = true;
    // A snapshot is of the whole record: of the number of its last part.
    const of = captured === undefined ? undefined : { ...captured, n: this.#n };
    this.#commit({ kind, n, messages, frames, captured: of, position, settled: body.settled ?? [] }).catch((error: unknown) => (this.#first?.fail ?? this.#options.failed)(error));
  }

  async #commit(closed: Closed): Promise<void> {
    const { where } = this.#options, entries: Entry[] = [];
    for (const { n, bytes } of closed.messages) {
      const message = bytes(this.log.at), outcome = await this.log.append(message);
      if (this.#closed) return;
      if (outcome === "fenced") throw fenced(where);
      if (outcome === "lost") throw wentBack(where, `the log of ${where} does not hold the record that was accepted last`);
      entries.push({ n, seq: this.log.at, bytes: message });
    }
    this.#appending = false;
    this.#journaling++;
    const written = this.journal.write(entries);
    this.#options.accepted();
    await written;
    if (this.#closed) return;
    this.#journaling--;
    this.#written(closed, entries);
  }

  #written(closed: Closed, entries: readonly Entry[]): void {
    const out: (readonly [Outlet, number])[] = [], first = entries[0] as Entry;
    for (const { outlet, seq, bytes } of closed.frames) {
      outlet.delivery.add(seq, bytes);
      out.push([outlet, seq]);
    }
    for (const [outlet] of out) outlet.delivery.send();
    this.keeper.add({ n: closed.n, seq: first.seq, bytes: entries.reduce((sum, entry) => sum + entry.bytes.length, 0), out, settled: closed.settled });
    if (closed.kind === "snapshot") {
      this.#snapshotting = false;
      this.keeper.snapshotTaken(first, this.#options.snapshots);
    } else if (closed.captured !== undefined) this.#snapshot(closed.captured).catch(this.#options.failed);
    this.#writtenTo = (entries[entries.length - 1] as Entry).n;
    const ready = this.#waiters.filter(({ n }) => n <= this.#writtenTo);
    if (ready.length > 0) this.#waiters = this.#waiters.filter(({ n }) => n > this.#writtenTo);
    for (const { then } of ready) then();
    const begun = this.#first;
    this.#first = undefined;
    if (begun === undefined) this.#options.written(closed);
    else begun.done();
  }

  async #snapshot(captured: Captured): Promise<void> {
    try {
      const body = await this.#options.snapshots.write(captured);
      if (this.#closed) return;
      this.keeper.folded(captured.n);
      this.#snapshotBody = body;
      this.#options.accepted();
    } catch (error) {
      if (this.#closed) return;
      if (!(error instanceof MillraceError) || error.code !== "UNREACHABLE") throw error;
      // The broker did not take a chunk: the next snapshot, a base, is tried after as many records again.
      this.#snapshotting = false;
      this.keeper.postpone();
      // An actor that has ended waits for it.
      this.#options.accepted();
    }
  }

  /** The first record of an actor that goes on with the state of others; resolves once it is accepted and in the journal†. */
  begin(body: Body): Promise<void> {
    return new Promise((done, fail) => {
      this.#first = { done, fail };
      this.append("snapshot", body, [], undefined, undefined);
    });
  }

  /** The last record of an actor whose generation is over: what it is made of was caught, and nothing is under way. */
  async seal(captured: Captured, generation: string, sections: Sections): Promise<void> {
    const body = await this.#options.snapshots.seal(captured, generation, sections);
    // A stop may have come in between: the next owner seals.
    if (!this.#closed && this.idle && captured.n === this.#n) this.append("seal", body, [], undefined, undefined);
  }

  /** Calls once the record with that number is in the journal, or the actor is over. */
  whenWritten(n: number, then: () => void): void {
    if (n <= this.#writtenTo || this.#closed) then();
    else this.#waiters.push({ n, then });
  }

  /** Takes and tells nothing more. */
  stop(): void {
    this.#closed = true;
    this.keeper.close();
    for (const { then } of this.#waiters.splice(0)) then();
  }

  /** Closes the journal; a damaged one is marked as such. */
  async close(damaged: boolean): Promise<void> {
    // A store that fails keeps no mark; then its failure is what it ends with.
    if (damaged) await this.journal.markBroken().catch(() => {});
    await this.journal.store.close();
  }
}
