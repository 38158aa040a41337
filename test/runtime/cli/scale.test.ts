// `millrace scale` on a real nats-server and LevelDB: a stage goes from 4 actors to 8 to 3 while events flow and the node is killed.
// test deadline: 300 s
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { cli, type CliProcess, startCli } from "../../support/cli-process.ts";
import { tallied } from "../../support/tallied.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { eventually } from "../../support/waiting.ts";

const test = suite("scale");
const flow = fileURLToPath(new URL("../../support/flows/tallies.ts", import.meta.url));

const actorsOf = (tree: string): number => {
  const { nodes } = JSON.parse(tree) as { nodes: { lines?: { id: string; kind: string }[] }[] };
  return nodes.flatMap(({ lines = [] }) => lines).filter(({ id, kind }) => kind === "actor" && id.startsWith("tallies/tally/")).length;
};

async function killed(run: CliProcess): Promise<void> {
  run.child.kill("SIGKILL");
  assert.is((await run.ended).code, 137);
}

test("200,000 keyed events while a stage goes from 4 to 8 to 3 actors and its node is killed twice: the file is that of a single thread", async () => {
  await using folder = await temporaryFolder();
  const options = { cwd: folder.path, env: { TALLIES: "200000", TALLIES_OUT: join(folder.path, "out.jsonl") } }, paced = { ...options, env: { ...options.env, TALLIES_RATE: "3000" } }, run = ["run", flow, "--fsync", "relaxed", "--json"];
  const scaled = (...args: string[]) => cli(["scale", "tallies/tally", ...args], options), hasActors = (count: number) => eventually(`tally has ${count} actors`, async () => actorsOf((await cli(["tree", "--json"], options)).stdout) === count, 60_000);
  await using first = startCli(run, paced);
  await first.said(/tallies 5/);
  // Planned, and killed wherever it is.
  const planned = await scaled("8", "--no-wait");
  assert.is(planned.code, 0, planned.stderr);
  await killed(first);
  await using second = startCli(run, paced);
  await second.said(/tallies 5/);
  await hasActors(8);
  const down = await scaled("3", "--json"), { is, receipt } = JSON.parse(down.stdout) as { is: string; receipt: { from: number; to: number; entries: number; moved: number; pauseMs: number[]; lost: number } };
  assert.equal([down.code, is, receipt.from, receipt.to, receipt.entries, receipt.pauseMs.length, receipt.lost], [0, "finished", 8, 3, 1_000, 3, 0], down.stdout);
  assert.ok(receipt.moved > 0 && receipt.moved < 1_000);
  await hasActors(3);
  const again = await scaled("5", "--no-wait");
  assert.is(again.code, 0, again.stderr);
  await killed(second);
  await using third = startCli(run, options);
  const { code, stderr } = await third.ended;
  assert.is(code, 0, stderr);
  assert.ok((await readFile(join(folder.path, "out.jsonl"), "utf8")) === tallied(200_000), "the file is another");
});

test("what cannot be scaled is refused with its reason", async () => {
  await using folder = await temporaryFolder();
  const options = { cwd: folder.path, env: { TALLIES: "1000000", TALLIES_RATE: "200", TALLIES_OUT: join(folder.path, "out.jsonl") } };
  await using run = startCli(["run", flow, "--fsync", "relaxed"], options);
  await eventually("the node answers", async () => (await cli(["tree"], options)).code === 0, 60_000);
  for (const [args, code, says] of [
    [["tallies/nope", "8"], 1, /STAGE_UNKNOWN/], [["tallies/out", "8"], 1, /STAGE_FIXED/], [["tallies/feed", "8"], 1, /STAGE_FIXED/], [["tallies/tally", "0"], 1, /OPTION_INVALID/],
    [["tallies/tally", "9999"], 1, /OPTION_INVALID/], [["tallies/tally", "4"], 1, /NOTHING_TO_DO/], [["tallies/tally", "many"], 1, /OPTION_INVALID/], [["tally", "8"], 1, /OPTION_INVALID/], [["other/tally", "8"], 1, /NOT_RUNNING/],
    [["tallies/tally", "--take-back"], 1, /NOTHING_TO_DO/],
  ] as const) {
    const ended = await cli(["scale", ...args], options);
    assert.is(ended.code, code, args.join(" "));
    assert.match(ended.stderr, says);
  }
  const why = await cli(["scale", "tallies/tally", "--why"], options);
  assert.match(why.stdout, /Nothing of tallies is being scaled; tally has 4 actors/);
  run.child.kill("SIGINT");
  await run.ended;
});

test.run();
