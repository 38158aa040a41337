import { mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { openLog } from "../../../runtime/node/log-file.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const test = suite("log-file");

test("every line is one JSON object with the node, the time and the fields", async () => {
  await using folder = await temporaryFolder();
  const log = openLog(join(folder.path, "deep", "data"), "n1", () => {});
  log.info("hello", { run: "abc" });
  log.close();
  const [line] = (await readFile(log.path, "utf8")).split("\n"), { node, msg, run, time } = JSON.parse(line as string) as Record<string, string>;
  assert.equal([node, msg, run], ["n1", "hello", "abc"]);
  assert.ok(Math.abs(Date.parse(time as string) - Date.now()) < 60_000);
});

test("warnings and errors are told on one line, whatever is in them; the rest is not", async () => {
  await using folder = await temporaryFolder();
  const lines: string[] = [], log = openLog(folder.path, "n1", (line) => lines.push(line));
  log.debug("a");
  log.info("b");
  log.warn("disk\n  full", { actor: "f/s/0", tries: 3 });
  log.error("x".repeat(10_000));
  log.fatal("told by an exception");
  log.close();
  assert.is(lines[0], "disk full (actor f/s/0, tries 3)");
  assert.is(lines[1]?.length, 400);
  assert.is(lines.length, 2);
});

test("what is said when it is closed is dropped, and harms nobody", async () => {
  await using folder = await temporaryFolder();
  const lines: string[] = [], log = openLog(folder.path, "n1", (line) => lines.push(line));
  log.info("before");
  log.close();
  for (const level of ["debug", "info", "warn", "error"] as const) log[level]("after");
  log.fatal("after");
  log.close();
  assert.is((await readFile(log.path, "utf8")).split("\n").length, 2);
  assert.equal(lines, []);
});

test("a log that has become large is put aside at the next start, and replaces the one before", async () => {
  await using folder = await temporaryFolder();
  await mkdir(folder.path, { recursive: true });
  await writeFile(join(folder.path, "millrace.log"), Buffer.alloc(9 * 1024 * 1024, "x"));
  await writeFile(join(folder.path, "millrace.log.1"), "older");
  openLog(folder.path, "n1", () => {}).close();
  assert.equal([(await stat(join(folder.path, "millrace.log"))).size, (await stat(join(folder.path, "millrace.log.1"))).size], [0, 9 * 1024 * 1024]);
});

test("one that becomes large while the node runs is put aside, too: a node that runs for long fills no disk with it, and no line is lost on the way", async () => {
  await using folder = await temporaryFolder();
  const log = openLog(folder.path, "n1", () => {}), count = 9_000;
  for (let n = 0; n < count; n++) log.debug("x".repeat(1_000), { n });
  log.close();
  const parts = await Promise.all([`${log.path}.1`, log.path].map((path) => readFile(path, "utf8"))), lines = parts.flatMap((text) => text.split("\n").filter((line) => line !== ""));
  assert.equal(lines.map((line) => (JSON.parse(line) as { n: number }).n), Array.from({ length: count }, (_, n) => n));
  assert.ok(parts.every((text) => text.length > 0 && text.length < 10 * 1024 * 1024), parts.map((text) => text.length).join());
});

test.run();
