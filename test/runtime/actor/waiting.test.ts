import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Changes, seal } from "../../../runtime/actor/change.ts";
import { type WaitingEntry, WaitingEvents } from "../../../runtime/actor/waiting.ts";
import { decode, encode } from "../../../runtime/event/codec.ts";
import type { Key } from "../../../runtime/event/event.ts";
import type { Body } from "../../../runtime/journal/record.ts";
import { MemoryStores } from "../../../runtime/testing/memory-store.ts";
import { Chance, seed } from "../../actors/seeded.ts";
import { fold } from "../../support/folding.ts";
import { keptEvent } from "../../support/kept-events.ts";
import { told } from "../../support/plain-data.ts";

const test = suite("waiting");

class Kept {
  readonly changes = new Changes();
  readonly waiting = new WaitingEvents(this.changes);

  add(id: string, key: Key | null, due = 0, { time = 100, attempt = 1 } = {}): void {
    this.waiting.add(id, due, attempt, keptEvent({ time, key, data: id }));
  }

  rows(): NonNullable<Body["waiting"]> {
    this.changes.keep();
    return decode(encode(this.waiting.rows(this.changes.close()))) as NonNullable<Body["waiting"]>;
  }

  /** Handles all that is due. */
  handle(now: number): string[] {
    const handled: string[] = [];
    for (let entry = this.waiting.due(now); entry !== undefined; entry = this.waiting.due(now)) {
      handled.push(`${entry.id}#${entry.attempt}`);
      this.waiting.done(entry);
      this.changes.keep();
    }
    return handled;
  }
}

test("an event that waits holds back those of its key, and no others", () => {
  const kept = new Kept();
  kept.add("a1", "a", 50);
  assert.equal([kept.waiting.blocks("a"), kept.waiting.blocks("b"), kept.waiting.blocks(null)], [true, false, false]);
  kept.add("a2", "a");
  kept.add("b1", "b", 10);
  assert.equal(kept.handle(20), ["b1#1"]);
  assert.equal(kept.handle(50), ["a1#1", "a2#1"]);
  assert.equal([kept.waiting.blocks("a"), kept.waiting.size], [false, 0]);
});

test("events without a key wait each for itself", () => {
  const kept = new Kept();
  kept.add("1", null, 50);
  kept.add("2", null, 10);
  assert.equal(kept.handle(10), ["2#1"]);
  assert.equal(kept.handle(50), ["1#1"]);
});

test("a try that is put off holds its key back for longer, with its next number", () => {
  const kept = new Kept();
  kept.add("a1", "a", 10);
  kept.add("a2", "a", 0);
  const first = kept.waiting.due(10) as WaitingEntry;
  kept.waiting.postpone(first, 90, 2);
  assert.equal(kept.handle(80), []);
  assert.is(kept.waiting.nextDue, 90);
  assert.equal(kept.handle(90), ["a1#2", "a2#1"]);
});

test("the next one is due when the first of its key is: those behind it wait for that", () => {
  const kept = new Kept();
  assert.is(kept.waiting.nextDue, Infinity);
  kept.add("a1", "a", 70);
  kept.add("a2", "a", 0);
  kept.add("b1", "b", 80);
  assert.is(kept.waiting.nextDue, 70);
});

test("it is full by number and by bytes: what waits in all, also after what was done or added is taken back, and after a restart", async () => {
  const kept = new Kept(), large = keptEvent({ time: 100, key: "a", data: "x".repeat(1_000_000) }), { waiting, changes } = kept;
  for (let n = 1; n <= 16; n++) waiting.add(`l${n}`, 0, 1, large);
  kept.changes.keep();
  assert.is(waiting.full, false);
  waiting.add("l17", 0, 1, large);
  assert.is(waiting.full, true);
  changes.revert();
  assert.is(waiting.full, false);
  waiting.add("l17", 0, 1, large);
  changes.keep();
  const first = waiting.find("l1") as WaitingEntry;
  waiting.done(first);
  assert.is(waiting.full, false);
  changes.revert();
  assert.is(waiting.full, true);
  waiting.postpone(first, 500, 2);
  const store = await new MemoryStores().open("s"), again = new Kept(), replayed = new Kept();
  replayed.waiting.apply(kept.rows());
  assert.is(replayed.waiting.full, true);
  await store.write([...Array(17).keys()].map((n) => ({ type: "put" as const, key: Buffer.from(`wl${n}`), value: seal([n, 0, 1, large]) })));
  await again.waiting.load(store, "f/a/0");
  assert.is(again.waiting.full, true);
  for (let n = 1; n <= 17; n++) waiting.done(waiting.find(`l${n}`) as WaitingEntry);
  assert.equal([waiting.full, waiting.size], [false, 0]);
  for (let n = 0; n < 10_000; n++) { assert.is(waiting.full, false); waiting.add(`s${n}`, 0, 1, keptEvent({ time: 1, key: "b", data: n })); }
  assert.is(waiting.full, true);
});

