import { suite } from "uvu";
import * as assert from "uvu/assert";
import { abreast } from "./abreast.ts";
import { type Gate, gate } from "./gate.ts";

const test = suite("abreast");

const gates: readonly Gate<number>[] = Array.from({ length: 4 }, () => gate<number>());

test("nothing is begun before the first is asked for; then so many, in order, and the next where one ends", async () => {
  const begun: number[] = [], ends = abreast(2, gates, ({ opened }, at) => { begun.push(at); return opened; }).map(([, end]) => end), [first, second, third, fourth] = ends;
  assert.ok(first && second && third && fourth);
  assert.equal(begun, []);
  const ended = first();
  assert.equal(begun, [0, 1]);
  gates[1]?.open(11);
  assert.is(await second(), 11);
  await new Promise(setImmediate);
  assert.equal(begun, [0, 1, 2]);
  gates[0]?.open(10);
  gates[2]?.open(12);
  gates[3]?.open(13);
  assert.equal([await ended, await third(), await fourth()], [10, 12, 13]);
  assert.equal(begun, [0, 1, 2, 3]);
});

test("one that fails fails where it is asked for, and the others go on", async () => {
  const [bad, good] = abreast(1, ["bad", "good"], (name) => (name === "bad" ? Promise.reject(new Error("no")) : Promise.resolve(name)));
  assert.is(await good?.[1](), "good");
  assert.is(await bad?.[1]().catch((error: Error) => error.message), "no");
});

test.run();
