import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Tries } from "../../../runtime/actor/tries.ts";
import type { Body } from "../../../runtime/journal/record.ts";

const test = suite("tries");
const written = (tries: Tries): Body["tries"] => {
  const body: Body = {};
  tries.write(body);
  return body.tries;
};

test("tries of an event are counted until it is past", () => {
  const tries = new Tries();
  assert.is(tries.of("e"), 0);
  tries.begin("e");
  tries.begin("e");
  tries.begin("other");
  assert.equal([tries.of("e"), tries.of("other"), tries.size], [2, 1, 2]);
  tries.done("e");
  assert.equal([tries.of("e"), tries.size], [0, 1]);
  tries.done("never begun");
  assert.is(tries.size, 1);
});

test("a try that was counted before it began is counted once: when it fails, too", () => {
  const tries = new Tries();
  tries.attempt("e");
  assert.is(tries.of("e"), 0, "the one at hand is none before it");
  assert.equal(written(tries), { k: 0, events: [["e", 1]] });
  tries.begin("e");
  assert.equal(written(tries), { k: 0, events: [["e", 1]] });
});

test("a try that was counted, and whose process died, counts for the next owner", () => {
  const tries = new Tries(), next = new Tries();
  tries.attempt("e");
  next.apply({ tries: written(tries) } as Body);
  assert.is(next.of("e"), 1);
  next.attempt("e");
  assert.is(next.of("e"), 1);
  next.done("e");
  assert.is(next.of("e"), 0);
});

test("a try that was counted and is taken back counts no more, those before it do", () => {
  const tries = new Tries();
  tries.apply({ tries: { k: 2, events: [["e", 1]] } });
  tries.attempt("e");
  tries.withdraw("other");
  tries.withdraw("e");
  tries.withdraw("e");
  assert.equal([tries.of("e"), written(tries)], [1, { k: 2, events: [["e", 1]] }]);
  tries.attempt("f");
  tries.withdraw("f");
  assert.equal(written(tries), { k: 2, events: [["e", 1]] });
});

test("what is written is all of it, where it changed or is not nothing", () => {
  const tries = new Tries();
  assert.is(written(tries), undefined);
  tries.begin("e");
  assert.ok(tries.moved);
  assert.equal(written(tries), { k: 0, events: [["e", 1]] });
  assert.not.ok(tries.moved);
  assert.equal(written(tries), { k: 0, events: [["e", 1]] }, "it stands in every record while it is not nothing");
  tries.done("e");
  assert.equal(written(tries), { k: 0, events: [] }, "and once more when it is");
  assert.is(written(tries), undefined);
});

test("unclean ends are in every record until all that was in flight is past", () => {
  const tries = new Tries();
  tries.k = 2;
  assert.equal(written(tries), { k: 2, events: [] });
  tries.calm();
  assert.equal(written(tries), { k: 0, events: [] });
  tries.calm();
  assert.is(written(tries), undefined);
});

test("no more than 64 events are remembered: the oldest goes", () => {
  const tries = new Tries();
  for (let i = 0; i < 100; i++) tries.begin(`e${i}`);
  assert.equal([tries.size, tries.of("e35"), tries.of("e36"), tries.of("e99")], [64, 0, 1, 1]);
});

test("a record without tries changes none, one with tries stands for all", () => {
  const tries = new Tries();
  tries.apply({ tries: { k: 1, events: [["a", 2]] } });
  tries.apply({});
  assert.equal([tries.k, tries.of("a")], [1, 2]);
  tries.apply({ tries: { k: 0, events: [["b", 1]] } });
  assert.equal([tries.k, tries.of("a"), tries.of("b")], [0, 0, 1]);
});

test.run();
