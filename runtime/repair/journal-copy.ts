// What a journal holds of an actor's log that the log itself has lost, and what of it extends the log (P31). Reads only; a journal that
// is damaged gives the records that are whole.
import { crc32 } from "node:zlib";
import type { BrokerStream } from "../broker/broker.ts";
import { asError, MillraceError } from "../event/errors.ts";
import type { Term } from "../event/term.ts";
import { Journal, wholeRecords } from "../journal/journal.ts";
import { type Body, decodeRecord } from "../journal/record.ts";
import type { Store, Stores } from "../journal/store.ts";

/** The journals of one node. */
export interface NodeJournals {
  readonly node: string;
  readonly stores: Pick<Stores, "exists" | "open">;
}

/** Of one record that a journal holds, without its bytes. */
export interface Copied {
  readonly n: number;
  readonly seq: number;
  readonly crc: number;
  readonly before: number;
}

/** How far a log is there. */
export interface LogBounds {
  /** Whether there is such a stream. */
  readonly isThere: boolean;
  readonly first: number;
  readonly last: number;
}

/**
 * - `same`: the log has all that the journal has. `old`: the log begins after the journal's newest record.
 * - `ahead`: the journal's records from `from` on extend the log.
 * - `beyond`: the log ends before the oldest record that the journal keeps; the journal alone is the whole actor, `from` is its oldest record.
 * - `forked`: another owner went on with the log where the journal has other records, from `from` on.
 */
export interface Standing {
  readonly is: "same" | "old" | "ahead" | "beyond" | "forked";
  readonly from: number;
  readonly to: number;
}

/** An actor's journal on one node, held open. */
export class JournalCopy {
  readonly node: string;
  readonly store: Store;
  /** In order, without a hole, up to the newest. */
  readonly records: readonly Copied[];
  /** Term of the newest record. */
  readonly term: Term;
  /** What is folded in it; `undefined`: nothing, or it is damaged. */
  readonly folded: { readonly n: number; readonly body: Body } | undefined;
  /** Why it is not whole. */
  readonly damage: string | undefined;

  private constructor(node: string, store: Store, records: readonly Copied[], term: Term, folded: JournalCopy["folded"], damage: string | undefined) {
    this.node = node;
    this.store = store;
    this.records = records;
    this.term = term;
    this.folded = folded;
    this.damage = damage;
  }

  /** `undefined`: that node has none, or nothing in it can be read. @throws MillraceError JOURNAL_LOCKED, JOURNAL_NEWER */
  static async open({ node, stores }: NodeJournals, name: string, where: string): Promise<JournalCopy | undefined> {
    if (!(await stores.exists(name))) return undefined;
    let store: Store;
    try {
      store = await stores.open(name);
    } catch (error) {
      // LevelDB itself cannot read it: the next owner sets it aside.
      if (error instanceof MillraceError && ["JOURNAL_CORRUPT", "JOURNAL_FAILED"].includes(error.code)) return undefined;
      throw error;
    }
    try {
      const copy = await JournalCopy.#read(node, store, where);
      if (copy === undefined) await store.close();
      return copy;
    } catch (error) {
      await store.close();
      if (error instanceof MillraceError && error.code === "JOURNAL_FAILED") return undefined;
      throw error;
    }
  }

