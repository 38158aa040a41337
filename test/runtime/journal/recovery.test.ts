import { crc32 } from "node:zlib";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { BrokerStream } from "../../../runtime/broker/broker.ts";
import { encode } from "../../../runtime/event/codec.ts";
import type { Term } from "../../../runtime/event/term.ts";
import { foldedKey, headKey, rangeOf, recordKey, stateKey } from "../../../runtime/journal/keys.ts";
import { LevelStores } from "../../../runtime/journal/level-store.ts";
import { type Body, type CommitRecord, decodeRecord, encodeRecord, messagesOf, type RecordKind } from "../../../runtime/journal/record.ts";
import type { Journal } from "../../../runtime/journal/journal.ts";
import { RecordReader } from "../../../runtime/journal/record-reader.ts";
import { openWarm, warmUp } from "../../../runtime/journal/warm-up.ts";
import { recover, type Recovered } from "../../../runtime/journal/recovery.ts";
import type { Store, Stores } from "../../../runtime/journal/store.ts";
import { ManualClock } from "../../../runtime/testing/manual-clock.ts";
import { MemoryBroker } from "../../../runtime/testing/memory-broker.ts";
import { MemoryServer } from "../../../runtime/testing/memory-server.ts";
import { MemoryDisk, MemoryStores } from "../../../runtime/testing/memory-store.ts";
import { reliableNetwork } from "../../../runtime/testing/network.ts";
import { Chance, seed } from "../../actors/seeded.ts";
import { driven } from "../../support/driven.ts";
import { told } from "../../support/plain-data.ts";
import { rejection } from "../../support/rejection.ts";
import { ScriptedNetwork } from "../../support/scripted-network.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const test = suite("recovery");
const storeName = "f/s/g/0", counted = (n: number): Body => ({ counts: { in: n, out: 0, late: 0, deadLetters: 0 } });
const entry = (key: string, value: unknown): readonly [Uint8Array, Uint8Array] => [stateKey(0, key, undefined), encode(value)];

/** One actor's log, and the disks of the nodes that may own it. */
class World {
  readonly clock = new ManualClock();
  readonly server = new MemoryServer({ clock: this.clock });
  readonly rival = new MemoryBroker(this.server);
  readonly chance = new Chance(seed);
  readonly random = { next: this.chance.next, bytes: (count: number) => Uint8Array.from({ length: count }, () => this.chance.below(256)) };
  waits = 0;

  constructor() {
    for (const name of ["log", "snap"]) this.server.create({ name, subject: `mr.${name}`, replicas: 1 });
  }

  streamOf(name: "log" | "snap", broker = this.rival): BrokerStream {
    return broker.stream(name, `mr.${name}`);
  }

  /** All messages of the log, as they are. */
  get log(): readonly string[] {
    const stream = this.server.streams.get("log"), { first, last } = stream?.bounds() ?? { first: 1, last: 0 };
    return Array.from({ length: last - first + 1 }, (_, i) => `${first + i} ${Buffer.from(stream?.at(first + i)?.data ?? []).toString("hex")}`);
  }

  recover(stores: Stores, more: { readonly network?: ScriptedNetwork; readonly signal?: AbortSignal; readonly onClaimed?: () => void; readonly code?: string; readonly ahead?: { readonly journal: Journal; readonly reader: RecordReader } } = {}): Promise<Recovered> {
    const broker = new MemoryBroker(this.server, more.network ?? reliableNetwork);
    return driven(this.clock, recover({
      where: "f/s/0", log: this.streamOf("log", broker), chunks: this.streamOf("snap", broker), stores, store: storeName, random: this.random, node: "n", code: more.code ?? "code",
      clock: this.clock, signal: more.signal ?? new AbortController().signal, onClaimed: more.onClaimed ?? (() => {}), onWait: () => { this.waits++; }, ahead: more.ahead,
    }));
  }

  async own(stores: Stores): Promise<Owner> {
    return new Owner(await this.recover(stores));
  }
}

/** Writes records as a committer does. */
class Owner {
  readonly recovered: Recovered;
  n: number;

  constructor(recovered: Recovered) {
    this.recovered = recovered;
    this.n = recovered.n;
  }

  /** `journal`: false where a crash falls between the log and the LevelDB batch. `whilst`: is done after the first part. */
  async commit(body: Body, { kind = "turn", limit = 100_000, parts = Infinity, journal = true, whilst }: { kind?: RecordKind; limit?: number; parts?: number; journal?: boolean; whilst?: () => Promise<void> } = {}): Promise<void> {
    const { log, term, journal: its } = this.recovered, first = this.n + 1;
    for (const { n, bytes } of messagesOf({ kind, n: this.n + 1, term, code: "code", body }, log.at, limit).slice(0, parts)) {
      const message = bytes(log.at);
      assert.is(await log.append(message), "accepted");
      if (journal) await its.write([{ n, seq: log.at, bytes: message }]);
      this.n = n;
      if (n === first) await whilst?.();
    }
  }