test("the earliest time of all that waits is known: the watermark stays below it", () => {
  const kept = new Kept();
  assert.is(kept.waiting.earliest, Infinity);
  kept.add("a1", "a", 10, { time: 100 });
  kept.add("a2", "a", 10, { time: 30 });
  assert.is(kept.waiting.earliest, 30);
});

test("an event that failed leaves what waits as it was: added, put off, done", () => {
  const kept = new Kept();
  kept.add("a1", "a", 10);
  kept.add("a2", "a", 0);
  kept.add("a3", "a", 0);
  kept.changes.keep();
  const first = kept.waiting.due(10) as WaitingEntry;
  kept.waiting.done(first);
  kept.waiting.postpone(kept.waiting.due(10) as WaitingEntry, 99, 7);
  kept.add("a4", "a", 0);
  kept.changes.revert();
  assert.equal(kept.handle(10), ["a1#1", "a2#1", "a3#1"]);
});

test("an event of any data waits as it is, in the record and in the fold", async () => {
  const data = [new Map([[1, new Set([2n])]]), 2n ** 70n, new Date(7), Uint8Array.of(1), { a: [5n] }], kept = new Kept(), store = await new MemoryStores().open("a");
  data.forEach((value, i) => { kept.waiting.add(`e${i}`, 0, 1, keptEvent({ time: i, data: value })); });
  const replayed = new Kept(), recovered = new Kept();
  replayed.waiting.apply(kept.rows());
  await fold(kept.changes, store);
  await recovered.waiting.load(store, "f/s/0");
  for (const one of [kept, replayed, recovered]) {
    const read: unknown[] = [];
    for (let entry = one.waiting.due(1); entry !== undefined; entry = one.waiting.due(1)) { read[entry.time] = entry.event[5][5]; one.waiting.done(entry); }
    assert.is(told(read), told(data));
  }
});

const keys: readonly (Key | null)[] = ["a", "b", 1, null];

/** What comes of all that waits, one due after the other: the order per key counts, between keys it is free. */
function order(kept: Kept): string[] {
  const byKey = new Map<Key | null, string[]>();
  for (let entry = kept.waiting.due(Infinity); entry !== undefined; entry = kept.waiting.due(Infinity)) {
    byKey.set(entry.key, [...(byKey.get(entry.key) ?? []), `${entry.id}#${entry.attempt} due ${entry.due}`]);
    kept.waiting.done(entry);
  }
  byKey.get(null)?.sort();
  return [...byKey].map(([key, ids]) => `${key}: ${ids.join(", ")}`).sort();
}

test(`records, folds whole and broken off, and the records after them give what waits, in its order per key (SEED=${seed})`, async () => {
  for (let run = 0; run < 200; run++) {
    const chance = new Chance(seed + run), kept = new Kept(), replayed = new Kept(), store = await new MemoryStores().open("a"), since: NonNullable<Body["waiting"]>[] = [];
    let ids = 0;
    for (let turn = 0; turn < 12; turn++) {
      for (let event = chance.below(4); event >= 0; event--) {
        const due = kept.waiting.due(chance.below(60)), what = chance.below(3);
        if (due !== undefined && what === 0) kept.waiting.done(due);
        else if (due !== undefined && what === 1) kept.waiting.postpone(due, chance.below(99), due.attempt + 1);
        else kept.add(`e${ids++}`, chance.of(keys), chance.below(50));
        if (chance.below(4) === 0) kept.changes.revert();
        else kept.changes.keep();
      }
      const rows = kept.rows();
      replayed.waiting.apply(rows);
      since.push(rows);
      if (chance.below(4) === 0) { await fold(kept.changes, store); since.length = 0; }
    }
    await fold(kept.changes, store, chance.of([0, 0.5, 1]));
    const recovered = new Kept();
    await recovered.waiting.load(store, "f/s/0");
    for (const rows of since) recovered.waiting.apply(rows);
    const { size, earliest, nextDue } = kept.waiting, live = order(kept);
    for (const [name, one] of [["replayed", replayed], ["recovered", recovered]] as const) {
      assert.equal([one.waiting.size, one.waiting.earliest, one.waiting.nextDue], [size, earliest, nextDue], `run ${run}, ${name}`);
      assert.equal(order(one), live, `run ${run}, ${name}`);
    }
  }
});

test.run();
