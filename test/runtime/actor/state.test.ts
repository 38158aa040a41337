import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Changes, seal } from "../../../runtime/actor/change.ts";
import { State } from "../../../runtime/actor/state.ts";
import { decode, encode } from "../../../runtime/event/codec.ts";
import { MillraceError } from "../../../runtime/event/errors.ts";
import type { Key } from "../../../runtime/event/event.ts";
import type { OperatorSpec } from "../../../runtime/flow/operator.ts";
import { stateKey } from "../../../runtime/journal/keys.ts";
import type { Body } from "../../../runtime/journal/record.ts";
import type { Store } from "../../../runtime/journal/store.ts";
import { MemoryStores } from "../../../runtime/testing/memory-store.ts";
import { Chance, seed } from "../../actors/seeded.ts";
import { fold } from "../../support/folding.ts";
import { randomData, told } from "../../support/plain-data.ts";

const test = suite("state");
const spec = (more: Partial<OperatorSpec> = {}): OperatorSpec => ({ kind: "stateful", keyed: true, state: "key", open: () => { throw new Error("nothing is opened here"); }, ...more });

class Kept {
  readonly changes = new Changes();
  readonly state: State;

  constructor(specs: readonly OperatorSpec[] = [spec(), spec()]) {
    this.state = new State(specs, this.changes, "f/s/0");
  }

  get(key: Key, part?: number, operator = 0): unknown {
    return this.state.entry(operator, key, part).value;
  }

  set(key: Key, value: unknown, part?: number, operator = 0): void {
    this.state.set(this.state.entry(operator, key, part), value);
  }

  /** Ends the turn; its rows as they come out of a record. */
  rows(): NonNullable<Body["state"]> {
    this.changes.keep();
    return decode(encode(this.state.rows(this.changes.close()))) as NonNullable<Body["state"]>;
  }
}

const store = (): Promise<Store> => new MemoryStores().open("a");
const code = (call: () => unknown): string => { try { call(); return ""; } catch (error) { return (error as MillraceError).code; } };

test("a key has no value until it is set; operators, keys and parts are apart", () => {
  const kept = new Kept();
  assert.is(kept.get("a"), undefined);
  kept.set("a", 1);
  kept.set("a", 2, 5);
  kept.set("a", 3, undefined, 1);
  kept.set(1, 4);
  kept.set("1", 5);
  assert.equal([kept.get("a"), kept.get("a", 5), kept.get("a", 6), kept.get("a", undefined, 1), kept.get(1), kept.get("1")], [1, 2, undefined, 3, 4, 5]);
});

test("an event that failed leaves the values as they were, and nothing of it is in the record", () => {
  const kept = new Kept();
  kept.set("a", { count: 1 });
  kept.rows();
  kept.set("b", 1);
  kept.changes.keep();
  kept.set("a", { count: 2 });
  kept.set("new", 1);
  kept.set("a", undefined);
  kept.changes.revert();
  assert.equal([kept.get("a"), kept.get("b"), kept.get("new")], [{ count: 1 }, 1, undefined]);
  const replayed = new Kept();
  replayed.state.apply([[0, 1, "a", null, { count: 1 }]]);
  replayed.state.apply(kept.rows());
  assert.equal([replayed.get("a"), replayed.get("b"), replayed.get("new")], [{ count: 1 }, 1, undefined]);
});

test("a value that cannot be sent is refused, and the one before stays", () => {
  const kept = new Kept();
  kept.set("a", 1);
  assert.is(code(() => kept.set("a", () => 1)), "UNSERIALIZABLE");
  assert.is(kept.get("a"), 1);
});

