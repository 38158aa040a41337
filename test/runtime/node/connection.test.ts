// The way to NATS on the real thing: a server of its own that is killed, and one that runs already.
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { collect, generate, jsonl, map } from "../../../actors/index.ts";
import { readConnection } from "../../../runtime/broker/nats-server/embedded.ts";
import { defineFlow, startBroker, startNode } from "../../../runtime/index.ts";
import { connectTo, natsOptions, startOwn } from "../../../runtime/node/connection.ts";
import { sharedNatsServer } from "../../support/nats-server.ts";
import { rejection } from "../../support/rejection.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { eventually, within } from "../../support/waiting.ts";

const test = suite("connection");
const nats = sharedNatsServer(test.after);
const endMs = 60_000;

/** Pid of the embedded server of a data folder. */
const serverOf = async (dataDir: string): Promise<number> => Number(await readFile(join(dataDir, "nats", "server.pid"), "utf8"));

test("an embedded server that is killed is started again under the same address; the flow goes on, exact", async () => {
  await using folder = await temporaryFolder();
  const out = join(folder.path, "out.jsonl"), dataDir = join(folder.path, "data"), count = 60_000;
  const flow = defineFlow("killed", (builder) => {
    const feed = builder.source("feed", generate({ count, make: (n) => ({ n }) }));
    builder.sink("out", builder.processor("each", feed, map((item: { n: number }) => item)), jsonl.sink(out));
  });
  await using node = await startNode({ flows: [flow], dataDir, fsync: "relaxed" });
  const before = await readConnection(dataDir), pid = await serverOf(dataDir);
  process.kill(pid, "SIGKILL");
  await within(endMs, "the end", node.done);
  const rows = (await readFile(out, "utf8")).trimEnd().split("\n").map((line) => (JSON.parse(line) as { n: number }).n);
  assert.is(rows.length, count);
  assert.ok(rows.every((n, at) => n === at));
  assert.equal(await readConnection(dataDir), before);
  assert.not.equal(await serverOf(dataDir), pid);
});

test("a server that is ended again and again is given up, which is said once", async () => {
  await using folder = await temporaryFolder();
  const faults: boolean[] = [];
  const access = await startOwn({ dataDir: folder.path, fsync: "relaxed", say: () => {}, onFault: (_, final) => faults.push(final) });
  try {
    for (let kill = 1, pid = 0; kill <= 6; kill++) {
      pid = await eventually("it runs", async () => { const now = await serverOf(folder.path); return now > 0 && now !== pid && (kill === 1 || access.broker.connected) ? now : undefined; }, 30_000);
      process.kill(pid, "SIGKILL");
      await eventually(`kill ${kill} is noticed`, () => faults.length === kill);
    }
    assert.equal(faults, [false, false, false, false, false, true]);
  } finally {
    await access.close();
  }
});

test("with fsync on every ack nothing is kept longer; else twice the interval", async () => {
  const { servers, user, pass } = await nats();
  for (const [sync, retainMs] of [["always", 0], ["1s", 2_000], [undefined, 240_000]] as const) {
    const access = await connectTo({ servers, user, pass, ...(sync === undefined ? {} : { sync }) });
    assert.equal([access.retainMs, access.embedded, access.address], [retainMs, false, servers]);
    await access.close();
  }
});

test("a sync that is none, and credentials that cannot be read, are refused", async () => {
  assert.is((await rejection(connectTo({ sync: "often" as "1s" }))).code, "OPTION_INVALID");
  assert.is((await rejection(connectTo({ credentials: "/nowhere/x.creds" }))).code, "CREDENTIALS_UNREADABLE");
});

test("credentials and certificates are given to the client by their content", async () => {
  await using folder = await temporaryFolder();
  const creds = join(folder.path, "a.creds"), ca = join(folder.path, "ca.pem");
  const secret = `-----BEGIN NATS USER JWT-----\neyJ0\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\nSU${"A".repeat(56)}\n------END USER NKEY SEED------\n`;
  await writeFile(creds, secret);
  await writeFile(ca, "PEM");
  const options = await natsOptions({ servers: "nats://h:1", credentials: creds, tls: { ca } });
  assert.equal([options.servers, Buffer.from(options.credentials ?? "").toString(), options.tls], ["nats://h:1", secret, { ca: "PEM" }]);
});

test("a broker of one's own: a node connects to it, and it ends with its disposal", async () => {
  await using folder = await temporaryFolder();
  let servers: unknown;
  {
    await using broker = await startBroker({ dataDir: join(folder.path, "broker"), fsync: "relaxed" });
    servers = broker.servers;
    const rows: { n: number }[] = [];
    const flow = defineFlow("over", (builder) => void builder.sink("out", builder.source("feed", generate({ count: 1_000, make: (n) => ({ n }) })), collect(rows)));
    await using node = await startNode({ nats: broker, dataDir: join(folder.path, "node"), flows: [flow] });
    await within(endMs, "the end", node.done);
    assert.ok(rows.length === 1_000 && rows.every(({ n }, at) => n === at));
    assert.is((await rejection(startNode({ nats: broker, dataDir: join(folder.path, "node") }))).code, "DATA_FOLDER_BUSY");
  }
  assert.is((await rejection(connectTo({ servers: servers as string }))).code, "UNREACHABLE");
});

test.run();
