import { suite } from "uvu";
import * as assert from "uvu/assert";
import { place, type PlacementActor, type PlacementNode, type Placed, type Seat } from "../../../runtime/cluster/placement.ts";
import { anywhere, type PlacePlan } from "../../../runtime/flow/plan.ts";
import { SeededRandom } from "../../../runtime/testing/seeded-random.ts";

const test = suite("placement");
const code = "f@1";

const node = (name: string, more: Partial<PlacementNode> = {}): PlacementNode => ({ name, weight: 1, labels: [], code: [code], ...more });
const nodes = (count: number): PlacementNode[] => Array.from({ length: count }, (_, at) => node(`n${at + 1}`));
const stage = (name: string, count: number, place: Partial<PlacePlan> = {}): PlacementActor[] =>
  Array.from({ length: count }, (_, partition) => ({ address: `f/${name}/${partition}`, stage: `f/${name}`, code, place: { ...anywhere, ...place } }));
const nothing: ReadonlyMap<string, Seat> = new Map();

function counts({ seats }: Placed, of = ""): Record<string, number> {
  const found: Record<string, number> = {};
  for (const [address, { node: at }] of seats) if (address.startsWith(of)) found[at ?? "none"] = (found[at ?? "none"] ?? 0) + 1;
  return found;
}

test("64 partitions: a fourth node takes 16 and nothing else moves; when it leaves only its own move", () => {
  const actors = stage("s", 64), three = place(nodes(3), actors, nothing);
  assert.equal(Object.values(counts(three)).toSorted(), [21, 21, 22]);
  const four = place(nodes(4), actors, three.seats);
  assert.equal(counts(four), { n1: 16, n2: 16, n3: 16, n4: 16 });
  assert.is(four.moves.length, 16);
  assert.ok(four.moves.every(({ to }) => to === "n4"));
  const again = place(nodes(3), actors, four.seats);
  assert.is(again.moves.length, 16);
  assert.ok(again.moves.every(({ from }) => from === "n4"));
  assert.equal(Object.values(counts(again)).toSorted(), [21, 21, 22]);
});

test("nothing changed: nothing moves, and the same input gives the same placement", () => {
  const actors = [...stage("a", 7), ...stage("b", 5, { spread: true, standby: 1 })], first = place(nodes(3), actors, nothing), second = place(nodes(3).toReversed(), actors, first.seats);
  assert.equal(second.moves, []);
  assert.equal([...second.seats], [...first.seats]);
  assert.equal([...place(nodes(3), actors, nothing).seats], [...first.seats]);
});

test("a node takes by its weight", () => {
  assert.equal(counts(place([node("a", { weight: 2 }), node("b"), node("c", { weight: 0.5 })], stage("s", 14), nothing)), { a: 8, b: 4, c: 2 });
});

test("each stage is spread over the nodes as far as the balance allows", () => {
  const placed = place(nodes(2), [...stage("a", 4), ...stage("b", 4)], nothing);
  assert.equal(counts(placed, "f/a"), { n1: 2, n2: 2 });
  assert.equal(counts(placed, "f/b"), { n1: 2, n2: 2 });
});

test("an actor is only where all its labels and its code are; elsewhere it waits, and it is said why", () => {
  const able = [node("a", { labels: ["gpu", "eu"] }), node("b", { labels: ["gpu"] }), node("c", { labels: ["gpu", "eu"], code: ["f@2"] })];
  const both = place(able, stage("s", 3, { labels: ["gpu", "eu"] }), nothing);
  assert.equal(counts(both), { a: 3 });
  const none = place(able, stage("s", 1, { labels: ["arm"] }), both.seats);
  assert.equal(counts(none), { none: 1 });
  assert.is(none.reasons.get("f/s/0"), "a does not offer label arm; waits: no node may have it: a does not offer label arm, b does not offer label arm, c does not offer label arm");
  assert.match(place([able[2] as PlacementNode], stage("s", 1), nothing).reasons.get("f/s/0") as string, /c does not have the code of f that runs/);
  assert.is(place([], stage("s", 1), nothing).reasons.get("f/s/0"), "waits: there is no node");
});

