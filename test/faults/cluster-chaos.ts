// Chaos over three nodes and three nats-servers, with scaling, moves and deploys among the faults: rounds until the time is over or one
// fails. `npm run test:faults -- cluster-chaos --minutes 10 --seed 1`
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { SeededRandom } from "../../runtime/testing/seeded-random.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import type { ChaosOptions } from "./chaos.ts";
import { clusterFaults } from "./cluster-chaos-faults.ts";
import { ClusterChaosRun, type ClusterRoundOptions, type ClusterRoundResult, clusterRoundText } from "./cluster-chaos-run.ts";

/** Round i has seed + i: `--rounds 1 --seed` repeats it. */
export async function clusterChaos({ seed, withinMs, rounds = Infinity, its = {}, say = () => {}, keepIn }: Omit<ChaosOptions, "servers">): Promise<readonly ClusterRoundResult[]> {
  await using folder = await temporaryFolder();
  const results: ClusterRoundResult[] = [], until = performance.now() + withinMs;
  for (let i = 0; i < rounds && (i === 0 || performance.now() < until); i++) {
    const of = join(folder.path, `round-${i}`), result = await ClusterChaosRun.round({ ...roundOf(seed + i, of, its), ...(keepIn === undefined ? {} : { keepIn }) });
    results.push(result);
    say(clusterRoundText(result));
    await rm(of, { recursive: true, force: true, maxRetries: 3 });
    if (result.wrongs.length > 0) break;
  }
  return results;
}

function roundOf(seed: number, folder: string, { events, rate, faultsMs = 70_000, gapMs = 1_800 }: NonNullable<ChaosOptions["its"]>): ClusterRoundOptions {
  const random = new SeededRandom(seed), paced = rate ?? 100 + Math.floor(random.next() * 200), small = random.next() < 0.6;
  return {
    seed, folder, faultsMs, gapMs, small,
    flow: { name: "chaos", seed, folder, rate: paced, events: events ?? Math.ceil((paced * faultsMs) / 1_000), keys: 20 + Math.floor(random.next() * 500), maxFrames: random.next() < 0.3 ? 8 : 4_096 },
  };
}

/** The table of counts at the end. */
export function clusterChaosText(results: readonly ClusterRoundResult[], command: string): string {
  const sum = (of: (result: ClusterRoundResult) => number) => results.reduce((total, result) => total + of(result), 0), orders = [...new Set(results.flatMap((result) => [...result.orders.keys()]))].sort();
  const lines: (readonly [string, number])[] = [
    ["rounds", results.length], ["seconds", Math.round(sum(({ seconds }) => seconds))], ["events", sum(({ events }) => events)], ["rows in the sinks", sum(({ rows }) => rows)], ["dead letters", sum(({ letters }) => letters)],
    ...clusterFaults.map(({ name }) => [name, sum(({ faults }) => faults.get(name) ?? 0)] as const),
    ...orders.map((order) => [`  ${order}`, sum((result) => result.orders.get(order) ?? 0)] as const),
    ["lives of nodes", sum(({ lives }) => lives)], ["codes deployed", sum(({ codes }) => codes)], ["takeovers of logs", sum(({ takeovers }) => takeovers)], ["fenced", sum(({ fenced }) => fenced)],
    ["missing", sum(({ missing }) => missing)], ["duplicates", sum(({ duplicates }) => duplicates)], ["wrong", sum(({ wrongs }) => wrongs.length)],
  ];
  return `${lines.map(([name, count]) => `  ${name.padEnd(40)}${count.toLocaleString("en").padStart(12)}`).join("\n")}\n\nagain: ${command}`;
}
