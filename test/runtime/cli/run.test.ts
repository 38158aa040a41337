// `millrace run` in processes of its own, on a real nats-server and LevelDB.
// test deadline: 300 s
import { existsSync } from "node:fs";
import { readFile, symlink } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { cli, startCli } from "../../support/cli-process.ts";
import { linesIn } from "../../support/line-count.ts";
import { quakesReference } from "../../support/quakes-reference.ts";
import { squared } from "../../support/squared.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { eventually } from "../../support/waiting.ts";

const test = suite("run");

const flowAt = (name: string): string => fileURLToPath(new URL(`../../support/flows/${name}.ts`, import.meta.url));
const examples = fileURLToPath(new URL("../../../examples", import.meta.url));
const relaxed = ["--fsync", "relaxed"];

interface Line { flow: string; status: string; durationMs: number; stages: Record<string, { in: number; out: number; late: number; deadLetters: number; restarts: number }>; error?: { code: string } }

/** The one line of --json: the last, and the only one. */
function lineOf(stdout: string): Line {
  const lines = stdout.split("\n");
  assert.equal([lines.length, lines[1]], [2, ""], `one line and nothing else: ${stdout}`);
  return JSON.parse(lines[0] as string) as Line;
}

test("the example writes exactly what a plain script computes, tells results, tree and summary, and does it again", async () => {
  await using folder = await temporaryFolder();
  const options = { cwd: folder.path }, expected = quakesReference(join(examples, "data", "earthquakes.geojson"));
  await symlink(examples, join(folder.path, "examples"));
  const first = await cli(["run", "examples/quakes.ts"], options), out = join(folder.path, ".millrace/out/quakes-by-region.jsonl");
  assert.is(first.code, 0, first.stderr);
  assert.is(await readFile(out, "utf8"), expected);
  const rows = expected.split("\n").length - 1;
  for (const part of [/Results of report\n/, /New Zealand +1517356800000 +1 +4\.7/, new RegExp(`… and ${rows - 12} more in \\.millrace/out/quakes-by-region\\.jsonl`), /Supervision tree\n/, /└─ quakes +ended/, /├─ by-region +ended/,
    /Summary {2}quakes finished after/, /felt +1,707 +297 /]) assert.match(first.stdout, part);
  assert.ok(first.stdout.split("\n").every((line) => line.length <= 80), "fits 80 columns");
  const second = await cli(["run", "examples/quakes.ts", "--json"], options), { durationMs, ...line } = lineOf(second.stdout);
  assert.is(second.code, 0, second.stderr);
  assert.is(await readFile(out, "utf8"), expected);
  const stage = (taken: number, given: number) => ({ in: taken, out: given, late: 0, deadLetters: 0, restarts: 0 });
  assert.equal(line, { flow: "quakes", status: "finished", stages: { feed: stage(1_707, 1_707), felt: stage(1_707, 297), "by-region": stage(297, rows), report: stage(rows, rows) } });
  assert.ok(Number.isInteger(durationMs) && durationMs > 0);
});

test("killed again and again in the middle, the same command resumes, and the file is exact", async () => {
  await using folder = await temporaryFolder();
  const count = 60_000, out = join(folder.path, "out.jsonl"), options = { cwd: folder.path, env: { NUMBERS: String(count), NUMBERS_OUT: out } };
  // The last one slowly: on a busy machine it would be over before it is looked at.
  for (const [atLeast, rate] of [[2_000, "30000"], [20_000, "30000"], [40_000, "8000"]] as const) {
    await using run = startCli(["run", flowAt("numbers"), ...relaxed], { ...options, env: { ...options.env, NUMBERS_RATE: rate } });
    await eventually(`${atLeast} are written`, async () => (await linesIn(out)) > atLeast || run.child.exitCode !== null, 60_000);
    run.child.kill("SIGKILL");
    assert.is((await run.ended).code, 137, run.stderr);
  }
  const last = await cli(["run", flowAt("numbers"), ...relaxed, "--json"], options);
  assert.is(last.code, 0, last.stderr);
  assert.match(last.stderr, /resuming run [a-z0-9]{8}, which was interrupted/);
  assert.is(await readFile(out, "utf8"), squared(count));
  const { stages } = lineOf(last.stdout);
  assert.equal([stages["feed"]?.in, stages["squares"]?.in, stages["out"]?.out], [count, count, count]);
});

