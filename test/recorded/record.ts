// Makes test/recorded/v1: `node --conditions=source --import tsx test/recorded/record.ts <new folder>`. Run once for each version of
// the format; what it made is never made again, since it stands for the data of those who do not upgrade on the same day.
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { deadStream, streamName, subjectsOf, Turnstile } from "../../runtime/actor/environment.ts";
import { frameReserve, turnLimit } from "../../runtime/actor/limits.ts";
import { snapshotEvery, snapshotSize } from "../../runtime/actor/snapshot.ts";
import { createActor } from "../../runtime/actor/wiring.ts";
import type { Stored } from "../../runtime/broker/broker.ts";
import { plain } from "../../runtime/event/codec.ts";
import { encodeFrame, message, RowBuffer } from "../../runtime/event/frame.ts";
import type { StagePlan } from "../../runtime/flow/plan.ts";
import { recordVersion } from "../../runtime/journal/record.ts";
import { ManualClock } from "../../runtime/testing/manual-clock.ts";
import { MemoryBroker } from "../../runtime/testing/memory-broker.ts";
import { MemoryServer } from "../../runtime/testing/memory-server.ts";
import { MemoryDisk, MemoryStores } from "../../runtime/testing/memory-store.ts";
import { SeededRandom } from "../../runtime/testing/seeded-random.ts";
import { until } from "../support/driven.ts";
import { plan } from "../support/flow-parts.ts";
import { entryLines, foldedByEngine, serverOf, storedLines, storesWith } from "../support/recorded-log.ts";
import { type Entry, recordedFlow } from "./flow.ts";

const generation = "v1v1v1v1-1", silent = { debug: () => {}, info: () => {}, warn: console.warn, error: console.error };
// So that few events come to many records, parts and chunks.
snapshotEvery.records = 12;
snapshotSize.inlineBytes = 2_000;
snapshotSize.chunkBytes = 1_500;
turnLimit.events = 8;
frameReserve.bytes = 3_072;

const flow = plan(recordedFlow), stage = flow.stages.find(({ name }) => name === "accounts") as StagePlan, subjects = subjectsOf("ledger", "accounts", generation, 0);
const clock = new ManualClock(), server = new MemoryServer({ clock, maxPayload: 6 * 1024 }), random = new SeededRandom(1), disk = new MemoryDisk(), store = `ledger/accounts/${generation}/0`;
const reader = subjectsOf("ledger", "report", generation, 0).mailbox(0);
server.create({ name: deadStream("ledger"), subject: "mr.dead.ledger.>", replicas: 1 });
for (const subject of [subjects.log, subjects.mailbox(0)]) server.create({ name: streamName(subject), subject, replicas: 1 });
// Nobody reads it: full in the end, so that some frames are not settled.
server.create({ name: streamName(reader), subject: reader, maxMessages: 65, replicas: 1 });
const log = server.streams.get(streamName(subjects.log)) as NonNullable<ReturnType<typeof server.streams.get>>, all: Stored[] = [];
log.watchers.add({ grown: () => all.push(log.at(log.bounds().last) as Stored), lost: () => {} });

const stores = new MemoryStores(disk);
const life = () => createActor({
  flow, division: () => ({ generation, count: 1 }), code: "recorded", node: "recorder", broker: new MemoryBroker(server), stores, clock, random, log: silent, soon: (call) => void setImmediate(call),
  retainMs: 0, replicas: 1, oneByOne: new Turnstile(), readerCursor: () => undefined,
}, stage, 0, { onExit: (exit) => { if (exit.error !== undefined) console.error(exit.error); }, onState: () => {}, onPoison: () => {} });

let seq = 0, at = 1_700_000_000_000;
/** One frame: a turn, or a little more. */
function give(entries: readonly Omit<Entry, "at">[]): void {
  const rows = new RowBuffer(), term = [1, Buffer.from("entries0")] as const;
  entries.forEach((entry, k) => { at += 20; rows.add(k, at - (k % 3) * 15, entry.account, null, { ...entry, at: at - (k % 3) * 15 }); });
  seq++;
  const frame = encodeFrame({ from: "ledger/entries/0", generation, term, before: seq === 1 ? null : term, seq, n: seq + 1, edge: 0, watermark: at - 200, note: null, shapes: rows.shapes, types: [], rows: plain(rows.rows) as typeof rows.rows });
  server.streams.get(streamName(subjects.mailbox(0)))?.append(subjects.mailbox(0), message(random.bytes(8), frame), undefined);
}

let actor = life();
await actor.start();
for (let i = 0; i < 45; i++) {
  const accounts: (string | number)[] = ["a", "b\0b", "ü😀", -7, 12], pick = (n: number) => accounts[(i + n) % accounts.length] as string | number;
  const padded = i % 20 === 6 || i % 20 === 7 ? { pad: 1_000 } : {};
  give([{ account: pick(0), amount: i, ...padded }, { account: pick(1), amount: i * 10, ...padded }, { account: pick(2), amount: i % 9 === 4 ? 100 : -i, ...padded },
    { account: pick(3), amount: i === 41 ? 1_313 : i === 20 ? 666 : i === 35 ? 99 : 1.25, ...padded }, { account: pick(4), amount: 7, ...padded }]);
  const taken = seq;
  await until(clock, `frame ${taken} is handled`, () => actor.memory.inbound.channel(0, "ledger/entries/0", generation)?.seq === taken);
  // A crash and a failover: terms, claims that follow no stop.
  if (i === 25) { actor.exit({ class: "process" }); await until(clock, "it is over", () => true); actor = life(); await actor.start(); }
}
const before = clock.monotonic() + 3_000;
await until(clock, "all is committed", () => clock.monotonic() >= before);
actor.exit({ class: "process" });
await until(clock, "it is over", () => true);

const chunkStream = server.streams.get(streamName(subjects.chunks)), bounds = chunkStream?.bounds() ?? { first: 1, last: 0 }, chunks: Stored[] = [];
for (let n = bounds.first; n <= bounds.last; n++) chunks.push(chunkStream?.at(n) as Stored);
const opened = await new MemoryStores(disk).open(store), entries: (readonly [Uint8Array, Uint8Array])[] = [];
for await (const entry of opened.range(Buffer.from([0]), Buffer.from([255]))) entries.push(entry);
await opened.close();
const { first } = log.bounds(), kept = serverOf({ log: all.filter((record) => record.seq >= first), chunks });
const folded = await foldedByEngine(stage, kept, all, await storesWith(store, entries), store);

const folder = process.argv[2];
if (folder === undefined) throw new Error("name the folder to make");
await mkdir(folder);
await writeFile(join(folder, "log.jsonl"), storedLines(all));
await writeFile(join(folder, "chunks.jsonl"), storedLines(chunks));
await writeFile(join(folder, "journal.jsonl"), entryLines(entries));
await writeFile(join(folder, "state.json"), `${JSON.stringify({ version: recordVersion, store, firstKept: first, ...folded }, undefined, 2)}\n`);
console.log(first, all.length, chunks.length, entries.length, folded);
