// nats-roles.conf on a real nats-server, 2.10 and the newest: who may do what, what is refused, how fast that is known, and that an answer
// cannot be led to where its asker may not publish.
// test deadline: 240 s
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { TerminalError } from "../../../runtime/event/errors.ts";
import { defineFlow, startNode } from "../../../runtime/index.ts";
import { systemClock, systemRandom } from "../../../runtime/event/clock.ts";
import { Client } from "../../../runtime/broker/nats/client.ts";
import type { ClientName } from "../../../runtime/broker/nats/wire.ts";
import { connect } from "../../../runtime/broker/nats-broker.ts";
import type { Broker } from "../../../runtime/broker/broker.ts";
import { allLetters, newestLetters } from "../../../runtime/inspect/dead-letters.ts";
import { askAll } from "../../../runtime/inspect/inquiry.ts";
import { flowsOn } from "../../../runtime/inspect/flow-health.ts";
import { settleLetters } from "../../../runtime/inspect/letter-orders.ts";
import { placementOn } from "../../../runtime/inspect/placement-report.ts";
import { askScaling, orderScale } from "../../../runtime/inspect/scale-orders.ts";
import { collect, generate, map } from "../../../actors/index.ts";
import { type Application, accessOf, checkRoles, type ConfiguredServer, type Role, startConfigured, startWithRoles } from "../../support/nats-configured.ts";
import { rejection } from "../../support/rejection.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { eventually, within } from "../../support/waiting.ts";

/** Of what would otherwise take so long, a refusal is known at once. */
const patienceMs = 60_000, atOnceMs = 10_000;
const clients: readonly ClientName[] = ["nats", "natsio"];
const bytes = (text: string): Uint8Array => Buffer.from(text);
type Open<T> = T & AsyncDisposable;