test("Ctrl-C drains, says so, and exits 130; the next start goes on and the file is exact", async () => {
  await using folder = await temporaryFolder();
  const count = 40_000, out = join(folder.path, "out.jsonl"), options = { cwd: folder.path, env: { NUMBERS: String(count), NUMBERS_OUT: out } };
  {
    await using run = startCli(["run", flowAt("numbers"), ...relaxed, "--json"], { ...options, env: { ...options.env, NUMBERS_RATE: "20000" } });
    await eventually("some are written", () => existsSync(out) || run.child.exitCode !== null, 60_000);
    run.child.kill("SIGINT");
    const { code, stdout, stderr } = await run.ended;
    assert.is(code, 130, stderr);
    assert.match(stderr, /Stopping in order; Ctrl-C again stops at once/);
    assert.match(stderr, /Stopped\. The same command goes on where run [a-z0-9]{8} was\./);
    assert.is(lineOf(stdout).status, "interrupted");
  }
  const { code, stderr } = await cli(["run", flowAt("numbers"), ...relaxed, "--json"], options);
  assert.is(code, 0, stderr);
  assert.match(stderr, /resuming run/);
  assert.is(await readFile(out, "utf8"), squared(count));
});

test("a second Ctrl-C stops at once, also where a handler hangs; it was said what is waited for", async () => {
  await using folder = await temporaryFolder();
  await using run = startCli(["run", flowAt("trouble"), ...relaxed], { cwd: folder.path, env: { TROUBLE: "hang" } });
  await run.said(/this handler hangs/);
  run.child.kill("SIGINT");
  await run.said(/Stopping: waits until each\/0 has committed/);
  // At the same moment it would be taken for the first one, passed on twice.
  await eventually("it ends", () => { run.child.kill("SIGTERM"); return run.child.exitCode !== null; });
  const { code, stderr } = await run.ended;
  assert.is(code, 130, stderr);
  assert.match(stderr, /Stopped at once\. Nothing is lost/);
});

test("two runs on one data folder: the second is refused and says what to do, the first goes on", async () => {
  await using folder = await temporaryFolder();
  const options = { cwd: folder.path, env: { NUMBERS: "10000", NUMBERS_RATE: "2000", NUMBERS_OUT: join(folder.path, "out.jsonl") } };
  await using first = startCli(["run", flowAt("numbers"), ...relaxed], options);
  await first.said(/numbers: run /);
  const second = await cli(["run", flowAt("numbers"), ...relaxed], options);
  assert.is(second.code, 1);
  assert.match(second.stderr, /Error: process \d+ has this data folder[\s\S]*Stop that run, or choose another folder with --data-dir[\s\S]*DATA_FOLDER_BUSY/);
  assert.is((await first.ended).code, 0, first.stderr);
  assert.is(await readFile(join(folder.path, "out.jsonl"), "utf8"), squared(10_000));
});

