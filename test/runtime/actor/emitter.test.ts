import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Generations } from "../../../runtime/actor/environment.ts";
import { ChainDelivery, MailboxDelivery } from "../../../runtime/actor/delivery.ts";
import { type ClosedFrame, type DeadLetter, Emitter } from "../../../runtime/actor/emitter.ts";
import { Outlet } from "../../../runtime/actor/outlet.ts";
import { Routing } from "../../../runtime/actor/routing.ts";
import { systemRandom } from "../../../runtime/event/clock.ts";
import type { MillraceError } from "../../../runtime/event/errors.ts";
import type { Key } from "../../../runtime/event/event.ts";
import { decodeFrame, type Frame, type Note, rowData } from "../../../runtime/event/frame.ts";
import type { Term } from "../../../runtime/event/term.ts";
import { partitionOf } from "../../../runtime/event/partition.ts";
import type { EdgePlan } from "../../../runtime/flow/plan.ts";
import type { Body } from "../../../runtime/journal/record.ts";
import { ManualClock } from "../../../runtime/testing/manual-clock.ts";
import { ScriptedStream } from "../../support/scripted-stream.ts";

const test = suite("emitter");
const edge = (to: string, more: Partial<EdgePlan> = {}): EdgePlan => ({ from: "a", output: "", to, input: 0, index: 0, eventTime: false, ...more });
const options = { clock: new ManualClock(), random: systemRandom, onChange: () => {} };

class World {
  readonly emitter: Emitter;

  constructor(edges: readonly EdgePlan[], counts: Readonly<Record<string, number>> = {}, generations?: Pick<Generations, "next">) {
    const outlets = new Map<string, Outlet>();
    this.emitter = new Emitter({
      actor: "f/a/0", code: "abc", type: "f.a", edges, routing: new Routing((to) => ({ generation: "g-1", count: counts[to] ?? 1 }), generations as Generations | undefined),
      outlet: (target) => {
        const [to] = target, id = target.join(" "), known = outlets.get(id) ?? new Outlet(target, new MailboxDelivery(new ScriptedStream(), options), edges.some((one) => one.to === to && one.eventTime));
        outlets.set(id, known);
        return known;
      },
      dead: new Outlet("mr.dead.f.a.g-1.0", new ChainDelivery(new ScriptedStream(), options), false),
    });
  }

  emit(data: unknown, { output = "", time = 0, key, type }: { output?: string; time?: number; key?: Key; type?: string } = {}): void {
    this.emitter.emit(output, data, time, key, type);
  }

  close({ term = [1, new Uint8Array(8)], ...more }: { watermark?: number; watermarkAlone?: boolean; note?: Note | null; limit?: number; followsPlan?: boolean; term?: Term } = {}): readonly ClosedFrame[] {
    return this.emitter.close({ from: "f/a/0", generation: "g-1", term, n: 1 },
      { watermark: -Infinity, watermarkAlone: false, note: null, limit: 1_000_000, info: ([k, time]) => ({ id: `id-${k}`, type: "f.a", time, source: "f/a/0" }), ...more });
  }
}

const framesTo = (closed: readonly ClosedFrame[], to: string): readonly Frame[] => closed.filter(({ outlet }) => (typeof outlet.target === "string" ? outlet.target : `${outlet.target[0]}/${outlet.target[2]}`) === to).map(({ bytes }) => decodeFrame(bytes));
const dataTo = (closed: readonly ClosedFrame[], to: string): readonly unknown[] => framesTo(closed, to).flatMap(({ rows, shapes }) => rows.map((row) => rowData(row, shapes)));
const lettersOf = (closed: readonly ClosedFrame[]): readonly DeadLetter[] => dataTo(closed, "mr.dead.f.a.g-1.0") as readonly DeadLetter[];
const code = (call: () => unknown): string => { try { call(); return ""; } catch (error) { return (error as MillraceError).code ?? String(error); } };
const info = { id: "f/s/0@g.1.0", type: "f.s", time: 5, key: "k" as const, source: "f/s/0" };

