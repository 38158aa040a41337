// test deadline: 300 s
// Stages in threads of their own: what hangs, takes all memory or ends its thread there stops nobody else, and becomes a dead letter.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { cli, startCli } from "../support/cli-process.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { eventually } from "../support/waiting.ts";

const test = suite("isolation");
const flow = fileURLToPath(new URL("../support/flows/isolated.ts", import.meta.url));
const run = ["run", flow, "--fsync", "relaxed", "--json"];

interface Row { readonly n: number; readonly key: string; readonly count: number }
const rowsOf = async (folder: string, name: string): Promise<readonly Row[]> => (await readFile(join(folder, `isolated-${name}.jsonl`), "utf8").catch(() => "")).split("\n").filter((line) => line !== "").map((line) => JSON.parse(line) as Row);

/** Each event once, in the order of its key, counted in the state as if nothing had been; without those that were given up. */
function isExact(rows: readonly Row[], without: readonly number[]): void {
  for (let key = 0; key < 5; key++) {
    const ns = Array.from({ length: 40 }, (_, i) => 5 * i + key).filter((n) => !without.includes(n));
    assert.equal(rows.filter((row) => row.key === `k${key}`).map(({ n, count }) => [n, count]), ns.map((n, i) => [n, i + 1]));
  }
}

for (const [trouble, says] of [["spin", /LOOP_STALLED: a handler of isolated\/risky\/\d has not come back/], ["memory", /memory limit/], ["exit", /THREAD_DIED|ended by itself/]] as const) {
  test(`${trouble}: the event becomes a dead letter, all others go through exactly, and no other stage waits for it`, async () => {
    await using folder = await temporaryFolder();
    await using its = startCli(run, { cwd: folder.path, env: { TROUBLE: trouble, ...(trouble === "memory" ? { DEADLINE: "60000", NODE_OPTIONS: "--max-old-space-size=120" } : {}) } });
    await its.said(says);
    // The stage beside it comes to its end while this one is at its tries.
    if (trouble === "spin") await eventually("the other stage has written all", async () => (await rowsOf(folder.path, "plain")).length === 200, 20_000);
    const end = await its.ended, { stages } = JSON.parse(end.stdout) as { stages: Record<string, { deadLetters: number; restarts: number }> };
    assert.is(end.code, 0, end.stderr);
    assert.not.match(end.stderr, /event loop of node/, "the node's own loop never stood still");
    assert.is((await rowsOf(folder.path, "plain")).length, 200);
    isExact(await rowsOf(folder.path, "risky"), [50]);
    assert.is(stages["risky"]?.deadLetters, 1);
    const letters = (await cli(["dlq", "export", "isolated"], { cwd: folder.path })).stdout.trim().split("\n").map((line) => JSON.parse(line) as { code: string; attempts: number; event: { data: Row } });
    assert.equal(letters.map(({ code, attempts, event }) => [code, attempts, event.data.n]), [["POISON", 3, 50]]);
  });
}

test("a letter of such a stage is replayed in its thread, also after the node was killed; its key, which waited, goes on in order", async () => {
  await using folder = await temporaryFolder();
  const env = { TROUBLE: "throw", PARK: "key", MENDED: join(folder.path, "mended") };
  {
    await using its = startCli(run, { cwd: folder.path, env });
    await its.said(/give up isolated\/feed\/0@\S+ as a dead letter/);
    const tree = await eventually("the tree tells which key waits", async () => {
      const { stdout } = await cli(["tree", "--json"], { cwd: folder.path });
      return /"parked":\{"keys":1,"first":\["k0"\]/.test(stdout) ? stdout : undefined;
    }, 30_000);
    assert.match(tree, /"openLetters":1/);
    its.child.kill("SIGKILL");
  }
  await writeFile(env.MENDED, "");
  await using its = startCli(run, { cwd: folder.path, env });
  await its.said(/resuming run/);
  const asked = await cli(["dlq", "replay", "isolated", "--all"], { cwd: folder.path });
  assert.match(asked.stdout, /1 dead letter replayed/, asked.stderr);
  const end = await its.ended;
  assert.is(end.code, 0, end.stderr);
  isExact(await rowsOf(folder.path, "risky"), []);
  const listed = await cli(["dlq", "list", "isolated", "--json"], { cwd: folder.path });
  assert.equal(listed.stdout.trim().split("\n").map((line) => (JSON.parse(line) as { status: string }).status), ["replayed"]);
});

test.run();
