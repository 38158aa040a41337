// test deadline: 240 s
// An event that ends the process is found, however little the process can say: it becomes a dead letter, and all others go on.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { abreast } from "../support/abreast.ts";
import { Lives } from "./matrix-lives.ts";
import { lettersOf } from "./matrix-verifier.ts";

const test = suite("poison by process death");
/** `poison.after` unless it is said otherwise. */
const after = 3;
/** One death before the count of unclean ends is 1, one before the actors go event by event; then each try is counted. */
const mostDeaths = after + 2;

async function poisoned(kind: string, nodeArgs: readonly string[], isDeath: (end: { readonly code: number | null; readonly signal: string | null }) => boolean): Promise<void> {
  await using lives = await Lives.start();
  await lives.run(kind, async (life) => {
    let deaths = 0;
    for (;;) {
      const end = await lives.live(life, nodeArgs);
      if (end.code === 0) break;
      assert.ok(isDeath(end), `ended with ${end.signal ?? end.code}: ${end.said}`);
      assert.ok(++deaths <= mostDeaths, `${deaths} deaths`);
    }
    assert.ok(deaths >= after, `${deaths} deaths`);
    assert.equal(await lives.judge(life), []);
    const letters = await lettersOf(lives.broker, life.name);
    assert.equal(letters.map(({ actor, attempts }) => [actor.split("/")[1], attempts]), [["guilty", after]]);
    return { wrongs: [] };
  });
}

for (const [[name], ended] of abreast(2, [
  ["an event whose handler kills the process is a dead letter after three counted tries; its key, and an actor beside it, go on exactly", () => poisoned("killed by an event", [], ({ signal }) => signal === "SIGKILL")],
  ["so is one whose handler takes all memory", () => poisoned("out of memory by an event", ["--max-old-space-size=60", "--max-semi-space-size=2"], ({ code, signal }) => signal === "SIGABRT" || code === 134)],
] as const, ([, run]) => run())) test(name, ended);

test.run();
