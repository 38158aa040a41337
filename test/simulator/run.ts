// Runs many schedules: npm run test:sim -- --schedules 100000 --seed 1 [--workers 2] [--flow chain] [--trace]. A seed that fails can be run
// alone: --schedules 1 --seed N --trace tells each of its steps.
import { parseArgs } from "node:util";
import { runSchedule } from "./schedule.ts";

const { values } = parseArgs({ options: {
  schedules: { type: "string", default: "1000" }, seed: { type: "string" }, workers: { type: "string", default: "2" }, flow: { type: "string" }, trace: { type: "boolean", default: false },
} });
const first = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed), count = Number(values.schedules);
const begun = performance.now(), cpu = process.cpuUsage();
let failed = 0, steps = 0;
const ends = new Map<string, number>();
for (let seed = first; seed < first + count; seed++) {
  const result = await runSchedule(seed, { flows: values.flow?.split(","), trace: values.trace ? console.log : undefined });
  steps += result.steps;
  ends.set(`${result.flow} ${result.end}`, (ends.get(`${result.flow} ${result.end}`) ?? 0) + 1);
  if (result.wrong !== undefined) { console.log(`seed ${seed} (${result.flow}, ${result.steps} steps): ${result.wrong}`); if (++failed > 20) break; }
}
const seconds = (performance.now() - begun) / 1000, used = process.cpuUsage(cpu), cpuSeconds = (used.user + used.system) / 1e6;
console.log(`${count} schedules from seed ${first}, ${failed} failed, ${seconds.toFixed(1)} s, ${(count / seconds).toFixed(0)} schedules/s, ${(count / cpuSeconds).toFixed(0)} a CPU second, ${Math.round(steps / count)} steps each`);
console.log([...ends].sort().map(([end, n]) => `${end} ${n}`).join(", "));
process.exit(failed > 0 ? 1 : 0);
