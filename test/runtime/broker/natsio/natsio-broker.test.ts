// The second client library: all that test/runtime/broker/nats-broker.test.ts holds, contract and faults, over @nats-io/transport-node;
// and what is its own.
// test deadline: 300 s
import "../../../support/natsio-chosen.ts";
import "../nats-broker.test.ts";
import { readFile, symlink } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { jetstream } from "@nats-io/jetstream";
import { connect as connectNatsio } from "@nats-io/transport-node";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { loadLibrary } from "../../../../runtime/broker/nats/wire.ts";
import { connect } from "../../../../runtime/broker/nats-broker.ts";
import { natsioLibrary } from "../../../../runtime/broker/natsio/natsio-wire.ts";
import { cli } from "../../../support/cli-process.ts";
import { sharedNatsServer } from "../../../support/nats-server.ts";
import { quakesReference } from "../../../support/quakes-reference.ts";
import { rejection } from "../../../support/rejection.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";
import { startTcpProxy } from "../../../support/tcp-proxy.ts";

const test = suite("second client library");
const nats = sharedNatsServer(test.after);
const numbers = Array.from({ length: 300 }, (_, i) => i);

test("the library is chosen by name: MILLRACE_NATS_CLIENT, or the connection's own option; an unknown one is refused", async () => {
  assert.is(await loadLibrary(), natsioLibrary);
  assert.is.not(await loadLibrary("nats"), natsioLibrary);
  assert.is((await rejection(loadLibrary("carrier-pigeon"))).code, "OPTION_INVALID");
});

test("npm start's example writes the same bytes over the second library", async () => {
  await using folder = await temporaryFolder();
  const examples = fileURLToPath(new URL("../../../../examples", import.meta.url));
  await symlink(examples, join(folder.path, "examples"));
  const { code, stderr } = await cli(["run", "examples/quakes.ts", "--json"], { cwd: folder.path });
  assert.is(code, 0, stderr);
  assert.is(await readFile(join(folder.path, ".millrace/out/quakes-by-region.jsonl"), "utf8"), quakesReference(join(examples, "data", "earthquakes.geojson")));
});

test("the command line's choice goes before the environment's, and an unknown library is refused by both", async () => {
  await using folder = await temporaryFolder();
  const examples = fileURLToPath(new URL("../../../../examples", import.meta.url)), flow = join(examples, "quakes.ts"), unknown = { cwd: folder.path, env: { MILLRACE_NATS_CLIENT: "carrier-pigeon" } };
  await symlink(examples, join(folder.path, "examples"));
  const byEnvironment = await cli(["run", flow], unknown), byFlag = await cli(["run", flow, "--nats-client", "carrier-pigeon"], { cwd: folder.path });
  assert.equal([byEnvironment.code, byFlag.code], [2, 2], byEnvironment.stderr + byFlag.stderr);
  assert.match(byEnvironment.stderr, /no client library "carrier-pigeon"/);
  assert.match(byFlag.stderr, /natsio/);
  const chosen = await cli(["run", flow, "--nats-client", "natsio"], unknown);
  assert.is(chosen.code, 0, chosen.stderr);
});

for (const [writer, reader] of [["nats", "natsio"], ["natsio", "nats"]] as const) {
  test(`what ${writer} appended, ${reader} reads, and extends by compare-and-set; keys too`, async () => {
    const { servers, user, pass } = await nats(), name = `mr_${writer}`, subject = `mr.${writer}`;
    const [one, other] = await Promise.all([writer, reader].map((client) => connect({ servers, user, pass, client })));
    if (one === undefined || other === undefined) throw new Error("two connections were made");
    try {
      await one.create({ name, subject, replicas: 1 });
      const outcomes = await Promise.all(numbers.map((i) => one.stream(name, subject).append(Buffer.from(`m${i}`), i)));
      assert.equal(outcomes, numbers.map((i) => i + 1));
      const seen: string[] = [];
      for await (const { data } of other.stream(name, subject).read(1, numbers.length)) seen.push(Buffer.from(data).toString());
      assert.equal(seen, numbers.map((i) => `m${i}`));
      assert.is(await other.stream(name, subject).append(Buffer.from("late"), numbers.length - 1), "refused");
      assert.is(await other.stream(name, subject).append(Buffer.from("next"), numbers.length), numbers.length + 1);
      const revision = await one.keys.set(name, Buffer.from("v"), 0);
      assert.is((await other.keys.get(name))?.revision, revision);
    } finally {
      await Promise.all([one.close(), other.close()]);
    }
  });
}

test("what is stored is plain JetStream: the official client reads it", async () => {
  const { servers, user, pass } = await nats(), broker = await connect({ servers, user, pass });
  const connection = await connectNatsio({ servers, user, pass });
  try {
    await broker.create({ name: "mr_plain", subject: "mr.plain", replicas: 1 });
    for (const i of numbers.slice(0, 5)) await broker.stream("mr_plain", "mr.plain").append(Buffer.from(`m${i}`), i);
    const messages = await (await jetstream(connection).consumers.get("mr_plain")).fetch({ max_messages: 5, expires: 10_000 });
    const seen: string[] = [];
    for await (const message of messages) seen.push(`${message.seq} ${message.string()}`);
    assert.equal(seen, ["1 m0", "2 m1", "3 m2", "4 m3", "5 m4"]);
  } finally {
    await connection.close();
    await broker.close();
  }
});

test("failures of the library are told apart: wrong credentials, nobody listens, no answer in time, no server", async () => {
  const { servers, user, pass } = await nats();
  assert.is((await rejection(connect({ servers, user, pass: "wrong" }))).code, "NATS_AUTH");
  const proxy = await startTcpProxy((await nats()).port);
  await proxy[Symbol.asyncDispose]();
  assert.is((await rejection(connect({ servers: `nats://127.0.0.1:${proxy.port}` }))).code, "UNREACHABLE");
  const broker = await connect({ servers, user, pass });
  try {
    assert.is((await rejection(broker.request("nobody.here", new Uint8Array(), 1_000))).code, "NOT_FOUND");
    const stop = broker.serve("mute", () => new Promise(() => {}));
    assert.match((await rejection(broker.request("mute", new Uint8Array(), 50))).message, /no answer within 50 ms/);
    stop();
  } finally {
    await broker.close();
  }
});

test.run();