test(`replaying the records gives the state, whatever was set and removed, of all data (SEED=${seed})`, () => {
  const chance = new Chance(seed), kept = new Kept(), replayed = new Kept(), keys: Key[] = ["a", "a\0b", "é", 1, -5, ""];
  for (let turn = 0; turn < 200; turn++) {
    for (let i = chance.below(5); i >= 0; i--) kept.set(chance.of(keys), chance.below(3) === 0 ? undefined : (randomData(chance, 2) ?? null), chance.of([undefined, 0, 7]), chance.below(2));
    replayed.state.apply(kept.rows());
    replayed.changes.close();
    for (const key of keys) for (const part of [undefined, 0, 7]) for (const operator of [0, 1]) assert.is(told(replayed.get(key, part, operator)), told(kept.get(key, part, operator)));
  }
});

test(`half a fold and the replay after it give the same state as a whole fold (SEED=${seed})`, async () => {
  const chance = new Chance(seed + 1), keys: Key[] = ["a", "b", 1, 2, 3, 4, 5];
  for (const share of [0, 0.3, 0.7, 1]) {
    const kept = new Kept(), its = await store(), since: NonNullable<Body["state"]>[] = [];
    for (let turn = 0; turn < 30; turn++) {
      for (let i = 0; i < 4; i++) kept.set(chance.of(keys), chance.below(4) === 0 ? undefined : turn * 10 + i, chance.of([undefined, 1]));
      since.push(kept.rows());
      if (turn === 9) { await fold(kept.changes, its); since.length = 0; }
    }
    // The crash falls into the second fold: its mark is not there, so the records since the first are replayed.
    await fold(kept.changes, its, share);
    const recovered = new Kept();
    recovered.state.readFrom(its);
    for (const rows of since) recovered.state.apply(rows);
    for (const key of keys) for (const part of [undefined, 1]) assert.is(told(recovered.get(key, part)), told(kept.get(key, part)), `${key} ${part}`);
  }
});

test("what is folded is let go where there is a lot of it, and is there again when it is asked for", async () => {
  const kept = new Kept(), its = await store(), count = 200_000;
  for (let i = 0; i < count; i++) kept.set(i, { i });
  kept.rows();
  await fold(kept.changes, its);
  kept.state.readFrom(its);
  kept.set("unfolded", 1);
  kept.set(5, undefined);
  kept.rows();
  kept.state.release(its);
  // Changed in the store behind its back: what is read from there was let go, what has changed since the fold was not.
  await its.write([{ type: "del", key: stateKey(0, 7, undefined) }, { type: "del", key: stateKey(0, 5, undefined) }]);
  assert.equal([kept.get(7), kept.get(8), kept.get("unfolded"), kept.get(5)], [undefined, { i: 8 }, 1, undefined]);
});

test("what is not much is kept in memory although it is folded", async () => {
  const kept = new Kept(), its = await store();
  kept.set("a", 1);
  kept.rows();
  await fold(kept.changes, its);
  kept.state.release(its);
  await its.write([{ type: "del", key: stateKey(0, "a", undefined) }]);
  assert.is(kept.get("a"), 1);
});

test("what a snapshot removed is let go at once, however little it is: windows that are over, keys that are forgotten", async () => {
  const kept = new Kept(), its = await store();
  for (const part of [undefined, 1, 2]) kept.set("a", 1, part);
  kept.rows();
  await fold(kept.changes, its);
  kept.state.release(its);
  for (const part of [undefined, 1]) kept.set("a", undefined, part);
  kept.set("b", 1);
  kept.set("b", undefined);
  kept.rows();
  await fold(kept.changes, its);
  // Set anew before the snapshot's record was accepted: it stays.
  kept.set("a", 5, 1);
  kept.state.release(its);
  await its.write([undefined, 1].map((part) => ({ type: "put" as const, key: stateKey(0, "a", part), value: seal([1, "from the store"]) })));
  assert.equal([kept.get("a"), kept.get("a", 1), kept.get("a", 2)], ["from the store", 5, 1]);
});

