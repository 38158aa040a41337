import { connect } from "nats";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type EmbeddedServer, orphanPatience, readConnection, startEmbedded } from "../../../../runtime/broker/nats-server/embedded.ts";
import { commandOf, startOf } from "../../../../runtime/broker/nats-server/process-identity.ts";
import { rejection } from "../../../support/rejection.ts";
import { temporaryFolder } from "../../../support/temporary-folder.ts";
import { eventually, within } from "../../../support/waiting.ts";

const test = suite("embedded");
const root = fileURLToPath(new URL("../../../..", import.meta.url));

type Reached = Pick<EmbeddedServer, "servers" | "user" | "pass">;

async function answers({ servers, user, pass }: Reached): Promise<boolean> {
  const connection = await connect({ servers, user, pass, reconnect: false, timeout: 5_000 });
  const { max_payload, jetstream } = connection.info ?? {};
  await connection.close();
  return jetstream === true && max_payload === 8 * 1024 * 1024;
}

function isGone(pid: number): Promise<boolean> {
  return eventually(`process ${pid} is gone`, async () => (await startOf(pid)) === undefined, 20_000);
}

test("it runs on the loopback interface with credentials of its own, its store in the data folder", async () => {
  await using folder = await temporaryFolder();
  await using server = await startEmbedded({ dataDir: folder.path });
  assert.match(server.servers, /^nats:\/\/127\.0\.0\.1:\d+$/);
  assert.ok(await answers(server));
  assert.ok(existsSync(join(folder.path, "nats/store/jetstream")));
  await using other = await temporaryFolder();
  await using second = await startEmbedded({ dataDir: other.path });
  assert.is.not(second.pass, server.pass);
  assert.is.not(second.port, server.port);
});

test("its credentials are in no argument of any process, and in no file that others may read", async () => {
  await using folder = await temporaryFolder();
  await using server = await startEmbedded({ dataDir: folder.path });
  assert.not((await commandOf(server.pid))?.join(" ").includes(server.pass));
  for (const name of ["nats/server.conf", "nats/connection.json"]) {
    assert.is((await stat(join(folder.path, name))).mode & 0o077, 0, name);
  }
  assert.not((await readFile(join(folder.path, "nats/server.conf"), "utf8")).includes(server.pass));
});

test("another process on this machine can reach it while it runs, and only then", async () => {
  await using folder = await temporaryFolder();
  const server = await startEmbedded({ dataDir: folder.path });
  assert.equal(await readConnection(folder.path), { servers: server.servers, user: server.user, pass: server.pass });
  await server.stop();
  assert.is(await readConnection(folder.path), undefined);
  assert.is(await readConnection(join(folder.path, "none")), undefined);
  const next = await startEmbedded({ dataDir: folder.path });
  process.kill(next.pid, "SIGKILL");
  await within(10_000, "the exit is told", next.exited);
  assert.is(await readConnection(folder.path), undefined, "of a server that was killed");
  await next.stop();
});

for (const [fsync, written] of [["always", "MILLRACE_SYNC: always"], ["relaxed", 'MILLRACE_SYNC: "1s"']] as const) {
  test(`fsync ${fsync} reaches the server's configuration`, async () => {
    await using folder = await temporaryFolder();
    await using server = await startEmbedded({ dataDir: folder.path, fsync });
    const text = await readFile(join(folder.path, "nats/server.conf"), "utf8");
    assert.ok(text.split("\n").includes(written));
    assert.ok(await answers(server));
  });
}

test("fsync is always where nothing is said", async () => {
  await using folder = await temporaryFolder();
  await using _server = await startEmbedded({ dataDir: folder.path });
  assert.match(await readFile(join(folder.path, "nats/server.conf"), "utf8"), /^MILLRACE_SYNC: always$/m);
});

