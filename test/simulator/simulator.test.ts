// The real engine on the twins, under seeded schedules that lose, delay, repeat, reorder, crash and roll back; and the same
// schedules against the engine with a rule broken: each must be caught. A seed that fails: see run.ts.
// test deadline: 600 s
import { test } from "uvu";
import * as assert from "uvu/assert";
import { runSchedule } from "./schedule.ts";
import { runSeed } from "./steered.ts";
import { caught } from "./variant.ts";
import { variants } from "./variants.ts";

const seed = Number(process.env.MILLRACE_SIM_SEED ?? Math.floor(Math.random() * 2 ** 31)), count = Number(process.env.MILLRACE_SIM_SCHEDULES ?? 1_000);
console.log(`seed ${seed}, ${count} schedules`);

test("nothing is lost, repeated or reordered, whatever the schedule", async () => {
  for (let i = 0; i < count; i++) {
    const { wrong, flow } = await runSeed(seed + i);
    assert.is(wrong, undefined, `seed ${seed + i} (${flow}): node --conditions=source --import tsx test/simulator/run.ts --schedules 1 --seed ${seed + i} --trace`);
  }
});

for (const variant of variants) {
  test(`caught (${variant.rule}): ${variant.name}`, async () => {
    const first = variant.from ?? 1;
    let from = first;
    for (let whole: string | undefined = "not run"; whole !== undefined;) {
      const found = await caught(variant, from);
      assert.ok(found.result !== undefined, `not caught within ${from - first + found.schedules} schedules`);
      // It is the broken rule that was caught only where the whole engine passes the same schedule.
      ({ wrong: whole } = await runSchedule(found.seed, { flows: variant.flows, profile: variant.profile, rules: variant.without }));
      from = found.seed + 1;
    }
    console.log(`${String(from - first).padStart(5)} schedules: ${variant.name} (${variant.rule})`);
  });
}

test.run();
