// Starting, restarting, moving: the one path (P24). Compares the journal with the log, claims the log, makes the journal
// equal to it, and gives the records that state is made of. Runs no handler (I7).
import { crc32 } from "node:zlib";
import type { BrokerStream, Stored } from "../broker/broker.ts";
import { pause, type Random } from "../event/clock.ts";
import { decode } from "../event/codec.ts";
import { MillraceError } from "../event/errors.ts";
import { nextTerm, type Term } from "../event/term.ts";
import { checkBody } from "./body-form.ts";
import { FencedLog, type FencedLogOptions, untilAnswered } from "./fenced-log.ts";
import { inSteps } from "./in-steps.ts";
import { Journal, type Entry, type Head, newestWhole } from "./journal.ts";
import { Assembler, type Body, type CommitRecord, decodeRecord, encodeRecord } from "./record.ts";
import { type ReadRecord, RecordReader } from "./record-reader.ts";
import type { Store, StoreOperation, Stores } from "./store.ts";
import { fenced, purgedMeanwhile, wentBack } from "./verdict.ts";

export interface ReadingOptions extends FencedLogOptions {
  readonly where: string;
  readonly log: BrokerStream;
  readonly chunks: BrokerStream;
  readonly stores: Stores;
  /** Name of the store. */
  readonly store: string;
  /** Resolves when it may go on: it works in steps, and others go first. `undefined`: at once. Default: always at once. */
  readonly calm?: (() => Promise<void> | undefined) | undefined;
  /** Told of each record and chunk that is read from the broker to bring the journal up: its bytes. */
  readonly took?: ((bytes: number) => void) | undefined;
}

export interface RecoveryOptions extends ReadingOptions {
  readonly random: Random;
  readonly node: string;
  readonly code: string;
  /** Its state began with that of an earlier generation: a journal without a fold holds none of it, and is begun anew from the log. */
  readonly inherits?: boolean;
  /** What was done before, while another owner went on: a journal that is open, whose records it read. What became of it closes the journal where this rejects. */
  readonly ahead?: { readonly journal: Journal; readonly reader: RecordReader } | undefined;
  /** Called once the log is claimed. */
  readonly onClaimed: () => void;
}

export interface Recovered {
  readonly journal: Journal;
  readonly log: FencedLog;
  readonly term: Term;
  /** Number of the claim. */
  readonly n: number;
  /** Fields as of the newest fold, of which `entries` are in the store; `undefined`: nothing was folded. */
  readonly folded: { readonly n: number; readonly body: Body } | undefined;
  /** All records that are kept, in order, those up to `folded.n` only for their frames; without those that were read ahead. */
  records(): AsyncIterable<ReadRecord>;
  /** Unclean ends in a row (PROTOCOL 9, poison). */
  readonly k: number;
  /** Hash of the code that wrote the record before the claim; `undefined` in a new log. */
  readonly previousCode: string | undefined;
  /** Chunks of the newest snapshot are gone: state came from what stands before it, and the next snapshot has to be a base, at once (P30). */
  readonly fellBack: boolean;
  /** Records and chunks that were read from the broker: what the journal did not have. */
  readonly read: { readonly messages: number; readonly bytes: number };
}

/** A stream of chunks that is not there is asked for again so often: servers that start find theirs one after the other. */
const missingTries = 8, missingMs = 250;

/**
 * @throws MillraceError FENCED, BROKER_WENT_BACK, LOG_PURGED, RECORD_NEWER, JOURNAL_NEWER, JOURNAL_LOCKED, JOURNAL_FAILED
 */