test("stop ends the server, frees the data folder, and may be called again", async () => {
  await using folder = await temporaryFolder();
  const server = await startEmbedded({ dataDir: folder.path });
  await Promise.all([server.stop(), server.stop()]);
  assert.is(await startOf(server.pid), undefined);
  assert.match(await server.exited, /exit code|signal/);
  const again = await startEmbedded({ dataDir: folder.path });
  assert.ok(await answers(again));
  await again.stop();
});

test("a server that ends by itself is told, and its folder is still held until stop", async () => {
  await using folder = await temporaryFolder();
  const server = await startEmbedded({ dataDir: folder.path });
  process.kill(server.pid, "SIGKILL");
  assert.is(await within(10_000, "the exit is told", server.exited), "signal SIGKILL");
  assert.is((await rejection(startEmbedded({ dataDir: folder.path }))).code, "DATA_FOLDER_BUSY");
  await server.stop();
});

test("two runs on one data folder: a clear error in the second, by whatever path it comes", async () => {
  await using folder = await temporaryFolder();
  await mkdir(join(folder.path, "data"));
  await symlink(join(folder.path, "data"), join(folder.path, "link"));
  await using server = await startEmbedded({ dataDir: join(folder.path, "data") });
  const error = await rejection(startEmbedded({ dataDir: join(folder.path, "link") }));
  assert.is(error.code, "DATA_FOLDER_BUSY");
  assert.ok(await answers(server), "the first is not disturbed");
});

test("a configuration of one's own is taken, with the values of the run", async () => {
  await using folder = await temporaryFolder();
  const confFile = join(folder.path, "mine.conf");
  await writeFile(confFile, (await readFile(join(root, "nats.conf"), "utf8")).replace("max_payload: 8MB", "max_payload: 2MB"));
  await using server = await startEmbedded({ dataDir: join(folder.path, "data"), confFile });
  const connection = await connect({ servers: server.servers, user: server.user, pass: server.pass });
  assert.is(connection.info?.max_payload, 2 * 1024 * 1024);
  await connection.close();
});

const faultyConfs: readonly (readonly [guarantee: string, change: (text: string) => string, code: string, says: RegExp])[] = [
  ["a configuration without a line that the run replaces is refused", (text) => text.replace(/^MILLRACE_STORE.*$/m, ""), "NATS_CONF_INVALID", /MILLRACE_STORE:/],
  ["a key that nats-server does not know is told in its own words", (text) => `${text}\nno_such_key: 1\n`, "NATS_SERVER_FAILED", /no_such_key/],
];
for (const [guarantee, change, code, says] of faultyConfs) {
  test(guarantee, async () => {
    await using folder = await temporaryFolder();
    const confFile = join(folder.path, "faulty.conf");
    await writeFile(confFile, change(await readFile(join(root, "nats.conf"), "utf8")));
    const error = await rejection(startEmbedded({ dataDir: folder.path, confFile }));
    assert.is(error.code, code);
    assert.match(error.message, says);
    // The folder is free again: the good configuration starts.
    await (await startEmbedded({ dataDir: folder.path })).stop();
  });
}

test("a binary that is not there is told at once, each time, and the folder is free again", async () => {
  await using folder = await temporaryFolder();
  // Many times: an exit that comes before anybody listens for it would be missed now and then.
  for (let round = 0; round < 30; round++) {
    const error = await rejection(startEmbedded({ dataDir: folder.path, binary: { path: join(folder.path, "none"), version: "2.15.1" }, startTimeoutMs: 5_000 }));
    assert.is(error.code, "NATS_SERVER_FAILED");
  }
  await (await startEmbedded({ dataDir: folder.path })).stop();
});

test("a server that does not listen in time is ended and told", async () => {
  await using folder = await temporaryFolder();
  const path = join(folder.path, "sleeper");
  await writeFile(path, "#!/bin/sh\necho $$ > \"$0.pid\"\nexec sleep 1000\n", { mode: 0o755 });
  const error = await rejection(startEmbedded({ dataDir: folder.path, binary: { path, version: "2.15.1" }, startTimeoutMs: 1_000 }));
  assert.is(error.code, "NATS_SERVER_TIMEOUT");
  assert.ok(await isGone(Number(await readFile(`${path}.pid`, "utf8"))));
});

