// The crash matrix: steps × kinds. Each cell runs a small flow of its kind on a real nats-server and LevelDB in a process that kills
// itself at a step, lets further processes end the flow, and judges what came out. `npm run test:faults -- matrix --seed 1`
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { SeededRandom } from "../../runtime/testing/seeded-random.ts";
import { type StepName, steps } from "./kill-point.ts";
import { kinds } from "./matrix-kinds.ts";
import { Lives } from "./matrix-lives.ts";

export interface Cell {
  readonly step: StepName;
  readonly kind: string;
  /** Lives in a row that are killed: from two on the actors go event by event. */
  readonly deaths: number;
}

export interface MatrixOptions {
  readonly seed: number;
  /** Which cells; default: all. */
  readonly only?: (step: StepName, kind: string) => boolean;
  /** Of each cell: one or two. Default: by the seed. */
  readonly deaths?: number;
  /** Who is killed: the process of the node, or its nats-server, once a cell; cells then come one after the other. Default "node". */
  readonly victim?: "node" | "server";
  /** Cells that are begun no more after so many ms. Default: none are left out. */
  readonly withinMs?: number;
  readonly atOnce?: number;
  readonly say?: (line: string) => void;
  /** Failed cells leave their folder there. */
  readonly keepIn?: string;
}

export interface MatrixResult {
  /** By "step/kind": what is wrong; empty: nothing. "never": the kind does not come to that step. */
  readonly cells: ReadonlyMap<string, readonly string[] | "never">;
  readonly killed: number;
}

const mostLives = 6;
/** What a kind comes to only now and then is tried so often. */
const mostMisses = 4;

export async function crashMatrix({ seed, only = () => true, deaths, victim = "node", withinMs = Infinity, atOnce = victim === "server" ? 1 : 2, say = () => {}, keepIn }: MatrixOptions): Promise<MatrixResult> {
  await using lives = await Lives.start(keepIn);
  const random = new SeededRandom(seed), until = performance.now() + withinMs;
  const cells = new Map<string, readonly string[] | "never">(), reached = new Map<string, Reached>(), work: (Cell & { readonly at: number })[] = [];
  let killed = 0;
  const judged = (cell: string, wrongs: readonly string[]) => {
    cells.set(cell, wrongs);
    if (wrongs.length > 0) say(`FAIL ${cell}: ${wrongs.slice(0, 3).join("; ")}`);
  };
  await inParallel(Object.keys(kinds).filter((kind) => steps.some((step) => only(step, kind))), atOnce, async (kind) => {
    const { wrongs, reached: its } = await undisturbed(lives, kind);
    judged(`undisturbed/${kind}`, wrongs);
    reached.set(kind, its);
  });
  for (const step of steps) {
    for (const kind of Object.keys(kinds)) {
      const its = { step, kind, deaths: deaths ?? (random.next() < 0.3 ? 2 : 1), at: random.next() };
      if (!only(step, kind)) continue;
      if ((reached.get(kind)?.[step] ?? 0) === 0) cells.set(`${step}/${kind}`, "never");
      else work.push(its);
    }
  }
  await inParallel(work, atOnce, async (cell) => {
    if (performance.now() > until) return;
    const { step, kind, at } = cell;
    // Not the last ones: how often a step is come to is not the same twice.
    for (let nth = Math.max(1, Math.ceil(at * 0.7 * (reached.get(kind)?.[step] ?? 1))), misses = 0; misses < mostMisses; nth = Math.max(1, Math.floor(nth / 2)), misses += nth === 1 ? 1 : 0) {
      const { wrongs, died } = await (victim === "server" ? serverKilledAt : killedAt)(lives, cell, nth);
      killed += died;
      if (wrongs !== undefined) return judged(`${step}/${kind}`, wrongs);
    }
    cells.set(`${step}/${kind}`, "never");
  });
  return { cells, killed };
}

type Reached = Partial<Record<StepName, number>>;

async function undisturbed(lives: Lives, kind: string): Promise<{ readonly wrongs: readonly string[]; readonly reached: Reached }> {
  return await lives.run(kind, async (life) => {
    const end = await lives.live(life);
    if (end.code !== 0) return { wrongs: [`it ended with ${end.signal ?? end.code}: ${end.said}`], reached: {} };
    return { wrongs: await lives.judge(life), reached: JSON.parse(await readFile(join(life.folder, "reached.json"), "utf8")) as Reached };
  });
}

/** Without wrongs: no life died there. */
async function killedAt(lives: Lives, { step, kind, deaths }: Cell, nth: number): Promise<{ readonly wrongs: readonly string[] | undefined; readonly died: number }> {
  return await lives.run(kind, async (life) => {
    let died = 0;
    for (let count = 1; count <= mostLives; count++) {
      const end = await lives.live(died < deaths ? { ...life, step, nth: died === 0 ? nth : 1 } : life), at = `(killed ${died}, nth ${nth})`;
      if (end.signal === "SIGKILL") { died++; continue; }
      if (end.code !== 0) return { died, wrongs: [`${at} life ${count} ended with ${end.signal ?? end.code}: ${end.said}`] };
      return { died, wrongs: died === 0 ? undefined : (await lives.judge(life)).map((wrong) => `${at} ${wrong}`) };
    }
    return { died, wrongs: [`it did not end within ${mostLives} lives`] };
  });
}

async function serverKilledAt(lives: Lives, { step, kind }: Cell, nth: number): Promise<{ readonly wrongs: readonly string[] | undefined; readonly died: number }> {
  return await lives.run(kind, async (life) => {
    const { isKilled, code, signal, said } = await lives.liveThroughOutage({ ...life, step, nth }), at = `(server killed, nth ${nth})`;
    if (!isKilled) return { died: 0, wrongs: undefined };
    if (code !== 0) return { died: 1, wrongs: [`${at} it ended with ${signal ?? code}: ${said}`] };
    return { died: 1, wrongs: (await lives.judge(life)).map((wrong) => `${at} ${wrong}`) };
  });
}

/** The table of steps × kinds: ok, FAIL, "-" where a kind does not come to a step, "." where a cell was not run. */
export function matrixText({ cells }: MatrixResult): string {
  const names = Object.keys(kinds), wide = Math.max(...steps.map((step) => step.length)) + 2;
  const row = (step: string) => step.padEnd(wide) + names.map((kind) => {
    const cell = cells.get(`${step}/${kind}`);
    return (cell === undefined ? "." : cell === "never" ? "-" : cell.length === 0 ? "ok" : "FAIL").padEnd(Math.max(6, kind.length + 2));
  }).join("");
  return ["".padEnd(wide) + names.map((kind) => kind.padEnd(Math.max(6, kind.length + 2))).join(""), row("undisturbed"), ...steps.map(row)].map((line) => line.trimEnd()).join("\n");
}

async function inParallel<T>(all: readonly T[], atOnce: number, work: (one: T) => Promise<void>): Promise<void> {
  const waiting = [...all];
  await Promise.all(Array.from({ length: atOnce }, async () => {
    for (let one = waiting.shift(); one !== undefined; one = waiting.shift()) await work(one);
  }));
}
