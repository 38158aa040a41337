import { suite } from "uvu";
import * as assert from "uvu/assert";
import { Membership } from "../../../runtime/cluster/membership.ts";
import { ManualClock } from "../../../runtime/testing/manual-clock.ts";
import { MemoryBroker } from "../../../runtime/testing/memory-broker.ts";
import { MemoryServer } from "../../../runtime/testing/memory-server.ts";
import { MemberOfTest, silent } from "./members.ts";

const test = suite("heartbeat");

test("a beat that is larger than a message may be does no harm to its node: it is not heard, and is again when there is less to tell", async () => {
  const clock = new ManualClock(), server = new MemoryServer({ clock, maxPayload: 4_096 }), a = new MemberOfTest("a", { broker: new MemoryBroker(server), clock }), b = await new MemberOfTest("b", { broker: new MemoryBroker(server), clock }).start();
  await a.start();
  await clock.elapse(1_000);
  assert.equal(b.sees, ["a", "b"]);
  a.flows = Array.from({ length: 100 }, (_, n) => ({ name: `flow-${n}`, code: "c".repeat(64), hosted: 0, ended: 0, stuck: 0 }));
  a.heartbeat.tell();
  await clock.elapse(5_000);
  assert.equal(b.sees, ["b"]);
  a.flows = [];
  await clock.elapse(1_000);
  assert.equal(b.sees, ["a", "b"]);
});

test("nodes whose stream of beats is gone make it again, and hear each other", async () => {
  const clock = new ManualClock(), server = new MemoryServer({ clock }), [a, b] = await Promise.all(["a", "b"].map((name) => new MemberOfTest(name, { broker: new MemoryBroker(server), clock }).start())) as [MemberOfTest, MemberOfTest];
  await clock.elapse(20_000);
  server.remove("mr_nodes");
  await clock.elapse(3_000);
  b.flows = [{ name: "f", code: "c", hosted: 1, ended: 0, stuck: 0 }];
  await clock.elapse(2_000);
  assert.equal([a.sees, b.sees, a.heartbeat.membership.node("b")?.flows], [["a", "b"], ["a", "b"], b.flows]);
});

test("beats that the server lost are heard again; that what was followed before could not be closed is told as that, and the node is there", async () => {
  const clock = new ManualClock(), server = new MemoryServer({ clock }), heart = new MemoryBroker(server), told: string[] = [], stream = heart.stream.bind(heart);
  heart.stream = (name, subject) => {
    const its = stream(name, subject), follow = its.follow.bind(its);
    return Object.assign(its, { follow: (from: number) => Object.assign(follow(from), { close: () => Promise.reject(new Error("it is stuck")) }) });
  };
  const tell = (text: string, fields?: object): void => void told.push(`${text} ${JSON.stringify(fields ?? {})}`);
  const a = await new MemberOfTest("a", { broker: new MemoryBroker(server), heart, clock, told: { ...silent, warn: tell, error: tell } }).start(), b = await new MemberOfTest("b", { broker: new MemoryBroker(server), clock }).start();
  await clock.elapse(10_000);
  server.rollback("mr_nodes", 3);
  b.flows = [{ name: "f", code: "c", hosted: 1, ended: 0, stuck: 0 }];
  await clock.elapse(2_000);
  assert.equal(a.heartbeat.membership.node("b")?.flows, b.flows);
  const close = "a subscription to heartbeats that nobody reads any more could not be closed {\"reason\":\"it is stuck\"}";
  assert.match(told[0] ?? "", /^NATS lost heartbeats that it had acknowledged/);
  assert.equal(told.slice(1), [close]);
  await a.stop();
  assert.equal(told.slice(1), [close, close]);
});

test("of nodes that have gone the newest thousand are known: names that are given once do not pile up", () => {
  const membership = new Membership({ name: "me", life: "1" }), node = (name: string, state: "here" | "left") => membership.take({ name, life: "1", beat: 1, state, weight: 1, labels: [], version: "0", startedAt: 0, flows: [] });
  for (let n = 0; n < 1_001; n++) {
    node(`n${n}`, "here");
    node(`n${n}`, "left");
  }
  assert.equal([membership.former("n0"), membership.former("n1")?.state, membership.former("n1000")?.state], [undefined, "left", "left"]);
});

test.run();
