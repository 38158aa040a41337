// Data of version 1, recorded once (record.ts): every later program must make the same state of it, and refuse what was altered or
// is of a newer version, and leave it untouched (P25).
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { deadStream, streamName, subjectsOf, Turnstile } from "../../runtime/actor/environment.ts";
import type { Exit } from "../../runtime/actor/exit.ts";
import { createActor } from "../../runtime/actor/wiring.ts";
import type { Stored } from "../../runtime/broker/broker.ts";
import { systemClock } from "../../runtime/event/clock.ts";
import { decode, encode } from "../../runtime/event/codec.ts";
import { encodeFrame, message } from "../../runtime/event/frame.ts";
import type { StagePlan } from "../../runtime/flow/plan.ts";
import { foldedKey, headKey, recordKey, versionKey } from "../../runtime/journal/keys.ts";
import { LevelStores } from "../../runtime/journal/level-store.ts";
import { MemoryBroker } from "../../runtime/testing/memory-broker.ts";
import { MemoryServer } from "../../runtime/testing/memory-server.ts";
import { MemoryDisk, MemoryStores } from "../../runtime/testing/memory-store.ts";
import { SeededRandom } from "../../runtime/testing/seeded-random.ts";
import { plan } from "../support/flow-parts.ts";
import { foldedByEngine, type FoldedLog, readEntries, readStored, serverOf, storesWith, type StoreEntries } from "../support/recorded-log.ts";
import { rejection } from "../support/rejection.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { within } from "../support/waiting.ts";
import { recordedFlow } from "./flow.ts";

const test = suite("recorded data of version 1");
const folder = fileURLToPath(new URL("./v1", import.meta.url)), file = (name: string) => readFile(join(folder, name), "utf8");
const history = readStored(await file("log.jsonl")), chunks = readStored(await file("chunks.jsonl")), journal = readEntries(await file("journal.jsonl"));
const { version, store, firstKept, ...expected } = JSON.parse(await file("state.json")) as FoldedLog & { version: number; store: string; firstKept: number };
const flow = plan(recordedFlow), stage = flow.stages.find(({ name }) => name === "accounts") as StagePlan;
const kept = history.filter(({ seq }) => seq >= firstKept);

interface Case { readonly log?: readonly Stored[]; readonly chunks?: readonly Stored[]; readonly journal?: StoreEntries }

async function opened({ log = kept, chunks: its = chunks, journal: entries = journal }: Case) {
  const at = serverOf({ log, chunks: its }), stores = await storesWith(store, entries), stream = at.server.streams.get("mr_log");
  const fold = () => foldedByEngine(stage, at, history, stores, store);
  const all = async (): Promise<StoreEntries> => {
    const open = await stores.open(store), found: [Uint8Array, Uint8Array][] = [];
    for await (const [key, value] of open.range(Buffer.from([0]), Buffer.from([255]))) found.push([key, value]);
    await open.close();
    return found;
  };
  return { fold, journal: all, logEnd: () => stream?.bounds().last };
}

const flipped = (bytes: Uint8Array, at: number): Buffer => { const changed = Buffer.from(bytes); changed[at] = (changed[at] as number) ^ 1; return changed; };
const changedAt = (messages: readonly Stored[], index: number, change: (data: Uint8Array) => Uint8Array): Stored[] => messages.map((stored, i) => (i === (index + messages.length) % messages.length ? { seq: stored.seq, data: change(stored.data) } : stored));
const newer = (data: Uint8Array): Uint8Array => encode([99, ...(decode(data) as unknown[]).slice(1)]);
const plainEntries = (entries: StoreEntries): string[] => entries.map(([key, value]) => `${Buffer.from(key).toString("hex")} ${Buffer.from(value).toString("hex")}`);

test("the files are of version 1 and hold what they are to show: claims, turns, parts, snapshots in chunks", () => {
  const kinds = new Set(history.map(({ data }) => (decode(data) as unknown[])[1]));
  assert.is(version, 1);
  assert.equal([...kinds].sort(), ["claim", "part", "snapshot", "turn"]);
  assert.ok(chunks.length > 0 && firstKept > 1);
});

for (const [from, its] of [
  ["its journal and the log", {}], ["the newest snapshot, its chunks and the log after it", { journal: [] }], ["the whole log, of which nothing was purged", { log: history, journal: [] }],
] as const) {
  test(`from ${from} comes the recorded state, field by field`, async () => {
    assert.equal(await (await opened(its)).fold(), expected);
  });
}

test("from a LevelDB folder with these entries comes the recorded state", async () => {
  await using data = await temporaryFolder();
  const stores = new LevelStores(data.path), open = await stores.open(store);
  await open.write(journal.map(([key, value]) => ({ type: "put", key, value })));
  await open.close();
  assert.equal(await foldedByEngine(stage, serverOf({ log: kept, chunks }), history, stores, store), expected);
});

