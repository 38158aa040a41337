// Which actor of the next generation an entry goes on with, and under which key (PROTOCOL 11).
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Changes, type FoldedEntry, seal } from "../../../runtime/actor/change.ts";
import { Held } from "../../../runtime/actor/held.ts";
import { inheritedKey, Sections, triedAs } from "../../../runtime/actor/section.ts";
import { lettersOperator, State } from "../../../runtime/actor/state.ts";
import { Timers } from "../../../runtime/actor/timers.ts";
import { WaitingEvents } from "../../../runtime/actor/waiting.ts";
import type { Key } from "../../../runtime/event/event.ts";
import { partitionOf } from "../../../runtime/event/partition.ts";
import { readStateKey } from "../../../runtime/journal/keys.ts";
import type { HeldEvent } from "../../../runtime/journal/record.ts";

const test = suite("section");
const event = (key: Key | null, { seq = 1, k = 0, time = 5, data = 1 as unknown } = {}): HeldEvent => ["f/a/0", "g-1", seq, 7, 0, [k, time, key, null, -1, data], null, null];
const keys: readonly Key[] = ["a", "b", "", "ä\0ö", 1, -7, 2 ** 40, "1", ...Array.from({ length: 40 }, (_, i) => `key ${i}`)];

/** The entries that changes come to in the store. */
function entriesOf(make: (changes: Changes) => void): readonly (readonly [Uint8Array, Uint8Array])[] {
  const changes = new Changes();
  make(changes);
  return changes.capture().map(([key, value]) => [key(), seal(value)] as const);
}

for (const [kind, make] of [
  ["state", (changes: Changes, key: Key) => { const state = new State([{ kind: "s", keyed: true, open: () => { throw new Error("not opened"); } }], changes, "f/s/0"); state.set(state.entry(0, key), 1); state.set(state.entry(0, key, 30), 2); }],
  ["timers", (changes: Changes, key: Key) => { const timers = new Timers(changes); timers.set(0, key, "t", 9, false, false); timers.set(0, key, "u", 9, true, false); }],
  ["waiting events", (changes: Changes, key: Key) => new WaitingEvents(changes).add("f/a/0@g-1.7.0", 10, 2, event(key))],
  ["held events", (changes: Changes, key: Key) => new Held(changes).add(event(key))],
] as const) {
  test(`${kind} go on with the actor that their key belongs to, whatever partition they are in`, () => {
    for (const key of keys) for (const [its, value] of entriesOf((changes) => make(changes, key))) {
      for (const count of [1, 2, 3, 8]) assert.is(new Sections("f/s/5", 5, count).of(its, value), partitionOf(key, count), `${String(key)} of ${count}`);
    }
  });
}

test("what has no key goes on by the partition that it is in", () => {
  const entries = [...entriesOf((changes) => new WaitingEvents(changes).add("w", 10, 2, event(null))), ...entriesOf((changes) => new Held(changes).add(event(null)))];
  assert.is(entries.length, 2);
  for (const [key, value] of entries) assert.equal([new Sections("f/s/5", 5, 3).of(key, value), new Sections("f/s/5", 5, 8).of(key, value)], [2, 5]);
});

test("held events from before sort before those that come on the new channels, and before them their own order holds", () => {
  const id = (its: HeldEvent): Uint8Array => (entriesOf((changes) => new Held(changes).add(its))[0] as FoldedEntry)[0];
  const olds = [event("a", { seq: 3, k: 1 }), event("a", { seq: 3, k: 2 }), event("a", { seq: 900, k: 0 })].map(id), once = olds.map((key) => inheritedKey(key, "f/s/0@g-1", () => false)), news = id(event("a", { seq: 1, k: 0 }));
  const twice = once.map((key) => inheritedKey(key, "f/s/0@g-1", () => false));
  const sorted = [...twice, ...once, news].map((key) => Buffer.from(key)).sort(Buffer.compare);
  assert.equal(sorted, [...twice, ...once, news].map((key) => Buffer.from(key)));
  assert.is(new Set(sorted.map((key) => key.toString("hex"))).size, 7);
});

test("two held events of different actors that are the same in all that sorts them are both kept", () => {
  const [entry] = entriesOf((changes) => new Held(changes).add(event(null))), key = (entry as FoldedEntry)[0], taken = new Set<string>();
  for (let i = 0; i < 5; i++) {
    const its = inheritedKey(key, "f/s/0@g-1", (one) => taken.has(Buffer.from(one).toString("hex")));
    taken.add(Buffer.from(its).toString("hex"));
  }
  assert.is(taken.size, 5);
});

test("which letters were settled all of them know, under whose they were", () => {
  const [[key, value] = []] = entriesOf((changes) => { const state = new State([], changes, "f/s/0"); state.set(state.entry(lettersOperator, 4, 1), 1); });
  assert.is(new Sections("f/s/0", 0, 3).of(key as Uint8Array, value as Uint8Array), undefined);
  const once = inheritedKey(key as Uint8Array, "f/s/0@g-1", () => false), twice = inheritedKey(once, "f/s/2@g-2", () => false);
  assert.equal([readStateKey(once), twice], [{ operator: lettersOperator, key: "f/s/0@g-1 4", part: 1 }, once]);
});

test("tries are looked for under the ids of what may be tried again", () => {
  const [timer] = entriesOf((changes) => new Timers(changes).set(0, "a", "t", 9, false, false)), [waits] = entriesOf((changes) => new WaitingEvents(changes).add("f/a/0@g-1.7.0", 10, 2, event("a"))), [holds] = entriesOf((changes) => new Held(changes).add(event("a", { k: 3 })));
  assert.equal([timer, waits, holds].map((entry) => triedAs((entry as FoldedEntry)[0], (entry as FoldedEntry)[1] as Uint8Array, "f/s/0")), ['timer 0 "a" t 9', "f/a/0@g-1.7.0", "f/a/0@g-1.7.3"]);
});

test.run();
