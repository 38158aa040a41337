// Looks at one actor: its log against the journals, its mailboxes against its positions, what it sent against where that is (P30).
// Changes nothing.
import { crc32 } from "node:zlib";
import { isAnchor } from "../actor/anchors.ts";
import { deadStream, ordinalOf, streamName, subjectsOf } from "../actor/environment.ts";
import type { Broker, BrokerStream } from "../broker/broker.ts";
import { decodeMessage, roundOf } from "../event/frame.ts";
import { History, type SentTo, type SnapshotOf } from "./history.ts";
import { type Compared, compared, extending, type JournalCopy, type LogBounds, type NodeJournals, type Standing } from "./journal-copy.ts";

export interface ActorPlace {
  readonly flow: string;
  readonly stage: string;
  readonly kind: "source" | "processor" | "sink";
  readonly generation: string;
  readonly partition: number;
  /** Of the generation that its stage is being scaled to. */
  readonly isNext?: boolean;
}

export interface InputLook {
  readonly input: number;
  readonly stream: BrokerStream;
  readonly isThere: boolean;
  readonly first: number;
  readonly last: number;
  /** Sequence that its reader has read to. */
  readonly at: number;
  /** Whether the message there is the one that was read. */
  readonly fits: boolean;
}

export interface SentLook extends SentTo {
  /** Whether what is settled is still there, or was trimmed. */
  readonly fits: boolean;
  /** Number of the first frame that it sends again, whether it goes on from its log or from a journal, which may begin later; 0: none. */
  readonly again: number;
}

/** What was found of an actor. Its journals are open until they are closed. */
export interface ActorLook extends ActorPlace {
  /** Its address; of one that is to come with its generation. */
  readonly id: string;
  readonly address: string;
  /** It begins with the state of others (PROTOCOL 11). */
  readonly inherits: boolean;
  readonly log: BrokerStream;
  readonly logName: string;
  readonly bounds: LogBounds;
  /** Of all that were asked the one with the highest term and number that extends the log; else the newest. */
  readonly journal: JournalCopy | undefined;
  readonly standing: Standing | undefined;
  /** All of them, that one included, newest first. */
  readonly journals: readonly Compared[];
  /** Of the log, with what the journal can give back. */
  readonly history: History;
  readonly inputs: readonly InputLook[];
  readonly sent: readonly SentLook[];
  /** The newest snapshot, where chunks of it are gone; and whether an older one, or the records themselves, still give the state. */
  readonly lostSnapshot: (SnapshotOf & { readonly fallsBack: boolean }) | undefined;
  /** A chunk that its seal names is gone. */
  readonly lostSeal: boolean;
}

export interface Surroundings {
  readonly broker: Broker;
  readonly journals: readonly NodeJournals[];
  /** Names of the streams that are there. */
  readonly streams: ReadonlySet<string>;
  /** Whether a generation of a stage is over: what went to it is where it was needed (PROTOCOL 11). */
  readonly isRetired: (stage: string, generation: string) => boolean;
}

export function addressOfPlace({ flow, stage, partition }: ActorPlace): string {
  return `${flow}/${stage}/${partition}`;
}

/** @throws MillraceError UNREACHABLE, JOURNAL_LOCKED, JOURNAL_NEWER, RECORD_NEWER, BYTES_REFUSED */
export async function lookAt(place: ActorPlace, around: Surroundings): Promise<ActorLook> {
  const { flow, stage, generation, partition } = place, address = addressOfPlace(place), id = place.isNext === true ? `${address}@${generation}` : address, inherits = ordinalOf(generation) > 1, subjects = subjectsOf(flow, stage, generation, partition), logName = streamName(subjects.log);
  const log = around.broker.stream(logName, subjects.log), bounds = await boundsOf(log, around.streams.has(logName));
  const journals = await compared(around.journals, `${flow}/${stage}/${generation}/${partition}`, id, log, bounds);
  try {
    const best = extending(journals), journal = best?.copy, standing = best?.standing, history = await History.of(address, records(log, bounds, journal, standing), journal?.folded);
    const inputs: InputLook[] = [], sent: SentLook[] = [], chunks = around.broker.stream(streamName(subjects.chunks), subjects.chunks), hasChunks = around.streams.has(streamName(subjects.chunks));
    if (place.kind !== "source") for (const input of new Set([0, ...history.positions.keys()])) inputs.push(await inputOf(subjects.mailbox(input), input, history, around));
    for (const to of history.sent.values()) if (typeof to.target === "string" || !around.isRetired(to.target[0], to.target[1])) sent.push({ ...to, again: againFrom(to, journals), fits: await fits(address, generation, to, around) });
    const lostSnapshot = await snapshotOf(chunks, hasChunks, history, inherits), lostSeal = !(await areThere(chunks, hasChunks, history.sealed));
    return { ...place, id, address, inherits, log, logName, bounds, journal, standing, journals, history, inputs, sent, lostSnapshot, lostSeal };
  } catch (error) {
    for (const { copy } of journals) await copy.close();
    throw error;
  }
}

