// Snapshots: from time to time what changed is folded into the store and, as a base or a delta, into chunks beside the log; a
// record names them, and what they replace is purged (P22, P23). Runs beside the actor, in steps.
import { crc32 } from "node:zlib";
import type { BrokerStream } from "../broker/broker.ts";
import { encode } from "../event/codec.ts";
import { MillraceError } from "../event/errors.ts";
import type { Journal } from "../journal/journal.ts";
import { keyName, rangeOf } from "../journal/keys.ts";
import type { Body, Section } from "../journal/record.ts";
import { putEntries } from "../journal/recovery.ts";
import { type Changes, type FoldedEntry, seal } from "./change.ts";
import type { Sections } from "./section.ts";

/** A snapshot is due after so many records, or bytes of them, or entries that changed: these are kept until they are folded. */
export const snapshotEvery = { records: 4_096, bytes: 16 * 1024 * 1024, entries: 32_768 };
/** State up to so many bytes stands in the snapshot record itself. */
export const snapshotSize = { inlineBytes: 256 * 1024, chunkBytes: 512 * 1024 };
/** Kinds of entries that state is folded into. */
export const foldedLetters: readonly string[] = ["s", "t", "w", "o", "i"];
/** Entries at once, which holds up the event loop: of those that an actor at work folds, and of those that are only read, or go on from memory. */
const step = { folding: 128, reading: 1_024 } as const;
/** Sections of a seal that are written in one pass over all entries. */
const sealedTogether = 32;

export type Chunk = readonly [seq: number, crc: number, entries: number];
type Batch = readonly FoldedEntry[];

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
  readonly #soon: (call: () => void) => void;
  #chunks: readonly Chunk[] = [];
  #baseBytes = 0;
  #deltaBytes = 0;
  // Sizes of all chunks named; unknown after a recovery, so the next one is a base.
  #known = false;

  /** @param limit bytes of the largest message; `soon`: calls in a later round of the event loop */
  constructor(journal: Journal, stream: BrokerStream, create: () => Promise<void>, limit: number, soon: (call: () => void) => void) {
    this.#journal = journal;
    this.#stream = stream;
    this.#create = create;
    this.#limit = limit;
    this.#soon = soon;
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
    if (!known || this.#chunks.length === 0 || this.#deltaBytes > this.#baseBytes / 2) return { ...body, snapshot: { n, ...(await this.#base(this.#all())) } };
    this.#chunks = [...this.#chunks, ...(await this.#append([entries], (bytes) => { this.#deltaBytes += bytes; }))];
    this.#known = true;
    return { ...body, snapshot: { n, chunks: [...this.#chunks] } };
  }

  /** The first one of an actor that goes on from others, written while that is folded: `folding` gives what it has folded, `body` the fields once that is all. */
  async begin(n: number, folding: AsyncIterable<Batch>, body: () => Body): Promise<Body> {
    const base = await this.#base(folding), its = body();
    await this.#mark(n, its);
    return { ...its, snapshot: { n, ...base } };
  }

  /**
   * As `write`, of all that there is: in sections, one for each actor of the generation that follows (PROTOCOL 11). Nobody goes on with this
   * journal: what changed last is not folded, it goes from memory into the sections.
   */
  async seal(captured: Captured, generation: string, sections: Sections): Promise<Body> {
    const { body } = captured, { small, all } = await read(this.#allWith(captured));
    this.#known = false;
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
    while (made.length < sections.count) made.push(...(await this.#sectionsFrom(made.length, Math.min(sections.count - made.length, sealedTogether), sections, made.length === 0 ? all : this.#allWith(captured))));
    return { ...body, seal: { generation, sections: made } };
  }

  /** So many of them in one pass: of each a chunk is in memory. */
  async #sectionsFrom(first: number, count: number, sections: Sections, all: AsyncIterable<Batch>): Promise<Section[]> {
    const writers = Array.from({ length: count }, () => this.#writer());
    for await (const batch of all) {
      for (const entry of batch) {
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

  async #fold({ n, body, entries }: Captured): Promise<FoldedEntry[]> {
    const folded: FoldedEntry[] = [];
    for (let i = 0; i < entries.length; i += step.folding) {
      const batch = entries.slice(i, i + step.folding).map(foldedOf);
      await putEntries(this.#journal.store, batch);
      for (const entry of batch) folded.push(entry);
    }
    await this.#mark(n, body);
    return folded;
  }

  #mark(n: number, body: Body): Promise<void> {
    return this.#journal.store.write([this.#journal.foldedMark(n, { ...body, snapshot: { n, chunks: [] } })]);
  }

  /** The folded space as of now, in batches: nothing folds into it before this snapshot is done. `without`: names of keys that are passed over. */
  async *#all(without?: ReadonlySet<string>): AsyncGenerator<Batch> {
    for (const letter of foldedLetters) {
      let batch: FoldedEntry[] = [];
      for await (const entry of this.#journal.store.range(...rangeOf(letter))) {
        if (without?.has(keyName(entry[0])) !== true) batch.push(entry);
        if (batch.length < step.reading) continue;
        yield batch;
        batch = [];
      }
      yield batch;
    }
  }

  /** The folded space as it would be with these folded: they come first. */
  async *#allWith({ entries }: Captured): AsyncGenerator<Batch> {
    const names = new Set<string>();
    for (let i = 0; i < entries.length; i += step.reading) {
      const batch = entries.slice(i, i + step.reading).map(foldedOf);
      for (const [key] of batch) names.add(keyName(key));
      yield batch.filter(([, value]) => value !== null);
      await new Promise<void>(this.#soon);
    }
    yield* this.#all(names);
  }

  /** All of it: in the record itself where that may stand there, else in chunks. */
  async #base(everything: AsyncIterable<Batch>): Promise<{ entries?: FoldedEntry[]; chunks: Chunk[] }> {
    const { small, all } = await read(everything);
    this.#chunks = [];
    if (small !== undefined) return { entries: small, chunks: [] };
    this.#baseBytes = this.#deltaBytes = 0;
    this.#chunks = await this.#append(all, (bytes) => { this.#baseBytes += bytes; });
    this.#known = true;
    return { chunks: [...this.#chunks] };
  }

  async #append(batches: AsyncIterable<Batch> | Iterable<Batch>, wrote: (bytes: number) => void): Promise<readonly Chunk[]> {
    const writer = this.#writer();
    for await (const batch of batches) {
      for (const entry of batch) {
        const isFull = writer.add(entry);
        if (isFull !== undefined) await isFull;
      }
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

/** All of it, where that may stand in the record itself; else what gives all of it. */
async function read(batches: AsyncIterable<Batch>): Promise<{ readonly small: FoldedEntry[]; readonly all?: undefined } | { readonly small?: undefined; readonly all: AsyncIterable<Batch> }> {
  const rest = batches[Symbol.asyncIterator](), begun: FoldedEntry[] = [];
  for (let bytes = 0; bytes <= snapshotSize.inlineBytes; ) {
    const { done, value } = await rest.next();
    if (done === true) return { small: begun };
    for (const entry of value) {
      bytes += sizeOf(entry);
      begun.push(entry);
    }
  }
  return { all: (async function* () { yield begun; yield* { [Symbol.asyncIterator]: () => rest }; })() };
}

const sizeOf = ([key, value]: FoldedEntry): number => key.length + (value?.length ?? 0) + 8;
const foldedOf = ([keyOf, value]: Captured["entries"][number]): FoldedEntry => [keyOf(), value === undefined ? null : seal(value)];

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
    this.#size += sizeOf(entry);
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
