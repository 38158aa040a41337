// What a move costs where there is much state: eight partitions with a hundred thousand keys each on three nodes, fsync before each ack, default
// settings. First a node is drained: how long each actor paused. Then one is killed: how long until each of its partitions has handled an event
// elsewhere.
import { join } from "node:path";
import type { Broker } from "../../runtime/broker/broker.ts";
import { connect } from "../../runtime/broker/nats-broker.ts";
import { decodeRecord } from "../../runtime/journal/record.ts";
import { askTree } from "../../runtime/inspect/inquiry.ts";
import { placementOn } from "../../runtime/inspect/placement-report.ts";
import type { MoveReceipt } from "../../runtime/node/move-receipt.ts";
import { readRun } from "../../runtime/node/run-record.ts";
import { cli, type CliProcess, startCli } from "../support/cli-process.ts";
import { startNatsServer } from "../support/nats-server.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { eventually } from "../support/waiting.ts";

const flow = new URL("../faults/flows/keyed.ts", import.meta.url).pathname;
const partitions = 8, names = ["n1", "n2", "n3"];

export interface Failover {
  readonly keysEach: number;
  /** Of each actor that was moved in order, in ms, the shortest first. */
  readonly pausesMs: readonly number[];
  readonly lost: number;
  readonly killed: { readonly leader: boolean; readonly partitions: number };
  /** From the kill on, in s: all have another node; the first has claimed its log; each has handled an event, the first first. */
  readonly placedS: number;
  readonly claimedS: number;
  readonly atWorkS: readonly number[];
}

/** What the newest record of an actor says. */
async function newest(broker: Broker, actor: string): Promise<{ readonly term: number; readonly handled: boolean; readonly taken: number }> {
  const [name, stage, partition] = actor.split("/") as [string, string, string], generation = (await readRun(broker.keys, name))?.record.stages.find((its) => its.name === stage)?.generation;
  const subject = `mr.actor.${name}.${stage}.${generation}.${partition}.log`, last = await broker.stream(subject.replaceAll(".", "_"), subject).last(), record = last && decodeRecord(last.data);
  return { term: record?.term[0] ?? 0, handled: record?.kind === "turn" && record.body.cursors !== undefined, taken: record?.body.counts?.in ?? 0 };
}

/** `leader`: that one is killed. `standby`: so many warm copies of each partition. `keysEach`: of a partition. */
export async function failover({ leader: isLeader, standby = 0, keysEach }: { readonly leader: boolean; readonly standby?: 0 | 1; readonly keysEach: number }): Promise<Failover> {
  const keys = keysEach * partitions;
  await using server = await startNatsServer({ fsync: "always" });
  await using folder = await temporaryFolder();
  const broker = await connect({ servers: server.servers, user: server.user, pass: server.pass }), nodes = new Map<string, CliProcess>(), access = { MILLRACE_NATS: server.servers, MILLRACE_NATS_USER: server.user, MILLRACE_NATS_PASSWORD: server.pass };
  const placed = async () => (await placementOn(broker)).flows[0]?.actors ?? [], isCounting = ({ actor }: { readonly actor: string }): boolean => actor.startsWith("keyed/counts/");
  try {
    for (const name of names) {
      nodes.set(name, startCli(["node", "--name", name, "--broker-sync", "always", "--flow", flow, "--nodes", "3", "--data-dir", join(folder.path, name)], {
        cwd: folder.path, env: { ...access, MILLRACE_TEST_EVENTS: "100000000", MILLRACE_TEST_KEYS: String(keys), MILLRACE_TEST_STANDBY: String(standby) },
      }));
    }
    await eventually("all keys are there", async () => ((await placed()).length === 0 ? 0 : (await newest(broker, "keyed/numbers/0")).taken) > keys * 1.2, 300_000);
    const { leader } = await placementOn(broker), actors = await placed(), source = actors.find(({ actor }) => actor === "keyed/numbers/0")?.node;
    const drained = names.find((name) => name !== leader && name !== source) as string;
    const { code, stdout, stderr } = await cli(["drain", drained, "--json"], { cwd: folder.path, env: access });
    if (code !== 0) throw new Error(`drain: ${stderr}`);
    const receipt = JSON.parse(stdout) as MoveReceipt;
    await cli(["drain", drained, "--undo"], { cwd: folder.path, env: access });
    const victim = isLeader ? (leader as string) : drained;
    // What is placed on a node may be with the one before it for a while: actors move one by one.
    const its = await eventually("it has its share again, and runs it", async () => {
      const share = (await placed()).filter((one) => isCounting(one) && one.node === victim).map(({ actor }) => actor), { lines } = await askTree(broker, victim);
      const runs = new Set(lines.filter(({ kind, state }) => kind === "actor" && state.startsWith("running")).map(({ id }) => id));
      return share.length >= 2 && share.every((actor) => runs.has(actor)) && share;
    }, 60_000);
    const terms = new Map<string, number>(), seconds = new Map<string, number>();
    await eventually("they are at work where they are", async () => (await Promise.all(its.map((actor) => newest(broker, actor)))).every(({ handled }) => handled), 30_000);
    const killed = performance.now();
    nodes.get(victim)?.child.kill("SIGKILL");
    for (const actor of its) terms.set(actor, (await newest(broker, actor)).term);
    let placedS = Infinity, claimedS = Infinity;
    const after = (): number => Number(((performance.now() - killed) / 1_000).toFixed(2));
    await eventually("all are at work again", async () => {
      if (placedS === Infinity && (await placed()).every(({ node }) => node !== victim)) placedS = after();
      for (const actor of its) {
        if (seconds.has(actor)) continue;
        const { term, handled } = await newest(broker, actor);
        if (term > (terms.get(actor) as number)) claimedS = Math.min(claimedS, after());
        if (handled && term > (terms.get(actor) as number)) seconds.set(actor, after());
      }
      return seconds.size === its.length;
    }, 60_000);
    return {
      keysEach, pausesMs: receipt.actors.filter(isCounting).map(({ pauseMs }) => pauseMs).sort((a, b) => a - b), lost: receipt.lost,
      killed: { leader: victim === leader, partitions: its.length }, placedS, claimedS, atWorkS: [...seconds.values()].sort((a, b) => a - b),
    };
  } finally {
    for (const node of nodes.values()) await node[Symbol.asyncDispose]();
    await broker.close();
  }
}