test("a handler that waits for something keeps its entry, also when that is let go meanwhile: what it sets then counts", async () => {
  const kept = new Kept(), its = await store(), entry = kept.state.entry(0, "a");
  kept.set("a", 1);
  kept.set("a", undefined);
  kept.rows();
  await fold(kept.changes, its);
  kept.state.release(its);
  kept.state.set(entry, 7);
  assert.is(kept.get("a"), 7);
  assert.equal(kept.rows(), [[0, 1, "a", null, 7]]);
});

test("all parts of a key, in their order: those in memory, those in the store, without those that are removed", async () => {
  const kept = new Kept(), its = await store();
  for (const [key, part] of [["a", 3], ["a", -1], ["a", 2], ["a\0", 9], ["b", 1], ["", 4]] as const) kept.set(key, `${key}${part}`, part);
  kept.rows();
  await fold(kept.changes, its);
  const recovered = new Kept();
  recovered.state.readFrom(its);
  recovered.set("a", "new", 1);
  recovered.set("a", undefined, 2);
  recovered.set("a", "changed", 3);
  assert.equal((await recovered.state.ofKey(0, "a")).map(({ part, value }) => [part, value]), [[-1, "a-1"], [1, "new"], [3, "changed"]]);
  assert.equal((await recovered.state.ofKey(0, "")).map(({ part }) => part), [4]);
  assert.equal((await recovered.state.ofKey(0, "none")), []);
});

test("the one value of a key without parts", async () => {
  const kept = new Kept();
  kept.set("a", 1);
  assert.equal((await kept.state.ofKey(0, "a")).map(({ part, value }) => [part, value]), [[undefined, 1]]);
});

// ── versions

const versioned = (version: number, migrate?: (state: unknown, from: number) => unknown): Kept => new Kept([spec({ version, ...(migrate === undefined ? {} : { migrate }) })]);

test("state of an older version is brought up, from the store and from a record, and goes on as the new version", async () => {
  const old = versioned(1), its = await store();
  old.set("folded", { n: 1 });
  old.rows();
  await fold(old.changes, its);
  old.set("recorded", { n: 2 });
  const rows = old.rows(), seen: unknown[] = [];
  const recovered = versioned(3, (state, from) => { seen.push([state, from]); return { count: (state as { n: number }).n }; });
  recovered.state.readFrom(its);
  recovered.state.apply(rows);
  assert.equal([recovered.get("folded"), recovered.get("recorded")], [{ count: 1 }, { count: 2 }]);
  assert.equal(seen, [[{ n: 2 }, 1], [{ n: 1 }, 1]]);
  recovered.rows();
  recovered.set("folded", { count: 9 });
  assert.equal(recovered.rows(), [[0, 3, "folded", null, { count: 9 }]]);
});

for (const [name, kept, want] of [["has no migrate", versioned(2), "MIGRATE_MISSING"], ["is older than the state", versioned(1), ""]] as const) {
  test(`code that ${name}: an error of the actor that names both versions`, () => {
    const rows: NonNullable<Body["state"]> = [[0, want === "" ? 2 : 1, "a", null, 1]];
    try {
      kept.state.apply(rows);
      assert.unreachable();
    } catch (error) {
      if (!(error instanceof MillraceError)) throw error;
      if (want !== "") assert.is(error.code, want);
      assert.match(error.message, /version 2.*1|version 1.*2/);
    }
  });
}

test("a removed entry of any version is removed", () => {
  const kept = versioned(2);
  kept.state.apply([[0, 1, "a", null]]);
  assert.is(kept.get("a"), undefined);
});

test("a flipped bit in a folded value is noticed when it is read", async () => {
  const kept = new Kept(), its = await store(), key = stateKey(0, "a", undefined);
  kept.set("a", { count: 1 });
  kept.rows();
  await fold(kept.changes, its);
  const value = its.get(key) as Uint8Array;
  value[6] = (value[6] as number) ^ 1;
  await its.write([{ type: "put", key, value }]);
  const recovered = new Kept();
  recovered.state.readFrom(its);
  assert.is(code(() => recovered.get("a")), "JOURNAL_BROKEN");
});

test.run();