test("an event goes to every reader of its output, under the same ordinal, and to no other", () => {
  const world = new World([edge("b"), edge("c"), edge("late", { output: "late" })]);
  world.emit({ n: 1 });
  world.emit({ n: 2 }, { output: "late" });
  world.emit({ n: 3 });
  world.emit({ n: 4 }, { output: "nobody" });
  const closed = world.close();
  assert.equal(["b/0", "c/0", "late/0"].map((to) => dataTo(closed, to)), [[{ n: 1 }, { n: 3 }], [{ n: 1 }, { n: 3 }], [{ n: 2 }]]);
  assert.equal(["b/0", "c/0"].map((to) => framesTo(closed, to)[0]?.rows.map(([k]) => k)), [[0, 2], [0, 2]]);
  assert.equal([world.emitter.isRead(""), world.emitter.isRead("late"), world.emitter.isRead("nobody")], [true, true, false]);
});

test("ordinals begin anew with each record", () => {
  const world = new World([edge("b")]);
  for (let turn = 0; turn < 2; turn++) {
    world.emit(1);
    world.emit(2);
    assert.equal(framesTo(world.close(), "b/0")[0]?.rows.map(([k]) => k), [0, 1]);
  }
});

test("a keyed edge sends by its key, which the event then carries; without one it follows the key that it has", () => {
  const world = new World([edge("b", { key: (data) => (data as { region: string }).region }), edge("c", { index: 3 })], { b: 4, c: 5 });
  const regions = ["alaska", "chile", "japan", "fiji", "ohio", "peru"];
  for (const region of regions) world.emit({ region }, { key: 42 });
  const closed = world.close();
  for (const region of regions) assert.ok(dataTo(closed, `b/${partitionOf(region, 4)}`).some((data) => (data as { region: string }).region === region), region);
  assert.equal(closed.flatMap(({ bytes, outlet }) => (outlet.target[0] === "b" ? decodeFrame(bytes).rows.map((row) => [row[2], (rowData(row, decodeFrame(bytes).shapes) as { region: string }).region]) : [])).every(([key, region]) => key === region), true);
  const [frame, ...others] = framesTo(closed, `c/${partitionOf(42, 5)}`);
  assert.equal([frame?.rows.length, frame?.edge, frame?.rows[0]?.[2], others.length], [6, 3, 42, 0]);
});

test("events without a key are dealt turn by turn over the partitions: one frame a turn and edge", () => {
  const world = new World([edge("b")], { b: 3 }), to: (readonly unknown[])[] = [];
  for (let turn = 0; turn < 7; turn++) {
    world.emit(turn);
    world.emit(turn);
    const closed = world.close();
    assert.is(closed.length, 1);
    to.push([closed[0]?.outlet.target[2], dataTo(closed, `b/${closed[0]?.outlet.target[2]}`).length]);
  }
  assert.equal(to, [[0, 2], [1, 2], [2, 2], [0, 2], [1, 2], [2, 2], [0, 2]]);
});

test("a turn without keyless events does not move the deal on", () => {
  const world = new World([edge("b")], { b: 2 });
  for (const [key, partition] of [[undefined, 0], ["x", partitionOf("x", 2)], ["x", partitionOf("x", 2)], [undefined, 1]] as const) {
    world.emit(1, key === undefined ? {} : { key });
    assert.is(world.close()[0]?.outlet.target[2], partition);
  }
});

for (const [name, key] of [["a fraction", 1.5], ["nothing", undefined], ["an object", {}], ["a text of 513 bytes", "x".repeat(513)]] as const) {
  test(`a key that is ${name} is refused, and nothing of the event is left after it is taken back`, () => {
    const world = new World([edge("a"), edge("b", { key: () => key as Key })]);
    world.emitter.save();
    assert.is(code(() => world.emit({})), "KEY_INVALID");
    world.emitter.revert();
    assert.equal([world.close(), world.emitter.counts.out], [[], 0]);
  });
}

test("data that cannot be sent is refused, and what the event had sent before is taken back from all readers", () => {
  const world = new World([edge("b"), edge("c"), edge("late", { output: "late" })]);
  world.emit({ n: 1 });
  world.emitter.save();
  world.emit({ n: 2 });
  world.emit({ n: 3 }, { output: "late" });
  world.emitter.deadLetter("X", new Error("x"), 1, info, {});
  world.emitter.counts.late++;
  assert.ok(world.emitter.hasPartial);
  assert.is(code(() => world.emit({ f: () => 1 })), "UNSERIALIZABLE");
  world.emitter.revert();
  assert.not.ok(world.emitter.hasPartial);
  assert.equal(world.emitter.told, { out: 1, late: 0, deadLetters: 0 });
  world.emit({ n: 4 });
  const closed = world.close();
  assert.equal([dataTo(closed, "b/0"), dataTo(closed, "c/0"), dataTo(closed, "late/0"), lettersOf(closed)], [[{ n: 1 }, { n: 4 }], [{ n: 1 }, { n: 4 }], [], []]);
  assert.equal(framesTo(closed, "b/0")[0]?.rows.map(([k]) => k), [0, 1]);
});

