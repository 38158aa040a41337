import { suite } from "uvu";
import * as assert from "uvu/assert";
import { stepsFor, type Sibling } from "../../../runtime/supervision/strategy.ts";

const test = suite("strategy");
const child = (id: string, more: Partial<Sibling> = {}): Sibling => ({ id, restart: "permanent", state: "up", ...more });
const failed = (id: string, others: readonly Sibling[]): readonly Sibling[] => others.map((one) => (one.id === id ? { ...one, state: "down" } : one));
const words = (strategy: Parameters<typeof stepsFor>[0], children: readonly Sibling[], id: string, exit: Parameters<typeof stepsFor>[3] = "crash"): string =>
  stepsFor(strategy, failed(id, children), id, exit).map((step) => `${step.step} ${step.id}`).join(", ");
const abc = [child("a"), child("b"), child("c")];

// Strategy × position of the failed child.
for (const [strategy, id, expected] of [
  ["one_for_one", "a", "start a"],
  ["one_for_one", "b", "start b"],
  ["one_for_one", "c", "start c"],
  ["one_for_all", "a", "stop c, stop b, start a, start b, start c"],
  ["one_for_all", "b", "stop c, stop a, start a, start b, start c"],
  ["one_for_all", "c", "stop b, stop a, start a, start b, start c"],
  ["rest_for_one", "a", "stop c, stop b, start a, start b, start c"],
  ["rest_for_one", "b", "stop c, start b, start c"],
  ["rest_for_one", "c", "start c"],
] as const) {
  test(`${strategy}, ${id} of a, b, c fails: ${expected}`, () => {
    assert.is(words(strategy, abc, id), expected);
  });
}

test("a temporary child is not started again, even when a sibling's death stops it", () => {
  assert.is(words("one_for_all", [child("a"), child("b", { restart: "temporary" }), child("c")], "a"), "stop c, stop b, start a, start c");
});

test("a child that is ended, parked, fenced or stopped is left alone", () => {
  assert.is(words("one_for_all", [child("a", { state: "settled" }), child("b"), child("c")], "b"), "stop c, start b, start c");
});

test("a child that is down already is not stopped, but started with the others", () => {
  assert.is(words("rest_for_one", [child("a"), child("b", { state: "down" }), child("c")], "a"), "stop c, start a, start b, start c");
});

for (const [exit, restart] of [["normal", "permanent"], ["shutdown", "transient"], ["crash", "temporary"], ["unavailable", "permanent"], ["fenced", "permanent"], ["parked", "permanent"]] as const) {
  test(`no sibling is touched when a ${restart} child exits with ${exit}, which restarts nothing`, () => {
    assert.is(words("one_for_all", [child("a", { restart }), child("b")], "a", exit), "");
  });
}

test("poison restarts as a crash does", () => {
  assert.is(words("rest_for_one", abc, "b", "poison"), "stop c, start b, start c");
});

test("a child that is not there any more asks for nothing", () => {
  assert.is(words("one_for_all", abc, "z"), "");
});

test.run();
