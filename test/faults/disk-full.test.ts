// test deadline: 240 s
// A disk that is full for a while costs time and nothing else.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { generate, jsonl, map } from "../../actors/index.ts";
import { findOrObtain } from "../../runtime/broker/nats-server/obtain.ts";
import { defineFlow } from "../../runtime/index.ts";
import { startNode } from "../../runtime/inspect/inspected-node.ts";
import { abreast } from "../support/abreast.ts";
import { smallDisk } from "../support/small-disk.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { eventually, within } from "../support/waiting.ts";
import { diskFull } from "./disk-full.ts";

const test = suite("disk full");

// Beside each other: what takes long is that the server is found to write nothing more.
for (const [[which, under], ended] of abreast(2, [["journals", "the journals"], ["server", "nats-server"]] as const, ([which]) => {
  const seed = Date.now() % 1_000_000;
  return diskFull(which, { seed, events: 20_000, rate: 5_000 }).then((result) => ({ seed, result }));
})) {
  test(`the disk full under ${under}: the flow suspends, says so, goes on when there is room, and the result is exact`, async () => {
    const { seed, result } = await ended();
    if (result === undefined) return console.log("an ordinary user has no small disk on this system: nothing was tried");
    assert.equal(result.wrongs, [], `${which}, seed ${seed}`);
    assert.is(result.missing + result.duplicates, 0);
    assert.match(result.said, /unavailable/);
    assert.match(result.stuck, result.restarted ? /writes nothing more .*then restart it/ : /^$/);
  });
}

test("the disk full under the node's own nats-server: with room again the node starts it anew by itself, says so, and the result is exact", async () => {
  await using folder = await temporaryFolder();
  const dataDir = join(folder.path, "data"), out = join(folder.path, "out.jsonl"), count = 12_000;
  await using disk = await smallDisk(join(dataDir, "nats", "store"), 96);
  if (disk === undefined) return console.log("an ordinary user has no small disk on this system: nothing was tried");
  const { path, version } = await findOrObtain(), before = process.env["MILLRACE_NATS_SERVER"], warnings: string[] = [];
  process.env["MILLRACE_NATS_SERVER"] = await disk.program(path, folder.path);
  try {
    const flow = defineFlow("own", (its) => void its.sink("out", its.processor("each", its.source("feed", generate({ count, rate: 4_000, make: (n) => ({ n }) })), map((item: { n: number }) => item)), jsonl.sink(out)));
    await using node = await startNode({ dataDir, fsync: "relaxed", flows: [flow] }, { warned: (line) => void warnings.push(line) });
    const pid = await readFile(join(dataDir, "nats", "server.pid"), "utf8"), written = async () => (await readFile(out, "utf8").catch(() => "")).length;
    await eventually("a part of it is done", async () => (await written()) > 10_000, 30_000);
    await disk.fill();
    await eventually("an actor waits", () => JSON.stringify(node.tree()).includes("unavailable"), 30_000);
    await disk.free();
    await within(120_000, "the end", node.done);
    const rows = (await readFile(out, "utf8")).trimEnd().split("\n").map((line) => (JSON.parse(line) as { n: number }).n);
    assert.is(rows.length, count);
    assert.ok(rows.every((n, at) => n === at));
    if (version.startsWith("2.10.")) return;
    assert.not.equal(await readFile(join(dataDir, "nats", "server.pid"), "utf8"), pid);
    assert.match(warnings.join("\n"), /writes nothing more to .*NATS_NOT_WRITING.*the node starts its server anew/);
  } finally {
    if (before === undefined) delete process.env["MILLRACE_NATS_SERVER"];
    else process.env["MILLRACE_NATS_SERVER"] = before;
  }
});

test.run();
