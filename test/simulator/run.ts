// Runs many schedules: npm run test:sim -- --schedules 100000 --seed 1 [--workers 2] [--flow chain,slow]. A seed that fails is told; alone,
// --schedules 1 --seed N --trace tells each of its steps. Exit code 1 where one failed.
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { runSeed } from "./steered.ts";

interface Sum { schedules: number; failed: number; steps: number; cpuSeconds: number; readonly ends: Record<string, number> }

/** So many failures are enough to look at. */
const mostFailures = 20;
/** Schedules that a worker is handed at a time. */
const share = 1_000;

const { values } = parseArgs({ options: {
  schedules: { type: "string", default: "1000" }, seed: { type: "string" }, workers: { type: "string", default: "1" }, flow: { type: "string" },
  trace: { type: "boolean", default: false }, worker: { type: "boolean", default: false },
} });
const first = values.seed === undefined ? Math.floor(Math.random() * 2 ** 31) : Number(values.seed), count = Number(values.schedules);

async function runHere(from: number, to: number): Promise<Sum> {
  const cpu = process.cpuUsage(), sum: Sum = { schedules: 0, failed: 0, steps: 0, cpuSeconds: 0, ends: {} };
  for (let seed = from; seed < to && sum.failed < mostFailures; seed++) {
    const { wrong, flow, steps, end } = await runSeed(seed, { flows: values.flow?.split(","), trace: values.trace ? console.log : undefined });
    sum.schedules++;
    sum.steps += steps;
    sum.ends[`${flow} ${end}`] = (sum.ends[`${flow} ${end}`] ?? 0) + 1;
    if (wrong === undefined) continue;
    sum.failed++;
    console.log(`seed ${seed} (${flow}, ${steps} steps): ${wrong}`);
  }
  const { user, system } = process.cpuUsage(cpu);
  sum.cpuSeconds = (user + system) / 1e6;
  return sum;
}

const children = new Set<ChildProcess>();
process.once("exit", () => { for (const child of children) child.kill(); });
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));

function runInProcess(from: number, to: number): Promise<Sum> {
  const flow = values.flow === undefined ? [] : ["--flow", values.flow];
  const child = spawn(process.execPath, [...process.execArgv, fileURLToPath(import.meta.url), "--worker", "--seed", String(from), "--schedules", String(to - from), ...flow], { stdio: ["ignore", "pipe", "inherit"] });
  children.add(child);
  return new Promise((resolve, reject) => {
    let sum: Sum | undefined;
    createInterface({ input: child.stdout }).on("line", (line) => {
      if (line.startsWith("{")) sum = JSON.parse(line) as Sum;
      else console.log(line);
    });
    child.once("close", (code) => {
      children.delete(child);
      if (sum === undefined) reject(new Error(`a worker from seed ${from} on ended with ${code}`));
      else resolve(sum);
    });
  });
}

function add(total: Sum, { schedules, failed, steps, cpuSeconds, ends }: Sum): void {
  total.schedules += schedules;
  total.failed += failed;
  total.steps += steps;
  total.cpuSeconds += cpuSeconds;
  for (const [end, n] of Object.entries(ends)) total.ends[end] = (total.ends[end] ?? 0) + n;
}

if (values.worker) console.log(JSON.stringify(await runHere(first, first + count)));
else {
  const begun = performance.now(), total: Sum = { schedules: 0, failed: 0, steps: 0, cpuSeconds: 0, ends: {} }, workers = Number(values.workers);
  let next = first;
  await Promise.all(Array.from({ length: workers }, async () => {
    while (next < first + count && total.failed < mostFailures) {
      const from = next, to = workers === 1 ? first + count : Math.min(from + share, first + count);
      next = to;
      add(total, await (workers === 1 ? runHere(from, to) : runInProcess(from, to)));
    }
  }));
  const seconds = (performance.now() - begun) / 1000, { schedules, failed, steps, cpuSeconds, ends } = total;
  console.log(`${schedules} schedules from seed ${first}, ${failed} failed, ${seconds.toFixed(1)} s, ${(schedules / seconds).toFixed(0)} a second, ${(schedules / cpuSeconds).toFixed(0)} a CPU second, ${Math.round(steps / schedules)} steps each`);
  console.log(Object.entries(ends).sort(([a], [b]) => (a < b ? -1 : 1)).map(([end, n]) => `${end} ${n}`).join(", "));
  process.exitCode = failed > 0 ? 1 : 0;
}
