import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Appended, Broker } from "../../../runtime/broker/broker.ts";
import { connect } from "../../../runtime/broker/nats-broker.ts";
import { brokerContract, connection, take } from "../../contracts/broker-contract.ts";
import { dropMessages } from "../../support/message-filter.ts";
import { startNatsGreeter } from "../../support/nats-greeter.ts";
import { sharedNatsServer, startNatsServer, type TestServer } from "../../support/nats-server.ts";
import { rejection } from "../../support/rejection.ts";
import { startTcpProxy } from "../../support/tcp-proxy.ts";
import { eventually, within } from "../../support/waiting.ts";

const faults = suite("nats broker: faults");
const nats = sharedNatsServer(faults.after);
const text = (value: string) => new TextEncoder().encode(value);
const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

type Disposable<T> = T & AsyncDisposable;
async function open(server: TestServer, port = server.port): Promise<Disposable<Broker>> {
  const broker = await connect({ servers: `nats://127.0.0.1:${port}`, user: server.user, pass: server.pass });
  return Object.assign(broker, { [Symbol.asyncDispose]: () => broker.close() });
}

async function clean(server: TestServer): Promise<void> {
  await using cleaner = await open(server);
  await Promise.all((await cleaner.list("")).map((name) => cleaner.remove(name)));
}

brokerContract("nats broker: contract", async () => {
  const server = await nats();
  const proxy = await startTcpProxy(server.port);
  const broker = await open(server, proxy.port);
  return {
    broker,
    connect: () => open(server),
    cut: async () => proxy.cut(),
    mend: async () => proxy.mend(),
    async [Symbol.asyncDispose]() {
      await broker.close();
      await proxy[Symbol.asyncDispose]();
      await clean(server);
    },
  };
});

/** A stream on a server of the test's own. */
async function ownServer() {
  const server = await startNatsServer();
  const broker = await open(server);
  await broker.create({ name: "mr_a", subject: "mr.a", replicas: 1 });
  return {
    server,
    broker,
    stream: broker.stream("mr_a", "mr.a"),
    async [Symbol.asyncDispose]() {
      await broker.close();
      await server[Symbol.asyncDispose]();
    },
  };
}

/** A stream on the shared server, through a proxy that drops messages. */
async function filtered(drop: (line: string) => boolean, change = (chunk: Buffer): Buffer => chunk) {
  const server = await nats();
  const proxy = await startTcpProxy(server.port);
  proxy.transform = () => {
    const dropping = dropMessages(drop);
    return (chunk) => dropping(change(chunk));
  };
  const broker = await open(server, proxy.port);
  await broker.create({ name: "mr_a", subject: "mr.a", replicas: 1 });
  return {
    broker,
    server,
    stream: broker.stream("mr_a", "mr.a"),
    async [Symbol.asyncDispose]() {
      await broker.close();
      await proxy[Symbol.asyncDispose]();
      await clean(server);
    },
  };
}

faults("a SIGKILL of the server with 1,000 appends in flight: each one settles, and what was accepted is there", async () => {
  await using fixture = await ownServer();
  const { broker, stream, server } = fixture;
  const outcomes = numbers(0, 999).map((i) => stream.append(text(`m${i}`)));
  await Promise.race(outcomes);
  await server.kill();
  const settled = await within(5_000, "all appends", Promise.all(outcomes));
  await server.restart();
  await connection(broker, true);
  const accepted = settled.flatMap((outcome, i) => (typeof outcome === "number" ? [{ seq: outcome, i }] : []));
  assert.ok(accepted.length > 0);
  assert.ok(settled.every((outcome) => typeof outcome === "number" || outcome === "unknown"));
  const there = new Map<number, string>();
  for await (const message of stream.read(1, 1_000)) there.set(message.seq, new TextDecoder().decode(message.data));
  for (const { seq, i } of accepted) assert.is(there.get(seq), `m${i}`);
  assert.is(await stream.append(text("next")), there.size + 1);
});

