// Snapshots: from time to time what changed is folded into the store and, as a base or a delta, into chunks beside the log; a
// record names them, and what they replace is purged (P22, P23). Runs beside the actor, in steps.
import { crc32 } from "node:zlib";
import type { BrokerStream } from "../broker/broker.ts";
import { encode } from "../event/codec.ts";
import { MillraceError } from "../event/errors.ts";
import type { Journal } from "../journal/journal.ts";
import { rangeOf } from "../journal/keys.ts";
import type { Body, Section } from "../journal/record.ts";
import type { StoreOperation } from "../journal/store.ts";
import { type Changes, type FoldedEntry, seal } from "./change.ts";
import type { Sections } from "./section.ts";

/** A snapshot is due after so many records, or bytes of them, or entries that changed: these are kept until they are folded. */
export const snapshotEvery = { records: 4_096, bytes: 16 * 1024 * 1024, entries: 32_768 };
/** State up to so many bytes stands in the snapshot record itself. */
export const snapshotSize = { inlineBytes: 256 * 1024, chunkBytes: 512 * 1024 };
/** Kinds of entries that state is folded into. */
export const foldedLetters: readonly string[] = ["s", "t", "w", "o", "i"];
/** Entries folded in one batch, which holds up the event loop; and by an actor that takes nothing more, for which others wait. */
const step = { working: 128, sealing: 1_024 } as const;
/** Sections of a seal that are written in one pass over all entries. */
const sealedTogether = 32;

export type Chunk = readonly [seq: number, crc: number, entries: number];

/** What a snapshot is of, caught when the turn with number `n` was closed. */
export interface Captured {
  readonly n: number;
  readonly body: Body;
  readonly entries: ReturnType<Changes["capture"]>;
}

export class Snapshots {
  readonly #journal: Journal;
  readonly #stream: BrokerStream;
  readonly #create: () => Promise<void>;
  readonly #limit: number;
  #chunks: readonly Chunk[] = [];
  #baseBytes = 0;
  #deltaBytes = 0;
  // Sizes of all chunks named; unknown after a recovery, so the next one is a base.
  #known = false;

  /** @param limit bytes of the largest message */
  constructor(journal: Journal, stream: BrokerStream, create: () => Promise<void>, limit: number) {
    this.#journal = journal;
    this.#stream = stream;
    this.#create = create;
    this.#limit = limit;
  }

  /** Folds and writes chunks; gives the body of the snapshot record. Rejects where the store or the broker fails. */
  async write(captured: Captured): Promise<Body> {
    const known = this.#known;
    // Until this one is done nothing is known†: what a failed delta held is in no other, so the next snapshot is a base.
    this.#known = false;
    return this.#write(captured, known);
  }