export async function recover(options: RecoveryOptions): Promise<Recovered> {
  const { where, log: stream, stores, ahead } = options;
  let { store, journal, evidence }: Opened = ahead === undefined ? await openJournal(options) : { store: ahead.journal.store, journal: ahead.journal, evidence: ahead.journal.head };
  try {
    const last = await answer(options, () => stream.last());
    // Nothing there, and not from the beginning: even the newest snapshot is gone.
    if (last === undefined) {
      const { first, last: end } = await answer(options, () => stream.bounds());
      if (first > 1 && end < first) throw wentBack(where, `the log of ${where} is empty, and records were purged from it`);
    }
    const lastRecord = last === undefined ? undefined : decodeRecord(last.data);
    if (lastRecord !== undefined) checkBody(where, lastRecord);
    const verdict = evidence === undefined ? "empty" : await compare(options, evidence, last);
    if (ahead !== undefined && verdict === "too old") throw purgedMeanwhile(where);
    // A broken one is put aside only now: it may be all that proves a loss.
    const lacks = options.inherits === true && journal !== undefined && evidence !== undefined && journal.folded() === undefined;
    if (journal === undefined || verdict === "too old" || lacks || (verdict === "empty" && (await isUsed(store)))) {
      await store.close();
      await (journal === undefined ? stores.setAside(options.store) : stores.remove(options.store));
      store = await stores.open(options.store);
      journal = new Journal(store, where);
    }
    const made = journal, { head } = made;
    const k = lastRecord === undefined || lastRecord.kind === "stop" ? 0 : (lastRecord.body.k ?? lastRecord.body.tries?.k ?? 0) + 1;
    const claim: CommitRecord = {
      kind: "claim", n: (lastRecord?.n ?? 0) + 1, term: nextTerm(lastRecord?.term[0] ?? 0, options.random), previous: last?.seq ?? 0, code: options.code, body: { node: options.node, k },
    };
    const log = new FencedLog(stream, last?.seq ?? 0, last?.data, options), bytes = encodeRecord(claim), outcome = await log.append(bytes);
    if (outcome === "fenced") throw fenced(where);
    if (outcome === "lost") throw wentBack(where, `the log of ${where} ends before record ${claim.n - 1}`);
    options.onClaimed();
    const read = { messages: 0, bytes: 0 }, took = (length: number): void => { read.messages++; read.bytes += length; }, end = log.at, claimed = { ...options, claim: bytes, took };
    let fellBack = false;
    if (head === undefined) fellBack = await loadFromLog(claimed, made, end);
    else await readRest(claimed, made, head, last, { n: claim.n, seq: end, bytes });
    const folded = foldedOf(where, made);
    return { journal: made, log, term: claim.term, n: claim.n, folded, k, previousCode: lastRecord?.code, fellBack, read, records: () => (ahead?.reader ?? new RecordReader(where, made)).rest() };
  } catch (error) {
    await store.close();
    throw error;
  }
}

/** Fields as of a journal's newest fold. @throws MillraceError JOURNAL_BROKEN, BYTES_REFUSED */
export function foldedOf(where: string, journal: Journal): Recovered["folded"] {
  const folded = journal.folded() as Recovered["folded"];
  if (folded !== undefined) checkBody(where, folded);
  return folded;
}

async function answer<T>(options: ReadingOptions, question: () => Promise<T>): Promise<T> {
  const given = await untilAnswered(question, options);
  if (given === "aborted") throw fenced(options.where);
  return given as T;
}

interface Opened { store: Store; journal: Journal | undefined; evidence: Head | undefined }

// Without a journal where it is broken in itself; its good records are compared with the log all the same.
async function openJournal(options: RecoveryOptions): Promise<Opened> {
  const { stores, store: name } = options;
  let salvaged: Head | undefined;
  const store = await stores.open(name).catch(async (error: unknown) => {
    if (!(error instanceof MillraceError) || error.code !== "JOURNAL_CORRUPT") throw error;
    salvaged = await evidenceOf(stores, await stores.setAside(name));
    return await stores.open(name);
  });
  if (salvaged !== undefined) return { store, journal: new Journal(store, options.where), evidence: salvaged };
  try {
    const journal = new Journal(store, options.where), first = await journal.first(), unfolded = (journal.folded()?.n ?? 0) + 1;
    let evidence: Head | undefined;
    if (first !== undefined) for await (const { n, seq, crc } of journal.read(Math.min(first, unfolded))) evidence = { n, seq, crc };
    return { store, journal, evidence };
  } catch (error) {
    if (error instanceof MillraceError && ["JOURNAL_BROKEN", "BYTES_REFUSED"].includes(error.code)) return { store, journal: undefined, evidence: await newestWhole(store) };
    await store.close();
    throw error;
  }
}

/** Of one that cannot be read as a store any more: what is left of it counts all the same. */
async function evidenceOf(stores: Stores, aside: string): Promise<Head | undefined> {
  try {
    const store = await stores.salvage?.(aside);
    return store === undefined ? undefined : await newestWhole(store).finally(() => store.close());
  } catch {
    return undefined;
  }
}