faults("a server that stands still longer than the time-outs: appends become unknown in time, and what is stored late is told by nobody as accepted twice", async () => {
  await using fixture = await ownServer();
  const { broker, stream, server } = fixture;
  assert.is(await stream.append(text("a"), 0), 1);
  await server.pause();
  const began = performance.now();
  const outcomes = await Promise.all([stream.append(text("b"), 1), stream.append(text("c"), undefined, 300), stream.append(text("d"), 1, 200)]);
  const took = performance.now() - began;
  assert.equal(outcomes, ["unknown", "unknown", "unknown"]);
  assert.ok(took < 700 + 250, `${took} ms`);
  assert.is((await rejection(stream.last())).code, "UNREACHABLE");
  assert.is(broker.connected, true);
  server.resume();
  // The first and the second are stored late; a read may overtake them, though they were sent first (so P2 appends again with the
  // same expectation).
  await eventually("the late ones are stored", async () => (await stream.last())?.seq === 3);
  assert.is(await stream.append(text("b"), 1), "refused");
  assert.is(await stream.append(text("e"), 3), 4);
});

faults("a follower goes on over a restart of the server, without a gap and without a repeat", async () => {
  await using fixture = await ownServer();
  const { broker, stream, server } = fixture;
  const follow = stream.follow(1);
  const seen: unknown[] = [];
  for (let round = 0; round < 3; round++) {
    const before = (await stream.bounds()).last;
    for (const i of numbers(1, 300)) assert.is(await stream.append(text(`${before + i}`)), before + i);
    seen.push(...(await take(follow, 200)));
    await (round % 2 ? server.stop() : server.kill());
    await connection(broker, false);
    await server.restart();
    await connection(broker, true);
  }
  seen.push(...(await take(follow, 300)));
  assert.equal(seen, numbers(1, 900).map((seq) => [seq, `${seq}`]));
  assert.is(follow.take(), undefined);
  await follow.close();
});

faults("many followers find their place again after a restart", async () => {
  await using fixture = await ownServer();
  const { broker, server } = fixture;
  const streams = await Promise.all(numbers(1, 150).map(async (i) => {
    await broker.create({ name: `mr_many_${i}`, subject: `mr.many.${i}`, replicas: 1 });
    return broker.stream(`mr_many_${i}`, `mr.many.${i}`);
  }));
  await Promise.all(streams.map((stream) => stream.append(text("1"))));
  const follows = streams.map((stream) => stream.follow(1));
  await Promise.all(follows.map((follow) => take(follow, 1)));
  await server.kill();
  await server.restart();
  await connection(broker, true);
  await Promise.all(streams.map((stream) => stream.append(text("2"))));
  for (const found of await Promise.all(follows.map((follow) => take(follow, 1)))) assert.equal(found, [[2, "2"]]);
});

faults("an append whose ack is lost is unknown, though it is stored", async () => {
  let isDropping = false;
  await using fixture = await filtered((line) => isDropping && line.includes("_INBOX"));
  isDropping = true;
  assert.is(await fixture.stream.append(text("a"), 0, 200), "unknown");
  isDropping = false;
  assert.is((await fixture.stream.last())?.seq, 1);
});

faults("a lost delivery is a gap in the consumer's numbers: the follower goes on where it was", async () => {
  let dropped = 0;
  // The 7th delivery, once: "$JS.ACK.<stream>.<consumer>.<tries>.<sequence>.<delivery>…".
  await using fixture = await filtered((line) => line.includes("$JS.ACK.mr_a.") && line.includes(".1.7.7.") && dropped++ === 0);
  for (const i of numbers(1, 50)) await fixture.stream.append(text(`${i}`));
  const follow = fixture.stream.follow(1);
  assert.equal(await take(follow, 50), numbers(1, 50).map((i) => [i, `${i}`]));
  assert.ok(dropped > 0);
  await follow.close();
});

faults("a range is read to its end, though the server that reads it is behind its leader and says that nothing is left", async () => {
  let behind = 0;
  // What the first two consumers hold is not there yet: the reply says so, and nothing of it is delivered.
  const mute = new Set<string>();
  await using fixture = await filtered((line) => [...mute].some((name) => line.includes(`$JS.ACK.mr_a.${name}.`)), (chunk) => {
    const reply = chunk.toString("latin1"), name = /"name":"(mr_[^"]+)".*"num_pending":50,/s.exec(reply)?.[1];
    if (name === undefined || behind === 2) return chunk;
    behind++;
    mute.add(name);
    return Buffer.from(reply.replace('"num_pending":50,', '"num_pending":0 ,'), "latin1");
  });
  for (const i of numbers(1, 50)) await fixture.stream.append(text(`${i}`));
  const read: number[] = [];
  for await (const { seq } of fixture.stream.read(1, 50)) read.push(seq);
  assert.equal([read, behind], [numbers(1, 50), 2]);
});