  async turns(count: number): Promise<void> {
    for (let i = 0; i < count; i++) await this.commit(counted(this.n + 1));
  }

  close(): Promise<void> {
    return this.recovered.journal.store.close();
  }
}

/** What recovery gives to replay, as text; the claims differ from life to life. */
async function given(recovered: Recovered): Promise<string> {
  const records: unknown[] = [], folded: unknown[] = [];
  for await (const { record } of recovered.records()) if (record.kind !== "claim") records.push([record.kind, record.n, record.body]);
  for await (const [key, value] of recovered.journal.store.range(...rangeOf("s"))) folded.push([key, value]);
  return told([recovered.folded, folded, records]);
}

async function givenOn(world: World, stores: Stores): Promise<string> {
  const recovered = await world.recover(stores), text = await given(recovered);
  await recovered.journal.store.close();
  return text;
}

async function change(stores: Stores, how: (store: Store) => Promise<void>): Promise<void> {
  const store = await stores.open(storeName);
  await how(store);
  await store.close();
}

const flip = (key: Uint8Array, at: number) => async (store: Store): Promise<void> => {
  const value = Uint8Array.from(store.get(key) as Uint8Array);
  value[at] = (value[at] as number) ^ 1;
  await store.write([{ type: "put", key, value }]);
};

const last = (world: World): CommitRecord => decodeRecord(Buffer.from((world.log.at(-1) as string).split(" ")[1] as string, "hex"));

// ── the claim (P5)

test("the first owner claims an empty log: record 1, term 1, k 0", async () => {
  const world = new World(), { term, n, k, folded, journal, log, previousCode } = await world.recover(new MemoryStores());
  assert.equal([term[0], n, k, folded, log.at, previousCode], [1, 1, 0, undefined, 1, undefined]);
  assert.is(told(last(world)), told({ kind: "claim", n: 1, term, previous: 0, code: "code", body: { node: "n", k: 0 } }));
  assert.is(journal.head?.n, 1, "the claim is in the journal, too");
});

test("each owner after it claims the next term, with a mark of its own, on the record that it read", async () => {
  const world = new World(), stores = new MemoryStores(), terms: Term[] = [];
  for (let i = 1; i <= 4; i++) {
    const owner = await world.own(stores);
    terms.push(owner.recovered.term);
    assert.equal([last(world).n, last(world).previous, last(world).term[0]], [i, i - 1, i]);
    await owner.close();
  }
  assert.is(new Set(terms.map(([, mark]) => Buffer.from(mark).toString("hex"))).size, 4);
});

for (const [name, kind, body, k] of [
  ["an orderly stop", "stop", {}, 0], ["a turn", "turn", {}, 1], ["a turn of an owner that counted 1", "turn", { tries: { k: 1, events: [] } }, 2], ["a claim that counted 3", "claim", { k: 3 }, 4],
  ["a snapshot of an owner that counted 2", "snapshot", { tries: { k: 2, events: [] } }, 3], ["an attempt", "attempt", { tries: { k: 2, events: [["e", 1]] } }, 3], ["a stop of one that counted", "stop", { tries: { k: 2, events: [] } }, 0],
] as const) {
  test(`after ${name} the next claim counts ${k} unclean ends in a row`, async () => {
    const world = new World(), owner = await world.own(new MemoryStores());
    await owner.commit(body as Body, { kind });
    const next = await world.recover(new MemoryStores());
    assert.is(next.k, k);
    assert.is(last(world).body.k, k);
  });
}

test("the hash of the code that wrote the last record is told", async () => {
  const world = new World();
  await (await world.recover(new MemoryStores(), { code: "old" })).journal.store.close();
  assert.is((await world.recover(new MemoryStores(), { code: "new" })).previousCode, "old");
});

// ── where a crash fell (PROTOCOL 7)

const onBoth = (name: string, run: (world: World, stores: Stores) => Promise<void>): void => {
  test(`${name}, in memory`, () => run(new World(), new MemoryStores()));
  test(`${name}, in LevelDB`, async () => {
    await using folder = await temporaryFolder();
    await run(new World(), new LevelStores(folder.path));
  });
};

