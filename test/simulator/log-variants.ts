// Logs, claims and snapshots (P1, P5, P22, P23): the engine with one of these rules broken.
import { crc32 } from "node:zlib";
import { seal } from "../../runtime/actor/change.ts";
import { Committer } from "../../runtime/actor/committer.ts";
import { streamName } from "../../runtime/actor/environment.ts";
import { RecordKeeper } from "../../runtime/actor/record-keeper.ts";
import { type Captured, Snapshots } from "../../runtime/actor/snapshot.ts";
import type { BrokerStream } from "../../runtime/broker/broker.ts";
import { encode } from "../../runtime/event/codec.ts";
import { rangeOf } from "../../runtime/journal/keys.ts";
import { Assembler, type Body, decodeRecord } from "../../runtime/journal/record.ts";
import { RecordReader } from "../../runtime/journal/record-reader.ts";
import { MemoryBroker } from "../../runtime/testing/memory-broker.ts";
import { MemoryStream } from "../../runtime/testing/memory-stream.ts";
import { all, call, getterReplaced, type Method, replaced } from "./breaking.ts";
import { calm, crashes, type Profile, ruined } from "./profile.ts";
import { type Variant, world } from "./variant.ts";

/** Which committer a captured turn belongs to. */
const committers = new WeakMap<object, Committer>();
const noteCommitter = () => replaced(Committer.prototype, "append", (old) => function (this: Committer, ...args: unknown[]) {
  const captured = args[3] as Captured | undefined;
  if (captured !== undefined) committers.set(captured.body, this);
  return call(old, this, ...args);
} as Method);

/** Purges log and chunks as soon as the chunks are written. */
const purgeEarly = () => all(noteCommitter(), replaced(Snapshots.prototype, "write", (old) => async function (this: Snapshots, captured: Captured) {
  const body = (await call(old, this, captured)) as Body, { log } = committers.get(captured.body) as Committer;
  const first = world().archive.logs.get(streamName(log.stream.subject))?.find(({ record }) => record.n > captured.n)?.seq ?? log.at;
  void log.stream.purge(first).catch(() => {});
  const [chunk] = this.chunks;
  if (chunk !== undefined) void this.purge(chunk[0]).catch(() => {});
  return body;
} as Method));

/** A delta of what changed since the fold: what was folded and is in no snapshot record is in no delta. */
const deltaSinceFold = () => {
  const chunks = new WeakMap<Snapshots, (readonly [number, number, number])[]>();
  return all(noteCommitter(), replaced(Snapshots.prototype, "write", () => async function (this: Snapshots, captured: Captured): Promise<Body> {
    const { journal, log } = committers.get(captured.body) as Committer, { n, body } = captured, subject = log.stream.subject.replace(/log$/, "snap"), name = streamName(subject);
    let known = chunks.get(this);
    if (known === undefined) chunks.set(this, (known = [...(world().archive.logs.get(streamName(log.stream.subject))?.findLast(({ record }) => record.kind === "snapshot")?.record.body.snapshot?.chunks ?? [])]));
    const changed = captured.entries.map(([key, value]) => [key() as Uint8Array, value === undefined ? null : seal(value)] as const);
    await journal.store.write(changed.map(([key, value]) => (value === null ? { type: "del", key } : { type: "put", key, value })));
    await journal.store.write([journal.foldedMark(n, { ...body, snapshot: { n, chunks: [] } })]);
    const entries: (readonly [Uint8Array, Uint8Array | null])[] = [];
    if (known.length > 0) entries.push(...changed);
    else for (const letter of "stwo") for await (const [key, value] of journal.store.range(...rangeOf(letter))) entries.push([key, value]);
    const bytes = encode(entries), { server } = world();
    server.create({ name, subject, replicas: 1 });
    known.push([server.streams.get(name)?.append(subject, bytes, undefined) as number, crc32(bytes), entries.length]);
    return { ...body, snapshot: { n, chunks: [...known] } };
  } as Method), getterReplaced(Snapshots.prototype, "chunks", () => function (this: Snapshots) { return chunks.get(this) ?? []; } as never));
};

