// Runs the test files, a few at a time, each in a process of its own (support/test-file.ts). Arguments: files or folders to run instead of all;
// --deadline <seconds> in place of their own; --node, --nats-server, --nats-client for other versions (support/versions.ts). The last line
// is "N passed, N failed", counted in tests.
import { readdirSync, statSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { deadlineOf, runTestFile, stopTestFiles, type FileResult } from "./support/test-file.ts";
import { runOnVersions } from "./support/versions.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
/** One more than there are cores: the longest of them wait for processes half of their time. */
const atOnce = Math.min(4, availableParallelism() + 1);
const mostAgain = 3;

const elsewhere = await runOnVersions(process.argv[1] as string, process.argv.slice(2));
if (elsewhere !== undefined) process.exit(elsewhere);
const { values, positionals } = parseArgs({ allowPositionals: true, options: { deadline: { type: "string" } } });
const deadlineMs = values.deadline === undefined ? undefined : Number(values.deadline) * 1000;
const results: FileResult[] = [];
const files = (positionals.length > 0 ? positionals : ["test"]).flatMap(filesOf);
if (files.length === 0) results.push({ file: positionals.join(" "), passed: 0, failed: 1, faults: ["no test file is there"], output: "", durationMs: 0 });

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.once(signal, () => {
    stopTestFiles();
    console.log(`\nstopped by ${signal}`);
    process.exit(1);
  });
}
// Those that may take longest go first: one that is begun last would keep the others waiting.
const deadlines = new Map(await Promise.all(files.map(async (file) => [file, await deadlineOf(resolve(root, file))] as const)));
const waiting = [...files].sort((a, b) => (deadlines.get(b) as number) - (deadlines.get(a) as number));
await Promise.all(Array.from({ length: atOnce }, async () => {
  for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
    const result = await runTestFile(file, { root, ...(deadlineMs === undefined ? {} : { deadlineMs }) });
    results.push(result);
    console.log(lineOf(result));
    if (result.faults.length > 0) console.log(result.output.trimEnd().replaceAll(/^/gm, "    | "));
  }
}));

// Tests of real processes and signals share a machine with whatever else runs: a few files that failed are run once more, alone, and said so.
const unlucky = results.filter(({ failed }) => failed > 0);
if (files.length > unlucky.length && unlucky.length <= mostAgain) {
  for (const first of unlucky) {
    const again = await runTestFile(first.file, { root, ...(deadlineMs === undefined ? {} : { deadlineMs }) });
    console.log(`AGAIN, alone (it failed beside others, see above): ${lineOf(again)}`);
    if (again.failed > 0) console.log(again.output.trimEnd().replaceAll(/^/gm, "    | "));
    results[results.indexOf(first)] = again;
  }
}

const failures = results.filter(({ failed }) => failed > 0);
if (failures.length > 0) console.log(`\nFailed:\n${failures.map(lineOf).join("\n")}`);
const sum = (of: (result: FileResult) => number) => results.reduce((total, result) => total + of(result), 0);
console.log(`\n${sum((r) => r.passed)} passed, ${sum((r) => r.failed)} failed`);
process.exitCode = failures.length > 0 ? 1 : 0;

function lineOf({ file, passed, failed, faults, durationMs }: FileResult): string {
  const counts = failed === 0 ? `${passed} passed` : `${passed} passed, ${failed} FAILED: ${faults.join("; ")}`;
  return `${failed === 0 ? "ok  " : "FAIL"}  ${file}  ${counts}  (${(durationMs / 1000).toFixed(1)} s)`;
}

/** A folder gives its *.test.ts, in the order of their names; a file itself, whatever it is called. */
function filesOf(path: string): readonly string[] {
  const full = resolve(path);
  if (statSync(full, { throwIfNoEntry: false })?.isFile()) return [relative(root, full)];
  if (!statSync(full, { throwIfNoEntry: false })?.isDirectory()) return [];
  return readdirSync(full, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".test.ts")).sort().map((name) => relative(root, join(full, name)));
}
