import { suite } from "uvu";
import * as assert from "uvu/assert";
import { orderPlacement, watchPlacement } from "../../../runtime/inspect/placement-orders.ts";
import { join } from "../../../runtime/node/membership.ts";
import type { PlacementAnswer } from "../../../runtime/node/placement-questions.ts";
import { inspectSubject, operateSubject } from "../../../runtime/node/questions.ts";
import { MemoryBroker } from "../../../runtime/testing/memory-broker.ts";
import { MemoryServer } from "../../../runtime/testing/memory-server.ts";
import { rejection } from "../../support/rejection.ts";

const test = suite("orders about the placement, from outside");

test("who watches goes on after NATS was away, and after nobody of the cluster answered; not for ever", async () => {
  const server = new MemoryServer(), broker = new MemoryBroker(server), node = new MemoryBroker(server), answer: PlacementAnswer = { term: 1, leader: "n1", n: 7, nodes: [], cordoned: [], lingering: {}, flows: [] };
  await join(node.keys, { name: "n1", since: 0 }, () => Promise.resolve(true));
  assert.is((await rejection(watchPlacement(broker, 0))).code, "NO_CLUSTER");
  broker.disconnect();
  assert.is((await rejection(watchPlacement(broker, 0))).code, "UNREACHABLE");
  const watched = watchPlacement(broker);
  broker.reconnect();
  node.serve(inspectSubject("n1"), () => Promise.resolve(Buffer.from(JSON.stringify({ node: "n1", answer }))));
  assert.equal(await watched, answer);
});

test("an order of which it was not told what became of it is given again; that there is nothing left to do then says that it stands, and at first that there was nothing to do", async () => {
  const server = new MemoryServer(), broker = new MemoryBroker(server), node = new MemoryBroker(server), answer: PlacementAnswer = { term: 1, leader: "n1", n: 7, nodes: [], cordoned: [], lingering: {}, flows: [] };
  const refusals: string[] = [], refused = (code: string) => ({ refused: { code, where: "mr.cluster.log", message: code, remedy: "" } });
  await join(node.keys, { name: "n1", since: 0 }, () => Promise.resolve(true));
  node.serve(inspectSubject("n1"), () => Promise.resolve(Buffer.from(JSON.stringify({ node: "n1", answer }))));
  node.serve(operateSubject("n1"), () => Promise.resolve(Buffer.from(JSON.stringify({ node: "n1", answer: refused(refusals.shift() as string) }))));
  refusals.push("UNREACHABLE", "NOT_LEADER", "NOTHING_TO_DO");
  assert.is(await orderPlacement(broker, { action: "uncordon", node: "n1" }), 7);
  refusals.push("NOT_LEADER", "NOTHING_TO_DO");
  assert.is((await rejection(orderPlacement(broker, { action: "release", actor: "f/s/0" })) as { code?: string }).code, "NOTHING_TO_DO");
});

test.run();
