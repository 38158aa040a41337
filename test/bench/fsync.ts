// How long the disk takes to sync: what all figures with fsync rest on.
import { open, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Latency } from "./contender.ts";
import { quantile } from "./median.ts";

const syncs = 200;
const block = Buffer.alloc(4_096, 1);

/** p50 and p99 of writing 4 KiB and syncing it, in ms. */
export async function fsyncMs(folder: string): Promise<Latency> {
  const path = join(folder, "fsync"), file = await open(path, "w"), times: number[] = [];
  for (let i = 0; i < syncs; i++) {
    await file.write(block, 0, block.length, i * block.length);
    const begun = performance.now();
    await file.sync();
    times.push(performance.now() - begun);
  }
  await file.close();
  await rm(path);
  return { p50: quantile(times, 0.5), p99: quantile(times, 0.99) };
}