onBoth("the journal's head is in the log: its records are used, and none is read from the log", async (world, stores) => {
  const owner = await world.own(stores);
  await owner.turns(3);
  await owner.close();
  const network = new ScriptedNetwork(), recovered = await world.recover(stores, { network });
  assert.is(await given(recovered), told([undefined, [], [2, 3, 4].map((n) => ["turn", n, counted(n)])]));
  await recovered.journal.store.close();
  // The last record, the claim that was appended, and what reading up to it takes.
  assert.ok(network.count("read") <= 2, network.seen.join(", "));
});

onBoth("accepted, before the LevelDB batch: the journal is behind, the tail is read", async (world, stores) => {
  const owner = await world.own(stores);
  await owner.turns(2);
  await owner.commit(counted(4), { journal: false });
  await owner.close();
  assert.is(await givenOn(world, stores), told([undefined, [], [2, 3, 4].map((n) => ["turn", n, counted(n)])]));
});

onBoth("another node went on meanwhile: its records are read after ours", async (world, stores) => {
  const owner = await world.own(stores);
  await owner.turns(2);
  await owner.close();
  const other = await world.own(new MemoryStores());
  await other.turns(2);
  const recovered = await world.recover(stores), ns: number[] = [];
  for await (const { record, seq } of recovered.records()) { assert.is(seq, record.n); ns.push(record.n); }
  await recovered.journal.store.close();
  assert.equal(ns, [1, 2, 3, 4, 5, 6, 7]);
});

onBoth("an empty disk: everything from record 1", async (world, stores) => {
  const owner = await world.own(new MemoryStores());
  await owner.turns(600);
  const recovered = await world.recover(stores);
  assert.is(recovered.journal.head?.n, 602);
  assert.is(await given(recovered), told([undefined, [], Array.from({ length: 600 }, (_, i) => ["turn", i + 2, counted(i + 2)])]));
  await recovered.journal.store.close();
});

onBoth("after the claim, while loading: the next claim, several in a row are normal", async (world, stores) => {
  const owner = await world.own(stores);
  await owner.turns(1);
  await owner.close();
  for (let i = 0; i < 5; i++) await world.streamOf("log").append(encodeRecord({ kind: "claim", n: 3 + i, term: [2 + i, world.random.bytes(8)], previous: 2 + i, code: "code", body: { k: i + 1 } }), 2 + i);
  const recovered = await world.recover(stores);
  assert.equal([recovered.n, recovered.term[0], recovered.k], [8, 7, 6]);
  assert.is(await given(recovered), told([undefined, [], [["turn", 2, counted(2)]]]));
  await recovered.journal.store.close();
});

// ── snapshots

/** A log with an inline snapshot, or a base in chunks and deltas, as of record 4; purged up to it where asked. */
async function withSnapshot(world: World, { chunks, purged, limit = 100_000 }: { chunks: boolean; purged: boolean; limit?: number }): Promise<void> {
  const owner = await world.own(new MemoryStores());
  await owner.turns(3);
  const named: (readonly [number, number, number])[] = [], snap = world.streamOf("snap");
  const loose = encode([entry("loose", "of a snapshot that no record names")]);
  if (chunks) {
    await snap.append(loose);
    for (const part of [[entry("a", 1), entry("b", 1), entry("gone", 1)], [entry("c", 1)], [entry("b", 2), [stateKey(0, "gone", undefined), null]]]) {
      const bytes = encode(part);
      named.push([(await snap.append(bytes)) as number, crc32(bytes), part.length]);
    }
    await snap.append(loose);
  }
  await owner.commit(counted(5));
  const entries = [entry("a", 1), entry("b", 2), entry("c", 1)];
  await owner.commit({ ...counted(4), snapshot: { n: 4, chunks: named, ...(chunks ? {} : { entries }) } }, { kind: "snapshot", limit });
  if (purged) await world.streamOf("log").purge(5);
  await owner.turns(2);
}
const expected = (from: number, snapshotted: unknown): string => told([
  { n: 4, body: { ...counted(4), snapshot: snapshotted } }, [entry("a", 1), entry("b", 2), entry("c", 1)],
  [...Array.from({ length: 8 - from + 1 }, (_, i) => from + i).map((n) => (n === 6 ? ["snapshot", 6, { ...counted(4), snapshot: snapshotted }] : ["turn", n, counted(n)]))],
]);

for (const chunks of [false, true]) {
  for (const purged of [false, true]) {
    onBoth(`an empty disk: the ${chunks ? "base and its deltas, newer entries over older, removed ones gone," : "snapshot in the record itself"} and the tail${purged ? ", of a log that was purged up to it" : ""}`, async (world, stores) => {
      await withSnapshot(world, { chunks, purged });
      const recovered = await world.recover(stores), text = await given(recovered), { snapshot } = recovered.folded?.body ?? {};
      assert.is(snapshot?.n, 4);
      assert.is(snapshot?.chunks.length, chunks ? 3 : 0);
      assert.is(text, expected(purged ? 5 : 2, snapshot));
      await recovered.journal.store.close();
      assert.is(await givenOn(world, stores), text, "the journal that was made gives the same");
    });
  }
}