for (const series of [undefined, "2.10"]) {
  const test = suite(`roles, nats-server ${series ?? "newest"}`);
  let server: ConfiguredServer, folder: Awaited<ReturnType<typeof temporaryFolder>>, node: Awaited<ReturnType<typeof startNode>>;
  const rows: { n: number }[] = [];
  let feeds = 0;

  const as = async (role: Role, { application = "shop" as Application, client = "nats" as ClientName, refused = (_: Error): void => {} } = {}): Promise<Open<Broker>> => {
    const broker = await connect({ servers: server.servers, ...accessOf(role, application), client, refused });
    return Object.assign(broker, { [Symbol.asyncDispose]: () => broker.close() });
  };
  /** Refused for want of a permission, which says which, and who has it. */
  const refused = async (call: () => Promise<unknown>, subject: RegExp, role: RegExp): Promise<void> => {
    const error = await within(atOnceMs, String(subject), rejection(call()));
    assert.is(error.code, "NATS_PERMISSION", error.message);
    assert.match(error.where, subject);
    assert.match(error.message, /does not let this user (publish on|subscribe to) "/);
    assert.match(error.remedy, role);
  };

  test.before(async () => {
    server = await startWithRoles(series);
    folder = await temporaryFolder();
    const flow = defineFlow("orders", (builder) => {
      const feed = builder.source("feed", generate({ count: 300, make: (n) => ({ n }) }));
      builder.sink("out", builder.processor("each", feed, { parallelism: 2 }, map((item: { n: number }) => {
        feeds++;
        if (item.n % 3 === 0) throw new TerminalError(`no use for ${item.n}`);
        return item;
      })), collect(rows));
    });
    const live = defineFlow("live", (builder) => void builder.sink("out", builder.processor("each", builder.source("feed", generate({ count: 1_000_000_000, rate: 20, make: (n) => ({ n }) })), map((item: { n: number }) => {
      if (item.n < 3) throw new TerminalError("too early");
      return item;
    })), collect<{ n: number }>([])));
    node = await startNode({ name: "n1", dataDir: folder.path, flows: [flow, live], nats: { servers: server.servers, ...accessOf("node") } });
    await eventually("orders has come to its end", async () => {
      await using broker = await as("node");
      return JSON.parse(Buffer.from((await broker.keys.get("flow.orders"))?.value ?? bytes("{}")).toString()).state === "finished";
    }, 60_000);
  });
  test.after(async () => {
    await node?.stop();
    await folder?.[Symbol.asyncDispose]();
    await server?.[Symbol.asyncDispose]();
  });

  test("nats-server -t accepts nats-roles.conf beside nats.conf", async () => {
    assert.match(await checkRoles(series), /is valid/);
  });

  test("a node with the role node runs a flow to its end: everything is there once", () => {
    assert.is(feeds, 300);
    assert.equal(rows.map(({ n }) => n).sort((a, b) => a - b), Array.from({ length: 300 }, (_, n) => n).filter((n) => n % 3 !== 0));
  });

  for (const client of clients) {
    test(`${client}: a viewer sees trees, placement, flows, dead letters, also more of them than are read one by one`, async () => {
      await using viewer = await as("viewer", { client });
      const [asked] = await askAll(viewer);
      assert.equal([asked?.node, asked?.report?.flows.map(({ name }) => name).sort(), asked?.failure], ["n1", ["live", "orders"], undefined]);
      assert.equal((await placementOn(viewer)).flows, []);
      assert.equal((await flowsOn(viewer)).map(({ flow, missing }) => [flow, missing]), [["live", []], ["orders", []]]);
      const numbers: number[] = [];
      for await (const { event } of allLetters(viewer, "orders")) numbers.push((event.data as { n: number }).n);
      assert.equal(numbers.sort((a, b) => a - b), Array.from({ length: 100 }, (_, n) => n * 3));
      assert.is((await newestLetters(viewer, "orders", 5)).length, 5);
      assert.is((await newestLetters(viewer, "orders", 5, { stage: "each" })).length, 5);
    });

    test(`${client}: a viewer, who may make no consumer, reads streams by number, over holes, and ends where they end`, async () => {
      await using owner = await as("node");
      await using viewer = await as("viewer", { client });
      await owner.create({ name: "mr_holes", subject: "mr.holes.>", maxPerSubject: 1, replicas: 1 });
      const write = (subject: string, times: number) => Promise.all(Array.from({ length: times }, () => owner.stream("mr_holes", subject).append(bytes(subject), undefined, patienceMs)));
      for (const [subject, times] of [["mr.holes.a", 3], ["mr.holes.b", 300], ["mr.holes.c", 1], ["mr.holes.d", 80], ["mr.holes.e", 1]] as const) await write(subject, times);
      const read = async (subject: string, from: number, to: number) => {
        const found: string[] = [];
        for await (const { seq, data } of viewer.stream("mr_holes", subject).read(from, to)) found.push(`${seq} ${Buffer.from(data)}`);
        return found;
      };
      assert.equal(await read("mr.holes.>", 1, 1_000), ["3 mr.holes.a", "303 mr.holes.b", "304 mr.holes.c", "384 mr.holes.d", "385 mr.holes.e"]);
      assert.equal(await read("mr.holes.>", 4, 384), ["303 mr.holes.b", "304 mr.holes.c", "384 mr.holes.d"]);
      assert.equal(await read("mr.holes.c", 1, 1_000), ["304 mr.holes.c"]);
      assert.equal(await read("mr.holes.c", 305, 1_000), []);
      await owner.remove("mr_holes");
    });

    test(`${client}: a viewer operates nothing: each try is refused at once, by a code that names the role that may`, async () => {
      await using viewer = await as("viewer", { client });
      const options = { clock: systemClock, random: systemRandom }, log = "mr.actor.live.each.x-1.0.log";
      const settle = (action: "replay" | "drop", flow: string) => async () => { for await (const _ of settleLetters(viewer, flow, allLetters(viewer, flow), action, options)); };
      await refused(settle("replay", "live"), /^mr\.operate\.n1$/, /operator/);
      await refused(settle("drop", "live"), /^mr\.operate\.n1$/, /operator/);
      await refused(settle("drop", "orders"), /^mr\.(operate\.n1|dead\.orders\.each\..*\.by-hand)$/, /operator/);
      await refused(() => orderScale(viewer, { action: "begin", flow: "live", stage: "each", count: 2 }), /^mr\.operate\.n1$/, /operator/);
      await refused(() => viewer.stream("mr_dead_orders", "mr.dead.orders.>").purge(2), /^\$JS\.API\.STREAM\.PURGE\.mr_dead_orders$/, /node/);
      await refused(() => viewer.remove("mr_dead_orders"), /^\$JS\.API\.STREAM\.DELETE\.mr_dead_orders$/, /node/);
      await refused(() => viewer.create({ name: "mr_x", subject: "mr.x", replicas: 1 }), /^\$JS\.API\.STREAM\.CREATE\.mr_x$/, /node/);
      await refused(() => viewer.keys.set("flow.live", bytes("{}"), 1), /^\$KV\.millrace\.flow\.live$/, /node/);
      for (const subject of [log, "mr.actor.live.each.x-1.0.in.0", "mr.cluster.log", "mr.node.n1", "mr.dead.live.each.x-1.0"]) {
        const stream = viewer.stream(subject.replaceAll(".", "_"), subject);
        assert.is(await within(atOnceMs, subject, stream.append(bytes("x"), undefined, patienceMs)), "refused");
        assert.is(stream.refusal?.code, "NATS_PERMISSION");
      }
    });

    test(`${client}: a publisher reads nothing: not even to connect is it let, and what it would publish to is its only subject`, async () => {
      await refused(() => as("publisher", { client }), /^\$JS\.API\.INFO$/, /viewer/);
      const wire = await Client.connect({ servers: server.servers, ...accessOf("publisher"), client });
      try {
        for (const subject of ["mr.inspect.n1", "mr.operate.n1", "$JS.API.STREAM.MSG.GET.mr_dead_orders", "$JS.API.STREAM.NAMES", "$KV.millrace.nodes", "mr.actor.live.each.x-1.0.in.0", "$JS.API.CONSUMER.CREATE.mr_dead_orders"]) {
          await refused(() => wire.request(subject, bytes("{}"), patienceMs), new RegExp(`^${subject.replaceAll(".", "\\.").replaceAll("$", "\\$")}$`), /./);
        }
        // Nothing takes pushed events yet: the server lets it through, and nobody is there.
        assert.is((await rejection(wire.request("mr.push.live.feed", bytes("x"), patienceMs))).code, "NOT_FOUND");
        for (const subject of ["mr.>", "mr.push.live.feed", "_INBOX.>", "_INBOX_viewer.>", "$KV.>", ">"]) {
          const told = new Promise<string>((resolve) => { wire.onRefusal = (refusal) => resolve(`${refusal.operation} ${refusal.subject}`); });
          wire.subscribe(subject, () => assert.unreachable(`it hears ${subject}`));
          assert.is(await within(atOnceMs, subject, told), `subscription ${subject}`);
        }
      } finally {
        await wire.close();
      }
    });

    test(`${client}: who asks cannot have an answer sent into a mailbox, a log or the list of letters, as viewer and as operator`, async () => {
      await using owner = await as("node");
      await owner.create({ name: "mr_actor_box", subject: "mr.actor.box", replicas: 1 });
      const box = owner.stream("mr_actor_box", "mr.actor.box"), letters = owner.stream("mr_dead_orders", "mr.dead.orders.>"), before = [await box.bounds(), await letters.bounds()];
      for (const role of ["viewer", "operator"] as const) {
        const wire = await Client.connect({ servers: server.servers, ...accessOf(role), client });
        try {
          for (const to of ["mr.actor.box", "mr.dead.orders.each.x-1.0.by-hand", "mr.operate.n1", "$JS.API.STREAM.PURGE.mr_actor_box"]) {
            wire.publish("$JS.API.STREAM.INFO.mr_dead_orders", new Uint8Array(), to);
            wire.publish("$JS.API.STREAM.MSG.GET.mr_dead_orders", bytes('{"seq":1}'), to);
            wire.publish("mr.inspect.n1", bytes('{"what":"ping"}'), to);
          }
          // It was answered after all of these: the server and the node take them in order.
          await wire.request("$JS.API.STREAM.INFO.mr_dead_orders", new Uint8Array(), 10_000);
          await wire.request("mr.inspect.n1", bytes('{"what":"ping"}'), 10_000);
        } finally {
          await wire.close();
        }
      }
      assert.equal([await box.bounds(), await letters.bounds()], before);
      // In the account of the nodes it would be: this is what the accounts of their own are for.
      const inside = await Client.connect({ servers: server.servers, ...accessOf("node"), client });
      inside.publish("$JS.API.STREAM.INFO.mr_dead_orders", new Uint8Array(), "mr.actor.box");
      await eventually("an answer in a mailbox", async () => (await box.bounds()).last > (before[0]?.last ?? 0));
      await inside.close();
      await owner.remove("mr_actor_box");
    });
  }

  test("an operator scales, replays and drops, and drops by hand what no actor takes back any more", async () => {
    await using operator = await as("operator");
    const options = { clock: systemClock, random: systemRandom };
    const settled = async (flow: string, action: "replay" | "drop") => {
      const outcomes: string[] = [];
      for await (const [, outcome] of settleLetters(operator, flow, allLetters(operator, flow, { open: true }), action, options)) outcomes.push(outcome.is);
      return outcomes;
    };
    const [first] = await newestLetters(operator, "live", 1);
    const drop = async function* () { yield first as NonNullable<typeof first>; };
    for await (const [, outcome] of settleLetters(operator, "live", drop(), "drop", options)) assert.is(outcome.is, "dropped");
    // It throws again: asked for, and answered by the actor.
    assert.equal(await settled("live", "replay"), ["failed", "failed"]);
    assert.equal(await settled("live", "drop"), ["dropped", "dropped"]);
    assert.equal((await settled("orders", "drop")).filter((is) => is !== "dropped"), []);
    await orderScale(operator, { action: "begin", flow: "live", stage: "each", count: 2 });
    await eventually("it has two", async () => JSON.stringify(await askScaling(operator, "live")).includes('"to":2') || undefined, 30_000);
    await eventually("the tree has two", async () => ((await askAll(operator))[0]?.report?.lines.filter(({ id, kind }) => kind === "actor" && id.startsWith("live/each/")).length ?? 0) >= 2, 60_000);
    for (const subject of ["mr.actor.live.each.x-1.0.log", "mr.cluster.log"]) assert.is(await operator.stream("x", subject).append(bytes("x"), undefined, patienceMs), "refused");
    await refused(() => operator.stream("mr_dead_live", "mr.dead.live.>").purge(2), /PURGE/, /node/);
  });

  test("a user of another account sees no node, no flow, no stream, and reaches nobody", async () => {
    for (const role of ["viewer", "operator", "node"] as const) {
      await using other = await as(role, { application: "lab" });
      assert.equal(await askAll(other), []);
      assert.equal(await other.list(""), []);
      assert.is((await rejection(other.stream("mr_dead_orders", "mr.dead.orders.>").bounds())).code, "STREAM_MISSING");
      assert.is((await rejection(other.request("mr.inspect.n1", bytes("{}"), patienceMs))).code, "NOT_FOUND");
      if (role !== "viewer") assert.is((await rejection(other.request("mr.operate.n1", bytes("{}"), patienceMs))).code, "NOT_FOUND");
    }
  });

  test("an inbox that is not the role's own is refused with what to give", async () => {
    for (const client of clients) for (const inbox of ["_INBOX", "_INBOX_operator"]) {
      const error = await rejection(connect({ servers: server.servers, ...accessOf("viewer"), inbox, client }));
      assert.is(error.code, "NATS_PERMISSION");
      assert.match(error.message, new RegExp(`subscribe to "${inbox}\\.`));
      assert.match(error.remedy, /--nats-inbox/);
    }
  });

  test("who runs a flow without the role is refused at the start, and a node that lacks a subscription says so once", async () => {
    await using mine = await temporaryFolder();
    const flow = defineFlow("mine", (builder) => void builder.sink("out", builder.source("feed", generate({ count: 1, make: (n) => ({ n }) })), collect<{ n: number }>([])));
    const error = await rejection(startNode({ dataDir: mine.path, flows: [flow], nats: { servers: server.servers, ...accessOf("operator") } }));
    assert.is(error.code, "NATS_PERMISSION");
    const told: Error[] = [];
    await using viewer = await as("viewer", { refused: (its) => told.push(its) });
    for (let at = 0; at < 2; at++) viewer.serve("mr.operate.n2", () => Promise.resolve(bytes("")));
    await viewer.keys.get("nodes");
    assert.equal(told.map((its) => (its as { code?: string }).code), ["NATS_PERMISSION"]);
    assert.match(told[0]?.message ?? "", /subscribe to "mr\.operate\.n2"/);
  });

  for (const client of clients) {
    test(`${client}: a permission that is taken away stops an append at once and is told, what was asked meanwhile fails by its code, and with the permission all goes on`, async () => {
      const conf = (subjects: string) => `accounts { A: { jetstream: enabled, users: [{ user: u, password: p, permissions: { publish: { allow: [${subjects}] }, subscribe: { allow: ["_INBOX.>"] } } }] } }`, all = '"mr.>", "$JS.API.>"';
      await using own = await startConfigured(conf(all), series === undefined ? {} : { series });
      const told: Error[] = [], heard: string[] = [], broker = await connect({ servers: own.servers, user: "u", pass: "p", client, refused: (error) => told.push(error) });
      try {
        await broker.create({ name: "mr_a", subject: "mr.a", replicas: 1 });
        const stream = broker.stream("mr_a", "mr.a"), follower = stream.follow(1), append = (text: string) => eventually(`${text} is settled`, async () => { const its = await stream.append(bytes(text), undefined, patienceMs); return its !== "unknown" && its; });
        assert.equal([await append("one"), stream.refusal], [1, undefined]);
        await own.reload(conf('"mr.b", "$JS.API.STREAM.INFO.*"'));
        assert.is(await append("two"), "refused");
        assert.is(stream.refusal?.code, "NATS_PERMISSION");
        assert.is((await rejection(stream.last())).code, "NATS_PERMISSION");
        assert.equal(await stream.bounds(), { first: 1, last: 1 });
        await own.reload(conf(all));
        assert.equal([await append("three"), stream.refusal], [2, undefined]);
        const read = await eventually("both are read", () => { for (let message = follower.take(); message; message = follower.take()) heard.push(Buffer.from(message.data).toString()); return heard.length === 2 && heard; }, 30_000);
        assert.equal(read, ["one", "three"]);
        assert.is(told.filter((error) => /publish on "mr\.a"/.test(error.message)).length, 1, "told once");
      } finally {
        await broker.close();
      }
    });
  }

  test.run();
}
