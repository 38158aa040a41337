// How long a failover takes where there is much state: eight partitions with a hundred thousand keys each on three nodes, fsync before each ack,
// default settings; one node is killed, and of each of its partitions the time is taken until it has handled an event elsewhere.
// `node --conditions=source --import tsx test/bench/failover.ts [leader]`
import { join } from "node:path";
import type { Broker } from "../../runtime/broker/broker.ts";
import { connect } from "../../runtime/broker/nats-broker.ts";
import { decodeRecord } from "../../runtime/journal/record.ts";
import { placementOn } from "../../runtime/inspect/placement-report.ts";
import { readRun } from "../../runtime/node/run-record.ts";
import { type CliProcess, startCli } from "../support/cli-process.ts";
import { startNatsServer } from "../support/nats-server.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { eventually } from "../support/waiting.ts";

const flow = new URL("../faults/flows/keyed.ts", import.meta.url).pathname;
const keys = 800_000, names = ["n1", "n2", "n3"];

/** What the newest record of an actor says. */
async function newest(broker: Broker, actor: string): Promise<{ readonly term: number; readonly handled: boolean; readonly taken: number }> {
  const [name, stage, partition] = actor.split("/") as [string, string, string], generation = (await readRun(broker.keys, name))?.record.stages.find((its) => its.name === stage)?.generation;
  const subject = `mr.actor.${name}.${stage}.${generation}.${partition}.log`, last = await broker.stream(subject.replaceAll(".", "_"), subject).last(), record = last && decodeRecord(last.data);
  return { term: record?.term[0] ?? 0, handled: record?.kind === "turn" && record.body.cursors !== undefined, taken: record?.body.counts?.in ?? 0 };
}

await using server = await startNatsServer({ fsync: "always" });
await using folder = await temporaryFolder();
const broker = await connect({ servers: server.servers, user: server.user, pass: server.pass }), nodes = new Map<string, CliProcess>();
try {
  for (const name of names) {
    nodes.set(name, startCli(["node", "--name", name, "--nats", server.servers, "--broker-sync", "always", "--flow", flow, "--nodes", "3", "--data-dir", join(folder.path, name)], {
      cwd: folder.path, env: { MILLRACE_NATS_USER: server.user, MILLRACE_NATS_PASSWORD: server.pass, MILLRACE_TEST_EVENTS: "100000000", MILLRACE_TEST_KEYS: String(keys) },
    }));
  }
  await eventually("all keys are there", async () => {
    const { flows } = await placementOn(broker), { taken } = flows.length === 0 ? { taken: 0 } : await newest(broker, "keyed/numbers/0");
    return taken > keys * 1.2;
  }, 80_000);
  const { leader, flows } = await placementOn(broker), actors = flows[0]?.actors ?? [], source = actors.find(({ actor }) => actor === "keyed/numbers/0")?.node;
  const victim = process.argv.includes("leader") ? (leader as string) : (names.find((name) => name !== leader && name !== source) as string);
  const its = actors.filter(({ actor, node }) => node === victim && actor.startsWith("keyed/counts/")).map(({ actor }) => actor), terms = new Map<string, number>(), seconds = new Map<string, number>();
  const killed = performance.now();
  nodes.get(victim)?.child.kill("SIGKILL");
  for (const actor of its) terms.set(actor, (await newest(broker, actor)).term);
  let placed = Infinity, claimed = Infinity;
  const after = (): number => Number(((performance.now() - killed) / 1_000).toFixed(2));
  await eventually("all are at work again", async () => {
    if (placed === Infinity && (await placementOn(broker)).flows[0]?.actors.every(({ node }) => node !== victim) === true) placed = after();
    for (const actor of its) {
      if (seconds.has(actor)) continue;
      const { term, handled } = await newest(broker, actor);
      if (term > (terms.get(actor) as number)) claimed = Math.min(claimed, after());
      if (handled && term > (terms.get(actor) as number)) seconds.set(actor, after());
    }
    return seconds.size === its.length;
  }, 60_000);
  console.log(JSON.stringify({ killed: victim === leader ? "the leader" : "another node", partitions: its.length, keysEach: keys / 8, placed, claimed, atWork: [...seconds.values()].sort((a, b) => a - b) }));
} finally {
  for (const node of nodes.values()) await node[Symbol.asyncDispose]();
  await broker.close();
}
