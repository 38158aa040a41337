// The copy of one actor's log and of the chunks that its newest snapshot names. The log is purged now and then while it is read (P23): then
// it is read again, later, which is as good. What is copied needs nothing that is not copied with it (I3).
import { crc32 } from "node:zlib";
import { streamName, subjectsOf } from "../actor/environment.ts";
import type { Broker, Stored, StreamSpec } from "../broker/broker.ts";
import { MillraceError } from "../event/errors.ts";
import { Assembler, decodeRecord } from "../journal/record.ts";
import type { ActorPlace } from "../repair/actor-look.ts";
import { History } from "../repair/history.ts";
import type { StreamManifest } from "./manifest.ts";
import { type FileSum, StreamFileWriter } from "./stream-file.ts";

const tries = 8;

/** Where the files of a flow go, and who hears of each that grows. */
export interface CopyPlace {
  readonly broker: Broker;
  /** Path of a new file of the flow, and its name within the backup. */
  readonly file: (stream: string) => { readonly path: string; readonly file: string };
  readonly wrote: (bytes: number) => void;
}

export interface ActorCopy extends ActorPlace {
  readonly address: string;
  readonly spec: StreamSpec;
  readonly history: History;
  /** Number of the newest record that is whole: of frames that later records hold the copy knows nothing. */
  readonly whole: number;
  readonly log: { readonly first: number; readonly last: number; readonly largest: number };
  /** Open still: a claim may have to stand behind its last record. */
  readonly writer: StreamFileWriter;
  readonly chunks: StreamManifest | undefined;
}

/**
 * `undefined`: the streams of this actor are not there.
 * @throws MillraceError BACKUP_OVERTAKEN, BROKER_WENT_BACK where the log is not whole, UNREACHABLE, RECORD_NEWER, BYTES_REFUSED
 */
export async function copyActor(place: ActorPlace, to: CopyPlace): Promise<ActorCopy | undefined> {
  const { flow, stage, generation, partition } = place, subjects = subjectsOf(flow, stage, generation, partition), address = `${flow}/${stage}/${partition}`;
  const spec = await to.broker.describe(streamName(subjects.log));
  if (spec === undefined) return undefined;
  const writer = await StreamFileWriter.create(to.file(spec.name).path);
  let before: string | undefined;
  try {
    for (let attempt = 1; ; attempt++) {
      const read = await readLog(address, spec, writer, to), found = read === undefined ? undefined : await copyChunks(subjects.chunks, [...(read.history.snapshots.at(-1)?.chunks ?? []), ...read.sealed], to);
      if (read !== undefined && read.history.missing === undefined && found !== "gone") return { ...place, address, spec, ...read, writer, chunks: found };
      // Nothing moved, and it is not whole: that is no purge.
      const now = JSON.stringify(read?.log);
      if (read !== undefined && now === before) throw new MillraceError("BROKER_WENT_BACK", address, `The log of ${address} is not whole: ${found === "gone" ? "chunks of its newest snapshot are gone" : `record ${read.history.missing} is missing`}`, "`millrace doctor` tells what is behind what, `millrace repair` brings back what the journals hold; then make the backup.");
      before = now;
      if (attempt === tries) throw overtaken(address, "its log was purged each time before it was read");
      await writer.restart();
    }
  } catch (error) {
    await writer.abandon();
    throw error;
  }
}

/** `undefined`: it was purged meanwhile. */
async function readLog(address: string, spec: StreamSpec, writer: StreamFileWriter, { broker, wrote }: CopyPlace): Promise<(Pick<ActorCopy, "history" | "whole" | "log"> & { readonly sealed: Chunks }) | undefined> {
  const log = broker.stream(spec.name, spec.subject), { first, last } = await log.bounds(), assembler = new Assembler();
  // What a seal names its successors read (PROTOCOL 11).
  const sealed: [number, number, number][] = [];
  let whole = 0, largest = 0, next = first;
  async function* records(): AsyncGenerator<Uint8Array> {
    for await (const stored of log.read(first, last)) {
      if (stored.seq !== next) return;
      next++;
      await writer.add(stored);
      wrote(stored.data.length);
      largest = Math.max(largest, stored.data.length);
      const record = assembler.take(decodeRecord(stored.data));
      if (record !== undefined) whole = record.n;
      for (const { chunks } of record?.body.seal?.sections ?? []) for (const chunk of chunks) sealed.push([...chunk]);
      yield stored.data;
    }
  }
  const history = await History.of(address, records(), undefined);
  if (next !== last + 1) return undefined;
  // Emptied by hand: what was in it is nowhere.
  if (history.isEmpty && first > 1) throw new MillraceError("BROKER_WENT_BACK", address, `The log of ${address} is empty, and records were purged from it`, "`millrace doctor` tells what is behind what; then make the backup.");
  return { history, whole, sealed, log: { first, last, largest } };
}

type Chunks = readonly (readonly [seq: number, crc: number, entries: number])[];

async function copyChunks(subject: string, chunks: Chunks, { broker, file, wrote }: CopyPlace): Promise<StreamManifest | "gone" | undefined> {
  const named = chunks.toSorted(([a], [b]) => a - b), [first] = named[0] ?? [], [last] = named[named.length - 1] ?? [];
  if (first === undefined || last === undefined) return undefined;
  const spec = await broker.describe(streamName(subject));
  if (spec === undefined) return "gone";
  const crcs = new Map(named.map(([seq, crc]) => [seq, crc])), place = file(spec.name), writer = await StreamFileWriter.create(place.path);
  let next = first, largest = 0, sum: FileSum;
  try {
    for await (const stored of broker.stream(spec.name, spec.subject).read(first, last)) {
      if (stored.seq !== next || (crcs.get(next) ?? crc32(stored.data)) !== crc32(stored.data)) break;
      next++;
      await writer.add(stored);
      wrote(stored.data.length);
      largest = Math.max(largest, stored.data.length);
    }
  } finally {
    sum = await writer.close();
  }
  return next === last + 1 ? { spec, file: place.file, first, last, largest, verbatim: true, ...sum } : "gone";
}

/** Log and claim are written: what the manifest says of the log. */
export async function closeLog({ spec, log, writer }: ActorCopy, claim: Uint8Array | undefined, { file }: CopyPlace): Promise<StreamManifest> {
  const last: Stored | undefined = claim === undefined ? undefined : { seq: log.last + 1, data: claim };
  if (last !== undefined) await writer.add(last);
  const sum = await writer.close();
  return { spec, file: file(spec.name).file, first: log.first, last: last?.seq ?? log.last, largest: Math.max(log.largest, claim?.length ?? 0), verbatim: true, ...sum };
}

export function overtaken(where: string, why: string): MillraceError {
  return new MillraceError("BACKUP_OVERTAKEN", where, `The flow is faster than its copy: ${why}`, "Ask again when less comes in, or stop the flow for the time of the backup.");
}