test("a node that offers a label no longer gives up what needs it", () => {
  const before = place([node("a", { labels: ["gpu"] }), node("b", { labels: ["gpu"] })], stage("s", 4, { labels: ["gpu"] }), nothing);
  const after = place([node("a"), node("b", { labels: ["gpu"] })], stage("s", 4, { labels: ["gpu"] }), before.seats);
  assert.equal(counts(after), { b: 4 });
  assert.is(after.moves.length, 2);
  assert.match(after.moves[0]?.why as string, /a does not offer label gpu; b had the most room/);
});

test("no node gets more than its capacity; what is too much waits", () => {
  const placed = place([node("a", { capacity: 2 }), node("b", { capacity: 1 })], stage("s", 4), nothing);
  assert.equal(counts(placed), { a: 2, b: 1, none: 1 });
  assert.is(placed.reasons.get("f/s/3"), "waits: 2 nodes may have it, and each has as many actors as it takes");
});

test("a stage that is spread has each of its actors on another node, whatever the weights, as long as there are nodes", () => {
  const heavy = [node("a", { weight: 10 }), node("b"), node("c")];
  assert.equal(counts(place(heavy, stage("s", 3, { spread: true }), nothing)), { a: 1, b: 1, c: 1 });
  assert.equal(counts(place(heavy, stage("s", 5, { spread: true }), nothing)), { a: 2, b: 2, c: 1 });
  const two = place(heavy.slice(0, 2), stage("s", 3, { spread: true }), nothing), three = place(heavy, stage("s", 3, { spread: true }), two.seats);
  assert.is(three.moves.length, 1);
  assert.equal(counts(three), { a: 1, b: 1, c: 1 });
});

test("warm copies are on other nodes than the actor, stay there, and are where it goes when its node is gone", () => {
  const actors = stage("s", 6, { standby: 1 }), before = place(nodes(3), actors, nothing);
  for (const { node: at, standby } of before.seats.values()) assert.ok(standby.length === 1 && standby[0] !== at);
  const after = place(nodes(3).slice(1), actors, before.seats);
  for (const { actor, to, from, why } of after.moves) {
    assert.is(from, "n1");
    assert.is(to, before.seats.get(actor)?.standby[0]);
    assert.match(why, /^n1 has gone; n\d had a warm copy of it$/);
  }
  assert.is(after.moves.length, 2);
  assert.equal(place(nodes(1), stage("s", 1, { standby: 2 }), nothing).seats.get("f/s/0"), { node: "n1", standby: [] });
});

test("what a stage asks for is told with each move: its labels, that it is spread, and that there was a copy", () => {
  const both = [node("a", { labels: ["gpu", "eu"] }), node("b", { labels: ["gpu", "eu"] }), node("c")], actors = stage("s", 3, { labels: ["gpu", "eu"], spread: true, standby: 1 }), placed = place(both, actors, nothing);
  assert.equal(placed.moves.map(({ why }) => why), [
    "a had the most room: 0 actors, of 2 nodes that may have it, offering gpu and eu; spread: no other of its stage is there",
    "b had the most room: 0 actors, of 2 nodes that may have it, offering gpu and eu; spread: no other of its stage is there",
    "a had the most room: 1 actor, of 2 nodes that may have it, offering gpu and eu; spread: 1 other of its stage is there, as on each node that may have it",
  ]);
  const after = place(both.slice(1), actors, placed.seats);
  assert.match(after.reasons.get("f/s/0") as string, /^a has gone; b had a warm copy of it, offering gpu and eu; spread: 1 other of its stage is there, /);
});

test("each move says why", () => {
  const actors = stage("s", 4), one = place(nodes(1), actors, nothing), two = place(nodes(2), actors, one.seats);
  assert.is(one.moves[0]?.why, "n1 had the most room: 0 actors, of 1 node that may have it");
  assert.equal(two.moves.map(({ why }) => why).toSorted(), ["balance: n1 3 actors, n2 1 actor", "balance: n1 4 actors, n2 0 actors"]);
  assert.is(two.reasons.get("f/s/0"), "it is there, and nothing asks for a move");
});

