// A restore where the nodes of a cluster run.
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { collect, generate } from "../../../actors/index.ts";
import { backup } from "../../../runtime/backup/backup.ts";
import { restore } from "../../../runtime/backup/restore.ts";
import { systemClock, systemRandom } from "../../../runtime/event/clock.ts";
import { defineFlow } from "../../../runtime/index.ts";
import { RunNotes } from "../../../runtime/node/run-note.ts";
import { readRun } from "../../../runtime/node/run-record.ts";
import { MemoryDisk, MemoryStores } from "../../../runtime/testing/memory-store.ts";
import { rejection } from "../../support/rejection.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { TwinCluster } from "../../support/twin-cluster.ts";
import { eventually } from "../../support/waiting.ts";

const test = suite("a restore under a cluster");

test("a flow that a cluster has is not written over, also where the node that began its run is gone, and the server has lost the list of nodes; nothing is changed", async () => {
  await using folder = await temporaryFolder();
  await using world = new TwinCluster();
  const results: number[] = [], sink = collect<number>(results), path = join(folder.path, "backup");
  const numbers = defineFlow("numbers", (flow) => { flow.sink("out", flow.source("feed", generate({ count: 100_000, rate: 200, make: (n) => n })), sink); });
  for (const name of ["n1", "n2"]) await world.start(name, [numbers]);
  await world.running("numbers");
  const began = (await readRun(world.broker.keys, "numbers"))?.record.node as string, other = began === "n1" ? "n2" : "n1";
  await world.kill(began);
  await eventually("all of it is on the other one", () => [...world.placed("numbers").values()].every((node) => node === other), 20_000);
  await world.running("numbers");
  await backup({ broker: world.broker, clock: systemClock, random: systemRandom, folder: path, flows: ["numbers"] });
  const again = () => restore({ broker: world.broker, folder: path, replicas: 1, node: "here", replace: true, notes: new RunNotes(new MemoryStores(new MemoryDisk())), removeJournals: () => Promise.resolve() });
  const refused = await rejection(again());
  assert.equal([refused.code, refused.message.includes(other)], ["FLOW_RUNNING", true]);
  const { value, revision } = (await world.broker.keys.get("nodes")) ?? { value: Buffer.from(""), revision: 0 };
  assert.ok(value.length > 0);
  await world.broker.keys.set("nodes", Buffer.from(JSON.stringify({ version: 1, nodes: [] })), revision);
  assert.is((await rejection(again())).code, "FLOW_RUNNING");
  const before = results.length;
  await eventually("it goes on", () => results.length > before + 20, 20_000);
  await world.stop(other);
  const kept = await readRun(world.broker.keys, "numbers");
  await again();
  assert.equal([(await readRun(world.broker.keys, "numbers"))?.record.token, (await readRun(world.broker.keys, "numbers"))?.record.state], [kept?.record.token, "stopped"]);
});

test.run();
