// The bounded part of the fuzz scenario (fuzz.ts): the whole of it is `npm run test:faults -- fuzz --inputs 1000000 --seed 1`.
// test deadline: 120 s
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { areas } from "./fuzz-areas.ts";
import { fuzz } from "./fuzz.ts";

const test = suite("fuzz");
const seed = Number(process.env["SEED"] ?? 20180207), inputs = 25_000;

for (const name of Object.keys(areas)) {
  test(`hostile ${name}: refused with a code or taken; no crash, no hang, memory bounded (SEED=${seed})`, async () => {
    const { areas: [area], wrong } = await fuzz({ inputs, seed, only: (its) => its === name });
    assert.equal(wrong, []);
    assert.ok(area !== undefined && area.inputs > 50, JSON.stringify(area));
    // An area in which nothing is refused, or nothing is taken, tests nothing.
    assert.ok((area.codes["accepted"] ?? 0) > 0, JSON.stringify(area.codes));
    if (name === "mailbox") assert.ok((area.codes["(hostile events handled)"] ?? 0) > 10 && (area.codes["(good frame handled)"] ?? 0) > 10, JSON.stringify(area.codes));
    else assert.ok(Object.keys(area.codes).some((code) => /^[A-Z]/.test(code)), JSON.stringify(area.codes));
  });
}

test("the shares of the areas come to all inputs", () => {
  assert.ok(Math.abs(Object.values(areas).reduce((sum, { share }) => sum + share, 0) - 1) < 0.001);
});

test.run();
