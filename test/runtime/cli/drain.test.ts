// What `millrace drain` says: progress when it changes, and once what it waits for and what can be done; and that on a cluster in memory.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import pc from "picocolors";
import { collect, generate } from "../../../actors/index.ts";
import { followed } from "../../../runtime/cli/drain.ts";
import { DrainProgress } from "../../../runtime/cli/drain-progress.ts";
import { defineFlow } from "../../../runtime/index.ts";
import { orderPlacement } from "../../../runtime/inspect/placement-orders.ts";
import { TwinCluster } from "../../support/twin-cluster.ts";
import { eventually, within } from "../../support/waiting.ts";

const test = suite("drain");
const plain = pc.createColors(false), drained = "no node may have it: n1 is drained";
const remedy = (what: string): string => `  do  Start a node that may have ${what} (millrace node), or take the drain back: millrace drain n1 --undo. It is watched for 10m at most; Ctrl-C ends the watching, not the drain.`;

test("each news is said once: how far it is when that changes, what it waits for when that is another reason", () => {
  const progress = new DrainProgress("n1", 600_000, plain), full = "1 node may have it, and each has as many actors as it takes";
  const left = (why: string | undefined, ...actors: readonly string[]) => Object.fromEntries(actors.map((actor) => [actor, why]));
  assert.equal(progress.news({ moved: 0, late: [], left: left(undefined, "f/a/0", "f/b/0") }), ["n1: 0 actors moved, 2 left (f/a/0, f/b/0)"]);
  const waits = [`n1: waits for a node for f/a/0, f/b/0, which work on until then: ${drained}`, remedy("them")];
  assert.equal(progress.news({ moved: 0, late: [], left: left(`stays on n1: ${drained}`, "f/a/0", "f/b/0") }), waits);
  for (let look = 0; look < 6_000; look++) assert.equal(progress.news({ moved: 0, late: [], left: left(`stays on n1: ${drained}`, "f/a/0", "f/b/0") }), []);
  assert.equal(progress.news({ moved: 0, late: [], left: left(undefined, "f/a/0", "f/b/0") }), [], "who leads now does not know yet");
  assert.equal(progress.news({ moved: 0, late: [], left: left(`stays on n1: ${drained}`, "f/a/0", "f/b/0") }), []);
  assert.equal(progress.news({ moved: 0, late: ["f/a/0"], left: left(undefined, "f/b/0") }), ["n1: 0 actors moved, 1 on the way (f/a/0), 1 left (f/b/0)"]);
  assert.equal(progress.news({ moved: 1, late: [], left: left(`stays on n1: ${full}`, "f/b/0") }), ["n1: 1 actor moved, 1 left (f/b/0)", `n1: waits for a node for f/b/0, which works on until then: ${full}`, remedy("it")]);
  assert.equal(progress.news({ moved: 2, late: [], left: {} }), ["n1: 2 actors moved"]);
});

test("the last node that can take actors: what it waits for and what can be done is said once; with another node it goes on", async () => {
  await using cluster = new TwinCluster();
  const flow = defineFlow("sums", (builder) => { builder.sink("out", builder.source("feed", generate({ count: 1_000_000, rate: 50, make: (n) => ({ n }) })), collect<{ n: number }>([])); });
  await cluster.start("n1", [flow]);
  await cluster.running("sums");
  const said: string[] = [], since = await orderPlacement(cluster.broker, { action: "cordon", node: "n1" });
  const end = followed(cluster.broker, "n1", since, performance.now() + 60_000, new DrainProgress("n1", 600_000, plain), (line) => void said.push(line));
  await eventually("it says what can be done", () => said.includes(remedy("them")));
  await cluster.start("n2", [flow]);
  const { left, receipt } = await within(40_000, "it is drained", end);
  assert.equal([left, receipt.moved], [{}, 2], said.join("\n"));
  assert.equal(said.filter((line) => line.includes("waits for a node") || line.startsWith("  do")), [`n1: waits for a node for sums/feed/0, sums/out/0, which work on until then: ${drained}`, remedy("them")]);
  assert.is(new Set(said).size, said.length, "nothing is said twice");
});

test.run();
