// test deadline: 180 s
// Deploying to nodes in processes of their own: from the key to the last line of the output.
import { createHash } from "node:crypto";
import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { connect } from "../../../runtime/broker/nats-broker.ts";
import { type FlowLine, flowsOn } from "../../../runtime/inspect/flows-report.ts";
import { askPlacement } from "../../../runtime/inspect/placement-orders.ts";
import { DeploySite, unhurriedNumbers } from "../../support/deploy-site.ts";
import { sharedNatsServer } from "../../support/nats-server.ts";
import { eventually } from "../../support/waiting.ts";

const test = suite("millrace deploy");
const nats = sharedNatsServer(test.after);
const count = 24_000;

/** What the flow below comes to, a line an event. */
const expected = Array.from({ length: count }, (_, n) => `${JSON.stringify({ n, square: n * n })}\n`).join("");
const hashOf = (text: string): string => createHash("sha256").update(text).digest("hex");

/** A package that nodes do not have, TypeScript beside the flow, and numbers at a pace that lets the test look, until it has seen enough. */
const files: Readonly<Record<string, string>> = {
  "flow.ts": `import { defineFlow } from "millrace";
import { jsonl, map } from "millrace/actors";
import { power } from "power-part";
import { name } from "./name.ts";
import { numbers } from "./numbers.ts";
export default defineFlow(name, (flow) => {
  const feed = flow.source("feed", numbers, { time: { of: ({ n }) => n, outOfOrder: 0 } });
  const squares = flow.processor("squares", feed.keyBy(({ group }) => group), { parallelism: 4 }, map(({ n }) => ({ n, square: power(n, 2) })));
  flow.sink("out", squares, { order: "time" }, jsonl.sink(process.env.OUTPUT as string));
});`,
  "numbers.ts": unhurriedNumbers(count),
  "name.ts": 'export const name: string = "squares";',
  "node_modules/power-part/package.json": '{"name":"power-part","exports":"./index.js","type":"module"}',
  "node_modules/power-part/index.js": "export const power = (n, p) => n ** p;",
};

const made = async (): Promise<DeploySite> => await DeploySite.make(await nats(), files);

interface Outcome {
  readonly is: string;
  readonly hash: string;
  readonly state: string;
  readonly loaded: readonly string[];
  readonly refusals: readonly { readonly node: string; readonly code: string }[];
}

test("a key is made with mode 0600 and never written over; its public half is printed, its seed is not", async () => {
  await using site = await made();
  const fresh = await site.cli("keys", "new", "a.nk"), seed = (await readFile(join(site.cwd, "a.nk"), "utf8")).trim();
  assert.is(fresh.code, 0, fresh.stderr);
  assert.match(fresh.stdout, /^U[A-Z2-7]{55}\n$/);
  assert.match(seed, /^SU[A-Z2-7]{56}$/);
  assert.not.ok(`${fresh.stdout}${fresh.stderr}`.includes(seed));
  assert.is((await stat(join(site.cwd, "a.nk"))).mode & 0o777, 0o600);
  const again = await site.cli("keys", "new", "a.nk");
  assert.is(again.code, 1);
  assert.match(again.stderr, /KEY_FILE_EXISTS/);
  assert.is((await site.cli("keys", "show", "a.nk")).stdout, fresh.stdout);
  const trusted = await site.cli("node", "--trust", seed);
  assert.is(trusted.code, 2);
  assert.match(trusted.stderr, /is a seed: the secret half/);
  assert.not.ok(trusted.stderr.includes(seed), "a secret is not repeated");
});

test("two empty nodes load what a trusted key signed and run it; undeployed it stops in order, deployed again it goes on, and the output is exact; an unknown key is refused by both", async () => {
  await using site = await made();
  const key = await site.key("good.nk"), unknown = await site.key("unknown.nk");
  await writeFile(join(site.cwd, "trusted"), `# who may deploy\n${key}\n`);
  await using n1 = site.node("n1", "--trust", key);
  await using n2 = site.node("n2", "--trust", "trusted");
  await Promise.all([n1.said(/node n1 has joined/), n2.said(/node n2 has joined/)]);
  const { servers, user, pass } = await nats(), broker = await connect({ servers, user, pass });
  await using _ = { [Symbol.asyncDispose]: () => broker.close() };
  const flow = async (): Promise<FlowLine | undefined> => (await flowsOn(broker)).flows[0];
  await eventually("both are members", async () => (await askPlacement(broker)).nodes.length === 2, 30_000);

  const refused = await site.json<Outcome>(1, "deploy", "flow.ts", "--key", "unknown.nk");
  assert.equal(refused.refusals.map(({ node, code }) => `${node} ${code}`), ["n1 KEY_UNTRUSTED", "n2 KEY_UNTRUSTED"]);
  assert.is(refused.state, "refused");
  const told = await site.cli("flows");
  assert.is(told.code, 1, "a refusal is a failure");
  assert.match(told.stdout, /squares +refused[\s\S]*refused squares by n1: [\s\S]*KEY_UNTRUSTED[\s\S]*refused squares by n2/);
  assert.ok(told.stdout.includes(`--trust ${unknown}`), "and what to do is said");

  const deployed = await site.json<Outcome>(0, "deploy", "flow.ts", "--key", "good.nk");
  assert.equal([deployed.is, deployed.state, deployed.loaded, deployed.refusals], ["deployed", "running", ["n1", "n2"], []]);
  await eventually("some of the output is there", async () => (await site.count()) > 1_000, 30_000);
  const line = await flow();
  assert.equal([line?.name, line?.key, line?.loaded, line?.actors], ["squares", key, ["n1", "n2"], 6]);

  const stopped = await site.json<{ is: string; end: string }>(0, "undeploy", "squares");
  assert.equal([stopped.is, stopped.end], ["undeployed", "stopped"]);
  const at = (await site.count());
  assert.ok(at < count, "it was stopped on its way");
  await eventually("no node has anything of it any more", async () => (await flow()) === undefined, 30_000);
  const again = await site.json<Outcome>(0, "deploy", "flow.ts", "--key", "good.nk");
  assert.equal([again.is, again.hash], ["deployed", deployed.hash], "the same code has the same hash, and goes on where it was");
  await site.write("hurry", "");
  await eventually("it has finished", async () => (await flow())?.state === "finished", 60_000);
  assert.is(hashOf(await readFile(site.output, "utf8")), hashOf(expected));
  const same = await site.json<Outcome>(0, "deploy", "flow.ts", "--key", "good.nk");
  assert.equal([same.is, same.state, same.hash], ["same", "finished", deployed.hash], "which begins no other run");
  await writeFile(join(site.cwd, "name.ts"), 'export const name: string = "squares"; export const more = 1;\nconsole.error("another code");');
  const other = await site.cli("deploy", "flow.ts", "--key", "good.nk");
  assert.is(other.code, 1);
  assert.match(other.stderr, /FLOW_DEPLOYED/);
  assert.match(other.stderr, /millrace undeploy squares/);
  await writeFile(join(site.cwd, "name.ts"), files["name.ts"] as string);
  const { nodes } = await site.json<{ readonly nodes: readonly { readonly name: string; readonly actors: number }[] }>(0, "nodes");
  assert.equal(nodes.map(({ name, actors }) => `${name} ${actors}`), ["n1 0", "n2 0"]);
  for (const node of [n1, n2]) {
    assert.is(node.child.exitCode, null, "no node ends of it");
    node.child.kill("SIGINT");
    assert.is((await node.ended).code, 130);
  }
});

test.run();
