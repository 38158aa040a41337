// What a process says of its tests when it fails: seeds, and what was given up and nobody looked at.
import { execFile } from "node:child_process";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";

const test = suite("failure notice");
const root = join(import.meta.dirname, "../../..");

/** Runs a test of a flow whose handler fails at 2; gives what it writes to standard error. */
function run(body: string, code: number, options = "{}"): Promise<string> {
  const program = `
    import { defineFlow } from "millrace";
    import { jsonl, map } from "millrace/actors";
    import { testFlow } from "millrace/testing";
    const flow = defineFlow("halves", (builder) => {
      const numbers = builder.source("numbers", jsonl.source("x"));
      return { numbers, half: builder.processor("half", numbers, map((n) => { if (n === 2) throw new TypeError("two"); return n / 2; })) };
    });
    const t = await testFlow(flow, ${options});
    ${body}
    process.exitCode = ${code};
  `;
  return new Promise((resolve, reject) => {
    execFile(process.execPath, ["--conditions=source", "--import", "tsx", "--input-type=module", "-e", program], { cwd: root }, (error, _, stderr) => {
      if ((error?.code ?? 0) === code) resolve(stderr);
      else reject(new Error(`ended with ${error?.code}: ${stderr}`));
    });
  });
}

const givenUp = /^millrace\/testing: flow "halves" was tested with seed 1\nmillrace\/testing: halves\/half\/0 gave up event halves\/numbers\/0@\S+, 2: TypeError: two\n$/;

test("an event that was given up is told where the process fails, the test over or not", async () => {
  assert.match(await run('await t.send("numbers", 1, 2);', 1), givenUp);
  assert.match(await run('await t.send("numbers", 1, 2); await t[Symbol.asyncDispose]();', 1), givenUp);
});

test("a seed other than the usual one is told where the process fails", async () => {
  assert.is(await run('await t.send("numbers", 1); await t[Symbol.asyncDispose]();', 3, "{ seed: 77 }"), 'millrace/testing: flow "halves" was tested with seed 77\n');
});

test("nothing is told where there is nothing to tell: it passes, or was looked at, or has the usual seed", async () => {
  assert.is(await run('await t.send("numbers", 1, 2);', 0, "{ seed: 77 }"), "");
  assert.is(await run('await t.send("numbers", 1, 2); t.deadLetters("half"); await t[Symbol.asyncDispose]();', 1), "");
  assert.is(await run('await t.send("numbers", 1);', 1), "");
});

test("a test that nobody ended does not keep its process alive", async () => {
  assert.is(await run('await t.send("numbers", 1);', 0), "");
});

test.run();
