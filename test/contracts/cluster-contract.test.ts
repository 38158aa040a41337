// test deadline: 60 s
// Heartbeats, lease and placement log do on nats-server, with real time, what they do on the twins.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Broker } from "../../runtime/broker/broker.ts";
import { connect } from "../../runtime/broker/nats-broker.ts";
import { beatMs, missedBeats } from "../../runtime/cluster/membership.ts";
import type { FlowSeats } from "../../runtime/cluster/placement-record.ts";
import { systemClock } from "../../runtime/event/clock.ts";
import { MemberOfTest } from "../runtime/cluster/members.ts";
import { startNatsServer } from "../support/nats-server.ts";
import { eventually } from "../support/waiting.ts";

const test = suite("a cluster on nats-server");
const flow = (run: string): FlowSeats => ({ name: "f", run, code: "c", ended: false, stages: [] });

async function withServer(of: (connection: () => Promise<Broker>) => Promise<void>): Promise<void> {
  await using server = await startNatsServer();
  const brokers: Broker[] = [];
  try {
    await of(async () => {
      const broker = await connect({ servers: server.servers, user: server.user, pass: server.pass });
      brokers.push(broker);
      return broker;
    });
  } finally {
    for (const broker of brokers) await broker.close();
  }
}

test("one of three gets the lease; its silence is noticed in about three seconds, and another one leads; the deposed one decides nothing", () => withServer(async (connection) => {
  const heart = await connection(), clock = systemClock;
  const [a, b, c] = await Promise.all([
    new MemberOfTest("a", { broker: await connection(), heart, clock }).start(), new MemberOfTest("b", { broker: await connection(), clock }).start(), new MemberOfTest("c", { broker: await connection(), clock }).start(),
  ]);
  await eventually("all see all", () => [a, b, c].every(({ sees }) => sees.length === 3));
  assert.is(await a.lease.seek(), true);
  assert.equal(await Promise.all([b, c].map(({ lease }) => lease.seek())), [false, false]);
  await eventually("all know who leads", () => [a, b, c].every(({ log }) => log.state.term === 1));
  assert.is([a, b, c].filter(({ lease }) => lease.held).length, 1);
  const { term } = a.lease;
  assert.is(await a.log.append({ kind: "place", flow: flow("one"), moves: [] }, term), true);
  await heart.close();
  const silent = performance.now();
  await eventually("b and c miss it", () => [b, c].every(({ changes }) => changes.includes("a gone")), 10_000);
  const ms = performance.now() - silent;
  assert.ok(ms > beatMs * (missedBeats - 2) && ms < beatMs * (missedBeats + 4), `${ms} ms`);
  // At the same moment: of two that build on the same record one is let through.
  const [decided, ...led] = await Promise.all([a.log.append({ kind: "place", flow: flow("two"), moves: [] }, term), b.lease.seek(), c.lease.seek()]);
  assert.is([decided, ...led].filter((it) => it).length, 1);
  if (decided === true) assert.is((await Promise.all([b.lease.seek(), c.lease.seek()])).filter((it) => it).length, 1);
  assert.is(await a.log.append({ kind: "place", flow: flow("three"), moves: [] }, term), false);
  await eventually("all tell the same", () => new Set([a, b, c].map(({ log }) => JSON.stringify([log.state.n, log.state.term, [...log.state.flows.values()]]))).size === 1);
  assert.is(a.lease.held, false);
  for (const member of [a, b, c]) await member.stop();
}));

test("who leaves in order is not there at once, for all; who comes later knows it, and what was decided", () => withServer(async (connection) => {
  const clock = systemClock, a = await new MemberOfTest("a", { broker: await connection(), clock }).start(), b = await new MemberOfTest("b", { broker: await connection(), clock }).start();
  await eventually("b sees a", () => b.sees.length === 2);
  assert.is(await a.lease.seek(), true);
  await a.log.append({ kind: "place", flow: flow("one"), moves: [] }, 1);
  const begun = performance.now();
  await a.stop();
  await eventually("b knows that a has left", () => b.changes.includes("a left"));
  assert.ok(performance.now() - begun < beatMs * missedBeats);
  const c = await new MemberOfTest("c", { broker: await connection(), clock }).start();
  assert.is(c.log.state.flows.get("f")?.run, "one");
  await eventually("c sees b, and not a", () => c.sees.join() === "b,c");
  assert.is(await c.lease.seek(), true);
  for (const member of [b, c]) await member.stop();
}));

test.run();