// A store without a record that is not empty: a crash fell into the loading of a snapshot. What it holds may be of an older one.
export async function isUsed(store: Store): Promise<boolean> {
  for await (const entry of store.range(Buffer.from([0]), Buffer.from([255]), { limit: 1 })) return entry.length > 0;
  return false;
}

/** P24, before the claim: a log that ends before the journal's head, or holds another record there, proves a loss. */
async function compare(options: RecoveryOptions, head: Head, last: { readonly seq: number; readonly data: Uint8Array } | undefined): Promise<"good" | "too old"> {
  const { where, log } = options;
  if (last === undefined || last.seq < head.seq) throw wentBack(where, `the log of ${where} ends at ${last?.seq ?? 0}, its journal at ${head.seq}`);
  const there = last.seq === head.seq ? last : await answer(options, () => log.get(head.seq));
  if (there === undefined) {
    const { first } = await answer(options, () => log.bounds());
    if (first > head.seq) return "too old";
    throw wentBack(where, `the log of ${where} has no record at ${head.seq}, its journal has`);
  }
  if (crc32(there.data) !== head.crc) throw wentBack(where, `the log of ${where} has another record at ${head.seq} than its journal`);
  return "good";
}

interface Claimed extends ReadingOptions {
  /** Bytes of this owner's claim; `undefined`: it has none, and what is missing proves nothing. */
  readonly claim: Uint8Array | undefined;
  readonly inherits?: boolean | undefined;
}

/** What the journal has not: the claim, and the record before it, are known; only what lies between that and the head is read. */
async function readRest(options: Claimed, journal: Journal, head: Head, last: Stored | undefined, claim: Entry): Promise<void> {
  if (last === undefined || last.seq <= head.seq) return await journal.write([claim]);
  if (last.seq > head.seq + 1) {
    await readTail(options, journal, head.seq + 1, last.seq - 1).catch(async (error: unknown) => {
      // The owner before lets go of what its snapshot holds until it notices that it is over.
      const { first } = await answer(options, () => options.log.bounds());
      throw first > head.seq + 1 ? purgedMeanwhile(options.where) : error;
    });
  }
  options.took?.(last.data.length);
  await journal.write([{ n: decodeRecord(last.data).n, seq: last.seq, bytes: last.data }, claim]);
}

async function* readInSteps({ log, calm, took }: ReadingOptions, from: number, to: number): AsyncGenerator<Stored> {
  for await (const message of inSteps(log.read(from, to), calm)) {
    took?.(message.data.length);
    yield message;
  }
}

export async function readTail(options: Claimed, journal: Journal, from: number, to: number): Promise<void> {
  let batch: Entry[] = [], size = 0;
  for await (const { seq, data } of readInSteps(options, from, to)) {
    batch.push({ n: decodeRecord(data).n, seq, bytes: data });
    size += data.length;
    if (size > 4 * 1024 * 1024) { await journal.write(batch); batch = []; size = 0; }
  }
  if (batch.length > 0) await journal.write(batch);
  if (journal.head?.seq !== to) await missing(options, `a record of the log of ${options.where} before ${to}`);
}

// †A piece is missing: that is a loss only while this claim is the last record; else it was claimed over and just stops.
async function missing(options: Claimed, what: string): Promise<never> {
  if (options.claim === undefined) throw fenced(options.where);
  const last = await answer(options, () => options.log.last());
  if (last === undefined || Buffer.compare(last.data, options.claim) === 0) throw wentBack(options.where, `${what} is missing`);
  throw fenced(options.where);
}

/**
 * Without a journal: the newest snapshot in the log, looked for after the claim†, and the tail. Where its chunks are gone or damaged, an
 * older one whose records since are all there, or the records from the first on; says whether it had to.
 */
export async function loadFromLog(options: Claimed, journal: Journal, to: number): Promise<boolean> {
  const { first } = await answer(options, () => options.log.bounds());
  const entries: Entry[] = [], assembler = new Assembler(), snapshots: Body[] = [];
  let expected: number | undefined;
  for await (const { seq, data } of readInSteps(options, first, to)) {
    const record = decodeRecord(data);
    if (expected !== undefined && record.n !== expected) await missing(options, `record ${expected} of ${options.where}`);
    expected = record.n + 1;
    entries.push({ n: record.n, seq, bytes: data });
    const whole = assembler.take(record);
    if (whole?.kind === "snapshot" && whole.body.snapshot !== undefined) snapshots.unshift(whole.body);
  }
  const begin = entries[0];
  if (begin === undefined || (entries[entries.length - 1] as Entry).seq !== to) return missing(options, `a record of ${options.where}`);
  const loaded = await loadNewest(options, journal, snapshots, begin.n);
  await journal.begin({ n: begin.n - 1, seq: begin.seq - 1, crc: 0 });
  for (let i = 0; i < entries.length; i += 256) await journal.write(entries.slice(i, i + 256));
  return loaded > 0;
}

