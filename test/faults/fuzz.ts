// The fuzz scenario: seeded hostile input to everything that reads bytes of others. What it wants: what is wrong is refused with a
// code; nothing else is thrown, nothing hangs, memory is bounded. `npm run test:faults -- fuzz --inputs 1000000 --seed 1`
import { MillraceError } from "../../runtime/event/errors.ts";
import { Chance } from "../actors/seeded.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { areas } from "./fuzz-areas.ts";

export interface FuzzOptions {
  readonly inputs: number;
  readonly seed: number;
  readonly say?: (line: string) => void;
  /** Only these areas. Default: all. */
  readonly only?: (area: string) => boolean;
}

export interface AreaResult {
  readonly area: string;
  readonly inputs: number;
  /** Refused, by code; "accepted": not refused. */
  readonly codes: Readonly<Record<string, number>>;
  readonly slowestMs: number;
  /** In words; the first few. */
  readonly wrong: readonly string[];
}

export interface FuzzResult {
  readonly inputs: number;
  readonly seconds: number;
  readonly peakRssMb: number;
  readonly areas: readonly AreaResult[];
  readonly wrong: readonly string[];
}

/** What one area is given. */
export interface Stand {
  readonly chance: Chance;
  /** A folder for files. */
  readonly folder: string;
  /** Counts an input with what came of it, and hands on what is no error of ours. */
  came(thrown?: unknown): void;
  /** Counts something that came about on the way. */
  note(what: string): void;
  wrong(what: string): void;
}

/** One input may take so long; a busy machine is slower than ours. */
const slowMs = 5_000;
/** The whole process may take so much more than at the start. */
const mostRssMb = 700;
const mostWrong = 10;

export async function fuzz({ inputs, seed, say = () => {}, only = () => true }: FuzzOptions): Promise<FuzzResult> {
  const began = performance.now(), results: AreaResult[] = [], atStart = process.memoryUsage().rss;
  let peak = atStart;
  await using folder = await temporaryFolder();
  for (const [area, { share, open }] of Object.entries(areas)) {
    if (!only(area)) continue;
    const count = Math.max(1, Math.round(inputs * share)), codes: Record<string, number> = {}, wrong: string[] = [];
    // Each area has a seed of its own: what it draws does not depend on the others.
    const chance = new Chance(seed * 31 + area.length * 7_919 + area.charCodeAt(0));
    let done = 0, slowestMs = 0;
    const stand: Stand = {
      chance, folder: folder.path,
      came(thrown) {
        const coded = thrown instanceof MillraceError && /^[A-Z][A-Z0-9_]+$/.test(thrown.code) && thrown.remedy !== "";
        if (thrown !== undefined && !coded) stand.wrong(`threw ${thrown instanceof Error ? (thrown.stack ?? thrown.message).split("\n").slice(0, 6).join(" | ") : String(thrown)}`);
        const code = thrown === undefined ? "accepted" : coded ? thrown.code : "no code";
        codes[code] = (codes[code] ?? 0) + 1;
        done++;
      },
      note(what) { codes[what] = (codes[what] ?? 0) + 1; },
      wrong(what) { if (wrong.length < mostWrong) wrong.push(`${area}, input ${done} of seed ${seed}: ${what}`); },
    };
    const { one, close } = await open(stand);
    while (done < count && wrong.length < mostWrong) {
      const at = performance.now(), before = done;
      try {
        await one();
      } catch (thrown) {
        stand.came(thrown);
      }
      const ms = (performance.now() - at) / Math.max(1, done - before);
      if (ms > slowestMs) slowestMs = ms;
      if (ms > slowMs) stand.wrong(`took ${Math.round(ms)} ms`);
      if (before >> 10 !== done >> 10) {
        // So that timers, and the signals that end this, have their turn.
        await new Promise(setImmediate);
        peak = Math.max(peak, process.memoryUsage().rss);
        if (peak - atStart > mostRssMb * 1024 * 1024) { stand.wrong(`memory grew by ${Math.round((peak - atStart) / 1024 / 1024)} MB`); break; }
      }
    }
    await close?.();
    results.push({ area, inputs: done, codes, slowestMs, wrong });
    say(`${area}: ${done} inputs, slowest ${slowestMs.toFixed(0)} ms, ${Object.entries(codes).map(([code, times]) => `${code} ${times}`).join(", ")}${wrong.length > 0 ? `; WRONG: ${wrong.join("\n  ")}` : ""}`);
  }
  return { inputs: results.reduce((sum, area) => sum + area.inputs, 0), seconds: (performance.now() - began) / 1000, peakRssMb: Math.round(peak / 1024 / 1024), areas: results, wrong: results.flatMap((area) => area.wrong) };
}