onBoth("a snapshot record in parts is found, too", async (world, stores) => {
  await withSnapshot(world, { chunks: false, purged: true, limit: 700 });
  const recovered = await world.recover(stores);
  assert.is(recovered.folded?.n, 4);
  await recovered.journal.store.close();
});

onBoth("the journal is too old, the log begins after its head: deleted, and built anew", async (world, stores) => {
  await change(stores, (store) => store.write([{ type: "put", key: stateKey(0, "stale", undefined), value: encode("of long ago") }]));
  const owner = await world.own(stores);
  await owner.turns(1);
  await owner.close();
  const other = await world.own(new MemoryStores());
  await other.turns(3);
  await other.commit({ ...counted(6), snapshot: { n: 6, chunks: [], entries: [entry("a", 6)] } }, { kind: "snapshot" });
  await world.streamOf("log").purge(7);
  assert.is(await givenOn(world, stores), told([{ n: 6, body: { ...counted(6), snapshot: { n: 6, chunks: [], entries: [entry("a", 6)] } } }, [entry("a", 6)], [["snapshot", 7, { ...counted(6), snapshot: { n: 6, chunks: [], entries: [entry("a", 6)] } }]]]));
});

for (const [what, open] of [["loading", (world: World, stores: MemoryStores) => world.recover(stores)], ["warming up", warm]] as const) test(`a crash at any write of the ${what}: the next start gives the same`, async () => {
  for (const chunks of [false, true]) {
    const world = new World();
    await withSnapshot(world, { chunks, purged: true });
    const good = await givenOn(world, new MemoryStores());
    for (let writes = 0; ; writes++) {
      const disk = new MemoryDisk();
      let left = writes, died = () => {};
      const death = new Promise<void>((done) => { died = done; });
      const dying = new MemoryStores(disk, (_name, run) => { if (left-- > 0) queueMicrotask(run); else died(); });
      const outcome = await Promise.race([open(world, dying).then(() => "done", () => "failed"), death.then(() => "died")]);
      dying.kill();
      assert.is(await givenOn(world, new MemoryStores(disk)), good, `after ${writes} writes`);
      if (outcome !== "died") break;
      assert.ok(writes < 50);
    }
  }
});

// ── a journal that is broken in itself

for (const [name, breaks] of [
  ["a flipped bit in a record", flip(recordKey(3), 30)], ["a flipped bit in a record's sequence", flip(recordKey(3), 19)], ["a flipped bit in the head", flip(headKey, 15)], ["a flipped bit in the mark of the fold", flip(foldedKey, 6)],
  ["a record missing in the middle", (store: Store) => store.write([{ type: "del", key: recordKey(3) }])], ["the newest record missing", (store: Store) => store.write([{ type: "del", key: recordKey(4) }])],
  ["the first record that is not folded missing", (store: Store) => store.write([{ type: "del", key: recordKey(1) }, { type: "del", key: recordKey(2) }])],
  ["no head", (store: Store) => store.write([{ type: "del", key: headKey }])], ["a head that is cut short", (store: Store) => store.write([{ type: "put", key: headKey, value: Buffer.of(1, 2) }])],
] as const) {
  onBoth(`${name}: the journal is built anew from the log`, async (world, stores) => {
    const owner = await world.own(stores);
    await owner.turns(3);
    await owner.recovered.journal.store.write([owner.recovered.journal.foldedMark(1, {})]);
    await owner.close();
    const good = await givenOn(world, new MemoryStores());
    await change(stores, breaks);
    assert.is(await givenOn(world, stores), good);
    if (name !== "no head") assert.ok(await stores.exists(`${storeName}.broken-1`), "the broken one is put aside for a person to look at");
    assert.is(await givenOn(world, stores), good, "and again");
  });
}

// ── the broker lost what it had acknowledged (section 10)

