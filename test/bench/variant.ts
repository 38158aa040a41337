// One measured variant in a process of its own: a warm-up run, then the measured one. What it found goes to the parent.
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { batched } from "./batched.ts";
import { ceiling } from "./ceiling/ceiling.ts";
import type { Contender, Run } from "./contender.ts";
import { millrace } from "./millrace.ts";
import { plain } from "./plain.ts";

export const contenders: Readonly<Record<string, Contender>> = { plain, batched, ceiling, millrace };

const { contender, warmUp, run } = JSON.parse(process.argv[2] as string) as { contender: string; warmUp: number; run: Run & { rate: number | null } };
const work = contenders[contender] as Contender;
const once = async (events: number, name: string) => {
  const folder = join(run.folder, name);
  await mkdir(folder, { recursive: true });
  const measured = await work({ ...run, events, rate: run.rate ?? Number.POSITIVE_INFINITY, folder });
  await rm(folder, { recursive: true, force: true });
  return measured;
};
await once(warmUp, "warm-up");
const measured = await once(run.events, "measured");
console.log(JSON.stringify({ ...measured, rssMb: Math.round(process.resourceUsage().maxRSS / 1024) }));
