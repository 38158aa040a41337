// test deadline: 300 s
// A backup of a flow that was deployed and runs over two nodes, under load, on three nats-servers that hold each stream three times; one of them
// is killed meanwhile. Restored into another nats-server, nodes there load the same signed code and go on from the stated commit.
import { copyFile, readFile, truncate } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { connect } from "../../runtime/broker/nats-broker.ts";
import { readRun } from "../../runtime/node/run-record.ts";
import { DeploySite } from "../support/deploy-site.ts";
import { startNatsCluster } from "../support/nats-cluster.ts";
import { startNatsServer, type TestServer } from "../support/nats-server.ts";
import { tallied } from "../support/tallied.ts";
import { eventually } from "../support/waiting.ts";

const test = suite("backup of a flow on several nodes and servers");
const count = 90_000;
const files: Readonly<Record<string, string>> = { "flow.ts": `import { existsSync } from "node:fs";
import { defineFlow } from "millrace";
import { aggregate, generate, jsonl, map } from "millrace/actors";
export default defineFlow("tallies", (flow) => {
  const feed = flow.source("feed", generate({ count: ${count}, rate: existsSync("fast") ? 1_000_000 : 1_000, make: (n) => ({ n, key: \`k\${(n * 7_919) % 1_000}\` }) }), { time: { of: ({ n }) => n, outOfOrder: 0 } });
  const pass = flow.processor("pass", feed, map((tallied) => tallied));
  const tally = flow.processor("tally", pass.keyBy(({ key }) => key), { parallelism: 4 }, aggregate({
    initial: () => ({ count: 0, last: -1 }), add: ({ count }, { n }) => ({ count: count + 1, last: n }), result: ({ count, last }, { key }) => ({ key, count, last }),
  }));
  flow.sink("out", tally, { order: "time" }, jsonl.sink(process.env.OUTPUT));
});` };

interface Told {
  readonly flows: readonly { readonly run: string; readonly actors: readonly { readonly actor: string; readonly commit: number }[]; readonly sinks: readonly { readonly mark: { readonly offset: number; readonly generation: string } }[] }[];
}

test("copied under load while a server is killed, restored elsewhere with its deployment: nodes there go on with the same run, and the result is the same to the byte", async () => {
  await using cluster = await startNatsCluster();
  const servers = cluster.servers.map((server) => server.servers).join(",");
  await using site = await DeploySite.make({ servers, user: cluster.user, pass: cluster.pass } as TestServer, files);
  const key = await site.key("good.nk");
  await using n1 = site.node("n1", "--nats-replicas", "3", "--data-dir", "n1", "--trust", key);
  await using n2 = site.node("n2", "--nats-replicas", "3", "--data-dir", "n2", "--trust", key);
  await Promise.all([n1.said(/node n1 has joined/), n2.said(/node n2 has joined/)]);
  const deployed = await site.cli("deploy", "flow.ts", "--key", "good.nk");
  assert.is(deployed.code, 0, deployed.stdout + deployed.stderr);
  await eventually("it is under way", async () => (await site.count()) > 2_000, 60_000);
  const broker = await connect({ servers: servers.split(","), user: cluster.user, pass: cluster.pass });
  const [log] = await broker.list("mr_actor_tallies_tally_");
  assert.is((await broker.describe(log as string))?.replicas, 3);
  await broker.close();

  const before = (await site.count()), copying = site.command("backup", "friday", "--json");
  await copying.said(/being copied/);
  await cluster.servers[1]?.kill();
  const copied = await copying.ended;
  assert.is(copied.code, 0, copied.stderr);
  const [told] = (JSON.parse(copied.stdout) as Told).flows as [Told["flows"][number]];
  await eventually("it goes on meanwhile", async () => (await site.count()) > before, 60_000);
  const written = (await site.count());
  assert.ok(written < count, "it was not over yet");
  for (const node of [n1, n2]) {
    node.child.kill("SIGKILL");
    await node.ended;
  }

  await using other = await startNatsServer();
  const elsewhere = await DeploySite.make(other, { fast: "" });
  await using _ = elsewhere;
  const restored = await elsewhere.cli("restore", join(site.cwd, "friday"), "--data-dir", "restore");
  assert.is(restored.code, 0, restored.stderr);
  assert.match(restored.stdout, `To go on with tallies: millrace node`);
  assert.match(restored.stdout, `--trust ${key}`);
  const { mark: { offset, generation } } = told.sinks[0] as Told["flows"][number]["sinks"][number];
  await copyFile(`${site.output}.${generation}`, `${elsewhere.output}.${generation}`);
  await truncate(`${elsewhere.output}.${generation}`, offset);
  await using m1 = elsewhere.node("m1", "--data-dir", "m1", "--trust", key);
  await using m2 = elsewhere.node("m2", "--data-dir", "m2", "--trust", key);
  await Promise.all([m1.said(/node m1 has joined/), m2.said(/node m2 has joined/)]);
  const there = await connect({ servers: other.servers, user: other.user, pass: other.pass });
  try {
    await eventually("it has finished there", async () => (await readRun(there.keys, "tallies"))?.record.state === "finished", 90_000);
    assert.is((await readRun(there.keys, "tallies"))?.record.token, told.run);
  } finally {
    await there.close();
  }
  assert.ok((await readFile(elsewhere.output, "utf8")) === tallied(count), "the file is another");
});

test.run();
