// One measured variant in a process of its own: a warm-up run, then the measured one. What it found goes to the parent.
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Contender, Run } from "./contender.ts";

// Each is loaded only where it is measured: what is not used takes no memory.
const contenders: Readonly<Record<string, () => Promise<Contender>>> = {
  plain: async () => (await import("./plain.ts")).plain,
  batched: async () => (await import("./batched.ts")).batched,
  ceiling: async () => (await import("./ceiling/ceiling.ts")).ceiling,
  millrace: async () => (await import("./millrace.ts")).millrace,
};

const { contender, warmUp, run } = JSON.parse(process.argv[2] as string) as { contender: string; warmUp: number; run: Run & { rate: number | null } };
const work = await (contenders[contender] as () => Promise<Contender>)();
const once = async (events: number, name: string) => {
  const folder = join(run.folder, name);
  await mkdir(folder, { recursive: true });
  const measured = await work({ ...run, events, rate: run.rate ?? Number.POSITIVE_INFINITY, folder });
  await rm(folder, { recursive: true, force: true });
  return measured;
};
await once(warmUp, "warm-up");
const before = process.cpuUsage();
const measured = await once(run.events, "measured");
const { user, system } = process.cpuUsage(before);
console.log(JSON.stringify({ ...measured, cpuMs: Math.round((user + system) / 1000), rssMb: Math.round(process.resourceUsage().maxRSS / 1024) }));