const pinned = (actors: readonly PlacementActor[], pins: Readonly<Record<string, string>>): PlacementActor[] => actors.map((actor) => (pins[actor.address] === undefined ? actor : { ...actor, pin: pins[actor.address] as string }));
const cordoned = (all: readonly PlacementNode[], ...names: readonly string[]): PlacementNode[] => all.map((one) => (names.includes(one.name) ? { ...one, cordoned: true } : one));

test("a cordoned node gives up what it has, nothing else moves, and it gets nothing; taken back it takes its share again, and no more", () => {
  const actors = stage("s", 12), before = place(nodes(3), actors, nothing), drained = place(cordoned(nodes(3), "n2"), actors, before.seats);
  assert.equal(counts(drained), { n1: 6, n3: 6 });
  assert.is(drained.moves.length, 4);
  assert.ok(drained.moves.every(({ from, why }) => from === "n2" && /^n2 is drained; n[13] had the most room/.test(why)));
  assert.equal(place(cordoned(nodes(3), "n2"), actors, drained.seats).moves, []);
  assert.equal(counts(place(cordoned([...nodes(3), node("n4")], "n2"), actors, drained.seats)), { n1: 4, n3: 4, n4: 4 });
  const back = place(nodes(3), actors, drained.seats);
  assert.equal([counts(back), back.moves.length], [{ n1: 4, n2: 4, n3: 4 }, 4]);
  assert.is(place(nodes(3).filter(({ name }) => name !== "n2"), actors, drained.seats).moves.length, 0, "stopped, a drained node is simply gone");
});

test("what no other node may have stays on a cordoned node and goes on, and it is said why; as soon as one may, it moves", () => {
  const both = [node("a", { labels: ["gpu"] }), node("b")], actors = [...stage("s", 2, { labels: ["gpu"] }), ...stage("t", 2)], before = place(both, actors, nothing);
  const drained = place(cordoned(both, "a"), actors, before.seats);
  assert.equal([counts(drained, "f/s"), counts(drained, "f/t"), drained.moves.length], [{ a: 2 }, { b: 2 }, 0]);
  assert.is(drained.reasons.get("f/s/0"), "stays on a: no node may have it: a is drained, b does not offer label gpu");
  const moved = place([...cordoned(both, "a"), node("c", { labels: ["gpu"] })], actors, drained.seats);
  assert.equal(counts(moved, "f/s"), { c: 2 });
  assert.equal(counts(place(cordoned(both, "a", "b"), actors, nothing)), { none: 4 }, "what was nowhere waits");
});

test("warm copies are on no cordoned node, and a stage that is spread is spread over the others", () => {
  const actors = [...stage("w", 3, { standby: 1 }), ...stage("x", 3, { spread: true })], before = place(nodes(4), actors, nothing), drained = place(cordoned(nodes(4), "n1"), actors, before.seats);
  for (const { node: at, standby } of drained.seats.values()) assert.ok(at !== "n1" && !standby.includes("n1"));
  assert.equal(counts(drained, "f/x"), { n2: 1, n3: 1, n4: 1 });
});

test("a pinned actor goes to its node and stays there; to keep the balance at most one comes back for it", () => {
  const actors = stage("s", 6), before = place(nodes(3), actors, nothing), from = before.seats.get("f/s/0")?.node as string, to = from === "n2" ? "n3" : "n2";
  const after = place(nodes(3), pinned(actors, { "f/s/0": to }), before.seats);
  assert.is(after.seats.get("f/s/0")?.node, to);
  assert.is(after.moves.find(({ actor }) => actor === "f/s/0")?.why, `pinned to ${to}`);
  assert.equal([counts(after), after.moves.length], [{ n1: 2, n2: 2, n3: 2 }, 2]);
  assert.equal(place(nodes(3), pinned(actors, { "f/s/0": to }), after.seats).moves, []);
  // Sticky: what would move otherwise moves around it.
  const all = Object.fromEntries(actors.map(({ address }) => [address, "n2"])), piled = place(nodes(3), pinned(actors, all), before.seats);
  assert.equal([counts(piled), piled.reasons.get("f/s/5")], [{ n2: 6 }, "pinned to n2"]);
  assert.equal(counts(place([...nodes(3), node("n4")], pinned(actors, all), piled.seats)), { n2: 6 });
  assert.equal(counts(place(nodes(3), actors, piled.seats)), { n1: 2, n2: 2, n3: 2 }, "released, the balance has them");
});

