import { connect, nanos, StorageType, type NatsConnection } from "nats";
import { existsSync } from "node:fs";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { sharedNatsServer, startNatsServer, type TestServer } from "./nats-server.ts";
import { eventually } from "./waiting.ts";

const nats = sharedNatsServer(test.after);

async function client({ servers, user, pass }: TestServer): Promise<NatsConnection> {
  return connect({ servers, user, pass, maxReconnectAttempts: -1, reconnectTimeWait: 20, timeout: 5_000 });
}

async function store(server: TestServer): Promise<void> {
  const connection = await client(server);
  const manager = await connection.jetstreamManager();
  await manager.streams.add({ name: "kept", subjects: ["kept"], storage: StorageType.File, duplicate_window: nanos(1_000) });
  await connection.jetstream().publish("kept", "a message");
  await connection.close();
}

async function stored(server: TestServer): Promise<number> {
  const connection = await client(server);
  try {
    return (await (await connection.jetstreamManager()).streams.info("kept")).state.messages;
  } finally {
    await connection.close();
  }
}

test("a server answers with its credentials, and refuses without", async () => {
  const server = await nats();
  const connection = await client(server);
  assert.is(connection.info?.version, server.version);
  assert.is(connection.info?.max_payload, 8 * 1024 * 1024);
  await connection.close();
  const refused = await connect({ servers: server.servers, reconnect: false, timeout: 5_000 }).then(() => "let in", (error: Error) => error.message);
  assert.match(refused, "Authorization");
});

test("a message that was acknowledged is there after SIGKILL and restart, on the same port", async () => {
  await using server = await startNatsServer();
  await store(server);
  const { pid, servers } = server;
  await server.kill();
  assert.throws(() => process.kill(pid, 0), /ESRCH/);
  await server.restart();
  assert.is.not(server.pid, pid);
  assert.is(server.servers, servers);
  assert.is(await stored(server), 1);
  await server.restart();
  assert.is(await stored(server), 1);
});

test("a connected client comes back by itself after a restart", async () => {
  await using server = await startNatsServer();
  const connection = await client(server);
  try {
    await server.restart();
    await eventually("the client is back", () => connection.flush().then(() => true));
  } finally {
    await connection.close();
  }
});

test("a paused server answers nothing until it is resumed", async () => {
  await using server = await startNatsServer();
  const connection = await client(server);
  try {
    await server.pause();
    let answered = false;
    const flushed = connection.flush().then(() => (answered = true));
    // A second client finds the port open, since the kernel accepts for it, and is not greeted.
    const second = await connect({ servers: server.servers, user: server.user, pass: server.pass, reconnect: false, timeout: 500 }).then(() => "greeted", (error: Error) => error.message);
    assert.match(second, /TIMEOUT/i);
    assert.not(answered);
    server.resume();
    assert.ok(await flushed);
  } finally {
    server.resume();
    await connection.close();
  }
});

test("the lower end of the tested range runs too", async () => {
  await using server = await startNatsServer({ series: "2.10" });
  assert.match(server.version, /^2\.10\./);
  await store(server);
  assert.is(await stored(server), 1);
});

test("no process and no folder is left, of a paused server neither", async () => {
  const server = await startNatsServer();
  assert.ok(existsSync(server.folder));
  await server.pause();
  await server[Symbol.asyncDispose]();
  assert.throws(() => process.kill(server.pid, 0), /ESRCH/);
  assert.not(existsSync(server.folder));
});

test.run();