interface Embedding extends Reached {
  readonly node: ChildProcess;
  readonly pid: number;
}

async function embedding(folder: string, ...args: readonly string[]): Promise<Embedding> {
  const node = spawn(process.execPath, ["--conditions=source", "--import", "tsx", "test/support/embedding-node.ts", folder, ...args], { cwd: root, stdio: ["pipe", "pipe", "inherit"] });
  const [line] = (await within(60_000, "the node embeds its server", once(node.stdout as NonNullable<typeof node.stdout>, "data"))) as [Buffer];
  return { node, ...(JSON.parse(line.toString()) as Reached & { pid: number }) };
}

async function killed({ node }: Embedding): Promise<void> {
  const exit = once(node, "exit");
  node.kill("SIGKILL");
  await within(10_000, "the node is gone", exit);
}

test("it ends with a node that exits without stopping it", async () => {
  await using folder = await temporaryFolder();
  const embedded = await embedding(folder.path);
  const exit = once(embedded.node, "exit");
  embedded.node.stdin?.write("exit\n");
  assert.equal(await within(10_000, "the node exits", exit), [3, null]);
  assert.ok(await isGone(embedded.pid));
});

if (process.platform === "linux") {
  test("it ends with a node that is killed, where the kernel can see to it", async () => {
    await using folder = await temporaryFolder();
    const embedded = await embedding(folder.path);
    await killed(embedded);
    assert.ok(await isGone(embedded.pid));
  });
}

test("one that a killed node left behind is ended at the next start, and its streams are there", async () => {
  await using folder = await temporaryFolder();
  const embedded = await embedding(folder.path, "orphans");
  const connection = await connect({ servers: embedded.servers, user: embedded.user, pass: embedded.pass, reconnect: false });
  await (await connection.jetstreamManager()).streams.add({ name: "kept", subjects: ["kept"] });
  await killed(embedded);
  await connection.flush();
  assert.ok(await startOf(embedded.pid), "the server outlived its node");
  const said: string[] = [];
  await using server = await startEmbedded({ dataDir: folder.path, say: (line) => said.push(line) });
  assert.is(await startOf(embedded.pid), undefined);
  assert.ok(said.some((line) => line.includes(String(embedded.pid))), said.join("\n"));
  const next = await connect({ servers: server.servers, user: server.user, pass: server.pass });
  assert.is((await (await next.jetstreamManager()).streams.info("kept")).config.name, "kept");
  await next.close();
  await connection.close();
});

test("an orphan that hangs is ended too", async () => {
  await using folder = await temporaryFolder();
  const embedded = await embedding(folder.path, "orphans");
  process.kill(embedded.pid, "SIGSTOP");
  await killed(embedded);
  const { killAfter } = orphanPatience;
  orphanPatience.killAfter = 500;
  try {
    await using server = await startEmbedded({ dataDir: folder.path });
    assert.is(await startOf(embedded.pid), undefined);
    assert.ok(await answers(server));
  } finally {
    orphanPatience.killAfter = killAfter;
  }
});

test("a process that has the pid of an old server by now is left alone", async () => {
  await using folder = await temporaryFolder();
  await (await startEmbedded({ dataDir: folder.path })).stop();
  const bystander = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: "ignore" });
  try {
    await writeFile(join(folder.path, "nats/server.pid"), String(bystander.pid));
    await (await startEmbedded({ dataDir: folder.path })).stop();
    assert.ok(await startOf(bystander.pid as number));
    assert.is(bystander.exitCode, null);
  } finally {
    bystander.kill("SIGKILL");
    await once(bystander, "exit");
  }
});

test.run();
