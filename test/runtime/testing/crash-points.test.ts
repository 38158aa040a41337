// Whatever is killed, wherever it is in its turn: a flow gives what it gives undisturbed.
// test deadline: 300 s
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { crash, type CrashPoint } from "millrace/testing";
import { cases, items, outcome } from "./cases.ts";

const test = suite("crash points");
const points: readonly CrashPoint[] = ["before-handler", "before-commit", "after-commit", "after-journal", "while-sending", "after-sending"];

for (const one of cases) {
  const undisturbed = outcome(one);

  test(`${one.name}: every stage gives what it should`, async () => {
    const found = await undisturbed;
    assert.equal([...one.outputs, "dead letters"].map((name) => found[name]?.length), one.counts);
  });

  for (const point of points) {
    test(`${one.name}: a crash ${point} of any stage, at any event, changes nothing`, async () => {
      const expected = await undisturbed;
      for (const stage of one.stages) {
        for (let i = 0; i < items.length; i++) assert.equal(await outcome(one, { seed: i, around: (at) => (at === i ? { after: [crash(stage, point)] } : {}) }), expected, `${stage} at ${i}`);
      }
    });
  }

  test(`${one.name}: crashes of all stages, at every point, one after the other, change nothing`, async () => {
    const expected = await undisturbed;
    for (let seed = 1; seed <= 3; seed++) {
      const around = (i: number) => ({ after: [crash(one.stages[(i + seed) % one.stages.length] as string, points[i % points.length]), crash(one.stages[i % one.stages.length] as string, points[(i * 5 + seed) % points.length])] });
      assert.equal(await outcome(one, { seed, around }), expected, `seed ${seed}`);
    }
  });
}

test.run();