for (const [name, lose] of [
  ["the log ends before the journal's head", (world: World) => world.server.rollback("log", 3)],
  ["the log is empty", (world: World) => world.server.rollback("log", 0)],
  ["the log has another record at the journal's head", async (world: World) => {
    world.server.rollback("log", 4);
    await world.streamOf("log").append(encodeRecord({ kind: "claim", n: 5, term: [9, new Uint8Array(8)], previous: 4, code: "code", body: {} }), 4);
  }],
  ["the log has other records there and goes on", async (world: World) => {
    world.server.rollback("log", 2);
    const other = await world.own(new MemoryStores());
    await other.turns(5);
  }],
] as const) {
  for (const broken of [false, true]) {
    onBoth(`${name}${broken ? ", and the journal is broken in itself" : ""}: BROKER_WENT_BACK, no claim, nothing changed, not even by trying again`, async (world, stores) => {
      const owner = await world.own(stores);
      await owner.turns(4);
      await owner.close();
      if (broken) await change(stores, (store) => store.write([{ type: "del", key: headKey }, { type: "put", key: headKey, value: Buffer.of(1) }]));
      await lose(world);
      const log = world.log, entries = await contents(stores);
      for (let i = 0; i < 2; i++) {
        const error = await rejection(world.recover(stores));
        assert.is(error.code, "BROKER_WENT_BACK", error.message);
        assert.match(error.message, /millrace doctor/);
        assert.equal(world.log, log);
        assert.equal(await contents(stores), entries);
        assert.not.ok(await stores.exists(`${storeName}.broken-1`));
      }
    });
  }
}

async function contents(stores: Stores): Promise<readonly string[]> {
  const found: string[] = [];
  await change(stores, async (store) => { for await (const [key, value] of store.range(Buffer.of(0), Buffer.of(255))) found.push(`${Buffer.from(key).toString("hex")} ${Buffer.from(value).toString("hex")}`); });
  return found;
}

test("a record of an owner that had been claimed over, after a loss: BROKER_WENT_BACK (P5)", async () => {
  const world = new World(), zombie = await world.own(new MemoryStores());
  await zombie.turns(1);
  world.server.rollback("log", 1);
  const owner = await world.own(new MemoryStores());
  // The zombie's next record fits: the claim has the number of the record that was lost.
  await zombie.commit(counted(3));
  await owner.close();
  assert.is((await rejection(givenOn(world, new MemoryStores()))).code, "BROKER_WENT_BACK");
});

// ── claimed over meanwhile

test("another owner claims between the look at the log and the claim: FENCED, and nothing of ours is in the log", async () => {
  const world = new World(), network = new ScriptedNetwork().next("append", ["held"]), stores = new MemoryStores();
  const failed = rejection(recoverWith(world, network, stores));
  await world.clock.elapse(1);
  assert.is(network.holds, 1);
  await world.own(new MemoryStores());
  network.release();
  assert.is((await driven(world.clock, failed)).code, "FENCED");
  assert.is(world.log.length, 1);
  await change(stores, async (store) => assert.is(store.get(headKey), undefined));
});

const recoverWith = (world: World, network: ScriptedNetwork, stores: Stores): Promise<Recovered> => world.recover(stores, { network });

for (const [name, lose] of [
  ["a chunk is missing", async (world: World) => { await world.streamOf("snap").purge(3); }],
  ["a chunk is another", async (world: World) => { world.server.rollback("snap", 1); for (let i = 0; i < 4; i++) await world.streamOf("snap").append(encode([entry("x", i)])); }],
  ["all chunks are missing", async (world: World) => { world.server.rollback("snap", 0); }],
] as const) {
  test(`${name}, and our claim is the last record: BROKER_WENT_BACK (P5)`, async () => {
    const world = new World();
    await withSnapshot(world, { chunks: true, purged: true });
    await lose(world);
    const stores = new MemoryStores();
    for (let i = 0; i < 2; i++) {
      assert.is((await rejection(world.recover(stores))).code, "BROKER_WENT_BACK");
      assert.is(last(world).kind, "claim");
    }
  });

  test(`${name}, and another owner has claimed over us: FENCED, that owner's snapshot replaced it`, async () => {
    const world = new World();
    await withSnapshot(world, { chunks: true, purged: true });
    const claimed = (): void => {
      void lose(world);
      void world.streamOf("log").append(encodeRecord({ kind: "claim", n: 10, term: [3, new Uint8Array(8)], previous: 9, code: "code", body: {} }), 9);
    };
    assert.is((await rejection(world.recover(new MemoryStores(), { onClaimed: claimed }))).code, "FENCED");
    assert.is(world.log.length, 6);
  });
}

// ── warmed up while another owner goes on

/** As recovery reads: without a claim. */
function warm(world: World, stores: Stores, log = world.streamOf("log")): Promise<void> {
  return driven(world.clock, warmUp({ where: "f/s/0", log, chunks: world.streamOf("snap"), stores, store: storeName, clock: world.clock, signal: new AbortController().signal }));
}