function againFrom({ seq, retained, held }: SentTo, journals: readonly Compared[]): number {
  const firsts = journals.filter(({ standing: { is } }) => is !== "old" && is !== "forked").map(({ copy }) => held.find(([n]) => n >= (copy.records[0]?.n ?? 0))?.[1] ?? seq + 1);
  const first = Math.max(retained === 0 ? seq + 1 : retained, ...firsts);
  return first > seq ? 0 : first;
}

async function boundsOf(stream: BrokerStream, isThere: boolean): Promise<LogBounds> {
  return isThere ? { isThere, ...(await stream.bounds()) } : { isThere, first: 1, last: 0 };
}

/** The log, and what extends it; of one that is lost behind the journal's oldest record, the journal alone. */
async function* records(log: BrokerStream, { isThere, first, last }: LogBounds, journal: JournalCopy | undefined, standing: Standing | undefined): AsyncGenerator<Uint8Array> {
  const restores = journal !== undefined && (standing?.is === "ahead" || (standing?.is === "beyond" && journal.isWhole));
  if (isThere && !(restores && standing.is === "beyond")) for await (const { data } of log.read(first, last)) yield data;
  if (restores) for await (const { bytes } of journal.bytes(standing.from)) yield bytes;
}

async function inputOf(subject: string, input: number, history: History, { broker, streams }: Surroundings): Promise<InputLook> {
  const name = streamName(subject), stream = broker.stream(name, subject), bounds = await boundsOf(stream, streams.has(name)), position = history.position(input);
  // Who has read nothing has trimmed nothing.
  const itFits = bounds.isThere && (position.at === 0 ? bounds.first === 1 : await isAnchor(stream, position));
  return { input, stream, ...bounds, at: position.at, fits: itFits };
}

/** As Anchors checks it, but for the reader's cursor, which is looked at channel by channel. */
async function fits(address: string, generation: string, { target, settled, settledAt }: SentTo, { broker, streams }: Surroundings): Promise<boolean> {
  const isChain = typeof target === "string", subject = isChain ? target : subjectsOf(address.split("/")[0] as string, target[0], target[1], target[2]).mailbox(target[3]);
  const name = isChain ? deadStream(address.split("/")[0] as string) : streamName(subject), stream = broker.stream(name, subject);
  if (!streams.has(name)) return false;
  if (settledAt === 0) return true;
  const there = await stream.get(settledAt);
  if (there === undefined) return (await stream.bounds()).first > settledAt;
  const frame = roundOf(there.data) === undefined ? undefined : decodeMessage(there.data);
  return frame?.from === address && frame.generation === generation && (isChain ? frame.seq >= settled : frame.seq === settled);
}

async function snapshotOf(stream: BrokerStream, isThere: boolean, { snapshots, first }: History, inherits: boolean): Promise<ActorLook["lostSnapshot"]> {
  const newest = snapshots[snapshots.length - 1];
  if (newest === undefined || (await areThere(stream, isThere, newest.chunks))) return undefined;
  for (const older of snapshots.slice(0, -1).reverse()) if (first <= older.n + 1 && (await areThere(stream, isThere, older.chunks))) return { ...newest, fallsBack: true };
  // Of one that goes on with the state of others, all its records are nothing without the snapshot that it began with†.
  return { ...newest, fallsBack: first === 1 && !inherits };
}

async function areThere(stream: BrokerStream, isThere: boolean, chunks: readonly (readonly [seq: number, crc: number, ...rest: unknown[]])[]): Promise<boolean> {
  for (const [seq, crc] of chunks) {
    const there = isThere ? await stream.get(seq) : undefined;
    if (there === undefined || crc32(there.data) !== crc) return false;
  }
  return true;
}
