// The seal of an actor whose generation is over, as those that go on with its state read it (PROTOCOL 11): the last record of its log
// that is more than a claim, and the chunks that it names.
import { crc32 } from "node:zlib";
import type { BrokerStream, Stored } from "../broker/broker.ts";
import { decode } from "../event/codec.ts";
import { MillraceError } from "../event/errors.ts";
import { entriesOf } from "./recovery.ts";
import { wentBack } from "./verdict.ts";
import { Assembler, type Body, type CommitRecord, decodeRecord } from "./record.ts";

type Entries = readonly (readonly [key: Uint8Array, value: Uint8Array | null])[];

/** A seal: all fields of its actor, and the section of one of those that follow. */
export interface Sealed {
  readonly body: Body;
  /** @throws MillraceError BROKER_WENT_BACK, UNREACHABLE */
  readonly section: (q: number) => AsyncIterable<Entries>;
}

/** `undefined`: the actor is not sealed, or is just being looked after by a new owner. @throws MillraceError UNREACHABLE, STREAM_MISSING */
export async function readSeal(where: string, generation: string, log: BrokerStream, chunks: BrokerStream): Promise<Sealed | undefined> {
  const record = await lastWhole(log), body = record?.body, seal = body?.seal;
  if (record?.kind !== "seal" || body === undefined || seal?.generation !== generation) return undefined;
  return {
    body,
    async *section(q) {
      const { entries, chunks: named } = seal.sections[q] ?? { chunks: [] };
      if (entries !== undefined) yield entries;
      let pieces: Uint8Array[] = [];
      for await (const [[seq, crc, count], chunk] of fetched(named, chunks)) {
        if (chunk === undefined || crc32(chunk.data) !== crc) throw wentBack(where, `chunk ${seq} of the seal of ${where} is missing`);
        pieces.push(chunk.data);
        if (count === 0) continue;
        yield entriesOf(where, seq, decode(Buffer.concat(pieces)));
        pieces = [];
      }
    },
  };
}

/** So many chunks are asked for before they are taken. */
const fetchedAhead = 4;

async function* fetched<T extends readonly [seq: number, ...unknown[]]>(named: readonly T[], chunks: BrokerStream): AsyncGenerator<readonly [T, Stored | undefined]> {
  const asked: Promise<Stored | undefined>[] = [];
  for (const [at, one] of named.entries()) {
    for (const [seq] of named.slice(at + asked.length, at + fetchedAhead)) {
      const its = chunks.get(seq);
      // Who stops at one of them does not look at the next.
      its.catch(() => {});
      asked.push(its);
    }
    yield [one, await asked.shift()];
  }
}

/** So many claims and stops after a seal are looked past: of owners who found that there is nothing to do any more. */
const mostAfter = 256;

async function lastWhole(log: BrokerStream): Promise<CommitRecord | undefined> {
  let last = await log.last();
  for (let i = 0; i < mostAfter && last !== undefined && isIdle(decodeRecord(last.data)); i++) last = await log.get(last.seq - 1);
  if (last === undefined) return undefined;
  const record = decodeRecord(last.data), { part } = record.body;
  if (part === undefined) return record;
  const assembler = new Assembler();
  let whole: CommitRecord | undefined;
  for await (const { data } of log.read(last.seq - part.index, last.seq)) whole = assembler.take(decodeRecord(data));
  return whole;
}

const isIdle = ({ kind }: CommitRecord): boolean => kind === "claim" || kind === "stop";

/** BROKER_WENT_BACK: it was sealed for a generation whose plan was taken back, which is done only where nobody had gone over to it. */
export function sealedInVain(where: string): MillraceError {
  return wentBack(where, `${where} is sealed for a generation that was taken back; who feeds it does not hold that it had gone over`);
}

/** Thrown where what is to be gone on with is not sealed now: it is tried again. */
export function notSealed(where: string): MillraceError {
  return new MillraceError("NOT_SEALED", where, `${where} is not sealed yet`, "`millrace scale --why` tells what it waits for.");
}