test("a pin holds as long as its node may have the actor: gone, cordoned or without the label it is as if there were none", () => {
  const able = [node("a", { labels: ["gpu"] }), node("b", { labels: ["gpu"] }), node("c")], actors = pinned(stage("s", 2, { labels: ["gpu"] }), { "f/s/0": "b", "f/s/1": "c" }), before = place(able, actors, nothing);
  assert.equal([before.seats.get("f/s/0")?.node, before.seats.get("f/s/1")?.node], ["b", "a"]);
  assert.is(place(able.filter(({ name }) => name !== "b"), actors, before.seats).seats.get("f/s/0")?.node, "a");
  assert.is(place(cordoned(able, "b"), actors, before.seats).seats.get("f/s/0")?.node, "a");
  assert.is(place([node("a", { labels: ["gpu"] }), node("b")], actors, before.seats).seats.get("f/s/0")?.node, "a");
});

test("pinned actors come first: others make room for them, in number and where a stage is spread", () => {
  const small = [node("a", { capacity: 2 }), node("b", { capacity: 4 })], actors = stage("s", 6), before = place(small, actors, nothing), its = [...before.seats].find(([, seat]) => seat.node === "b")?.[0] as string;
  const after = place(small, pinned(actors, { [its]: "a" }), before.seats);
  assert.equal([after.seats.get(its)?.node, counts(after)], ["a", { a: 2, b: 4 }]);
  const apart = stage("x", 3, { spread: true }), placed = place(nodes(3), apart, nothing), [first] = apart as [PlacementActor], other = placed.seats.get("f/x/1")?.node as string;
  const swapped = place(nodes(3), pinned(apart, { [first.address]: other }), placed.seats);
  assert.equal([swapped.seats.get(first.address)?.node, counts(swapped)], [other, { n1: 1, n2: 1, n3: 1 }]);
});

for (const seed of [11, 12, 13, 14]) {
  test(`random cordons and pins, seed ${seed}: legal, pins held, a second look moves nothing`, () => {
    const random = new SeededRandom(seed), int = (below: number): number => Math.floor(random.next() * below), labels = ["gpu", "eu"], some = (): string[] => labels.filter(() => random.next() < 0.6);
    const actors = Array.from({ length: 1 + int(4) }, (_, at) => stage(`s${at}`, 1 + int(12), { labels: random.next() < 0.3 ? [labels[int(2)] as string] : [], spread: random.next() < 0.3, standby: int(2) as 0 | 1 })).flat();
    const there = Array.from({ length: 2 + int(4) }, (_, at) => node(`n${at}`, { weight: 1 + int(3), labels: some() }));
    let before = nothing;
    for (let step = 0; step < 30; step++) {
      const now = there.map((one) => (random.next() < 0.25 ? { ...one, cordoned: true } : one)), wanted = actors.map((actor) => (random.next() < 0.2 ? { ...actor, pin: `n${int(there.length + 1)}` } : actor));
      const placed = place(now, wanted, before), by = new Map(now.map((one) => [one.name, one]));
      for (const actor of wanted) {
        const { node: at, standby } = placed.seats.get(actor.address) as Seat, its = by.get(at ?? ""), pin = by.get(actor.pin ?? ""), mayHave = (one: PlacementNode): boolean => one.cordoned !== true && actor.place.labels.every((label) => one.labels.includes(label));
        if (pin !== undefined && mayHave(pin)) assert.is(at, pin.name);
        if (its?.cordoned === true) assert.ok(before.get(actor.address)?.node === at && !now.some(mayHave), "only what was there, and what no other may have, is on a cordoned node");
        if (at === null) assert.not(now.some(mayHave));
        for (const name of standby) assert.ok(mayHave(by.get(name) as PlacementNode));
      }
      assert.equal(place(now, wanted, placed.seats).moves, []);
      before = placed.seats;
    }
  });
}

