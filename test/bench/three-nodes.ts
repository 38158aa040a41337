// Three nodes over one server with fsync before each ack, default settings else, and much state: a count for each of very many keys.
import { join } from "node:path";
import type { Broker } from "../../runtime/broker/broker.ts";
import { connect } from "../../runtime/broker/nats-broker.ts";
import { decodeRecord } from "../../runtime/journal/record.ts";
import { type PlacedActor, placementOn } from "../../runtime/inspect/placement-report.ts";
import { readRun } from "../../runtime/node/run-record.ts";
import { cli, type CliProcess, startCli } from "../support/cli-process.ts";
import { startNatsServer } from "../support/nats-server.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { eventually } from "../support/waiting.ts";

const flow = new URL("../faults/flows/keyed.ts", import.meta.url).pathname;
export const nodeNames: readonly string[] = ["n1", "n2", "n3"];

export interface ThreeNodes {
  readonly broker: Broker;
  readonly nodes: ReadonlyMap<string, CliProcess>;
  placed(): Promise<readonly PlacedActor[]>;
  /** Of an actor: what its newest record says. */
  newest(actor: string): Promise<{ readonly term: number; readonly handled: boolean; readonly taken: number }>;
  /** What a command prints. @throws where it fails */
  millrace(...args: readonly string[]): Promise<string>;
}

/** Does that work once each key has been seen. `keys`: of all partitions. `standby`: so many warm copies of each partition. */
export async function withThreeNodes<T>({ partitions, keys, standby = 0 }: { readonly partitions: number; readonly keys: number; readonly standby?: 0 | 1 }, work: (its: ThreeNodes) => Promise<T>): Promise<T> {
  await using server = await startNatsServer({ fsync: "always" });
  await using folder = await temporaryFolder();
  const access = { MILLRACE_NATS: server.servers, MILLRACE_NATS_USER: server.user, MILLRACE_NATS_PASSWORD: server.pass }, broker = await connect({ servers: server.servers, user: server.user, pass: server.pass }), nodes = new Map<string, CliProcess>();
  const placed = async (): Promise<readonly PlacedActor[]> => (await placementOn(broker)).flows[0]?.actors ?? [];
  const newest = async (actor: string): ReturnType<ThreeNodes["newest"]> => {
    const [name, stage, partition] = actor.split("/") as [string, string, string], generation = (await readRun(broker.keys, name))?.record.stages.find((its) => its.name === stage)?.generation;
    const subject = `mr.actor.${name}.${stage}.${generation}.${partition}.log`, last = await broker.stream(subject.replaceAll(".", "_"), subject).last(), record = last && decodeRecord(last.data);
    return { term: record?.term[0] ?? 0, handled: record?.kind === "turn" && record.body.cursors !== undefined, taken: record?.body.counts?.in ?? 0 };
  };
  const millrace = async (...args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await cli(args, { cwd: folder.path, env: access });
    if (code !== 0) throw new Error(`millrace ${args.join(" ")}: ${stderr}`);
    return stdout;
  };
  try {
    for (const name of nodeNames) {
      nodes.set(name, startCli(["node", "--name", name, "--broker-sync", "always", "--flow", flow, "--nodes", "3", "--data-dir", join(folder.path, name)], {
        cwd: folder.path, env: { ...access, MILLRACE_TEST_EVENTS: "100000000", MILLRACE_TEST_KEYS: String(keys), MILLRACE_TEST_STANDBY: String(standby), MILLRACE_TEST_PARTITIONS: String(partitions) },
      }));
    }
    await eventually("all keys are there", async () => ((await placed()).length === 0 ? 0 : (await newest("keyed/numbers/0")).taken) > keys * 1.2, 300_000);
    return await work({ broker, nodes, placed, newest, millrace });
  } finally {
    for (const node of nodes.values()) await node[Symbol.asyncDispose]();
    await broker.close();
  }
}
