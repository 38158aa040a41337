import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Changes } from "../../../runtime/actor/change.ts";
import { Held, type HeldEntry } from "../../../runtime/actor/held.ts";
import { decode, encode, plain } from "../../../runtime/event/codec.ts";
import type { Key } from "../../../runtime/event/event.ts";
import type { Row } from "../../../runtime/event/frame.ts";
import type { Body, HeldEvent } from "../../../runtime/journal/record.ts";
import { MemoryStores } from "../../../runtime/testing/memory-store.ts";
import { Chance, seed } from "../../actors/seeded.ts";
import { fold } from "../../support/folding.ts";
import { keptEvent } from "../../support/kept-events.ts";
import { told } from "../../support/plain-data.ts";

const test = suite("held");

class Kept {
  readonly changes = new Changes();
  readonly held = new Held(this.changes);

  rows(): NonNullable<Body["held"]> {
    this.changes.keep();
    return decode(encode(this.held.rows(this.changes.close()))) as NonNullable<Body["held"]>;
  }

  /** Lets go all that is due. */
  release(watermark = Infinity): HeldEvent[] {
    const released: HeldEvent[] = [];
    for (let entry = this.held.due(watermark); entry !== undefined; entry = this.held.due(watermark)) {
      released.push(entry.event);
      this.held.release(entry);
      this.changes.keep();
    }
    return released;
  }
}

const shown = (event: HeldEvent): string => told([...event.slice(0, 3), event[5]]);
const compareKeys = (a: Key, b: Key): number => typeof a === typeof b ? (typeof a === "number" ? a - (b as number) : Buffer.compare(Buffer.from(a), Buffer.from(b as string))) : typeof a === "number" ? -1 : 1;

/** As PROTOCOL 8 says: (time, key, sender, seq, index), those without a key, which come last, by (time, encoded data). */
function inOrder(a: HeldEvent, b: HeldEvent): number {
  const [rowA, rowB] = [a[5], b[5]] as [Row, Row], [keyA, keyB] = [rowA[2], rowB[2]];
  if (rowA[1] !== rowB[1]) return rowA[1] - rowB[1];
  if ((keyA === null) !== (keyB === null)) return keyA === null ? 1 : -1;
  const first = keyA === null ? Buffer.compare(encode(plain(rowA.slice(5))), encode(plain(rowB.slice(5)))) : compareKeys(keyA, keyB as Key);
  return first || (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0) || a[2] - b[2] || rowA[0] - rowB[0];
}

function randomEvents(chance: Chance, count: number): HeldEvent[] {
  const next = new Map<string, number>();
  return Array.from({ length: count }, () => {
    const from = `f/${chance.of(["a", "b", "ab"])}/${chance.below(3)}`, seq = (next.get(from) ?? 0) + 1;
    next.set(from, seq);
    return keptEvent({ time: chance.below(6) - 2, key: chance.of<Key | null>(["a", "a\0", "ab", "é", 1, 2, -1, null, null]), from, seq, k: chance.below(3), data: chance.of<unknown>([1, 2, "x", "xy", null, [1], new Map([[1, 2]]), new Set(["s"]), 5n, 2n ** 70n, { at: new Date(7), big: 1n }]) });
  });
}

const shuffled = <T>(items: readonly T[], chance: Chance): T[] => items.map((item) => [chance.next(), item] as const).sort(([a], [b]) => a - b).map(([, item]) => item);

test(`let go in order, whatever the order of arrival: time, key, sender, number, index (SEED=${seed})`, () => {
  for (let run = 0; run < 50; run++) {
    const chance = new Chance(seed + run), events = randomEvents(chance, 60), kept = new Kept();
    for (const event of shuffled(events, chance)) kept.held.add(event);
    const sorted = [...events].sort(inOrder), least = sorted.filter((event) => event[5][1] <= 1);
    assert.equal(kept.release(1).map(shown), least.map(shown), `run ${run}`);
    assert.equal(kept.release().map(shown), sorted.slice(least.length).map(shown), `run ${run}`);
  }
});

test("an event is due when the watermark has reached its time", () => {
  const kept = new Kept();
  assert.equal([kept.held.next, kept.held.due(Infinity)], [Infinity, undefined]);
  kept.held.add(keptEvent({ time: 10 }));
  assert.equal([kept.held.next, kept.held.size, kept.held.due(9), kept.held.due(10)?.time], [10, 1, undefined, 10]);
});

test("an event that was let go and failed is held as before", () => {
  const kept = new Kept();
  kept.held.add(keptEvent({ time: 1 }));
  kept.held.add(keptEvent({ time: 2, k: 1 }));
  kept.changes.keep();
  kept.held.release(kept.held.due(5) as HeldEntry);
  kept.held.add(keptEvent({ time: 0, k: 2 }));
  kept.changes.revert();
  assert.equal(kept.release(5).map((event) => event[5][1]), [1, 2]);
});

test("what was taken for a batch is state until it is forgotten: after a crash it is held again", async () => {
  const kept = new Kept(), store = await new MemoryStores().open("a");
  for (const time of [1, 2, 3]) kept.held.add(keptEvent({ time, k: time }));
  const before = kept.rows(), taken = [1, 2].map(() => { const entry = kept.held.due(5) as HeldEntry; kept.held.take(entry); return entry; });
  assert.equal(kept.rows(), []);
  await fold(kept.changes, store);
  const recovered = new Kept(), replayed = new Kept();
  await recovered.held.load(store, "f/s/0");
  replayed.held.apply(before);
  replayed.held.replayed();
  for (const one of [recovered, replayed]) assert.equal(one.release().map((event) => event[5][1]), [1, 2, 3]);
  for (const entry of taken) kept.held.forget(entry);
  const rows = kept.rows();
  assert.equal(rows.map((row) => row.length), [1, 1]);
  const after = new Kept();
  after.held.apply(before);
  after.held.apply(rows);
  after.held.replayed();
  assert.equal(after.release().map((event) => event[5][1]), [3]);
  await fold(kept.changes, store);
  const folded = new Kept();
  await folded.held.load(store, "f/s/0");
  assert.equal(folded.release().map((event) => event[5][1]), [3]);
});

test(`folds, whole and broken off, and the records after them give what is held (SEED=${seed})`, async () => {
  for (let run = 0; run < 100; run++) {
    const chance = new Chance(seed + run), kept = new Kept(), store = await new MemoryStores().open("a"), since: NonNullable<Body["held"]>[] = [], events = shuffled(randomEvents(chance, 60), chance);
    while (events.length > 0) {
      for (let i = chance.below(6); i >= 0 && events.length > 0; i--) {
        kept.held.add(events[0] as HeldEvent);
        if (chance.below(4) === 0) kept.changes.revert();
        else { kept.changes.keep(); events.shift(); }
        if (chance.below(3) > 0) continue;
        const due = kept.held.due(chance.below(4));
        if (due === undefined) continue;
        kept.held.release(due);
        if (chance.below(3) === 0) kept.changes.revert();
        else kept.changes.keep();
      }
      since.push(kept.rows());
      if (chance.below(4) === 0) { await fold(kept.changes, store); since.length = 0; }
    }
    await fold(kept.changes, store, chance.of([0, 0.5, 1]));
    const recovered = new Kept();
    await recovered.held.load(store, "f/s/0");
    for (const rows of since) recovered.held.apply(rows);
    recovered.held.replayed();
    assert.equal(recovered.release().map(shown), kept.release().map(shown), `run ${run}`);
  }
});

test.run();
