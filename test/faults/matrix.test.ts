// test deadline: 240 s
// A part of the crash matrix, spread over all of it: each step with one kind, so that each kind has three steps at least.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type StepName, steps } from "./kill-point.ts";
import { crashMatrix } from "./matrix.ts";
import { kinds } from "./matrix-kinds.ts";
import { Lives } from "./matrix-lives.ts";
import { rowsWrong } from "./matrix-verifier.ts";

const test = suite("crash matrix");
const names = Object.keys(kinds), seed = 20_261_126;

/** Where a kind does not come to a step, another one does: tried with these first. */
const comesTo = (step: StepName): readonly string[] => (step.startsWith("letter") ? ["letters"] : /fold-before|chunk/.test(step) ? ["timers", "windows", "time"] : /fold|trim|purge|snapshot/.test(step) ? ["timers", "windows", "time", "retries"] : names);

test("a process killed at any step of the protocol loses nothing, repeats nothing, and keeps the order", async () => {
  const turns = new Map<string, number>(), picked = new Set(steps.map((step) => {
    const which = comesTo(step), turn = turns.get(which.join()) ?? 0;
    turns.set(which.join(), turn + 1);
    return `${step}/${which[turn % which.length]}`;
  }));
  const { cells, killed } = await crashMatrix({ seed, atOnce: 4, deaths: 1, only: (step, kind) => picked.has(`${step}/${kind}`) }), all = [...cells];
  // What one kind comes to only now and then another one may.
  const missed = steps.filter((step) => !all.some(([cell, wrongs]) => cell.startsWith(`${step}/`) && wrongs !== "never"));
  if (missed.length > 0) all.push(...(await crashMatrix({ seed: seed + 1, atOnce: 4, deaths: 1, only: (step, kind) => missed.includes(step) && comesTo(step).includes(kind) })).cells);
  const failed = all.filter(([, cell]) => cell !== "never" && cell.length > 0).map(([cell, wrongs]) => `${cell}: ${(wrongs as readonly string[]).join("; ")}`);
  assert.equal(failed, [], `${failed.length} cells, seed ${seed}`);
  for (const step of steps) assert.ok(all.some(([cell, wrongs]) => cell.startsWith(`${step}/`) && wrongs !== "never"), `${step} was come to`);
  for (const kind of names) assert.ok([...cells].filter(([cell]) => cell.endsWith(`/${kind}`)).length >= 4, `${kind} was run with three steps`);
  assert.ok(killed >= steps.length - 3, `${killed} kills`);
});

test("a sink that is held up while it puts its batch together again comes to it, also with a full mailbox", async () => {
  await using lives = await Lives.start();
  await lives.run("stateless", async (life) => {
    assert.is((await lives.live({ ...life, step: "write-before", nth: 1 })).signal, "SIGKILL");
    const end = await lives.live({ ...life, hurried: true });
    assert.is(end.code, 0, end.said);
    assert.equal(await lives.judge(life), []);
    return { wrongs: [] };
  });
});

test("the verifier sees a row that is missing, one that is there twice, and two that changed places", () => {
  const rows = [{ key: "a", n: 1 }, { key: "a", n: 2 }, { key: "b", n: 3 }] as const, [first, second, third] = rows;
  const wrong = (found: readonly Readonly<Record<string, unknown>>[]) => rowsWrong(found, { rows, order: "key" }).length;
  assert.is(wrong([third, first, second]), 0);
  assert.is(wrong([first, third]), 1);
  assert.is(wrong([first, second, second, third]), 1);
  assert.is(wrong([second, first, third]), 1);
});

test.run();
