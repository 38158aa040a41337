// A warm copy beside an owner that works, takes snapshots and purges, under seeded chance: what it holds is always what the log comes to.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { seal, unseal } from "../../../runtime/actor/change.ts";
import { Turnstile } from "../../../runtime/actor/environment.ts";
import { Snapshots, snapshotSize } from "../../../runtime/actor/snapshot.ts";
import type { BrokerStream } from "../../../runtime/broker/broker.ts";
import { Journal } from "../../../runtime/journal/journal.ts";
import { rangeOf, readStateKey, stateKey } from "../../../runtime/journal/keys.ts";
import { LevelStores } from "../../../runtime/journal/level-store.ts";
import { decodeRecord, encodeRecord, type Body, type RecordKind } from "../../../runtime/journal/record.ts";
import { recover, type Recovered } from "../../../runtime/journal/recovery.ts";
import type { Stores } from "../../../runtime/journal/store.ts";
import { WarmCopy } from "../../../runtime/journal/warm-copy.ts";
import { ManualClock, settle } from "../../../runtime/testing/manual-clock.ts";
import { MemoryBroker } from "../../../runtime/testing/memory-broker.ts";
import { MemoryServer } from "../../../runtime/testing/memory-server.ts";
import { MemoryStores } from "../../../runtime/testing/memory-store.ts";
import { Chance, seed } from "../../actors/seeded.ts";
import { driven, until } from "../../support/driven.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const test = suite("warm copy");
const storeName = "f/s/g/0", usual = { ...snapshotSize };
test.before.each(() => { Object.assign(snapshotSize, { inlineBytes: 500, chunkBytes: 200 }); });
test.after.each(() => { Object.assign(snapshotSize, usual); });

class World {
  readonly clock = new ManualClock();
  readonly server = new MemoryServer({ clock: this.clock });
  readonly broker = new MemoryBroker(this.server);
  /** Of the node with the copy. */
  readonly line = new MemoryBroker(this.server);
  readonly chance: Chance;
  readonly state = new Map<string, number>();
  readonly #changed = new Set<string>();
  readonly turnstile = new Turnstile();
  #owner: Recovered | undefined;
  #snapshots: Snapshots | undefined;
  n = 0;

  constructor(of: number) {
    this.chance = new Chance(of);
    for (const name of ["log", "snap"]) this.server.create({ name, subject: `mr.${name}`, replicas: 1 });
  }

  stream(name: "log" | "snap", broker = this.broker): BrokerStream {
    return broker.stream(name, `mr.${name}`);
  }

  recover(stores: Stores): Promise<Recovered> {
    const random = { next: this.chance.next, bytes: (count: number) => Uint8Array.from({ length: count }, () => this.chance.below(256)) };
    return driven(this.clock, recover({ where: "f/s/0", log: this.stream("log"), chunks: this.stream("snap"), stores, store: storeName, random, node: "n", code: "code", clock: this.clock, signal: new AbortController().signal, onClaimed: () => {} }));
  }

  async own(stores: Stores = new MemoryStores()): Promise<void> {
    this.#owner = await this.recover(stores);
    this.n = this.#owner.n;
    this.#snapshots = new Snapshots(this.#owner.journal, this.stream("snap"), () => Promise.resolve(), 100_000, queueMicrotask);
  }

  async commit(body: Body, kind: RecordKind = "turn"): Promise<void> {
    const { log, term, journal } = this.#owner as Recovered, bytes = encodeRecord({ kind, n: ++this.n, term, previous: log.at, code: "code", body });
    assert.is(await log.append(bytes), "accepted");
    await journal.write([{ n: this.n, seq: log.at, bytes }]);
  }

  async turn(keys = 30): Promise<void> {
    const changes = new Map<string, number | undefined>();
    for (let i = this.chance.below(6); i >= 0; i--) changes.set(`k${this.chance.below(keys)}`, this.chance.below(3) === 0 ? undefined : this.chance.below(1_000_000));
    for (const [key, value] of changes) {
      this.#changed.add(key);
      if (value === undefined) this.state.delete(key);
      else this.state.set(key, value);
    }
    await this.commit({ state: [...changes].map(([key, value]) => (value === undefined ? [0, 1, key, null] : [0, 1, key, null, value])) });
  }