test("the usual type is not written, another one is", () => {
  const world = new World([edge("b")]);
  for (const type of [undefined, "f.a", "other"]) world.emit(1, type === undefined ? {} : { type });
  const [frame] = framesTo(world.close(), "b/0");
  assert.equal(frame?.rows.map((row) => row[3]), [null, null, [null, 0, null]]);
  assert.equal(frame?.types, ["other"]);
});

test("a watermark alone goes where event time is needed, and nowhere else; an end goes everywhere", () => {
  const world = new World([edge("b", { eventTime: true }), edge("c")], { b: 2, c: 2 });
  assert.equal(world.close({ watermark: 5, watermarkAlone: false }), []);
  assert.equal(world.close({ watermark: 5, watermarkAlone: true }).map(({ outlet, bytes }) => [outlet.target[0], decodeFrame(bytes).watermark]), [["b", 5], ["b", 5]]);
  const ends = world.close({ watermark: Infinity, watermarkAlone: true, note: ["end"] });
  assert.equal(ends.map(({ outlet, bytes }) => [outlet.target[0], outlet.target[2], decodeFrame(bytes).note?.[0]]), [["b", 0, "end"], ["b", 1, "end"], ["c", 0, "end"], ["c", 1, "end"]]);
});

test("two edges into one stage share a mailbox: one channel, its numbers count over both", () => {
  const world = new World([edge("b", { index: 0 }), edge("b", { index: 1, output: "late" })]);
  world.emit(1);
  world.emit(2, { output: "late" });
  const frames = framesTo(world.close(), "b/0");
  assert.equal(frames.map(({ seq, edge: index }) => [seq, index]), [[1, 0], [2, 1]]);
  assert.is(world.emitter.outlets.length, 1);
});

// ── dead letters

test("a dead letter says what was given up, where, why, after how many tries, by which code", () => {
  const world = new World([edge("b")]), error = new TypeError("no such region");
  world.emitter.deadLetter("TERMINAL", error, 2, info, { region: "x", big: 5n });
  const [letter] = lettersOf(world.close());
  assert.is(letter?.error.stack.split("\n").length, Math.min(8, (error.stack as string).split("\n").length));
  assert.equal({ ...letter, error: { ...letter?.error, stack: "" } }, {
    code: "TERMINAL", message: "no such region", error: { name: "TypeError", message: "no such region", stack: "" }, actor: "f/a/0", attempts: 2, flow: "abc",
    event: { id: "f/s/0@g.1.0", type: "f.s", time: 5, key: "k", source: "f/s/0", data: { region: "x", big: 5n } },
  });
  assert.is(world.emitter.counts.deadLetters, 1);
});

test("data that cannot be sent is kept as a text, whatever it is; what was thrown may be anything", () => {
  const world = new World([edge("b")]), cycle: { self?: unknown } = {};
  cycle.self = cycle;
  for (const data of [{ f: () => 1, a: 1 }, cycle, new Date(NaN), Symbol("s"), "x".repeat(50_000)]) world.emitter.deadLetter("X", "just a text", 1, info, data);
  const letters = lettersOf(world.close());
  assert.equal(letters.map(({ event }) => typeof event.data), ["string", "string", "string", "string", "string"]);
  assert.equal([letters[0]?.event.data, letters[0]?.message, letters[0]?.error.name], ['{"a":1}', "just a text", "Error"]);
});

test("an event that no message can hold is a dead letter with its beginning, and is counted as such", () => {
  const world = new World([edge("b")]);
  world.emit({ text: "x".repeat(500_000), big: 5n }, { time: 9 });
  world.emit({ text: "y" });
  const closed = world.close({ limit: 100_000 }), [letter] = lettersOf(closed);
  assert.equal(dataTo(closed, "b/0"), [{ text: "y" }]);
  assert.equal([letter?.code, letter?.event.id, letter?.event.time, world.emitter.counts.deadLetters], ["TOO_LARGE", "id-0", 9, 1]);
  assert.ok(String(letter?.event.data).startsWith('{"text":"xxxx'));
});

