// test deadline: 400 s
// A flow on three nodes, each a process of its own, over one nats-server: what happens when nodes are killed, stand still, and leave.
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { CliProcess } from "../support/cli-process.ts";
import { sharedNatsServer } from "../support/nats-server.ts";
import { eventually } from "../support/waiting.ts";
import { finished, inWorld, long, numbers, type Program, type World } from "./cluster-world.ts";

const test = suite("a flow on several nodes");
const nats = sharedNatsServer(test.after);
/** As fast as it goes. */
const generated: Program = { file: new URL("./flows/generated.ts", import.meta.url).pathname, name: "generated", env: (out) => ({ MILLRACE_TEST_EVENTS: "200000", MILLRACE_TEST_OUT: out }) };
/** Default settings: detection, placement, claims, recovery. The figure is 6 s; a machine that does other things as well is given more. */
const failoverMs = 12_000;

/** Kills a node with SIGKILL; gives how long it took until each of its actors that had not ended was at work again elsewhere. */
async function failover(world: World, victim: string, others: readonly string[], actors: ReadonlyMap<string, string>): Promise<number> {
  const its = [...actors].filter(([, node]) => node === victim).map(([actor]) => actor), terms = new Map<string, number>();
  const node = world.nodes.get(victim) as CliProcess;
  node.child.kill("SIGKILL");
  await node.ended;
  const begun = performance.now();
  for (const actor of its) terms.set(actor, (await world.newest(actor)).term);
  let first = Infinity;
  await eventually(`an actor of ${victim} takes events again`, async () => {
    for (const actor of its) {
      const { kind, term, taken } = await world.newest(actor);
      if (term > (terms.get(actor) as number) && kind !== "claim" && taken > 0) first = Math.min(first, performance.now() - begun);
    }
    return first < Infinity;
  }, failoverMs);
  const placed = (await world.placement(others[0] as string)).actors;
  for (const actor of its) assert.ok(others.includes(placed.get(actor) as string), `${actor} is on ${placed.get(actor)}`);
  return first;
}

for (const who of ["the leader", "another node"] as const) {
  test(`${who} of three is killed: its actors go on elsewhere within seconds, and the result is the same to the byte`, () => inWorld(nats, generated, async (world) => {
    const names = ["n1", "n2", "n3"];
    for (const name of names) world.start(name, ["--nodes", "3"]);
    const actors = await world.underWay(names), { leader } = await world.placement("n1");
    const victim = who === "the leader" ? leader : (names.find((name) => name !== leader) as string), others = names.filter((name) => name !== victim);
    const ms = await failover(world, victim, others, actors);
    console.log(`  ${who} killed: at work again after ${(ms / 1000).toFixed(1)} s`);
    assert.ok(ms <= failoverMs);
    await finished(world, others);
  }));
}

test("a node that stands still loses its actors; when it goes on it is fenced, joins again, and the result is the same to the byte", () => inWorld(nats, numbers, async (world) => {
  const names = ["n1", "n2", "n3"];
  for (const name of names) world.start(name, ["--nodes", "3"]);
  const actors = await world.underWay(names), { leader } = await world.placement("n1"), victim = leader, [other] = names.filter((name) => name !== victim) as [string];
  const node = world.nodes.get(victim) as CliProcess;
  node.child.kill("SIGSTOP");
  const its = [...actors].filter(([, on]) => on === victim).map(([actor]) => actor);
  await eventually("its actors are elsewhere", async () => {
    const placed = (await world.placement(other)).actors;
    return its.every((actor) => placed.get(actor) !== victim) && (await world.newest(its[0] as string)).term > 1;
  }, failoverMs);
  node.child.kill("SIGCONT");
  await eventually("it hosts actors again", async () => [...(await world.placement(other)).actors.values()].includes(victim), 20_000);
  await finished(world, names);
}));

test("a node that comes takes its share, and one that leaves in order gives it up; each only moves what it must, and nobody is taken for dead", () => inWorld(nats, long, async (world) => {
  for (const name of ["n1", "n2"]) world.start(name, ["--nodes", "2"]);
  const two = await world.underWay(["n1", "n2"]);
  world.start("n3");
  const three = await eventually("n3 has its share", async () => {
    const placed = [...(await world.placement("n1")).actors];
    return placed.some(([, node]) => node === "n3") && placed;
  }, 20_000);
  assert.is(three.filter(([actor, node]) => two.get(actor) !== node).length, 1, "of five actors one moves");
  const leaving = world.nodes.get("n2") as CliProcess;
  leaving.child.kill("SIGTERM");
  const end = await leaving.ended;
  assert.is(end.code, 130, end.stderr);
  assert.match(end.stderr, /Leaving: \d actors? commit and stop/);
  await eventually("its actors are elsewhere", async () => ![...(await world.placement("n1")).actors.values()].includes("n2"), 5_000);
  await finished(world, ["n1", "n3"]);
  // With no node there: it is told from the cluster's log.
  const told = await world.commanded("placement", "numbers", "--why");
  assert.is(told.code, 0, told.stderr);
  assert.match(told.stdout, /n\d leads, term \d+\n\nnumbers {2}run [a-z0-9]{8}, ended\n/);
  assert.match(told.stdout, /numbers\/squares\/\d +n[13] +n2 +n2 has gone; n[13] had the most room/);
}));

test("two nodes of one name: the later one says so and goes, and the one that was there keeps its actors, and is seen", () => inWorld(nats, numbers, async (world) => {
  for (const name of ["n1", "n2"]) world.start(name, ["--nodes", "2"]);
  const placed = await world.underWay(["n1", "n2"]), first = world.nodes.get("n1") as CliProcess;
  const second = world.start("n1", ["--data-dir", join(world.folder, "second")]), end = await second.ended;
  world.nodes.set("n1", first);
  assert.is(end.code, 1);
  assert.match(end.stderr, /NODE_NAME_TAKEN/);
  assert.not.match(end.stderr + end.stdout, /has joined/);
  const told = await world.commanded("nodes", "--json");
  assert.equal((JSON.parse(told.stdout) as { readonly nodes: readonly { readonly name: string }[] }).nodes.map(({ name }) => name).sort(), ["n1", "n2"]);
  assert.match((await world.commanded("tree")).stdout, /node n1/);
  assert.equal((await world.placement("n1")).actors, placed);
  await finished(world, ["n1", "n2"]);
}));

test.run();
