// Two flows on one node, one of them hot, full or hung: what becomes of the other's latency. A measurement, in alternation with the flow
// alone; it is the ratio that counts. `npm run test:faults -- neighbours`
import { execFile } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { bundledProgram } from "../support/bundled-program.ts";
import { startNatsServer } from "../support/nats-server.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import type { Latencies, Neighbour, NeighbourRun } from "./neighbours-child.ts";

export interface NeighbourResult { readonly neighbour: Neighbour; readonly p50: number; readonly p99: number; readonly ratio: number; readonly beside: number; readonly events: number }

export interface NeighbourOptions {
  readonly rounds: number;
  readonly measuredMs: number;
  readonly rate?: number;
  readonly say?: (line: string) => void;
}

const warmUpMs = 3_000;
const run = promisify(execFile);

export async function neighbours({ rounds, measuredMs, rate = 500, say = () => {} }: NeighbourOptions): Promise<readonly NeighbourResult[]> {
  await using folder = await temporaryFolder();
  const program = await bundledProgram(new URL("neighbours-child.ts", import.meta.url), folder.path), all = ["none", "hot", "full", "hung"] as const, found = new Map<Neighbour, Latencies[]>(all.map((its) => [its, []]));
  for (let round = 0; round < rounds; round++) {
    for (const neighbour of all) {
      // A server of its own: what a killed node has left would be resumed.
      await using server = await startNatsServer();
      const dataDir = join(folder.path, `${neighbour}-${round}`), { servers, user, pass } = server;
      await mkdir(dataDir);
      const of: NeighbourRun = { neighbour, dataDir, servers, user, pass, rate, warmUpMs, measuredMs };
      // It ends itself by SIGKILL: what it said is there.
      const stdout = await run(process.execPath, [program, JSON.stringify(of)], { timeout: warmUpMs + measuredMs + 60_000 }).then((end) => end.stdout, (error: { stdout?: string; stderr?: string; message: string }) => {
        if (!error.stdout) throw new Error(`${neighbour}: ${error.message} ${error.stderr ?? ""}`);
        return error.stdout;
      });
      const latencies = JSON.parse(stdout) as Latencies;
      found.get(neighbour)?.push(latencies);
      say(`${neighbour.padEnd(5)} p50 ${latencies.p50.toFixed(2)} ms, p99 ${latencies.p99.toFixed(2)} ms, at most ${latencies.most.toFixed(0)} ms, ${latencies.events} events${neighbour === "hot" ? `, beside it ${Math.round((latencies.beside * 1_000) / measuredMs)} events/s` : ""}`);
    }
  }
  const median = (neighbour: Neighbour, of: (its: Latencies) => number) => (found.get(neighbour) as Latencies[]).map(of).sort((a, b) => a - b)[Math.floor(rounds / 2)] as number;
  const alone = median("none", ({ p99 }) => p99);
  return all.map((neighbour) => ({ neighbour, p50: median(neighbour, ({ p50 }) => p50), p99: median(neighbour, ({ p99 }) => p99), ratio: median(neighbour, ({ p99 }) => p99) / alone, beside: median(neighbour, (its) => its.beside), events: median(neighbour, (its) => its.events) }));
}

export function neighboursText(results: readonly NeighbourResult[]): string {
  return results.map(({ neighbour, p50, p99, ratio }) => `  beside ${neighbour === "none" ? "nobody" : `a ${neighbour} flow`}`.padEnd(24) + `p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms`.padEnd(34) + (neighbour === "none" ? "" : `${ratio.toFixed(2)} times its own alone, at most 2 wanted`)).join("\n");
}