test("a dead letter that no message can hold is kept all the same, shortened: its data, or what the error says", () => {
  const world = new World([edge("b")]);
  world.emitter.deadLetter("TERMINAL", new Error("x"), 1, info, { text: "z".repeat(900_000), more: "kept too" });
  world.emitter.deadLetter("UNREADABLE", new Error("e".repeat(900_000)), 1, info, "l".repeat(900_000));
  world.emitter.deadLetter("X", new Error("small"), 1, info, "small");
  const closed = world.close({ limit: 100_000 }), letters = lettersOf(closed);
  assert.equal(letters.map(({ code: its }) => its).sort(), ["TERMINAL", "UNREADABLE", "X"]);
  assert.ok(String(letters.find(({ code: its }) => its === "TERMINAL")?.event.data).startsWith('{"text":"zzz'));
  assert.ok(String(letters.find(({ code: its }) => its === "UNREADABLE")?.event.data).startsWith("lll"));
  assert.equal(framesTo(closed, "mr.dead.f.a.g-1.0").map(({ seq }) => seq), framesTo(closed, "mr.dead.f.a.g-1.0").map((_, i) => i + 1));
});

test("after its end nothing more is taken", () => {
  const world = new World([edge("b")]);
  world.emit(1);
  world.emitter.sealed = true;
  assert.throws(() => world.emit(2), /is over/);
  assert.equal(dataTo(world.close(), "b/0"), [1]);
});

// ── what a record says of it

test("the first frame to a new generation says the term of the barrier before it, also from the log and from a snapshot (P17)", () => {
  const planned = () => new World([edge("b")], {}, { next: () => ({ generation: "g-2", count: 2, takenBack: false }) });
  const first = planned(), body: Body = {}, whole: Body = {};
  const barrier = first.close({ followsPlan: true });
  first.emitter.write(body, false);
  first.emitter.write(whole, true);
  const { term } = decodeFrame((barrier[0] as ClosedFrame).bytes), replayed = planned(), loaded = planned();
  replayed.emitter.follow(body, term);
  loaded.emitter.routing.apply(whole);
  for (const [target, seq, its] of whole.sent ?? []) Object.assign(loaded.emitter.outletAt(target), { seq, term: its });
  for (const its of [replayed, loaded]) its.emitter.replayed();
  for (const its of [first, replayed, loaded]) {
    its.emit(1, { key: "k" });
    const [frame] = its.close({ term: [2, new Uint8Array(8)] }).map(({ outlet, bytes }) => ({ to: outlet.target[1], frame: decodeFrame(bytes) }));
    assert.equal([frame?.to, frame?.frame.seq, frame?.frame.before], ["g-2", 1, term]);
  }
});

test("what is settled is told once, in a snapshot whole, with the newest number and term of each outlet", () => {
  const world = new World([edge("b"), edge("c")]), write = (whole: boolean): Body => { const body: Body = {}; world.emitter.write(body, whole); return body; };
  world.emit(1);
  world.close();
  assert.equal(write(false), {});
  Object.assign(world.emitter.outlets[0]?.delivery as object, { settled: 1, settledAt: 7, moved: true });
  assert.equal(write(true).settled, [[["b", "g-1", 0, 0], 1, 7]]);
  assert.equal(write(false).settled, [[["b", "g-1", 0, 0], 1, 7]]);
  assert.equal(write(false), {});
  assert.equal(write(true).sent?.map(([target, seq, term]) => [target, seq, term[0]]), [[["b", "g-1", 0, 0], 1, 1], [["c", "g-1", 0, 0], 1, 1]]);
});

test("it is held up by what is committed and not settled, and says which mailboxes are full (P14)", () => {
  const world = new World([edge("b"), edge("c")]), [b, c] = world.emitter.outlets as [Outlet, Outlet];
  assert.equal([world.emitter.heldUp, world.emitter.full], [false, []]);
  for (let seq = 1; seq <= 1_024; seq++) (seq % 2 === 0 ? b : c).delivery.add(seq, new Uint8Array(10));
  assert.not.ok(world.emitter.heldUp);
  b.delivery.add(2_000, new Uint8Array(10));
  assert.ok(world.emitter.heldUp);
  const other = new World([edge("b")]), [only] = other.emitter.outlets as [Outlet];
  only.delivery.add(1, new Uint8Array(32 * 1024 * 1024 + 1));
  only.delivery.full = true;
  assert.equal([other.emitter.heldUp, other.emitter.full], [true, ["b/g-1/0/0"]]);
});

test.run();
