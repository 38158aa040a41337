// test deadline: 150 s
// A stage of a flow on three nodes, each a process of its own, goes from 4 actors to 8 to 3 while events flow, and a node is killed in the middle.
import { readFile } from "node:fs/promises";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { readRun } from "../../runtime/node/run-record.ts";
import type { ScaleReceipt } from "../../runtime/node/scale-receipt.ts";
import type { CliEnd, CliProcess } from "../support/cli-process.ts";
import { sharedNatsServer } from "../support/nats-server.ts";
import { tallied } from "../support/tallied.ts";
import { eventually, within } from "../support/waiting.ts";
import { inWorld, type Program, type World } from "./cluster-world.ts";

const test = suite("scaling over several nodes");
const nats = sharedNatsServer(test.after);
const events = 60_000;
const tallies: Program = { file: new URL("../support/flows/tallies.ts", import.meta.url).pathname, name: "tallies", env: (out) => ({ TALLIES: String(events), TALLIES_RATE: "2000", TALLIES_OUT: out }) };
/** The figure is 2 s, on a machine that does nothing else, and is said; a busy one is only held to a bound. */
const pauseMs = 20_000;

const receiptOf = ({ code, stdout, stderr }: CliEnd): { readonly is: string; readonly receipt: ScaleReceipt | null } => {
  assert.is(code, 0, stderr + stdout);
  return JSON.parse(stdout) as { is: string; receipt: ScaleReceipt | null };
};
const tallyOn = async (world: World, node: string): Promise<ReadonlyMap<string, string>> => new Map([...(await world.placement(node)).actors].filter(([actor]) => actor.startsWith("tallies/tally/")));

test("4 to 8 to 3 while events flow, with the node that leads killed in the middle: the file is that of a single thread", () => inWorld(nats, tallies, async (world) => {
  const names = ["n1", "n2", "n3"];
  for (const name of names) world.start(name, ["--nodes", "3"]);
  await world.underWay(names);

  const up = receiptOf(await world.commanded("scale", "tallies/tally", "8", "--json"));
  assert.equal([up.is, up.receipt?.from, up.receipt?.to, up.receipt?.pauseMs.length, up.receipt?.lost], ["finished", 4, 8, 8, 0]);
  assert.is(up.receipt?.entries, 1_000);
  for (const pause of up.receipt?.pauseMs ?? []) assert.ok(pause <= pauseMs, `paused ${pause} ms`);
  const eight = await tallyOn(world, "n1");
  assert.equal([eight.size, new Set(eight.values()).size], [8, 3], "they are on all nodes");

  const { leader } = await world.placement("n1"), rest = names.filter((name) => name !== leader), [other] = rest as [string, string];
  const planned = await world.commanded("scale", "tallies/tally", "3", "--no-wait");
  assert.is(planned.code, 0, planned.stderr);
  const node = world.nodes.get(leader) as CliProcess;
  node.child.kill("SIGKILL");
  await node.ended;
  await eventually("it is carried out", async () => {
    const { stages, change } = (await readRun(world.broker.keys, "tallies"))?.record ?? {};
    return change === undefined && stages?.find(({ name }) => name === "tally")?.parallelism === 3;
  }, 60_000);
  await eventually("three are placed", async () => (await tallyOn(world, other)).size === 3, 10_000);
  await world.hurry();

  for (const name of rest) {
    const end = await within(90_000, `node ${name} leaves`, (world.nodes.get(name) as CliProcess).ended);
    assert.is(end.code, 0, end.stderr);
  }
  assert.ok((await readFile(world.out, "utf8")) === tallied(events), "the file is another");
  assert.is((await readRun(world.broker.keys, "tallies"))?.record.state, "finished");
  console.log(`  4 -> 8 over three nodes: paused ${up.receipt?.pauseMs.join(", ")} ms`);
}));

test.run();