// Random clusters, changed step by step; what must hold after every step.
for (const seed of [1, 2, 3, 4, 5, 6, 7, 8]) {
  test(`random clusters, seed ${seed}: legal, balanced, sticky, deterministic`, () => {
    const random = new SeededRandom(seed), int = (below: number): number => Math.floor(random.next() * below);
    const labels = ["gpu", "eu"], some = (): string[] => labels.filter(() => random.next() < 0.5);
    const actors = Array.from({ length: 1 + int(6) }, (_, at) => stage(`s${at}`, 1 + int(24), { labels: random.next() < 0.3 ? [labels[int(2)] as string] : [], spread: random.next() < 0.3, standby: int(3) as 0 | 1 | 2 })).flat();
    let there = Array.from({ length: 1 + int(6) }, (_, at) => node(`n${at}`, { weight: 1 + int(3), labels: some(), ...(random.next() < 0.2 ? { capacity: int(20) } : {}) }));
    let before = nothing;
    for (let step = 0; step < 40; step++) {
      const placed = place(there, actors, before), turned = place(there.toReversed(), actors, before);
      assert.equal([...turned.seats], [...placed.seats]);
      legal(there, actors, placed);
      sticky(there, actors, before, placed);
      assert.equal(place(there, actors, placed.seats).moves, [], "a second look moves nothing");
      before = placed.seats;
      const kind = int(3);
      if (kind === 0 && there.length > 1) there = there.filter((_, at) => at !== int(there.length));
      else if (kind === 1) there = [...there, node(`x${step}`, { weight: 1 + int(3), labels: some() })];
      else there = there.map((one, at) => (at === 0 ? { ...one, labels: some() } : one));
    }
  });
}

function legal(there: readonly PlacementNode[], actors: readonly PlacementActor[], { seats, reasons }: Placed): void {
  const byName = new Map(there.map((one) => [one.name, one])), has = new Map<string, number>();
  assert.is(seats.size, actors.length);
  for (const actor of actors) {
    const { node: at, standby } = seats.get(actor.address) as Seat;
    assert.ok((reasons.get(actor.address) as string).length > 0);
    if (at === null) continue;
    const its = byName.get(at) as PlacementNode;
    assert.ok(actor.place.labels.every((label) => its.labels.includes(label)));
    has.set(at, (has.get(at) ?? 0) + 1);
    assert.ok(standby.length <= actor.place.standby && !standby.includes(at) && new Set(standby).size === standby.length && standby.every((name) => byName.has(name)));
  }
  for (const [name, count] of has) assert.ok(count <= (byName.get(name)?.capacity ?? Infinity));
  // Where nothing binds, no node could give one to another with gain.
  const free = actors.filter(({ place: { labels, spread } }) => labels.length === 0 && !spread);
  for (const actor of free) {
    const from = byName.get(seats.get(actor.address)?.node ?? "");
    if (from === undefined) { assert.ok(there.every(({ name, capacity = Infinity }) => (has.get(name) ?? 0) >= capacity)); continue; }
    for (const to of there) {
      if ((has.get(to.name) ?? 0) >= (to.capacity ?? Infinity)) continue;
      assert.ok(((has.get(to.name) ?? 0) + 1) / to.weight >= (has.get(from.name) ?? 0) / from.weight - 1e-9, `${from.name} could give to ${to.name}`);
    }
  }
}

/** Nobody moves to a node that others leave for balance; with no node new and none gone nothing moves but what its node may have no longer. */
function sticky(there: readonly PlacementNode[], actors: readonly PlacementActor[], before: ReadonlyMap<string, Seat>, { moves }: Placed): void {
  const given = new Set(moves.filter(({ why }) => why.startsWith("balance")).map(({ from }) => from)), names = new Set(there.map(({ name }) => name));
  const free = new Set(actors.filter(({ place: { labels, spread } }) => labels.length === 0 && !spread).map(({ address }) => address));
  if (actors.some(({ address }) => !free.has(address)) || there.some(({ capacity }) => capacity !== undefined)) return;
  for (const { from, to, actor } of moves) {
    if (from !== null && names.has(from)) assert.not(given.has(to), `${actor} went to ${to}, which gave others away`);
    assert.is(before.get(actor)?.node ?? null, from);
  }
}

test.run();
