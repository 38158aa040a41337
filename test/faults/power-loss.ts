// The power-loss scenario: runs that are cut off at random moments, random streams of them rolled back, random journals gone; each
// repaired and run to its end. `npm run test:faults -- power-loss --seed 1 --losses 200`
import { rm } from "node:fs/promises";
import { SeededRandom } from "../../runtime/testing/seeded-random.ts";
import { type LossName, lossEvents, lossNames } from "./loss-flows.ts";
import { LossWorld } from "./loss-world.ts";

export interface PowerLossOptions {
  readonly seed: number;
  readonly losses: number;
  /** No loss is begun after so many ms. */
  readonly withinMs: number;
  readonly say?: (line: string) => void;
}

export interface PowerLossResult {
  readonly losses: number;
  /** How the flows ended: "finished", or the code that they are parked for; of losses with all journals there, and without. */
  readonly ends: Readonly<Record<"kept" | "gone", Readonly<Record<string, number>>>>;
  readonly wrong: readonly string[];
}

/** One run is taken apart so often. */
const lossesOfRun = 12;
/** What may be parked for where journals are gone, too. */
const honest = ["HISTORY_FORKED", "BROKER_WENT_BACK", "SINK_DIVERGED", "SINK_LOST"];

export async function powerLoss({ seed, losses, withinMs, say = () => {} }: PowerLossOptions): Promise<PowerLossResult> {
  const random = new SeededRandom(seed), until = performance.now() + withinMs, ends = { kept: {} as Record<string, number>, gone: {} as Record<string, number> }, wrong: string[] = [];
  let done = 0;
  while (done < losses && performance.now() < until) {
    await using world = await LossWorld.make({ rows: 50 + Math.floor(random.next() * lossEvents * 0.7), more: 20 + Math.floor(random.next() * 100), rate: 400 + Math.floor(random.next() * 600) });
    for (let of = 0; of < lossesOfRun && done < losses && performance.now() < until; of++) {
      const { what, journals, end, wrongs } = await one(world, random);
      done++;
      ends[journals][end] = (ends[journals][end] ?? 0) + 1;
      for (const line of wrongs) {
        wrong.push(`${what}: ${line}`);
        say(`FAIL ${what}: ${line}`);
      }
    }
    say(`${done} losses`);
  }
  return { losses: done, ends, wrong };
}

async function one(world: LossWorld, random: SeededRandom): Promise<{ readonly what: string; readonly journals: "kept" | "gone"; readonly end: string; readonly wrongs: readonly string[] }> {
  const name = lossNames[Math.floor(random.next() * lossNames.length)] as LossName, whole = random.next() < 0.2, share = random.next(), streams = new Set<string>();
  for (const stream of await world.streams()) if (random.next() < share && stream.includes(`_${name}`)) streams.add(stream);
  await world.lose((stream) => streams.has(stream), whole);
  const lost = random.next() < 0.6 ? [] : (await world.journals(name)).filter(() => random.next() < 0.4);
  for (const journal of lost) await rm(world.journal(journal), { recursive: true });
  const what = `${name}, lost ${whole ? "the whole store" : [...streams].join(", ")}${lost.length === 0 ? "" : `, and the journals ${lost.join(", ")}`}`, journals = lost.length === 0 ? "kept" : "gone";
  // Now and then it is found by a run that parks.
  const found = random.next() < 0.5 ? await world.run(name) : undefined, report = found === "finished" ? undefined : await world.repair(name), outcome = found === "finished" ? found : await world.run(name);
  const end = outcome === "finished" ? outcome : outcome.code, wrongs = outcome === "finished" ? await world.wrongs(name) : await world.wrongsSoFar(name);
  const may = end === "finished" || (journals === "gone" && honest.includes(end));
  const unsaid = end === "finished" || journals === "kept" || found !== undefined || (report?.behind.length ?? 0) > 0 || end === "HISTORY_FORKED" || end.startsWith("SINK_");
  return { what, journals, end, wrongs: [...wrongs, ...(may ? [] : [`parked for ${end}, repair said ${report?.status}: ${JSON.stringify(report?.behind)}`]), ...(unsaid ? [] : [`parked for ${end}, of which the repair said nothing`])] };
}
