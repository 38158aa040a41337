// The fields that an actor of a new generation begins with (PROTOCOL 11).
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { merged } from "../../../runtime/actor/inheritance.ts";
import type { Term } from "../../../runtime/event/term.ts";
import type { Body } from "../../../runtime/journal/record.ts";

const test = suite("inheritance");
const sealed = (count: number): Pick<Body, "seal"> => ({ seal: { generation: "g-2", sections: Array.from({ length: count }, () => ({ chunks: [] })) } });
const counts = (n: number): NonNullable<Body["counts"]> => ({ in: n, out: 2 * n, late: 0, deadLetters: 1 });

const old: readonly Body[] = [
  { ...sealed(2), inputs: [[0, 90, null, "f/a/0", 7]], channels: [[0, "f/a/0", "g-1", 30, false, false, ["g-2", 2]], [0, "f/a/1", "g-1", null, true, true]], own: { watermark: 25, ended: false, caught: false, sealed: ["g-2", 2] }, tries: { k: 1, events: [["x", 2], ["gone", 1]] }, counts: counts(10), routing: [["d", "g-3", 2]] },
  { ...sealed(2), inputs: [[0, 40, null, "f/a/1", 2]], channels: [[0, "f/a/0", "g-1", 30, false, false, ["g-2", 2]], [0, "f/a/1", "g-1", null, true, true]], own: { watermark: 21, ended: false, caught: true, sealed: ["g-2", 2] }, floors: [[0, "f/a", "g-1"]], counts: counts(100) },
  { ...sealed(2), inputs: [[0, 1, null, null, 0]], channels: [[0, "f/a/0", "g-1", 30, false, false, ["g-2", 2]], [0, "f/a/1", "g-1", null, true, true]], own: { watermark: 29, ended: false, caught: false, sealed: ["g-2", 2] }, counts: counts(1_000) },
];

test("watermarks and ends of those who feed it are those of the seals, its own watermark is the least; its mailbox is read from the start", () => {
  const { inputs, channels, cursors, own, floors, routing } = merged("f/b/0", old, 0, new Set());
  assert.equal(inputs, [[0, 0, null, null, 0]]);
  assert.equal(channels, [[0, "f/a/0", "g-1", 30, false, false], [0, "f/a/1", "g-1", null, true, true]]);
  assert.equal(cursors?.map(([, from, , seq]) => [from, seq]), [["f/a/0", 0], ["f/a/1", 0]]);
  assert.equal(own, { watermark: 21, ended: false, caught: false });
  assert.equal([floors, routing], [[[0, "f/a", "g-1"]], [["d", "g-3", 2]]]);
});

test("what comes first in its mailbox goes on from the barrier: it bears that one's term; two barriers of one sender are of one record (P17)", () => {
  const term = (mark: number): Term => [1, Uint8Array.of(mark)], past = (body: Body | undefined, mark: number): Body => ({ ...body, cursors: [[0, "f/a/0", "g-1", 8, term(mark), 0, null, []], [0, "f/a/1", "g-1", 5, term(9), 0, null, []]] });
  const agreed = old.map((body) => past(body, 7));
  assert.equal(merged("f/b/0", agreed, 0, new Set()).cursors?.map(([, from, , seq, its]) => [from, seq, its]), [["f/a/0", 0, term(7)], ["f/a/1", 0, null]]);
  assert.throws(() => merged("f/b/0", [...agreed.slice(1), past(old[0], 6)], 0, new Set()), (error: { code: string }) => error.code === "HISTORY_FORKED");
});

test("tries go on where what was tried does, and counts are told once in all", () => {
  assert.equal(merged("f/b/0", old, 0, new Set(["x"])).tries, { k: 0, events: [["x", 2]] });
  assert.equal([0, 1].map((p) => merged("f/b/0", old, p, new Set()).counts), [{ in: 1_010, out: 2_020, late: 0, deadLetters: 2, settled: 0 }, { in: 100, out: 200, late: 0, deadLetters: 1, settled: 0 }]);
});

test("without a watermark of one of them there is none", () => {
  const [first, ...rest] = old as [Body, ...Body[]];
  assert.is(merged("f/b/0", [{ ...first, own: { watermark: null, ended: false, caught: false } }, ...rest], 0, new Set()).own?.watermark, null);
});

test.run();
