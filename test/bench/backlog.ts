// Memory while a source is ten times faster than the sink: it must level off.
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Batch, defineSink, startNode } from "../../runtime/index.ts";
import type { Update } from "./bids.ts";
import type { Run } from "./contender.ts";
import { bench, bids, connectionTo } from "./millrace.ts";

export interface Backlog {
  readonly made: number;
  readonly written: number;
  /** Most resident memory in the second quarter and in the last one. */
  readonly earlyRssMb: number;
  readonly lateRssMb: number;
  readonly peakRssMb: number;
}

const slower = 10;
const sampleMs = 200;

/** `events` at `rate`, so for `events / rate` seconds; the sink takes a tenth. */
export async function backlog(run: Run): Promise<Backlog> {
  let made = 0, written = 0;
  const sinkRate = run.rate / slower, seconds = run.events / run.rate;
  const slow = defineSink<Update, never>({
    kind: "slow", guarantee: "at-least-once",
    open: async ({ signal }) => ({
      write: async ({ events }: Batch<Update>) => {
        await sleep((events.length / sinkRate) * 1000, undefined, { signal });
        written += events.length;
      },
    }),
  });
  const source = bids(Number.POSITIVE_INFINITY, run.rate, { made: () => { made++; } });
  const node = await startNode({ nats: connectionTo(run.server), dataDir: join(run.folder, "node"), flows: [bench(source, slow)], run: "fresh" });
  const samples: number[] = [], ends = performance.now() + seconds * 1000;
  while (performance.now() < ends) {
    await Promise.race([sleep(sampleMs), node.done]);
    samples.push(process.memoryUsage.rss() / 1024 / 1024);
  }
  const quarter = samples.length >> 2, most = (from: number, to: number) => Math.round(Math.max(...samples.slice(from, to)));
  const found = { made, written, earlyRssMb: most(quarter, 2 * quarter), lateRssMb: most(3 * quarter, samples.length), peakRssMb: most(0, samples.length) };
  await node.stop();
  return found;
}
