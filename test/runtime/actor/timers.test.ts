import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Changes } from "../../../runtime/actor/change.ts";
import { type DueTimer, Timers } from "../../../runtime/actor/timers.ts";
import { decode, encode } from "../../../runtime/event/codec.ts";
import type { Key } from "../../../runtime/event/event.ts";
import type { Body } from "../../../runtime/journal/record.ts";
import { MemoryStores } from "../../../runtime/testing/memory-store.ts";
import { Chance, seed } from "../../actors/seeded.ts";
import { fold } from "../../support/folding.ts";

const test = suite("timers");

class Kept {
  readonly changes = new Changes();
  readonly timers = new Timers(this.changes);

  set(key: Key, name: string, time: number, { wall = false, stays = false, operator = 0 } = {}): void {
    this.timers.set(operator, key, name, time, wall, stays);
  }

  rows(): NonNullable<Body["timers"]> {
    this.changes.keep();
    return decode(encode(this.timers.rows(this.changes.close()))) as NonNullable<Body["timers"]>;
  }

  /** Fires all that is due. */
  fire(watermark = Infinity, now = -Infinity): string[] {
    const fired: string[] = [];
    for (let timer = this.timers.due(watermark, now); timer !== undefined; timer = this.timers.due(watermark, now)) {
      fired.push(shown(timer));
      this.timers.fired(timer);
      this.changes.keep();
    }
    return fired;
  }
}

const shown = ({ operator, key, name, time }: DueTimer): string => `${time} ${typeof key === "string" ? JSON.stringify(key) : key} ${name}${operator === 0 ? "" : ` of ${operator}`}`;

test("timers fire in the order of time, key, name; numbers before texts", () => {
  const kept = new Kept();
  for (const [key, name, time] of [["b", "x", 5], ["a", "y", 5], ["a", "x", 5], [10, "x", 5], [9, "x", 5], ["z", "x", 1], ["a", "late", 9]] as const) kept.set(key, name, time);
  assert.equal(kept.fire(8), ['1 "z" x', "5 9 x", "5 10 x", '5 "a" x', '5 "a" y', '5 "b" x']);
  assert.equal(kept.fire(9), ['9 "a" late']);
});

test("a timer fires when the watermark has reached its time, not before", () => {
  const kept = new Kept();
  kept.set("a", "x", 10);
  assert.is(kept.timers.due(9, Infinity), undefined);
  assert.is(kept.timers.due(10, -Infinity)?.time, 10);
});

test("a wall-clock timer fires by the wall clock alone, an event-time one by the watermark alone", () => {
  const kept = new Kept();
  kept.set("a", "wall", 10, { wall: true });
  kept.set("a", "event", 10);
  assert.equal([kept.timers.nextEvent, kept.timers.nextWall], [10, 10]);
  assert.equal(kept.fire(-Infinity, 10), ['10 "a" wall']);
  assert.equal(kept.fire(10, -Infinity), ['10 "a" event']);
});

test("the same key and name: moved, to either clock; of other keys, names and operators it is another", () => {
  const kept = new Kept();
  kept.set("a", "x", 10);
  kept.set("a", "x", 5);
  kept.set("a", "y", 6);
  kept.set("b", "x", 7);
  kept.set("a", "x", 8, { operator: 1 });
  assert.equal(kept.fire(), ['5 "a" x', '6 "a" y', '7 "b" x', '8 "a" x of 1']);
  kept.set("a", "x", 5);
  kept.set("a", "x", 5, { wall: true });
  assert.equal([kept.timers.nextEvent, kept.timers.nextWall], [Infinity, 5]);
});

test("a cancelled timer does not fire; forgetting a key cancels all of it and of that operator only", () => {
  const kept = new Kept();
  for (const [key, name, operator] of [["a", "x", 0], ["a", "y", 0], ["a", "x", 1], ["b", "x", 0]] as const) kept.set(key, name, 1, { operator });
  kept.timers.cancel(0, "b", "x");
  kept.timers.cancel(0, "b", "never set");
  kept.timers.forget(0, "a");
  assert.equal(kept.fire(), ['1 "a" x of 1']);
  assert.is(kept.timers.pending, 0);
});

test("a timer may be set again by its own handler", () => {
  const kept = new Kept();
  kept.set("a", "x", 1);
  const due = kept.timers.due(5, 0) as DueTimer;
  kept.timers.fired(due);
  kept.set("a", "x", 3);
  kept.changes.keep();
  assert.equal(kept.fire(5), ['3 "a" x']);
});