faults("a lost tail shows no gap: the watchdog finds it (P18)", async () => {
  let isDropping = false;
  await using fixture = await filtered((line) => isDropping && line.includes("$JS.ACK"));
  const follow = fixture.stream.follow(1);
  await fixture.stream.append(text("1"));
  assert.equal(await take(follow, 1), [[1, "1"]]);
  isDropping = true;
  await fixture.stream.append(text("2"));
  await fixture.stream.append(text("3"));
  isDropping = false;
  assert.equal(await take(follow, 2, 8_000), [[2, "2"], [3, "3"]]);
  await follow.close();
});

faults("heartbeats that do not come make the follower ask anew", async () => {
  let isDropping = false;
  await using fixture = await filtered((line) => isDropping && (line.includes("$JS.ACK") || line.startsWith("HMSG")));
  const follow = fixture.stream.follow(1);
  await fixture.stream.append(text("1"));
  assert.equal(await take(follow, 1), [[1, "1"]]);
  isDropping = true;
  await fixture.stream.append(text("2"));
  // Nothing of this consumer comes through any more; one made anew has another name.
  const consumers = async () => {
    await using other = await connectRaw(fixture.server);
    return await other.consumers("mr_a");
  };
  const [first] = await consumers();
  await eventually("another consumer", async () => (await consumers()).some((name) => name !== first), 10_000);
  isDropping = false;
  assert.equal(await take(follow, 1, 10_000), [[2, "2"]]);
  await follow.close();
});

faults("a follower whose consumer is deleted makes another, and a closed one leaves none behind", async () => {
  const server = await nats();
  await using broker = await open(server);
  await broker.create({ name: "mr_a", subject: "mr.a", replicas: 1 });
  const stream = broker.stream("mr_a", "mr.a");
  const follow = stream.follow(1);
  await using raw = await connectRaw(server);
  for (const i of numbers(1, 3)) {
    await stream.append(text(`${i}`));
    assert.equal(await take(follow, 1), [[i, `${i}`]]);
    for (const consumer of await raw.consumers("mr_a")) await raw.api(`CONSUMER.DELETE.mr_a.${consumer}`);
  }
  await stream.append(text("4"));
  assert.equal(await take(follow, 1), [[4, "4"]]);
  await follow.close();
  assert.equal(await raw.consumers("mr_a"), []);
  await clean(server);
});

faults("a follower outlives its stream: it goes on when the stream is made again", async () => {
  const server = await nats();
  await using broker = await open(server);
  const stream = broker.stream("mr_a", "mr.a");
  await broker.create({ name: "mr_a", subject: "mr.a", replicas: 1 });
  const follow = stream.follow(1);
  await stream.append(text("1"));
  assert.equal(await take(follow, 1), [[1, "1"]]);
  await broker.remove("mr_a");
  await broker.create({ name: "mr_a", subject: "mr.a", replicas: 1 });
  assert.is(await stream.get(1), undefined, "the stream was made anew, and empty");
  for (const i of [1, 2, 3]) assert.is(await stream.append(text(`new ${i}`), i - 1), i, `it holds ${Buffer.from((await stream.get(1))?.data ?? []).toString()}`);
  assert.equal(await take(follow, 2), [[2, "new 2"], [3, "new 3"]]);
  await follow.close();
  await clean(server);
});

faults("a stream that is made again as soon as it is removed is empty, though the server still has files of the one before", async () => {
  const server = await nats();
  await using broker = await open(server);
  const stream = broker.stream("mr_a", "mr.a");
  for (let i = 0; i < 40; i++) {
    await broker.create({ name: "mr_a", subject: "mr.a", replicas: 1, firstSequence: 10 });
    assert.is(await stream.append(text("1"), 0), 10);
    // Of one that is there nothing is taken away.
    await broker.create({ name: "mr_a", subject: "mr.a", replicas: 1 });
    assert.is(Buffer.from((await stream.get(10))?.data ?? []).toString(), "1");
    await broker.remove("mr_a");
  }
  await clean(server);
});

faults("a subject that belongs to another stream is missing, with an expectation and without", async () => {
  const server = await nats();
  await using broker = await open(server);
  await broker.create({ name: "mr_a", subject: "mr.a", replicas: 1 });
  assert.is(await broker.stream("mr_b", "mr.a").append(text("1"), 0), "missing");
  assert.is(await broker.stream("mr_b", "mr.a").append(text("1")), "missing");
  await clean(server);
});

