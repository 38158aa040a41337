// `millrace dlq` in processes of its own, on a real nats-server.
// test deadline: 240 s
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { cli } from "../../support/cli-process.ts";
import { temporaryFolder, type TemporaryFolder } from "../../support/temporary-folder.ts";

const test = suite("dlq");
const flow = fileURLToPath(new URL("../../support/flows/trouble.ts", import.meta.url));
let folder: TemporaryFolder;
const dlq = (...args: readonly string[]) => cli(["dlq", ...args], { cwd: folder.path });
interface Letter { number: string; code: string; event: { data: { n: number } } }
const lettersOf = (text: string): Letter[] => text.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line) as Letter);

test.before(async () => {
  folder = await temporaryFolder();
  const run = await cli(["run", flow, "--fsync", "relaxed"], { cwd: folder.path, env: { TROUBLE: "dead" } });
  assert.is(run.code, 0, run.stderr);
});
test.after(async () => { await folder[Symbol.asyncDispose](); });

test("export gives every dead letter once, oldest first, as lines of JSON, to the standard output or to a new file", async () => {
  const printed = await dlq("export", "trouble");
  assert.is(printed.code, 0, printed.stderr);
  assert.equal(lettersOf(printed.stdout).map(({ code, event }) => [code, event.data.n]), Array.from({ length: 40 }, (_, i) => ["TERMINAL", i * 10 + 3]));
  assert.is(new Set(lettersOf(printed.stdout).map(({ number }) => number)).size, 40);
  const filed = await dlq("export", "trouble", "--out", "letters.jsonl");
  assert.equal([filed.code, filed.stdout], [0, ""], filed.stderr);
  assert.match(filed.stderr, /40 dead letters in letters\.jsonl/);
  assert.is(await readFile(join(folder.path, "letters.jsonl"), "utf8"), printed.stdout);
  const again = await dlq("export", "trouble", "--out", "letters.jsonl", "--stage", "feed");
  assert.match(again.stderr, /FILE_FAILED/);
  assert.is(await readFile(join(folder.path, "letters.jsonl"), "utf8"), printed.stdout, "a file that is there is never written over");
});

test("--stage, --code and --limit choose, and what they let through is the same in list and export", async () => {
  const numbers = async (...args: readonly string[]) => lettersOf((await dlq(...args)).stdout).map(({ event }) => event.data.n);
  assert.equal(await numbers("list", "trouble", "--json", "--code", "TERMINAL", "--stage", "each", "--limit", "2"), [383, 393]);
  assert.equal(await numbers("list", "trouble", "--json", "--code", "POISON"), []);
  assert.equal(await numbers("list", "trouble", "--json", "--stage", "out"), []);
  assert.is((await numbers("export", "trouble", "--code", "TERMINAL", "--stage", "each")).length, 40);
  assert.equal(await numbers("export", "trouble", "--code", "POISON"), []);
});

test("where none is as was asked it is said of what; there may be others", async () => {
  assert.is((await dlq("list", "trouble", "--code", "POISON", "--stage", "out")).stdout, "Flow trouble has no dead letters of stage out, with code POISON; `millrace dlq list trouble` names all.\n");
});

test("on 80 columns a code stands whole: it is what --code asks for", async () => {
  const { stdout } = await dlq("list", "trouble");
  assert.match(stdout, /^ +\d+\.\d+ +open +TERMINAL +/m);
  for (const line of stdout.split("\n")) assert.ok(line.length <= 80, line);
});

for (const [what, args, says] of [
  ["a flow that never ran", ["export", "nobody", "--out", "none.jsonl"], /NO_LETTERS/], ["a stage that is a pattern", ["list", "trouble", "--stage", "*"], /NAME_INVALID/],
  ["a limit that is none", ["list", "trouble", "--limit", "0"], /OPTION_INVALID/], ["a number that is none", ["show", "trouble", `${"9".repeat(30)}.0`], /NOT_FOUND/],
] as const) {
  test(`${what} is refused with a code and leaves no file`, async () => {
    const end = await dlq(...args);
    assert.is.not(end.code, 0);
    assert.match(end.stderr, says);
    assert.not.match(end.stderr, /^ +at /m);
    assert.not.ok(existsSync(join(folder.path, "none.jsonl")));
  });
}

test("what is dropped stands in the list as that, and is not among the open ones; of a run that has finished nothing is replayed", async () => {
  const [first, second] = lettersOf((await dlq("export", "trouble", "--open")).stdout) as [Letter, Letter];
  const dropped = await dlq("drop", "trouble", first.number, second.number);
  assert.equal([dropped.code, dropped.stdout], [0, "2 dead letters dropped\n"], dropped.stderr);
  const again = await dlq("drop", "trouble", first.number, "--json");
  assert.is(again.code, 0, again.stderr);
  assert.is(lettersOf((await dlq("export", "trouble", "--open")).stdout).length, 38);
  const listed = await dlq("list", "trouble", "--limit", "100");
  assert.is(listed.stdout.split("\n").filter((line) => / dropped +TERMINAL /.test(line)).length, 2);
  assert.match((await dlq("show", "trouble", first.number)).stdout, /"status": "dropped"/);
  const replayed = await dlq("replay", "trouble", "--stage", "each");
  assert.is(replayed.code, 1);
  assert.match(replayed.stdout, /each\/0 +ENDED: .*\n38 not, still open\n$/);
  for (const args of [["drop", "trouble"], ["replay", "trouble", first.number, "--all"]]) assert.match((await dlq(...args)).stderr, /OPTION_INVALID/);
});

test.run();
