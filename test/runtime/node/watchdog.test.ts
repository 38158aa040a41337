// A handler that holds up the event loop of a node is named while it does: by a process of its own, whose standard error is read.
// test deadline: 120 s
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { cell } from "../../../runtime/actor/at-work.ts";
import { Watchdog } from "../../../runtime/node/watchdog.ts";
import { startCli } from "../../support/cli-process.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { eventually } from "../../support/waiting.ts";

const test = suite("watchdog");
const flow = fileURLToPath(new URL("../../support/flows/trouble.ts", import.meta.url));

test("who stands still is named while it does, with the place in the flow's file, on the standard error and in the log", async () => {
  await using folder = await temporaryFolder();
  await using run = startCli(["run", flow, "--fsync", "relaxed", "--stall-after", "200ms", "--json"], { cwd: folder.path, env: { TROUBLE: "spin" } });
  // On a busy machine it may have stood still before, too, while it was being started.
  const stalled = /LOOP_STALLED: the event loop of node [a-z0-9-]+ stands still for \d+\.\d s, since \d{4}-[^;]+; trouble\/each\/0 is in its handler/;
  await run.said(stalled);
  const said = run.stderr.slice(run.stderr.search(stalled));
  assert.not.match(said, /LOOP_STALLED is over/, "it is said while it lasts");
  const end = await run.ended;
  assert.is(end.code, 0, end.stderr);
  assert.match(end.stderr, new RegExp(`Ctrl-C is not heard meanwhile: \`kill -9 ${run.child.pid}\``));
  assert.match(end.stderr, /it stands in standStill \S+flows\/trouble\.ts:\d+, called by handle \S+flows\/trouble\.ts:\d+/);
  assert.match(end.stderr, /LOOP_STALLED is over: .* stood still for [1-9]\d*\.\d s/);
  const lines = (await readFile(join(folder.path, ".millrace", "millrace.log"), "utf8")).split("\n").filter((line) => line.includes("LOOP_STALLED")).map((line) => JSON.parse(line) as { level: number; code: string; actor: string; stoodMs?: number });
  assert.ok(lines.every(({ code }) => code === "LOOP_STALLED"));
  const its = lines.filter(({ actor }) => actor === "trouble/each/0");
  assert.ok(its.length >= 3);
  assert.ok((its.at(-1)?.stoodMs ?? 0) >= 1_000);
});

test("a loop that goes on is not reported, and who has something under way is told when it stands still without anybody at hand", async () => {
  await using folder = await temporaryFolder();
  const log = join(folder.path, "log"), watchdog = new Watchdog({ node: "n1", stallMs: 1_000, log });
  try {
    for (const address of ["f/a/0", "f/b/0", "f/c/0"]) watchdog.seatOf(address);
    assert.is(watchdog.seatOf("f/b/0"), 2, "for all its lives the same");
    for (const seat of [2, 3]) watchdog.cells[cell.first + seat] = 1;
    const before = watchdog.cells[cell.beat] as number;
    await eventually("the beat goes on", () => (watchdog.cells[cell.beat] as number) > before + 25);
    assert.is(await readFile(log, "utf8").catch(() => "nothing"), "nothing");
    for (const until = performance.now() + 2_500; performance.now() < until; );
    const text = await eventually("it is told", () => readFile(log, "utf8"));
    assert.match(text, /under way are those of f\/b\/0, f\/c\/0\./);
  } finally {
    await watchdog.close();
  }
});

test.run();