faults("a key that is set while its ack is lost tells its revision all the same", async () => {
  let isDropping = false;
  await using fixture = await filtered((line) => isDropping && line.includes("_INBOX") && !line.startsWith("HMSG") && Number(line.split(" ").at(-1)) < 60);
  const { keys } = fixture.broker;
  const first = (await keys.set("k", text("v"), 0)) as number;
  isDropping = true;
  assert.is(await keys.set("k", text("v"), first), first + 1);
  isDropping = false;
  assert.is(await keys.set("k", text("v"), first), undefined);
});

faults("a key that a person deleted with the nats tool is not there, and can be made again", async () => {
  const server = await nats();
  await using broker = await open(server);
  await broker.keys.set("k", text("v"), 0);
  await using raw = await connectRaw(server);
  await raw.publish("$KV.millrace.k", { "KV-Operation": "DEL" });
  await eventually("it is not there", async () => (await broker.keys.get("k")) === undefined);
  assert.is(await broker.keys.set("k", text("w"), 0), 3);
  assert.is((await broker.keys.get("k"))?.revision, 3);
  await clean(server);
});

faults("the streams that are made hold what PROTOCOL section 2 says of all", async () => {
  const server = await nats();
  await using broker = await open(server);
  await broker.create({ name: "mr_box", subject: "mr.box", maxMessages: 4_097, replicas: 1 });
  await broker.create({ name: "mr_story_f", subject: "mr.story.f.>", maxPerSubject: 200, maxAgeMs: 86_400_000, replicas: 1 });
  await broker.keys.set("k", text("v"), 0);
  await using raw = await connectRaw(server);
  const config = async (name: string) => (await raw.api(`STREAM.INFO.${name}`))["config"] as Record<string, unknown>;
  const all = { retention: "limits", storage: "file", allow_direct: false, deny_delete: true, max_bytes: -1, num_replicas: 1, duplicate_window: 100_000_000 };
  const has = (found: Record<string, unknown>, wanted: object) => {
    for (const [field, value] of Object.entries({ ...all, ...wanted })) assert.is(found[field], value, field);
  };
  has(await config("mr_box"), { discard: "new", max_msgs: 4_097, max_age: 0 });
  has(await config("mr_story_f"), { discard: "old", max_msgs: -1, max_msgs_per_subject: 200, max_age: 86_400_000_000_000 });
  has(await config("KV_millrace"), { max_msgs_per_subject: 1 });
  await clean(server);
});

faults("a follower's buffer is bounded: the server holds back what nobody takes", async () => {
  const server = await nats();
  await using broker = await open(server);
  await broker.create({ name: "mr_a", subject: "mr.a", replicas: 1 });
  const stream = broker.stream("mr_a", "mr.a");
  const large = new Uint8Array(1_000_000);
  for (const _ of numbers(1, 20)) await stream.append(large);
  const follow = stream.follow(1);
  await using raw = await connectRaw(server);
  const delivered = async () => {
    const [consumer] = await raw.consumers("mr_a");
    return consumer ? ((await raw.api(`CONSUMER.INFO.mr_a.${consumer}`)).delivered as { consumer_seq: number }).consumer_seq : 0;
  };
  await eventually("some are delivered", async () => (await delivered()) >= 7);
  assert.ok((await delivered()) <= 9, `${await delivered()} of 20 were sent, though the buffer holds 8 MiB`);
  assert.is((await take(follow, 20)).length, 20);
  await follow.close();
  await clean(server);
});

faults("the largest messages pass a follower's buffer among small ones", async () => {
  const server = await nats();
  await using broker = await open(server);
  await broker.create({ name: "mr_a", subject: "mr.a", replicas: 1 });
  const stream = broker.stream("mr_a", "mr.a");
  const sizes = [10, broker.maxPayload, broker.maxPayload, 5, 3_000_000, 3_000_000, 3_000_000, broker.maxPayload, 1];
  for (const size of sizes) await stream.append(new Uint8Array(size).fill(size & 255), undefined, 10_000);
  const follow = stream.follow(1);
  const seen: number[] = [];
  await within(20_000, "all messages", new Promise<void>((resolve) => {
    const look = () => {
      for (let message = follow.take(); message; message = follow.take()) seen.push(message.data.length);
      if (seen.length === sizes.length) resolve();
    };
    follow.onReady(look);
    look();
  }));
  assert.equal(seen, sizes);
  await follow.close();
  await clean(server);
});

