// The runner must not pass what uvu would pass: each fixture is a test file with one fault.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { startOf } from "../../runtime/broker/nats-server/process-identity.ts";
import { runTestFile, type FileResult } from "./test-file.ts";
import { eventually } from "./waiting.ts";

const test = suite("test-file");
const root = fileURLToPath(new URL("../..", import.meta.url));
const fixture = (name: string) => `test/support/fixtures/${name}.fixture.ts`;

const faulty: readonly (readonly [name: string, guarantee: string, passed: number, failed: number, fault: RegExp])[] = [
  ["fails", "a file with a failing test fails", 1, 1, /exit code 1; 1 of 2 failed/],
  ["forgets-run", "a file that forgets .run() fails", 0, 1, /ended without uvu's summary|ran no test/],
  ["before-throws", "a file whose before hook throws fails, though uvu exits with 0", 0, 2, /^2 of 2 failed$/],
  ["skips", "a file that skips a test fails", 1, 1, /1 skipped/],
  ["never-ends", "a file that leaves a handle open fails at its own deadline", 1, 1, /did not end within 3 s, though its tests were done/],
  ["crashes", "a file that is killed fails", 0, 1, /was ended by SIGKILL/],
  ["leaves-file", "a file that leaves a temporary folder fails", 1, 1, /left temporary files behind: left-/],
];

function wordsOf({ faults }: FileResult): string {
  return faults.join("; ");
}

for (const [name, guarantee, passed, failed, fault] of faulty) {
  test(guarantee, async () => {
    const result = await runTestFile(fixture(name), { root });
    assert.match(wordsOf(result), fault);
    assert.is(result.passed, passed);
    assert.is(result.failed, failed);
  });
}

if (process.platform === "linux") {
  test("a file that leaves a process behind fails, and the process is ended", async () => {
    const result = await runTestFile(fixture("leaves-process"), { root });
    assert.match(wordsOf(result), /left 1 process\(es\) behind/);
    assert.is(result.failed, 1);
    const pid = Number(/child (\d+)/.exec(result.output)?.[1]);
    assert.ok(await eventually(`process ${pid} is gone`, async () => (await startOf(pid)) === undefined));
  });
}

test("a good file of two suites passes with all its tests", async () => {
  const result = await runTestFile(fixture("passes"), { root });
  assert.equal([result.passed, result.failed, result.faults], [3, 0, []]);
});

function run(...args: readonly string[]): { readonly status: number | null; readonly lastLine: string | undefined; readonly output: string } {
  const { status, stdout } = spawnSync(process.execPath, ["--conditions=source", "--import", "tsx", "test/run.ts", ...args], { cwd: root, encoding: "utf8", timeout: 60_000 });
  return { status, lastLine: stdout.trimEnd().split("\n").pop(), output: stdout };
}

test("the run closes with the sums, shows the output of what failed, and exits with 1", () => {
  const { status, lastLine, output } = run(fixture("passes"), fixture("fails"));
  assert.is(lastLine, "4 passed, 1 failed");
  assert.is(status, 1);
  assert.match(output, /\| .*"one is two"/);
});

test("a run in which all pass exits with 0", () => {
  const { status, lastLine } = run(fixture("passes"));
  assert.equal([status, lastLine], [0, "3 passed, 0 failed"]);
});

test("a run of a file that is not there fails", () => {
  const { status, lastLine } = run("test/nothing-here");
  assert.equal([status, lastLine], [1, "0 passed, 1 failed"]);
});

test.run();