for (const [what, its, code] of [
  ["the log's newest record is another than the journal's", { log: changedAt(kept, -1, (data) => flipped(data, data.length - 1)) }, "BROKER_WENT_BACK"],
  ["the log ends before the journal's head", { log: kept.slice(0, -1) }, "BROKER_WENT_BACK"],
  ["a record in the middle is no msgpack, and no journal is here", { log: changedAt(kept, 5, (data) => flipped(data, 0)), journal: [] }, "BYTES_REFUSED"],
  ["a chunk of the newest snapshot has a flipped bit, and no journal is here", { chunks: changedAt(chunks, -1, (data) => flipped(data, 20)), journal: [] }, "BROKER_WENT_BACK"],
  ["a chunk of the newest snapshot is gone, and no journal is here", { chunks: chunks.slice(0, -1), journal: [] }, "BROKER_WENT_BACK"],
  ["the log begins after the newest snapshot, and no journal is here", { log: kept.slice(-3), journal: [] }, "BROKER_WENT_BACK"],
  ["the newest record is of a newer version", { log: changedAt(kept, -1, newer) }, "RECORD_NEWER"],
  ["the newest record is of a newer version, and no journal is here", { log: changedAt(kept, -1, newer), journal: [] }, "RECORD_NEWER"],
  ["the journal is of a newer version", { journal: [...journal, [versionKey, Buffer.of(2)] as const] }, "JOURNAL_NEWER"],
] as const) {
  test(`${what}: refused with ${code}, and the journal is as it was`, async () => {
    const it = await opened(its), before = "journal" in its ? its.journal : journal;
    assert.is((await rejection(it.fold())).code, code);
    if (before.length > 0) assert.equal(plainEntries(await it.journal()), plainEntries([...before].sort(([a], [b]) => Buffer.compare(a, b))));
    if (before.length > 0) assert.is(it.logEnd(), history.at(-1)?.seq === undefined ? 0 : (("log" in its ? its.log : kept) as readonly Stored[]).at(-1)?.seq, "nothing was appended");
  });
}

for (const [what, changed] of [
  ["head", (key: Uint8Array) => Buffer.compare(key, headKey) === 0], ["folded mark", (key: Uint8Array) => Buffer.compare(key, foldedKey) === 0],
  ["newest record", (key: Uint8Array) => Buffer.compare(key, recordKey(expected.n)) === 0],
] as const) {
  test(`a bit of the journal's ${what} is flipped: it is set aside, and the log gives the recorded state`, async () => {
    let hits = 0;
    const entries = journal.map(([key, value]) => {
      if (!changed(key)) return [key, value] as const;
      hits++;
      return [key, flipped(value, value.length - 1)] as const;
    });
    assert.is(hits, 1);
    assert.equal(await (await opened({ journal: entries })).fold(), expected);
  });
}

test("a frame of a newer version: the actor parks with FRAME_NEWER, consumes nothing and commits nothing but its claim", async () => {
  const generation = "g-1", subjects = subjectsOf("ledger", "accounts", generation, 0), server = new MemoryServer();
  for (const subject of [subjects.log, subjects.mailbox(0), subjectsOf("ledger", "report", generation, 0).mailbox(0)]) server.create({ name: streamName(subject), subject, replicas: 1 });
  server.create({ name: deadStream("ledger"), subject: "mr.dead.ledger.>", replicas: 1 });
  const mailbox = server.streams.get(streamName(subjects.mailbox(0))), frame = encodeFrame({ from: "ledger/entries/0", generation, term: [1, new Uint8Array(8)], before: null, seq: 1, n: 2, edge: 0, watermark: null, note: null, shapes: [], types: [], rows: [[0, 1, "a", null, -1, { account: "a", amount: 1, at: 1 }]] });
  mailbox?.append(subjects.mailbox(0), message(new Uint8Array(8), newer(frame)), undefined);
  const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
  const exit = await within(10_000, "the exit", new Promise<Exit>((onExit, failed) => {
    createActor({ flow, division: () => ({ generation, count: 1 }), code: "c", node: "n", broker: new MemoryBroker(server), stores: new MemoryStores(new MemoryDisk()), clock: systemClock, random: new SeededRandom(1), log: silent, soon: (call) => void setImmediate(call), retainMs: 0, replicas: 1, oneByOne: new Turnstile(), readerCursor: () => undefined },
      stage, 0, { onExit, onState: () => {}, onPoison: () => {} }).start().catch(failed);
  }));
  assert.equal([exit.class, (exit.error as { code?: string }).code], ["parked", "FRAME_NEWER"]);
  assert.equal(mailbox?.bounds(), { first: 1, last: 1 });
  assert.is(server.streams.get(streamName(subjects.log))?.bounds().last, 1);
});

test.run();
