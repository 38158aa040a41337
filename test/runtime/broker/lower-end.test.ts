// The lower end of the tested range: the broker's contract, and the example from end to end, on nats-server 2.10.
// test deadline: 300 s
import { symlink, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Broker } from "../../../runtime/broker/broker.ts";
import { connect } from "../../../runtime/broker/nats-broker.ts";
import { findOrObtain } from "../../../runtime/broker/nats-server/obtain.ts";
import { brokerContract } from "../../contracts/broker-contract.ts";
import { cli } from "../../support/cli-process.ts";
import { sharedNatsServer, startNatsServer, type TestServer } from "../../support/nats-server.ts";
import { quakesReference } from "../../support/quakes-reference.ts";
import { startTcpProxy } from "../../support/tcp-proxy.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

const series = "2.10";
const test = suite("nats-server 2.10");
const nats = sharedNatsServer(test.after, { series });

function open(server: TestServer, port = server.port): Promise<Broker> {
  return connect({ servers: `nats://127.0.0.1:${port}`, user: server.user, pass: server.pass });
}

brokerContract("nats broker on nats-server 2.10: contract", async () => {
  const server = await nats(), proxy = await startTcpProxy(server.port), broker = await open(server, proxy.port);
  return {
    broker,
    connect: () => open(server),
    cut: async () => proxy.cut(),
    mend: async () => proxy.mend(),
    async [Symbol.asyncDispose]() {
      await broker.close();
      await proxy[Symbol.asyncDispose]();
      const cleaner = await open(server);
      await Promise.all((await cleaner.list("")).map((name) => cleaner.remove(name)));
      await cleaner.close();
    },
  };
});

test("the server that these tests run on is of the series 2.10", async () => {
  assert.match((await nats()).version, /^2\.10\./);
});

for (const end of ["stop", "kill"] as const) test(`a stream with a first sequence keeps its messages over a ${end} of the server`, async () => {
  await using server = await startNatsServer({ series });
  const before = await open(server);
  for (const name of ["a", "empty"]) await before.create({ name: `mr_${name}`, subject: `mr.${name}`, replicas: 1, firstSequence: 500 });
  for (const i of [500, 501]) assert.is(await before.stream("mr_a", "mr.a").append(Buffer.from(`${i}`)), i);
  await before.close();
  await server[end]();
  await server.restart();
  const after = await open(server);
  assert.equal([await after.stream("mr_a", "mr.a").bounds(), await after.stream("mr_empty", "mr.empty").bounds()], [{ first: 500, last: 501 }, { first: 500, last: 499 }]);
  assert.is(Buffer.from((await after.stream("mr_a", "mr.a").get(500))?.data ?? []).toString(), "500");
  await after.close();
});

test("the example runs from end to end and writes exactly what a plain script computes", async () => {
  await using folder = await temporaryFolder();
  const examples = fileURLToPath(new URL("../../../examples", import.meta.url)), { path } = await findOrObtain({ series });
  await symlink(examples, join(folder.path, "examples"));
  const { code, stderr } = await cli(["run", "examples/quakes.ts", "--json"], { cwd: folder.path, env: { MILLRACE_NATS_SERVER: path } });
  assert.is(code, 0, stderr);
  assert.is(await readFile(join(folder.path, ".millrace/out/quakes-by-region.jsonl"), "utf8"), quakesReference(join(examples, "data", "earthquakes.geojson")));
});

test.run();