/** Loads the newest snapshot that is whole (none: all from record 1); gives which, 0 being the newest. `first`: number of the first record there. */
async function loadNewest(options: Claimed, journal: Journal, snapshots: readonly Body[], first: number): Promise<number> {
  let gone: string | undefined;
  for (const [at, body] of snapshots.entries()) {
    const as = body.snapshot as NonNullable<Body["snapshot"]>;
    // The records since it, purged up to a newer one.
    if (first > as.n + 1) break;
    const missed = await loadSnapshot(options, journal, body, as);
    if (missed === undefined) return at;
    gone ??= missed;
    await empty(journal.store);
  }
  // Of one that goes on with the state of others, all from record 1 is nothing without the snapshot that it began with†.
  if (first === 1 && (options.inherits !== true || snapshots.length === 0)) return snapshots.length;
  return missing(options, gone ?? `record ${(snapshots[0]?.snapshot?.n ?? 0) + 1} of ${options.where}`);
}

async function empty(store: Store): Promise<void> {
  for (;;) {
    const operations: StoreOperation[] = [];
    for await (const [key] of store.range(Buffer.from([0]), Buffer.from([255]), { limit: 1_000 })) operations.push({ type: "del", key });
    if (operations.length === 0) return;
    await store.write(operations);
  }
}

/** What is missing; `undefined`: it is loaded. */
async function loadSnapshot(options: Claimed, journal: Journal, body: Body, as: NonNullable<Body["snapshot"]>): Promise<string | undefined> {
  await putEntries(journal.store, as.entries ?? []);
  let pieces: Uint8Array[] = [];
  for (const [seq, crc, entries] of as.chunks) {
    await options.calm?.();
    const chunk = await chunkAt(options, seq);
    if (chunk === undefined || crc32(chunk) !== crc) return `chunk ${seq} of the newest snapshot of ${options.where}`;
    options.took?.(chunk.length);
    pieces.push(chunk);
    // The next one goes on with it.
    if (entries === 0) continue;
    await putEntries(journal.store, entriesOf(options.where, seq, decode(Buffer.concat(pieces))));
    pieces = [];
  }
  await journal.store.write([journal.foldedMark(as.n, body)]);
  return undefined;
}

/** Nothing also where the whole stream stays away: it was there before any record named a chunk of it. */
async function chunkAt(options: Claimed, seq: number): Promise<Uint8Array | undefined> {
  for (let tries = 0; tries < missingTries; tries++) {
    const stored = await answer(options, () => options.chunks.get(seq).catch((error: unknown) => {
      if (error instanceof MillraceError && error.code === "STREAM_MISSING") return "missing" as const;
      throw error;
    }));
    if (stored !== "missing") return stored?.data;
    await pause(missingMs, options);
  }
  return undefined;
}

/** @throws MillraceError BYTES_REFUSED */
export function entriesOf(where: string, seq: number, chunk: unknown): readonly (readonly [Uint8Array, Uint8Array | null])[] {
  const isEntry = (entry: unknown): boolean => Array.isArray(entry) && entry[0] instanceof Uint8Array && (entry[1] === null || entry[1] instanceof Uint8Array);
  if (Array.isArray(chunk) && chunk.every(isEntry)) return chunk as (readonly [Uint8Array, Uint8Array | null])[];
  throw new MillraceError("BYTES_REFUSED", where, `Chunk ${seq} of the newest snapshot of ${where} is no list of entries`, "Look at who publishes to the subjects of actors; only nodes may.");
}

/** Entries of a snapshot into the store, in steps. */
export async function putEntries(store: Store, entries: readonly (readonly [key: Uint8Array, value: Uint8Array | null])[]): Promise<void> {
  for (let i = 0; i < entries.length; i += 1_000) {
    await store.write(entries.slice(i, i + 1_000).map(([key, value]): StoreOperation => (value === null ? { type: "del", key } : { type: "put", key, value })));
  }
}