onBoth("a journal that was warmed up, once and again, leaves only the tail to read, and the owner that went on meanwhile is not disturbed", async (world, stores) => {
  const owner = await world.own(new MemoryStores());
  await owner.turns(5);
  await warm(world, stores);
  assert.equal([world.log.length, last(world).kind], [6, "turn"], "it claims nothing (I1)");
  await owner.turns(100);
  await warm(world, stores);
  await owner.turns(3);
  await owner.commit({}, { kind: "stop" });
  const network = new ScriptedNetwork(), recovered = await world.recover(stores, { network });
  assert.equal([recovered.n, recovered.journal.head?.n], [111, 111]);
  await recovered.journal.store.close();
  assert.is(await givenOn(world, stores), await givenOn(world, new MemoryStores()));
});

onBoth("a snapshot and its tail are warmed up as recovery would load them", async (world, stores) => {
  const owner = await world.own(new MemoryStores()), snapshot = { n: 4, chunks: [], entries: [entry("a", 4)] };
  await owner.turns(3);
  await owner.commit({ ...counted(4), snapshot }, { kind: "snapshot" });
  await world.streamOf("log").purge(5);
  await owner.turns(2);
  await warm(world, stores);
  assert.is(await givenOn(world, stores), await givenOn(world, new MemoryStores()));
});

/** Warmed up, read, and left open: as a head start leaves it. */
async function ahead(world: World, stores: Stores): Promise<{ readonly journal: Journal; readonly reader: RecordReader; readonly read: number[] }> {
  const { journal } = (await driven(world.clock, openWarm({ where: "f/s/0", log: world.streamOf("log"), chunks: world.streamOf("snap"), stores, store: storeName, clock: world.clock, signal: new AbortController().signal }))) as { readonly journal: Journal };
  const reader = new RecordReader("f/s/0", journal), read: number[] = [];
  for await (const { record } of reader.rest()) read.push(record.n);
  return { journal, reader, read };
}

onBoth("who read the journal ahead, while the owner goes on, is given only what came since, each record once, also one whose first parts it had", async (world, stores) => {
  const owner = await world.own(new MemoryStores()), body: Body = { out: [["mr.x", 1, new Uint8Array(5_000).fill(7)]] };
  await owner.turns(20);
  let start: Awaited<ReturnType<typeof ahead>> | undefined;
  await owner.commit(body, { limit: 2_048, whilst: async () => { start = await ahead(world, stores); } });
  const parted = owner.n;
  await owner.turns(30);
  assert.equal([start?.journal.head?.n, start?.read], [22, Array.from({ length: 21 }, (_, i) => i + 1)], "a claim, the turns, and one part that comes to nothing yet");
  const recovered = await world.recover(stores, start === undefined ? {} : { ahead: start }), rest: (readonly [number, number])[] = [];
  for await (const { record, seq } of recovered.records()) rest.push([record.n, seq]);
  assert.equal([rest[0], rest.slice(1)], [[22, 22], Array.from({ length: owner.n + 1 - parted }, (_, i) => [parted + 1 + i, parted + 1 + i])]);
  await recovered.journal.store.close();
  assert.is(await givenOn(world, stores), await givenOn(world, new MemoryStores()));
});

test("a log that went back behind what was read ahead is seen before the claim, and one that was purged beyond it is begun anew", async () => {
  const world = new World(), stores = new MemoryStores(), owner = await world.own(new MemoryStores());
  await owner.turns(20);
  const start = await ahead(world, stores), other = new World(), its = await other.own(new MemoryStores());
  await its.turns(5);
  assert.is((await rejection(other.recover(stores, { ahead: start }))).code, "BROKER_WENT_BACK");
  assert.is(other.log.length, 6, "it claimed nothing (I1)");
  const again = await ahead(world, stores), snapshot = { n: 31, chunks: [], entries: [entry("a", 4)] };
  await owner.turns(10);
  await owner.commit({ ...counted(31), snapshot }, { kind: "snapshot" });
  await world.streamOf("log").purge(32);
  assert.is((await rejection(world.recover(stores, { ahead: again }))).code, "LOG_PURGED");
  assert.is(await givenOn(world, stores), await givenOn(world, new MemoryStores()));
});

test("an owner that is claimed over and lets go of records that the new one has yet to read, since its snapshot holds them, is no loss: it begins anew", async () => {
  const world = new World(), stores = new MemoryStores(), owner = await world.own(new MemoryStores());
  await owner.turns(5);
  await warm(world, stores);
  await owner.turns(20);
  await owner.commit({ ...counted(27), snapshot: { n: 26, chunks: [], entries: [entry("a", 4)] } }, { kind: "snapshot" });
  const purge = (): void => void world.server.streams.get("log")?.purge(27);
  assert.is((await rejection(world.recover(stores, { onClaimed: purge }))).code, "LOG_PURGED");
  assert.is(await givenOn(world, stores), await givenOn(world, new MemoryStores()));
});

