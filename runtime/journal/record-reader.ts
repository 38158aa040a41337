// The records of a journal in order, parts put together: all that it holds, and later what has come since.
import { sameTerm, type Term } from "../event/term.ts";
import { checkBody } from "./body-form.ts";
import type { Journal } from "./journal.ts";
import { Assembler, type CommitRecord, decodeRecord } from "./record.ts";
import { wentBack } from "./verdict.ts";

/** A record, the sequence in the log of its first part, and bytes of all its parts. */
export interface ReadRecord {
  readonly record: CommitRecord;
  readonly seq: number;
  readonly size: number;
}

export class RecordReader {
  readonly #where: string;
  readonly #journal: Journal;
  readonly #assembler = new Assembler();
  /** Number of the next part. */
  #next: number | undefined;
  /** Of the record whose parts are being put together. */
  #begin = 0;
  #size = 0;
  #term: Term | undefined;

  constructor(where: string, journal: Journal) {
    this.#where = where;
    this.#journal = journal;
  }

  /**
   * Those that were not given yet.
   * @throws MillraceError JOURNAL_BROKEN; BROKER_WENT_BACK where a record is not of the owner that had claimed last (P5): it was appended after a loss by one that had been claimed over
   */
  async *rest(): AsyncGenerator<ReadRecord> {
    const from = this.#next ?? (await this.#journal.first());
    if (from === undefined) return;
    for await (const { n, seq, bytes } of this.#journal.read(from)) {
      const part = decodeRecord(bytes);
      if (this.#term !== undefined && part.kind !== "claim" && !sameTerm(part.term, this.#term)) throw wentBack(this.#where, `record ${part.n} of ${this.#where} is not of the owner that had claimed the log before it`);
      this.#next = n + 1;
      this.#term = part.term;
      if (part.kind !== "part" || part.body.part?.index === 0) { this.#begin = seq; this.#size = 0; }
      this.#size += bytes.length;
      const record = this.#assembler.take(part);
      if (record === undefined) continue;
      checkBody(this.#where, record);
      yield { record, seq: this.#begin, size: this.#size };
    }
  }
}