test("an event that failed leaves the timers as they were: set, moved, cancelled, fired", () => {
  const kept = new Kept();
  kept.set("a", "moved", 1);
  kept.set("a", "cancelled", 2);
  kept.set("a", "fired", 3);
  kept.changes.keep();
  kept.set("a", "new", 4);
  kept.set("a", "moved", 9, { wall: true });
  kept.timers.cancel(0, "a", "cancelled");
  kept.timers.fired(kept.timers.due(3, 0) as DueTimer);
  kept.set("a", "moved", 10);
  kept.changes.revert();
  assert.equal(kept.fire(), ['1 "a" moved', '2 "a" cancelled', '3 "a" fired']);
  assert.is(kept.timers.nextWall, Infinity);
});

test("timers that were set after the end of everything else never fire, and are counted", () => {
  const kept = new Kept();
  kept.set("a", "x", 1, { stays: true });
  kept.set("a", "wall", 1, { wall: true });
  assert.equal([kept.timers.nextEvent, kept.timers.pending], [Infinity, 2]);
  assert.equal(kept.fire(Infinity, -Infinity), []);
  const replayed = new Kept();
  replayed.timers.apply(kept.rows());
  assert.equal([replayed.timers.nextEvent, replayed.timers.pending], [Infinity, 2]);
  replayed.timers.cancel(0, "a", "x");
  assert.is(replayed.timers.pending, 1);
});

const keys: Key[] = ["a", "b", "", 1, 0, -1, "a\0b", "a\0"], names = ["x", "y", "", "b\0x", "\0"];

/** A turn of random events, some of which fail. */
function work(kept: Kept, chance: Chance): void {
  for (let event = chance.below(4); event >= 0; event--) {
    for (let i = chance.below(4); i >= 0; i--) {
      const key = chance.of(keys), name = chance.of(names), what = chance.below(10);
      if (what < 6) kept.set(key, name, chance.below(50), { wall: chance.below(4) === 0, operator: chance.below(2) });
      else if (what < 8) kept.timers.cancel(chance.below(2), key, name);
      else if (what === 8) kept.timers.forget(chance.below(2), key);
      else { const due = kept.timers.due(25, 25); if (due !== undefined) kept.timers.fired(due); }
    }
    if (chance.below(3) === 0) kept.changes.revert();
    else kept.changes.keep();
  }
}

const all = (kept: Kept): string[] => [...kept.fire(Infinity, -Infinity), "wall", ...kept.fire(-Infinity, Infinity)];

test(`replaying the records gives the timers (SEED=${seed})`, () => {
  for (let run = 0; run < 200; run++) {
    const chance = new Chance(seed + run), kept = new Kept(), replayed = new Kept();
    for (let turn = 0; turn < 10; turn++) {
      work(kept, chance);
      replayed.timers.apply(kept.rows());
    }
    replayed.changes.close();
    assert.is(replayed.timers.pending, kept.timers.pending);
    assert.equal(all(replayed), all(kept), `run ${run}`);
  }
});

test(`folds, and records after them, give the timers; a fold that broke off in the middle, too (SEED=${seed})`, async () => {
  for (let run = 0; run < 300; run++) {
    const chance = new Chance(seed + run), kept = new Kept(), store = await new MemoryStores().open("a"), since: NonNullable<Body["timers"]>[] = [];
    for (let turn = 0; turn < 12; turn++) {
      work(kept, chance);
      since.push(kept.rows());
      if (chance.below(3) === 0) { await fold(kept.changes, store); since.length = 0; }
    }
    await fold(kept.changes, store, chance.of([0, 0.5, 1]));
    const recovered = new Kept();
    await recovered.timers.load(store, "f/s/0");
    for (const rows of since) recovered.timers.apply(rows);
    recovered.changes.close();
    assert.equal(all(recovered), all(kept), `run ${run}`);
  }
});

test("a timer whose move was taken back is in the next snapshot as it stands", async () => {
  const kept = new Kept(), store = await new MemoryStores().open("a");
  kept.set("a", "x", 5);
  kept.rows();
  kept.set("a", "x", 9);
  kept.changes.revert();
  kept.rows();
  await fold(kept.changes, store);
  const recovered = new Kept();
  await recovered.timers.load(store, "f/s/0");
  assert.equal(recovered.fire(), ['5 "a" x']);
});

test("keys and names with NUL in them are not taken for each other in the store", async () => {
  const kept = new Kept(), store = await new MemoryStores().open("a");
  for (const [key, name] of [["a", "b\0c"], ["a\0b", "c"], ["a\0", "b"], ["a", "\0b"], [1, "x"], ["1", "x"]] as const) kept.set(key, name, 1);
  kept.rows();
  await fold(kept.changes, store);
  const recovered = new Kept();
  await recovered.timers.load(store, "f/s/0");
  assert.is(recovered.timers.pending, 6);
  assert.equal(recovered.fire(), kept.fire());
});

test.run();