  async snapshot({ isPurged = true } = {}): Promise<void> {
    const { journal, log } = this.#owner as Recovered, snapshots = this.#snapshots as Snapshots, at = this.n, seq = log.at;
    const entries = [...this.#changed].map((key) => [() => stateKey(0, key, undefined), this.state.has(key) ? [1, this.state.get(key)] : undefined] as const);
    this.#changed.clear();
    const body = await snapshots.write({ n: at, body: {}, entries });
    await this.turn();
    await this.commit(body, "snapshot");
    if (!isPurged) return;
    await journal.trim(at + 1);
    await this.stream("log").purge(seq + 1);
    await snapshots.purge(snapshots.chunks[0]?.[0] ?? (await this.stream("snap").bounds()).last + 1);
  }

  copy(stores: Stores): WarmCopy {
    return new WarmCopy({ where: "f/s/0", log: this.stream("log", this.line), chunks: this.stream("snap", this.line), stores, store: storeName, clock: this.clock, turn: () => this.turnstile.enter(), onState: () => {} });
  }

  async isWarm(copy: WarmCopy): Promise<void> {
    await until(this.clock, `the copy is warm (${JSON.stringify(copy.figures)}, log at ${this.n})`, () => copy.figures.n === this.n && ["warm", "over"].includes(copy.figures.state));
  }
}

/** What a closed journal comes to, and how much it holds. */
async function held(stores: Stores): Promise<{ readonly state: ReadonlyMap<string, number>; readonly records: number; readonly folded: number }> {
  const store = await stores.open(storeName), journal = new Journal(store, "f/s/0"), state = new Map<string, number>(), folded = journal.folded()?.n ?? 0;
  for await (const [key, value] of store.range(...rangeOf("s"))) state.set(readStateKey(key).key as string, (unseal(value, "f/s/0") as [number, number])[1]);
  let records = 0;
  for await (const { n, bytes } of journal.read((await journal.first()) ?? 1)) {
    records++;
    if (n > folded) for (const [, , key, , value] of decodeRecord(bytes).body.state ?? []) value === undefined ? state.delete(key as string) : state.set(key as string, value as number);
  }
  await store.close();
  return { state, records, folded };
}

const sorted = (of: ReadonlyMap<string, number>): unknown => [...of].toSorted(([a], [b]) => (a < b ? -1 : 1));

for (const kind of ["memory", "LevelDB"] as const) {
  test(`in ${kind}: it follows, folds and lets go as its owner does, through any stops and outages, and holds what the log comes to`, async () => {
    await using folder = await temporaryFolder();
    for (let round = 0; round < (kind === "memory" ? 60 : 8); round++) {
      const world = new World(seed + round), stores = kind === "memory" ? new MemoryStores() : new LevelStores(`${folder.path}/${round}`), { chance } = world;
      await world.own();
      let copy = world.copy(stores);
      for (let step = 0; step < 40; step++) {
        const does = chance.below(13);
        if (does === 12) {
          world.line.disconnect();
          for (let i = chance.below(6); i > 0; i--) await (chance.below(3) === 0 ? world.snapshot() : world.turn());
          if (chance.below(2) === 0) await settle();
          world.line.reconnect();
        } else if (does < 7) await world.turn();
        else if (does < 9) await world.snapshot({ isPurged: chance.below(4) > 0 });
        else if (does < 11) await world.isWarm(copy);
        else {
          await driven(world.clock, copy.stop());
          if (chance.below(2) === 0) for (let i = chance.below(8); i > 0; i--) await (chance.below(3) === 0 ? world.snapshot() : world.turn());
          copy = world.copy(stores);
        }
      }
      await world.snapshot();
      await world.isWarm(copy);
      await driven(world.clock, copy.stop());
      const { state, records, folded } = await held(stores), { first, last } = await world.stream("log").bounds();
      assert.equal(sorted(state), sorted(world.state), `seed ${seed + round}`);
      assert.ok(records <= last - first + 1, `seed ${seed + round}: ${records} records are kept, the log has ${last - first + 1}`);
      assert.ok(folded > 0);
      // Whoever starts here has nothing to read.
      const recovered = await world.recover(stores);
      assert.equal([recovered.read.messages, recovered.n], [0, world.n + 1], `seed ${seed + round}`);
      await recovered.journal.store.close();
    }
  });
}

test("a base replaces what was removed since, also of kinds that it holds nothing of; a delta is put over it, and nothing else is read", async () => {
  const world = new World(seed), stores = new MemoryStores();
  await world.own();
  for (let i = 0; i < 40; i++) await world.turn();
  const copy = world.copy(stores);
  await world.isWarm(copy);
  await world.snapshot();
  await world.isWarm(copy);
  const { messages } = copy.figures, { last } = await world.stream("snap").bounds();
  await world.turn();
  await world.snapshot();
  await world.isWarm(copy);
  const deltas = (await world.stream("snap").bounds()).last - last;
  assert.ok(deltas >= 1);
  // Three records, and the delta's chunks, unless the base before was outgrown.
  assert.is(copy.figures.messages - messages, 3 + deltas);
  // What an old base left behind goes with the next one.
  await driven(world.clock, copy.stop());
  const store = await stores.open(storeName), stale = [stateKey(0, "a stale key", undefined), stateKey(0, "zz", undefined), Buffer.from("t-stale"), Buffer.from("i-stale")];
  await store.write(stale.map((key) => ({ type: "put", key, value: seal([1, 0]) })));
  const journal = new Journal(store, "f/s/0"), folded = journal.folded() as { n: number; body: Body };
  await store.write([journal.foldedMark(folded.n, { ...folded.body, snapshot: { n: folded.n, chunks: [] } })]);
  await store.close();
  const again = world.copy(stores);
  await world.turn();
  await world.snapshot();
  await world.isWarm(again);
  await driven(world.clock, again.stop());
  assert.equal(sorted((await held(stores)).state), sorted(world.state));
  const after = await stores.open(storeName);
  for (const key of stale) assert.is(after.get(key), undefined);
  await after.close();
});

test("it claims nothing, and a journal that the log does not fit is kept as it is: evidence of a loss", async () => {
  const world = new World(seed), stores = new MemoryStores();
  await world.own(stores);
  for (let i = 0; i < 5; i++) await world.turn();
  const other = new World(seed + 1);
  await other.own();
  for (let i = 0; i < 9; i++) await other.turn();
  // The owner has it open still: it waits for that.
  const locked = world.copy(stores);
  await until(world.clock, "it waits", () => locked.figures.state === "waiting");
  await driven(world.clock, locked.stop());
  const fresh = new MemoryStores(), mine = world.copy(fresh);
  await world.isWarm(mine);
  await driven(world.clock, mine.stop());
  const before = await held(fresh), wrong = other.copy(fresh);
  await until(other.clock, "it leaves it", () => wrong.figures.state === "kept");
  await driven(other.clock, wrong.stop());
  assert.equal(sorted((await held(fresh)).state), sorted(before.state));
  assert.is((await other.stream("log").bounds()).last, 10, "nothing was written to the log");
});

test("it begins before its actor does, and ends with the actor", async () => {
  const world = new World(seed), stores = new MemoryStores(), copy = world.copy(stores);
  await world.own();
  await world.turn();
  await world.isWarm(copy);
  await world.commit({ own: { watermark: null, ended: true, caught: true } }, "stop");
  await until(world.clock, "it is over", () => copy.figures.state === "over");
  assert.equal(sorted((await held(stores)).state), sorted(world.state));
  await driven(world.clock, copy.stop());
});

test.run();