faults("cut connections leave no consumers behind", async () => {
  const server = await nats();
  await using proxy = await startTcpProxy(server.port);
  await using broker = await open(server, proxy.port);
  await broker.create({ name: "mr_a", subject: "mr.a", replicas: 1 });
  const stream = broker.stream("mr_a", "mr.a");
  const follow = stream.follow(1);
  await using raw = await connectRaw(server);
  for (const i of numbers(1, 3)) {
    await stream.append(text(`${i}`));
    assert.equal(await take(follow, 1), [[i, `${i}`]]);
    proxy.cut();
    await connection(broker, false);
    proxy.mend();
    await connection(broker, true);
    await eventually("one consumer", async () => (await raw.consumers("mr_a")).length === 1);
  }
  await follow.close();
  await clean(server);
});

faults("a server older than 2.10.23 is refused with the way to get a newer one", async () => {
  for (const version of ["2.9.10", "2.10.22", "1.4.1"]) {
    await using greeter = await startNatsGreeter({ version, jetstream: true });
    const refused = await rejection(connect({ servers: greeter.servers }));
    assert.is(refused.code, "NATS_TOO_OLD");
    assert.match(refused.message, version);
    assert.match(refused.remedy, /--nats/);
  }
});

faults("a server without JetStream is refused with what to do", async () => {
  await using greeter = await startNatsGreeter({ version: "2.15.1" });
  const refused = await rejection(connect({ servers: greeter.servers }));
  assert.is(refused.code, "NATS_NO_JETSTREAM");
  assert.match(refused.remedy, /jetstream/);
});

faults("wrong credentials are NATS_AUTH, no server at all is UNREACHABLE, and neither hangs", async () => {
  const server = await nats();
  assert.is((await rejection(connect({ servers: server.servers, user: server.user, pass: "wrong" }))).code, "NATS_AUTH");
  const proxy = await startTcpProxy(server.port);
  await proxy[Symbol.asyncDispose]();
  assert.is((await rejection(connect({ servers: `nats://127.0.0.1:${proxy.port}` }))).code, "UNREACHABLE");
});

faults("a flow of compare-and-set appends over cut connections stays one chain (P1, P2)", async () => {
  const server = await nats();
  await using proxy = await startTcpProxy(server.port);
  await using broker = await open(server, proxy.port);
  await broker.create({ name: "mr_a", subject: "mr.a", replicas: 1 });
  const stream = broker.stream("mr_a", "mr.a");
  let last = 0;
  const outcomes = new Map<Appended, number>();
  for (const i of numbers(1, 400)) {
    if (i % 80 === 0) proxy.cut();
    for (;;) {
      const outcome = await stream.append(text(`${i}`), last);
      outcomes.set(typeof outcome === "number" ? "refused" : outcome, 1);
      if (typeof outcome === "number") {
        last = outcome;
        break;
      }
      proxy.mend();
      const there = await eventually("the last record", async () => (await stream.last()) ?? { seq: 0, data: text("") });
      if (new TextDecoder().decode(there.data) === `${i}`) {
        last = there.seq;
        break;
      }
      assert.is(there.seq, last, "nobody else writes");
    }
  }
  assert.ok(outcomes.has("unknown"));
  const chain: string[] = [];
  for await (const message of stream.read(1, 10_000)) chain.push(new TextDecoder().decode(message.data));
  assert.equal(chain, numbers(1, 400).map(String));
  await clean(server);
});

faults.run();

/** A connection beside the broker's, for what the port does not do. */
async function connectRaw(server: TestServer) {
  const { Client } = await import("../../../runtime/broker/nats/client.ts");
  const { Api } = await import("../../../runtime/broker/nats/api.ts");
  const client = await Client.connect({ servers: server.servers, user: server.user, pass: server.pass });
  const api = new Api(client);
  return {
    api: (verb: string) => api.call<Record<string, Record<string, unknown>>>(verb),
    consumers: async (stream: string) => (await api.call<{ consumers: string[] | null }>(`CONSUMER.NAMES.${stream}`)).consumers ?? [],
    publish: async (subject: string, headers: Record<string, string>) => {
      const block = `NATS/1.0\r\n${Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`;
      client.publish(subject, new Uint8Array(), "", Buffer.from(block));
      await api.call("INFO");
    },
    [Symbol.asyncDispose]: () => client.close(),
  };
}
