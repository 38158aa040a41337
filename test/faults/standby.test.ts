// test deadline: 200 s
// A node with an actor of which another one keeps a warm copy is killed: the actor goes on there, from that copy, and only what came last is read.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { askPlacement } from "../../runtime/inspect/placement-orders.ts";
import { ask } from "../../runtime/node/questions.ts";
import type { Copy } from "../../runtime/node/standbys.ts";
import type { CliProcess } from "../support/cli-process.ts";
import { sharedNatsServer } from "../support/nats-server.ts";
import { eventually } from "../support/waiting.ts";
import { finished, inWorld, long, type Program, type World } from "./cluster-world.ts";

const test = suite("warm copies on other nodes");
const nats = sharedNatsServer(test.after);
const program: Program = { file: new URL("./flows/standby.ts", import.meta.url).pathname, name: "standby", env: (out) => ({ ...long.env(out), NUMBERS: "120000" }) };
const actor = "standby/counts/0";
const names = ["n1", "n2", "n3"];

const copiesOn = async (world: World, node: string): Promise<readonly Copy[]> => (await ask(world.broker, node, { what: "copies" }, 2_000)) as readonly Copy[];

interface Start { readonly actor?: string; readonly term?: number; readonly n?: number; readonly read?: { readonly messages: number; readonly bytes: number } }

/** Each start of an actor on a node, from the node's log. */
async function startsOn(world: World, node: string): Promise<readonly Required<Start>[]> {
  const lines = (await readFile(join(world.folder, node, "millrace.log"), "utf8")).split("\n").filter((line) => line !== "").map((line) => JSON.parse(line) as Start);
  return lines.filter((line): line is Required<Start> => line.actor === actor && line.read !== undefined);
}

test("a node is killed with kill -9: its actor goes on where its warm copy is, of its log only the tail is read, and the result is the same to the byte", () => inWorld(nats, program, async (world) => {
  for (const name of names) world.start(name, ["--nodes", "3"]);
  await world.underWay(names);
  const before = await world.placement("n1"), victim = before.actors.get(actor) as string;
  const [warm, copy] = await eventually("its copy is warm, and it has done something", async () => {
    const seen: unknown[] = [];
    for (const name of names) {
      const found = (await copiesOn(world, name)).find((one) => one.actor === actor);
      if (found?.state === "warm" && found.n > 100) return [name, found] as const;
      seen.push(found);
    }
    throw new Error(JSON.stringify(seen));
  }, 60_000);
  assert.is.not(warm, victim);
  const others = names.filter((name) => name !== victim);

  // Where it is to be seen.
  const members = (await askPlacement(world.broker)).nodes, placed = await world.commanded("placement", "--why");
  assert.match(placed.stdout, /actor +node +warm copy +came from +why/);
  assert.match(placed.stdout, new RegExp(`standby/counts/0 +${victim} +${warm} .*spread: no other of its stage is there`));
  assert.match(placed.stdout, /standby\/feed\/0 +n\d {2,}/);
  assert.is(members.reduce((sum, { flows }) => sum + (flows[0]?.copies?.kept ?? 0), 0), 2, "told with the heartbeats");

  (world.nodes.get(victim) as CliProcess).child.kill("SIGKILL");
  await eventually("it is at work again", async () => (await world.newest(actor)).term > 1 && (await world.newest(actor)).kind === "turn", 20_000);
  assert.is((await world.placement(others[0] as string)).actors.get(actor), warm, "where the copy was");
  const [start] = (await startsOn(world, warm)).slice(-1);
  assert.ok(start !== undefined && start.n > copy.n);
  // Its own claim, and what came between the last look of the copy and the kill.
  assert.ok(start.read.messages <= 20, `it read ${start.read.messages} records, of ${start.n}`);
  const why = await world.commanded("placement", "--why");
  assert.match(why.stdout, new RegExp(`standby/counts/0 +${warm} .*${victim} has gone; ${warm} had a warm copy of it`));
  // The third node keeps the next copy, from the snapshot and the log.
  await eventually("there is another copy", async () => {
    for (const name of others) if (name !== warm && (await copiesOn(world, name)).some((one) => one.actor === actor && one.state === "warm")) return true;
    return false;
  }, 20_000);
  await finished(world, others);
  console.log(`  of ${start.n} records ${start.read.messages} were read from the log (${start.read.bytes} bytes); the copy had read ${copy.messages} as they came`);
}));

test.run();