test("tree and doctor look at the node that runs; without one tree says so", async () => {
  await using folder = await temporaryFolder();
  const options = { cwd: folder.path, env: { NUMBERS: "2000000", NUMBERS_RATE: "2000", NUMBERS_OUT: join(folder.path, "out.jsonl") } };
  await using run = startCli(["run", flowAt("numbers"), ...relaxed], options);
  await run.said(/numbers: run /);
  let tree = await cli(["tree"], options);
  assert.is(tree.code, 0, tree.stderr);
  // Its actors may still be starting.
  await eventually("the flow runs", async () => /└─ numbers +running/.test((tree = await cli(["tree"], options)).stdout), 60_000);
  for (const part of [/node [a-z0-9-]+ +running/, /└─ numbers +running/, /├─ squares/, /│ {2}└─ 2 /, /process \d+, [\d.]+ MiB of memory, nats-server 2\.\d+\.\d+, numbers: run [a-z0-9]{8}, running/]) assert.match(tree.stdout, part);
  const { nodes } = JSON.parse((await cli(["tree", "--json"], options)).stdout) as { nodes: { pid: number; lines: { id: string }[] }[] };
  assert.equal([nodes[0]?.pid, nodes[0]?.lines.some(({ id }) => id === "numbers/squares/1")], [run.child.pid, true]);
  const doctor = await cli(["doctor", flowAt("numbers")], options);
  assert.is(doctor.code, 0, doctor.stdout);
  for (const part of [/ok {4}data folder +process \d+ has it/, /ok {4}node +[a-z0-9-]+ runs numbers/, /ok {4}flow +numbers: 9 streams, run [a-z0-9]{8} runs/, /ok {4}flow +feed → out: exactly once/]) assert.match(doctor.stdout, part);
  run.child.kill("SIGTERM");
  assert.is((await run.ended).code, 130);
  const gone = await cli(["tree"], options);
  assert.is(gone.code, 1);
  assert.match(gone.stderr, /No node runs on this data folder/);
});

test("what changed since an interruption is refused with what it means; --resume and --fresh go on", async () => {
  await using folder = await temporaryFolder();
  const out = join(folder.path, "out.jsonl"), options = { cwd: folder.path, env: { NUMBERS: "30000", NUMBERS_OUT: out } };
  {
    await using run = startCli(["run", flowAt("numbers"), ...relaxed], { ...options, env: { ...options.env, NUMBERS_RATE: "10000" } });
    await eventually("some are written", () => existsSync(out) || run.child.exitCode !== null, 60_000);
    run.child.kill("SIGKILL");
    await run.ended;
  }
  const parallel = [...relaxed, "--set", "squares.parallelism=5"];
  const refused = await cli(["run", flowAt("numbers"), ...parallel, "--json"], options);
  assert.is(refused.code, 1);
  assert.match(refused.stderr, /stage squares: parallelism 3 -> 5[\s\S]*set its parallelism back to 3[\s\S]*--fresh begins a new run[\s\S]*RUN_CHANGED/);
  assert.equal([lineOf(refused.stdout).status, lineOf(refused.stdout).error?.code], ["failed", "RUN_CHANGED"]);
  assert.is((await cli(["run", flowAt("numbers"), ...parallel, "--resume"], options)).code, 1);
  const fresh = await cli(["run", flowAt("numbers"), ...parallel, "--fresh"], options);
  assert.is(fresh.code, 0, fresh.stderr);
  assert.is(await readFile(out, "utf8"), squared(30_000));
});

test("an actor whose handler throws is restarted and the file is exact; tree and summary show it", async () => {
  await using folder = await temporaryFolder();
  const { code, stdout, stderr } = await cli(["run", flowAt("trouble"), ...relaxed], { cwd: folder.path, env: { TROUBLE: "stumble" } });
  assert.is(code, 0, stderr);
  assert.is(await readFile(join(folder.path, "trouble.jsonl"), "utf8"), Array.from({ length: 400 }, (_, n) => `{"n":${n}}\n`).join(""));
  assert.match(stderr, /^! trouble\/each\/0: Error: stumbled over 99: restart in \d+ ms/m);
  assert.match(stdout, /ago: Error: stumbled over 399/);
  assert.match(stdout, /each +400 +400 .* 4 +ended/);
});

test("a flow that cannot go on fails with who, why and what to do, without a stack", async () => {
  await using folder = await temporaryFolder();
  const { code, stdout, stderr } = await cli(["run", flowAt("trouble"), ...relaxed], { cwd: folder.path, env: { TROUBLE: "park" } });
  assert.is(code, 1);
  assert.match(stderr, /Error: trouble is parked: .*no such table[\s\S]*do {5}Mend what makes it fail; then start again[\s\S]*code {3}PARKED/);
  assert.not.match(stderr, /^ +at /m);
  assert.match(stdout, /Summary {2}trouble failed after/);
});