  static async #read(node: string, store: Store, where: string): Promise<JournalCopy | undefined> {
    let records: Copied[] = [], newest: Uint8Array | undefined, damage: string | undefined;
    for await (const { n, seq, crc, before, bytes } of wholeRecords(store)) {
      const last = records[records.length - 1];
      if (last !== undefined && (n !== last.n + 1 || before !== last.crc)) {
        damage ??= `record ${last.n + 1} is missing`;
        records = [];
      }
      records.push({ n, seq, crc, before });
      newest = bytes;
    }
    if (newest === undefined) return undefined;
    let folded: JournalCopy["folded"];
    try {
      const journal = new Journal(store, where);
      folded = journal.folded() as JournalCopy["folded"];
    } catch (error) {
      if (error instanceof MillraceError && error.code === "JOURNAL_NEWER") throw error;
      damage ??= asError(error).message;
    }
    return new JournalCopy(node, store, records, decodeRecord(newest).term, folded, damage);
  }

  get newest(): Copied {
    return this.records[this.records.length - 1] as Copied;
  }

  /** Whether it holds all that the actor is: its folded state and every record since, or every record. */
  get isWhole(): boolean {
    return this.damage === undefined && (this.records[0] as Copied).n <= (this.folded?.n ?? 0) + 1;
  }

  /** Bytes of its records from number `from` on. */
  async *bytes(from: number): AsyncGenerator<{ readonly n: number; readonly seq: number; readonly bytes: Uint8Array }> {
    const first = (this.records[0] as Copied).n;
    for await (const record of wholeRecords(this.store, Math.max(from, first))) yield record;
  }

  /** Compares it with the log. */
  async compare(log: BrokerStream, { isThere, first, last }: LogBounds): Promise<Standing> {
    const { newest, records } = this, oldest = records[0] as Copied, at = (seq: number): Copied | undefined => records[seq - oldest.seq]?.seq === seq ? records[seq - oldest.seq] : records.find((record) => record.seq === seq);
    const ahead = (from: number): Standing => ({ is: "ahead", from, to: newest.n }), beyond: Standing = { is: "beyond", from: oldest.n, to: newest.n };
    if (!isThere || last === 0) return oldest.seq === 1 ? ahead(oldest.n) : beyond;
    if (first > newest.seq) return { is: "old", from: newest.n, to: newest.n };
    if (first > last) return at(last + 1) === undefined ? beyond : ahead((at(last + 1) as Copied).n);
    const end = Math.min(last, newest.seq), there = await log.get(end), crc = there === undefined ? undefined : crc32(there.data);
    if (end < oldest.seq - 1) return beyond;
    if (crc !== undefined && crc === (at(end)?.crc ?? oldest.before)) return end === newest.seq ? { is: "same", from: newest.n, to: newest.n } : ahead((at(end + 1) as Copied).n);
    return { is: "forked", from: await this.#fork(log, Math.max(first, oldest.seq), end, at), to: newest.n };
  }

  /** Number of the first record that the log has not. */
  async #fork(log: BrokerStream, from: number, to: number, at: (seq: number) => Copied | undefined): Promise<number> {
    for (let seq = to; seq >= from; seq--) {
      const there = await log.get(seq), copied = at(seq);
      if (there !== undefined && copied !== undefined && crc32(there.data) === copied.crc) return copied.n + 1;
    }
    return at(from)?.n ?? (this.records[0] as Copied).n;
  }

  close(): Promise<void> {
    return this.store.close();
  }
}

/** A journal of an actor, and how it stands to the actor's log. */
export interface Compared {
  readonly copy: JournalCopy;
  readonly standing: Standing;
}

/** Those of an actor, newest first, each open. @throws as `JournalCopy.open` */
export async function compared(journals: readonly NodeJournals[], name: string, where: string, log: BrokerStream, bounds: LogBounds): Promise<readonly Compared[]> {
  const copies: JournalCopy[] = [];
  try {
    for (const its of journals) {
      const copy = await JournalCopy.open(its, name, where);
      if (copy !== undefined) copies.push(copy);
    }
    copies.sort((a, b) => b.term[0] - a.term[0] || b.newest.n - a.newest.n);
    return await Promise.all(copies.map(async (copy) => ({ copy, standing: await copy.compare(log, bounds) })));
  } catch (error) {
    for (const copy of copies) await copy.close();
    throw error;
  }
}

/** Whether it holds records that the log can be given back. */
export function restores({ copy, standing }: Compared): boolean {
  return standing.is === "ahead" || (standing.is === "beyond" && copy.isWhole);
}

/** P31: of all the one with the highest term and number that extends the log, or is a part of it; else the newest. */
export function extending(journals: readonly Compared[]): Compared | undefined {
  return journals.find((its) => its.standing.is === "same" || restores(its)) ?? journals[0];
}
