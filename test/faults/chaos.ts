// Chaos: rounds of one flow over real processes, each disturbed all the time and then judged, until the time is over or a round fails.
// `npm run test:faults -- chaos --minutes 30 --seed 1 --servers 1`
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { SeededRandom } from "../../runtime/testing/seeded-random.ts";
import { bundledProgram } from "../support/bundled-program.ts";
import { faketime } from "../support/faketime.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { faults, strace } from "./chaos-faults.ts";
import { ChaosRun, type RoundOptions, type RoundResult } from "./chaos-run.ts";

export interface ChaosOptions {
  readonly seed: number;
  readonly servers: 1 | 3;
  /** No round begins after so long; the first one in any case. */
  readonly withinMs: number;
  /** At most. Default: as many as there is time for. */
  readonly rounds?: number;
  /** Of each round, in place of what its seed says. */
  readonly its?: { readonly leaps?: boolean; readonly events?: number; readonly rate?: number; readonly faultsMs?: number; readonly gapMs?: number };
  readonly say?: (line: string) => void;
  /** Failed rounds leave their folder there. */
  readonly keepIn?: string;
}

/** Round i has seed + i: `--rounds 1 --seed` repeats it. */
export async function chaos({ seed, servers, withinMs, rounds = Infinity, its = {}, say = () => {}, keepIn }: ChaosOptions): Promise<readonly RoundResult[]> {
  await using folder = await temporaryFolder();
  const program = await bundledProgram(new URL("chaos-child.ts", import.meta.url), folder.path), results: RoundResult[] = [], until = performance.now() + withinMs;
  const time = await faketime(withinMs > 0), library = "library" in time ? time.library : undefined;
  if ("missing" in time) say(`clocks leap inside of the nodes alone: no libfaketime (${time.missing})`);
  if (strace === undefined) say("there is no strace here: disks are not slowed");
  for (let i = 0; i < rounds && (i === 0 || performance.now() < until); i++) {
    const of = join(folder.path, `round-${i}`), result = await ChaosRun.round({ ...roundOf(seed + i, servers, of, its, library), program, ...(keepIn === undefined ? {} : { keepIn }) });
    results.push(result);
    say(roundText(result));
    await rm(of, { recursive: true, force: true, maxRetries: 3 });
    if (result.wrongs.length > 0) break;
  }
  return results;
}

function roundOf(seed: number, servers: 1 | 3, folder: string, { leaps, events, rate, faultsMs = 35_000, gapMs = 1_400 }: NonNullable<ChaosOptions["its"]>, library: string | undefined): Omit<RoundOptions, "program"> {
  const random = new SeededRandom(seed), doLeap = random.next() < 0.3, isFast = random.next() < 0.4, paced = 2_000 + Math.floor(random.next() * 4_000), small = random.next() < 0.6;
  return {
    seed, servers, folder, faultsMs, gapMs, small, ...((leaps ?? doLeap) ? { leaps: { library } } : {}),
    fsync: random.next() < 0.5 ? "always" : "relaxed",
    flow: { name: "chaos", seed, folder, rate: rate ?? (isFast ? 0 : paced), events: events ?? (isFast ? 100_000 : paced * 20), keys: 20 + Math.floor(random.next() * 2_000), maxFrames: random.next() < 0.3 ? 8 : 4_096 },
  };
}

export function roundText({ seed, events, rows, seconds, faults: its, lives, takeovers, fences, missing, duplicates, wrongs, kept }: RoundResult): string {
  const many = [...its.values()].reduce((sum, count) => sum + count, 0);
  return `seed ${seed}: ${events} events, ${rows} rows, ${seconds.toFixed(0)} s, ${many} faults, ${lives} lives, ${takeovers} takeovers of logs, ${fences} fenced, missing ${missing}, duplicates ${duplicates}`
    + (wrongs.length === 0 ? "" : `\n  FAILED, seed ${seed}${kept === undefined ? "" : `, kept in ${kept}`}:${wrongs.slice(0, 12).map((wrong) => `\n  - ${wrong}`).join("")}`);
}

/** The table of counts at the end. */
export function chaosText(results: readonly RoundResult[], command: string): string {
  const sum = (of: (result: RoundResult) => number) => results.reduce((total, result) => total + of(result), 0);
  const lines: (readonly [string, number])[] = [
    ["rounds", results.length], ["seconds", Math.round(sum(({ seconds }) => seconds))], ["events", sum(({ events }) => events)], ["rows in the sinks", sum(({ rows }) => rows)], ["dead letters", sum(({ letters }) => letters)],
    ...faults.map(({ name }) => [name, sum(({ faults: its }) => its.get(name) ?? 0)] as const),
    ["lives of nodes", sum(({ lives }) => lives)], ["takeovers of logs", sum(({ takeovers }) => takeovers)], ["fenced", sum(({ fences }) => fences)], ["passed over, idle", sum(({ idle }) => idle)],
    ["missing", sum(({ missing }) => missing)], ["duplicates", sum(({ duplicates }) => duplicates)], ["wrong", sum(({ wrongs }) => wrongs.length)],
  ];
  return `${lines.map(([name, count]) => `  ${name.padEnd(24)}${count.toLocaleString("en").padStart(12)}`).join("\n")}\n\nagain: ${command}`;
}