test("dead letters are counted, listed and shown, also when no node runs", async () => {
  await using folder = await temporaryFolder();
  const options = { cwd: folder.path, env: { TROUBLE: "dead" } };
  const run = await cli(["run", flowAt("trouble"), ...relaxed], options);
  assert.is(run.code, 0, run.stderr);
  assert.match(run.stdout, /40 dead letters: see them with `millrace dlq list trouble`/);
  const list = await cli(["dlq", "list", "trouble", "--limit", "3", "--json"], options);
  assert.is(list.code, 0, list.stderr);
  const letters = list.stdout.trimEnd().split("\n").map((line) => JSON.parse(line) as { number: string; code: string; event: { data: unknown } });
  assert.equal(letters.map((letter) => [letter.code, letter.event.data]), [373, 383, 393].map((n) => ["TERMINAL", { n }]));
  const shown = await cli(["dlq", "show", "trouble", letters[0]?.number as string], options);
  assert.match(shown.stdout, /"message": "no use for 373"/);
});

test("what a sink prints goes to the standard output, and --json ends it with its line", async () => {
  await using folder = await temporaryFolder();
  const { code, stdout, stderr } = await cli(["run", flowAt("trouble"), ...relaxed, "--json"], { cwd: folder.path, env: { TROUBLE: "stdout" } });
  assert.is(code, 0, stderr);
  const lines = stdout.trimEnd().split("\n");
  assert.equal(lines.slice(0, -1), Array.from({ length: 400 }, (_, n) => `{"n":${n}}`));
  assert.is((JSON.parse(lines.at(-1) as string) as Line).status, "finished");
});

test("doctor fails where something does, says what to do, and makes no folder by looking", async () => {
  await using folder = await temporaryFolder();
  const well = await cli(["doctor"], { cwd: folder.path });
  assert.is(well.code, 0, well.stdout);
  assert.match(well.stdout, /ok {4}data folder {2}\.millrace \(made by the first run\)[\s\S]*no node runs on this data folder/);
  assert.not.ok(existsSync(join(folder.path, ".millrace")));
  const ill = await cli(["doctor", "--data-dir", "/dev/null/data", "--json"], { cwd: folder.path }), { findings } = JSON.parse(ill.stdout) as { findings: { is: string; about: string; remedy?: string }[] };
  assert.equal([ill.code, findings.filter(({ is }) => is === "fail").map(({ about }) => about)], [1, ["data folder", "disk"]]);
  assert.ok(findings.every(({ is, remedy }) => is === "ok" || remedy !== undefined));
});

for (const [what, args, code, says] of [
  ["a file that is not there", ["run", "nothing.ts"], 2, /There is no such file/],
  ["no file", ["run"], 2, /missing required argument 'flow'/],
  ["an unknown option", ["run", "x.ts", "--frehs"], 2, /unknown option '--frehs'[\s\S]*Did you mean --fresh/],
  ["a value that is none", ["run", flowAt("trouble"), "--set", "each.parallelism=0"], 2, /parallelism of "each" is 0/],
  ["another word for fsync", ["run", flowAt("trouble"), "--fsync", "never"], 2, /fsync/],
  ["an unknown command", ["jump"], 2, /unknown command 'jump'/],
  ["a server that is not there", ["run", flowAt("trouble"), "--nats", "nats://127.0.0.1:1"], 1, /UNREACHABLE/],
] as const) {
  test(`${what}: exit code ${code}, a message, no stack`, async () => {
    await using folder = await temporaryFolder();
    const end = await cli(args, { cwd: folder.path });
    assert.is(end.code, code, end.stderr);
    assert.match(end.stderr, says);
    assert.not.match(end.stderr, /^ +at /m);
    assert.is(end.stdout, "");
  });
}

test.run();
