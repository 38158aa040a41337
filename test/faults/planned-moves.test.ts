// test deadline: 150 s
// A node of three is drained while events flow, then one actor is moved: each by the command, and what its receipt says is looked into.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { orderPlacement } from "../../runtime/inspect/placement-orders.ts";
import type { MoveReceipt } from "../../runtime/node/move-receipt.ts";
import type { CliEnd, CliProcess } from "../support/cli-process.ts";
import { sharedNatsServer } from "../support/nats-server.ts";
import { rejection } from "../support/rejection.ts";
import { eventually } from "../support/waiting.ts";
import { finished, inWorld, long } from "./cluster-world.ts";

const test = suite("planned moves");
const nats = sharedNatsServer(test.after);

type Receipt = MoveReceipt & { readonly since: number; readonly drained?: boolean; readonly isThere?: boolean };
const receiptOf = ({ code, stdout, stderr }: CliEnd): Receipt => {
  assert.is(code, 0, stderr);
  return JSON.parse(stdout) as Receipt;
};

test("a node is drained, by a command that is killed and given again, and an actor is moved, while events flow: nothing is lost, and the result is the same to the byte", () => inWorld(nats, long, async (world) => {
  const names = ["n1", "n2", "n3"];
  for (const name of names) world.start(name, ["--nodes", "3"]);
  const before = await world.underWay(names), on = (actors: ReadonlyMap<string, string>, node: string) => [...actors].filter(([, at]) => at === node).map(([actor]) => actor);
  const drained = names.find((name) => on(before, name).length === 2) as string, rest = names.filter((name) => name !== drained), asked = rest[0] as string, its = on(before, drained);

  // Killed as soon as it was decided: the nodes go on with it.
  await using first = world.command("drain", drained);
  await first.said(new RegExp(`${drained}: \\d actors? moved`));
  first.child.kill("SIGKILL");
  assert.is((await first.ended).code, 137);
  const after = await eventually("its actors are elsewhere", async () => {
    const { actors } = await world.placement(asked);
    return on(actors, drained).length === 0 && actors;
  }, 20_000);
  for (const [actor, node] of before) if (node !== drained) assert.is(after.get(actor), node, `${actor} has no reason to move`);

  // The same again tells what all of it has cost.
  const receipt = receiptOf(await world.commanded("drain", drained, "--json"));
  assert.is(receipt.drained, true);
  assert.equal(receipt.actors.map(({ actor, from, to }) => [actor, from, to]), its.toSorted().map((actor) => [actor, drained, after.get(actor)]));
  for (const { pauseMs, compared, inFlight, sentAgain, lost } of receipt.actors) {
    assert.ok(pauseMs > 0 && pauseMs < 10_000, `paused ${pauseMs} ms`);
    assert.ok(compared, "both nodes tell what was done");
    assert.ok(typeof inFlight === "number" && typeof sentAgain === "number");
    assert.is(lost, 0);
  }
  assert.equal([receipt.moved, receipt.lost, receipt.inFlight], [2, 0, receipt.actors.reduce((sum, { inFlight }) => sum + (inFlight ?? 0), 0)]);

  // Refused, each with its code.
  const refused = async (order: Parameters<typeof orderPlacement>[1]) => (await rejection(orderPlacement(world.broker, order)) as { code?: string }).code;
  const actor = "numbers/squares/0", to = rest.find((name) => name !== after.get(actor)) as string;
  assert.is(await refused({ action: "pin", actor, node: "n9" }), "NODE_UNKNOWN");
  assert.is(await refused({ action: "pin", actor, node: drained }), "NODE_CORDONED");
  assert.is(await refused({ action: "pin", actor: "numbers/squares/7", node: to }), "ACTOR_UNKNOWN");
  assert.is(await refused({ action: "release", actor }), "NOTHING_TO_DO");
  assert.is(await refused({ action: "uncordon", node: to }), "NOTHING_TO_DO");

  const moved = receiptOf(await world.commanded("move", actor, to, "--json")), row = moved.actors.find((one) => one.actor === actor);
  assert.equal([moved.isThere, row?.from, row?.to, row?.compared, moved.lost], [true, after.get(actor), to, true, 0]);
  assert.is((await world.placement(asked)).actors.get(actor), to);
  const said = `moves that were planned: paused ${[...receipt.actors, ...moved.actors].map(({ pauseMs }) => pauseMs).join(", ")} ms`;

  // Drained and stopped, it is simply gone: nothing moves for it.
  const placed = (await world.placement(asked)).actors, node = world.nodes.get(drained) as CliProcess;
  node.child.kill("SIGTERM");
  const left = await node.ended;
  assert.is(left.code, 130, left.stderr);
  assert.match(left.stderr, /Leaving: 0 actors/);
  assert.equal([...(await world.placement(asked)).actors], [...placed]);
  const why = await world.commanded("placement", "--why");
  assert.match(why.stdout, new RegExp(`${actor} +${to} +${after.get(actor)} +pinned to ${to}`));
  assert.match(why.stdout, new RegExp(`${drained} is drained; n\\d had the most room`));
  await finished(world, rest);
  console.log(`  ${said}`);
}));

test.run();
