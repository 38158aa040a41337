import { suite } from "uvu";
import * as assert from "uvu/assert";
import { StartGate } from "../../../runtime/supervision/start-gate.ts";

const test = suite("start-gate");

test("so many places as given, and each that is freed wakes all who wait, once", () => {
  const gate = new StartGate(2), woken: string[] = [], wake = (name: string) => () => void woken.push(name);
  const first = gate.enter(wake("x"));
  assert.ok(first && gate.enter(wake("x")));
  const [a, b] = [wake("a"), wake("b")];
  for (const poke of [a, b, a]) assert.is(gate.enter(poke), undefined);
  first();
  assert.equal(woken, ["a", "b"]);
  assert.ok(gate.enter(a));
  assert.is(gate.enter(b), undefined);
});

test("a place is freed once, however often it is said", () => {
  const gate = new StartGate(1), release = gate.enter(() => {});
  release?.();
  release?.();
  assert.ok(gate.enter(() => {}));
  assert.is(gate.enter(() => {}), undefined);
});

test.run();