test("a journal of this node that the log does not fit is left for recovery to judge: it is evidence of a loss", async () => {
  const world = new World(), stores = new MemoryStores(), owner = await world.own(stores);
  await owner.turns(3);
  await owner.close();
  const before = await stores.open(storeName), head = Buffer.from(before.get(headKey) as Uint8Array);
  await before.close();
  // Another log under the same name, of other records.
  const other = new World();
  const its = await other.own(new MemoryStores());
  for (let n = 0; n < 9; n++) await its.commit(counted(100 + n));
  await warm(other, stores);
  const after = await stores.open(storeName);
  assert.equal(Buffer.from(after.get(headKey) as Uint8Array), head);
  await after.close();
  assert.is((await rejection(other.recover(stores))).code, "BROKER_WENT_BACK");
});

/** Two snapshots in chunks, as of 3 and 6; the log purged up to the older one. */
async function withTwoSnapshots(world: World): Promise<void> {
  const owner = await world.own(new MemoryStores()), snap = world.streamOf("snap");
  const named = async (...part: unknown[]) => { const bytes = encode(part); return [(await snap.append(bytes)) as number, crc32(bytes), part.length] as const; };
  await owner.turns(2);
  const base = await named(entry("a", 1), entry("b", 1));
  await owner.commit({ ...counted(3), snapshot: { n: 3, chunks: [base] } }, { kind: "snapshot" });
  await owner.turns(2);
  await owner.commit({ ...counted(6), snapshot: { n: 6, chunks: [base, await named(entry("b", 2))] } }, { kind: "snapshot" });
  await world.streamOf("log").purge(4);
  await owner.turns(1);
}

test("chunks of the newest snapshot are there: it is what is loaded", async () => {
  const world = new World();
  await withTwoSnapshots(world);
  const recovered = await world.recover(new MemoryStores());
  assert.equal([recovered.folded?.n, recovered.fellBack, recovered.journal.store.get(entry("b", 2)[0])], [6, false, entry("b", 2)[1]]);
});

for (const [name, lose] of [
  ["is gone", async (world: World) => { world.server.rollback("snap", 1); }],
  ["is another", async (world: World) => { world.server.rollback("snap", 1); await world.streamOf("snap").append(encode([entry("x", 1)])); }],
] as const) {
  test(`a chunk of the newest snapshot ${name}, the records since an older one are there: that one is loaded, nothing of the newer is left, and a new base is demanded (P25)`, async () => {
    const world = new World();
    await withTwoSnapshots(world);
    await lose(world);
    const stores = new MemoryStores(), recovered = await world.recover(stores), numbers: number[] = [], keys: string[] = [];
    for await (const { record } of recovered.records()) numbers.push(record.n);
    for await (const [key] of recovered.journal.store.range(...rangeOf("s"))) keys.push(Buffer.from(key).toString("hex"));
    assert.equal([recovered.folded?.n, recovered.folded?.body.counts?.in, recovered.fellBack, numbers], [3, 3, true, [4, 5, 6, 7, 8, 9]]);
    assert.equal(keys, ["a", "b"].map((key) => Buffer.from(entry(key, 1)[0]).toString("hex")));
    assert.equal(recovered.journal.store.get(entry("b", 1)[0]), entry("b", 1)[1]);
    await recovered.journal.store.close();
    // With its journal the next owner needs no snapshot.
    const next = await world.recover(stores);
    assert.equal([next.folded?.n, next.fellBack], [3, false]);
  });
}

test("chunks of every snapshot are gone, and all records are there: the state is made of those alone", async () => {
  const world = new World();
  await withSnapshot(world, { chunks: true, purged: false });
  world.server.rollback("snap", 0);
  const recovered = await world.recover(new MemoryStores()), numbers: number[] = [];
  for await (const { record } of recovered.records()) numbers.push(record.n);
  assert.equal([recovered.folded, recovered.fellBack, numbers[0]], [undefined, true, 1]);
});

test("the whole stream of chunks is gone, and what it held is nowhere else: BROKER_WENT_BACK, not an outage without end", async () => {
  const world = new World();
  await withSnapshot(world, { chunks: true, purged: true });
  world.server.remove("snap");
  const error = await rejection(world.recover(new MemoryStores()));
  assert.is(error.code, "BROKER_WENT_BACK");
  assert.match(error.message, /chunk \d+ of the newest snapshot of f\/s\/0/);
});

test("records are missing between the snapshot and the tail, our claim is the last record: BROKER_WENT_BACK", async () => {
  const world = new World();
  await withSnapshot(world, { chunks: false, purged: false });
  await world.streamOf("log").purge(7);
  const error = await rejection(world.recover(new MemoryStores()));
  assert.is(error.code, "BROKER_WENT_BACK");
  assert.match(error.message, /record 1 of f\/s\/0 is missing/);
});