/** The newest snapshot is looked for when the log is read before the claim: one that comes in between is not seen. */
const snapshotBeforeClaim = () => {
  const hidden = new Set<string>(), nameOf = (mark: Uint8Array, n: number) => `${Buffer.from(mark).toString("hex")} ${n}`;
  return all(
    replaced(MemoryBroker.prototype, "stream", (old) => function (this: MemoryBroker, name: string, subject: string) {
      const stream = call(old, this, name, subject) as { -readonly [K in keyof BrokerStream]: BrokerStream[K] };
      if (!subject.endsWith(".log")) return stream;
      const { last, read } = stream;
      let found: number | undefined;
      stream.last = () => {
        found ??= world().archive.logs.get(name)?.findLast(({ record }) => record.kind === "snapshot")?.seq ?? 0;
        return last();
      };
      stream.read = async function* (from, to) {
        for await (const stored of read(from, to)) {
          const record = decodeRecord(stored.data);
          if (record.kind === "snapshot" && stored.seq > (found ?? 0)) hidden.add(nameOf(record.term[1], record.n));
          yield stored;
        }
      };
      return stream;
    } as Method),
    replaced(Assembler.prototype, "take", (old) => function (this: Assembler, record: { kind: string; n: number; term: readonly [number, Uint8Array] }) {
      return record.kind === "snapshot" && hidden.has(nameOf(record.term[1], record.n)) ? undefined : call(old, this, record);
    } as Method),
  );
};

/** A reader of a journal gives what it holds, and not what comes since. */
const readOnce = () => {
  const over = new WeakSet<RecordReader>();
  return replaced(RecordReader.prototype, "rest", (old) => async function* (this: RecordReader) {
    if (over.has(this)) return;
    yield* call(old, this) as ReturnType<RecordReader["rest"]>;
    over.add(this);
  } as Method);
};

const zombies: Partial<Profile> = { ...calm, faults: 4, faultShare: 0.02, kinds: ["pause", "takeover", "takeover"] };
const snapshotting: Partial<Profile> = { ...crashes, kinds: ["crash", "takeover", "takeover", "wipe", "kill"], snapshotRecords: 2, inlineBytes: 0, chunkBytes: 60, slowShare: 0.3 };

export const logVariants: readonly Variant[] = [
  { name: "a log without compare-and-set", rule: "P1, I1", profile: zombies, breaks: () => replaced(MemoryStream.prototype, "append", (old) => function (this: MemoryStream, subject: string, data: Uint8Array, expected: number | undefined) {
    return call(old, this, subject, data, subject.endsWith(".log") ? undefined : expected);
  } as Method) },
  { name: "a claim without a mark", rule: "P5, P17", profile: ruined, rules: { mark: false } },
  { name: "the snapshot is looked for before the claim", rule: "P5", profile: { ...snapshotting, kinds: ["takeover"], aim: "processor", slowShare: 0.5, faultShare: 0.5, ambush: / append .*\.snap$/, events: 8, turnEvents: 1, sourceBatch: 1 }, breaks: snapshotBeforeClaim },
  { name: "a delta holds what changed since the fold", rule: "P22", profile: { ...snapshotting, aim: "processor", faultShare: 0.1, ambush: / disk /, kinds: ["crash"], events: 8 }, breaks: deltaSinceFold },
  { name: "purged past frames that are not settled", rule: "P23", profile: { ...snapshotting, slowShare: 0.5, sendWindow: 1 }, breaks: () => replaced(RecordKeeper.prototype, "add", (old) => function (this: RecordKeeper, record: object) { call(old, this, { ...record, out: [] }); } as Method) },
  { name: "what came after a head start is not replayed", rule: "10", profile: { ...calm, headStarts: 0.2, faults: 4, faultShare: 0.03, kinds: ["takeover"] }, breaks: readOnce },
  { name: "purged before the snapshot record is accepted", rule: "P23", profile: snapshotting, breaks: purgeEarly },
];