  async #write(captured: Captured, known: boolean): Promise<Body> {
    const { n, body } = captured, entries = await this.#fold(captured);
    if (known && this.#chunks.length > 0 && this.#deltaBytes <= this.#baseBytes / 2) {
      this.#chunks = [...this.#chunks, ...(await this.#append(entries, (bytes) => { this.#deltaBytes += bytes; }))];
      this.#known = true;
      return { ...body, snapshot: { n, chunks: [...this.#chunks] } };
    }
    const { small, all } = await this.#read();
    if (small !== undefined) {
      this.#chunks = [];
      return { ...body, snapshot: { n, entries: small, chunks: [] } };
    }
    this.#baseBytes = this.#deltaBytes = 0;
    this.#chunks = await this.#append(all, (bytes) => { this.#baseBytes += bytes; });
    this.#known = true;
    return { ...body, snapshot: { n, chunks: [...this.#chunks] } };
  }

  /** As `write`, of all that there is: in sections, one for each actor of the generation that follows (PROTOCOL 11). */
  async seal(captured: Captured, generation: string, sections: Sections): Promise<Body> {
    const { body } = captured;
    this.#known = false;
    await this.#fold(captured, step.sealing);
    const { small, all } = await this.#read();
    if (small !== undefined) {
      const entries = Array.from({ length: sections.count }, (): FoldedEntry[] => []);
      for (const entry of small) {
        const q = sections.of(entry[0], entry[1] as Uint8Array);
        if (q === undefined) { for (const its of entries) its.push(entry); continue; }
        sections.tell(q);
        entries[q]?.push(entry);
      }
      return { ...body, seal: { generation, sections: entries.map((its) => ({ entries: its, chunks: [] })) } };
    }
    const made: Section[] = [];
    while (made.length < sections.count) made.push(...(await this.#sectionsFrom(made.length, Math.min(sections.count - made.length, sealedTogether), sections, made.length === 0 ? all : this.#all())));
    return { ...body, seal: { generation, sections: made } };
  }

  /** So many of them in one pass: of each a chunk is in memory. */
  async #sectionsFrom(first: number, count: number, sections: Sections, all: AsyncIterable<FoldedEntry>): Promise<Section[]> {
    const writers = Array.from({ length: count }, () => this.#writer());
    for await (const entry of all) {
      const its = sections.of(entry[0], entry[1] as Uint8Array);
      if (its === undefined) {
        for (const writer of writers) await writer.add(entry);
        continue;
      }
      const writer = writers[its - first];
      if (writer === undefined) continue;
      sections.tell(its);
      const isFull = writer.add(entry);
      if (isFull !== undefined) await isFull;
    }
    await Promise.all(writers.map((writer) => writer.flush()));
    return writers.map(({ chunks }) => ({ chunks }));
  }

  /** Chunks that the newest snapshot names. */
  get chunks(): readonly Chunk[] {
    return this.#chunks;
  }

  /**
   * P30: whether the chunks that a snapshot names are there, before anything is trimmed for it. They were appended in order, so
   * the last one tells. If not, the next snapshot is a base. Rejects where the broker cannot be asked.
   */
  async hasChunks(chunks: readonly Chunk[]): Promise<boolean> {
    const last = chunks[chunks.length - 1];
    if (last === undefined) return true;
    const there = await this.#stream.get(last[0]);
    if (there !== undefined && crc32(there.data) === last[1]) return true;
    this.#known = false;
    return false;
  }

  /** Removes chunks before the first one that is named. */
  purge(before: number): Promise<void> {
    return this.#stream.purge(before);
  }

  async #fold({ n, body, entries }: Captured, most: number = step.working): Promise<FoldedEntry[]> {
    const folded: FoldedEntry[] = [];
    for (let i = 0; i < entries.length; i += most) {
      const operations: StoreOperation[] = [];
      for (const [keyOf, value] of entries.slice(i, i + most)) {
        const key = keyOf(), sealed = value === undefined ? null : seal(value);
        operations.push(sealed === null ? { type: "del", key } : { type: "put", key, value: sealed });
        folded.push([key, sealed]);
      }
      await this.#journal.store.write(operations);
    }
    await this.#journal.store.write([this.#journal.foldedMark(n, { ...body, snapshot: { n, chunks: [] } })]);
    return folded;
  }

  // The folded space as of n: nothing folds into it before this snapshot is done.
  async *#all(): AsyncGenerator<FoldedEntry> {
    for (const letter of foldedLetters) for await (const [key, value] of this.#journal.store.range(...rangeOf(letter))) yield [key, value];
  }

  /** All of it, where that may stand in the record itself; else what gives all of it. */
  async #read(): Promise<{ readonly small: FoldedEntry[]; readonly all?: undefined } | { readonly small?: undefined; readonly all: AsyncIterable<FoldedEntry> }> {
    const rest = this.#all(), begun: FoldedEntry[] = [];
    for (let bytes = 0; bytes <= snapshotSize.inlineBytes; ) {
      const { done, value } = await rest.next();
      if (done === true) return { small: begun };
      bytes += value[0].length + (value[1]?.length ?? 0) + 8;
      begun.push(value);
    }
    return { all: (async function* () { yield* begun; yield* rest; })() };
  }

  async #append(entries: AsyncIterable<FoldedEntry> | Iterable<FoldedEntry>, wrote: (bytes: number) => void): Promise<readonly Chunk[]> {
    const writer = this.#writer();
    for await (const entry of entries) {
      const isFull = writer.add(entry);
      if (isFull !== undefined) await isFull;
    }
    await writer.flush();
    wrote(writer.bytes);
    return writer.chunks;
  }

  #writer(): ChunkWriter {
    return new ChunkWriter((bytes) => this.#store(bytes), this.#limit);
  }

  async #store(bytes: Uint8Array): Promise<number> {
    let outcome = await this.#stream.append(bytes);
    if (outcome === "missing") {
      await this.#create();
      outcome = await this.#stream.append(bytes);
    }
    if (typeof outcome === "number") return outcome;
    throw new MillraceError("UNREACHABLE", this.#stream.subject, `A chunk of a snapshot was not stored (${outcome})`, "It is tried again with the next snapshot.");
  }
}

/** Puts entries into chunks, in their order. */
class ChunkWriter {
  readonly chunks: Chunk[] = [];
  bytes = 0;
  readonly #store: (bytes: Uint8Array) => Promise<number>;
  readonly #limit: number;
  #open: FoldedEntry[] = [];
  #size = 0;

  constructor(store: (bytes: Uint8Array) => Promise<number>, limit: number) {
    this.#store = store;
    this.#limit = limit;
  }

  /** Resolves when there is room for the next one; `undefined`: there is. */
  add(entry: FoldedEntry): Promise<void> | undefined {
    this.#open.push(entry);
    this.#size += entry[0].length + (entry[1]?.length ?? 0) + 8;
    return this.#size >= Math.min(snapshotSize.chunkBytes, this.#limit / 2) ? this.flush() : undefined;
  }

  async flush(): Promise<void> {
    const open = this.#open;
    if (open.length === 0) return;
    const bytes = encode(open);
    this.#open = [];
    this.#size = 0;
    // What no message can hold goes over several chunks: those before the last one count no entries.
    for (let at = 0; at < bytes.length; at += this.#limit) {
      const piece = bytes.subarray(at, at + this.#limit), isLast = at + this.#limit >= bytes.length;
      this.chunks.push([await this.#store(piece), crc32(piece), isLast ? open.length : 0]);
    }
    this.bytes += bytes.length;
  }
}