test("the log is purged by a newer owner while we load: FENCED", async () => {
  const world = new World(), owner = await world.own(new MemoryStores());
  await owner.turns(3);
  const over = (): void => {
    void world.streamOf("log").append(encodeRecord({ kind: "claim", n: 6, term: [3, new Uint8Array(8)], previous: 5, code: "code", body: {} }), 5);
    void world.streamOf("log").purge(6);
  };
  assert.is((await rejection(world.recover(new MemoryStores(), { onClaimed: over }))).code, "FENCED");
});

// ── parts (P6)

onBoth("a record in parts is given whole, with the sequence of its first part", async (world, stores) => {
  const owner = await world.own(stores), body: Body = { out: [["mr.x", 1, new Uint8Array(5_000).fill(7)]] };
  await owner.commit(body, { limit: 2_048 });
  await owner.turns(1);
  await owner.close();
  for (const its of [stores, new MemoryStores()]) {
    const recovered = await world.recover(its), all: CommitRecord[] = [];
    for await (const { record, seq } of recovered.records()) if (record.kind === "turn") { all.push(record); assert.is(seq, record.n); }
    assert.is(told(all.map(({ n, body: of }) => [n, of])), told([[2, body], [owner.n, counted(owner.n)]]));
    await recovered.journal.store.close();
  }
});

onBoth("parts without their end are void: the next owner goes on without that record", async (world, stores) => {
  const owner = await world.own(stores), body: Body = { out: [["mr.x", 1, new Uint8Array(5_000)]] };
  await owner.turns(1);
  await owner.commit(body, { limit: 2_048, parts: 2 });
  await owner.close();
  for (const its of [stores, new MemoryStores()]) {
    const next = await world.own(its);
    await next.turns(1);
    await next.close();
  }
  const recovered = await world.recover(stores), ns: number[] = [];
  for await (const { record } of recovered.records()) if (record.kind === "turn") ns.push(record.n);
  assert.equal(ns, [2, 6, 8]);
  await recovered.journal.store.close();
});

// ── fail safe (P25), outages, bounds

test("the last record is of a newer version: RECORD_NEWER, no claim", async () => {
  const world = new World(), stores = new MemoryStores();
  await (await world.own(stores)).close();
  await world.streamOf("log").append(encode([2, "something new"]), 1);
  assert.is((await rejection(world.recover(stores))).code, "RECORD_NEWER");
  assert.is(world.log.length, 2);
  await (await stores.open(storeName)).close();
});

test("the last message is no record at all: BYTES_REFUSED, no claim", async () => {
  const world = new World();
  await world.streamOf("log").append(Buffer.from("hello"), 0);
  assert.is((await rejection(world.recover(new MemoryStores()))).code, "BYTES_REFUSED");
  assert.is(world.log.length, 1);
});

test("the journal is in use by another process: JOURNAL_LOCKED, no claim", async () => {
  const world = new World(), disk = new MemoryDisk(), owner = await world.own(new MemoryStores(disk));
  assert.is((await rejection(world.recover(new MemoryStores(disk)))).code, "JOURNAL_LOCKED");
  assert.is(world.log.length, 1);
  await owner.close();
});

test("an outage is waited out, before the claim and after it", async () => {
  const world = new World(), owner = await world.own(new MemoryStores());
  await owner.turns(2);
  const network = new ScriptedNetwork().next("read", ["lost", "lost"]).next("append", ["lost"]).next("answer", ["carried", "carried", "lost"]);
  const recovered = await world.recover(new MemoryStores(), { network });
  assert.ok(world.waits >= 3);
  assert.is(await given(recovered), told([undefined, [], [2, 3].map((n) => ["turn", n, counted(n)])]));
  assert.is(world.log.length, 4, "one claim");
});

test("ended while it waits for the broker: FENCED, the store is closed (I9)", async () => {
  const world = new World(), stores = new MemoryStores(), abort = new AbortController();
  const failed = rejection(world.recover(stores, { network: new ScriptedNetwork().next("read", new Array(1_000).fill("lost")), signal: abort.signal }));
  await world.clock.elapse(10_000);
  abort.abort();
  assert.is((await failed).code, "FENCED");
  await (await stores.open(storeName)).close();
});

test("it says when it has claimed, before it loads", async () => {
  const world = new World();
  let claimed = 0;
  await world.recover(new MemoryStores(), { onClaimed: () => { claimed++; assert.is(world.log.length, 1); } });
  assert.is(claimed, 1);
});

test.run();
