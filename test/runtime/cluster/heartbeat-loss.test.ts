// The server lost beats that it had acknowledged (P30): a power loss, an older copy of its store.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { nodesStream } from "../../../runtime/cluster/node-record.ts";
import { ManualClock } from "../../../runtime/testing/manual-clock.ts";
import { MemoryBroker } from "../../../runtime/testing/memory-broker.ts";
import { MemoryServer } from "../../../runtime/testing/memory-server.ts";
import { MemberOfTest } from "./members.ts";

const test = suite("heartbeats are lost");

test("a node hears the others and itself at once, not only when as many beats have come again; none is taken for gone", async () => {
  const clock = new ManualClock(), server = new MemoryServer({ clock }), brokers = [new MemoryBroker(server), new MemoryBroker(server)] as const;
  const a = await new MemberOfTest("a", { broker: brokers[0], clock }).start(), b = await new MemberOfTest("b", { broker: brokers[1], clock }).start();
  await clock.elapse(2_000);
  const copy = server.streams.get(nodesStream)?.bounds().last ?? 0;
  await clock.elapse(20_000);
  for (const broker of brokers) broker.disconnect();
  server.rollback(nodesStream, copy);
  for (const broker of brokers) broker.reconnect();
  await clock.elapse(1_000);
  b.flows = [{ name: "quakes", code: "c", hosted: 2, ended: 2, stuck: 0 }];
  await clock.elapse(2_000);
  assert.equal(a.heartbeat.membership.node("b")?.flows, b.flows, "what it tells now is heard");
  await clock.elapse(10_000);
  assert.equal([a.sees, b.sees], [["a", "b"], ["a", "b"]]);
  assert.equal([...a.changes, ...b.changes].filter((change) => !/ (joined|changed)$/.test(change)), []);
  // And who dies after that is noticed as always.
  brokers[1].disconnect();
  await clock.elapse(4_000);
  assert.equal(a.sees, ["a"]);
});

test.run();
