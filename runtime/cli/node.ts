// `millrace node`: a node of a cluster in this process: joins, hosts what is placed on it, until it is told to leave.
import { type Command, Option } from "commander";
import { join } from "node:path";
import { type FlowPlan, planOf } from "../flow/plan.ts";
import { startNode } from "../inspect/inspected-node.ts";
import { type ClusterNode, startClusterNode } from "../node/cluster-node.ts";
import type { BundleLoader } from "../node/deployed-flows.ts";
import { exitCode } from "./exit-code.ts";
import { failureText } from "./failure-text.ts";
import { loadFlow, type LoadedFlow, loadPacked } from "./flow-file.ts";
import { helpText } from "./help-text.ts";
import { Interruption } from "./interruption.ts";
import { trustedKeys } from "./key-file.ts";
import { connectionOf, type NatsFlags, withNatsFlags } from "./nats-options.ts";
import { numberOf } from "./number-option.ts";
import { terminalOn } from "./terminal.ts";
import { versionOfMillrace } from "./version.ts";
import { several } from "./words.ts";

interface NodeFlags extends NatsFlags {
  readonly name?: string;
  readonly weight: string;
  readonly label: readonly string[];
  readonly capacity?: string;
  readonly flow: readonly string[];
  readonly nodes: string;
  readonly trust: readonly string[];
  readonly untilEnded?: true;
  readonly withParent?: true;
  readonly brokerSync?: string;
  readonly fsync: "always" | "relaxed";
  readonly verbose?: true;
}

const collect = (text: string, all: readonly string[]): readonly string[] => [...all, text];
/** Of --data-dir; several nodes may stand in one folder, each in one of its own. */
const defaultFolder = ".millrace";

export function nodeCommand(program: Command, ended: (code: number) => void): void {
  withNatsFlags(program.command("node").description("join a cluster and host what is placed on this node, until Ctrl-C"))
    .option("--name <name>", "of the node, 1 to 64 of a-z, 0-9 and -; keeps its folder and its actors from start to start; default from the host's name, another one each time")
    .option("--weight <n>", "how much it takes, against the other nodes", "1")
    .option("--label <label>", "what it offers, such as zone=a; may be repeated", collect, [] as readonly string[])
    .option("--capacity <actors>", "most actors that it takes")
    .option("--flow <file>", "have the code of this flow, and see to it that it runs; may be repeated", collect, [] as readonly string[])
    .option("--nodes <n>", "the first placement of its flows waits for so many nodes that have their code", "1")
    .option("--trust <key>", "load and run deployed flows that this public key has signed, or one of a file with a key a line; may be repeated; default: none", collect, [] as readonly string[])
    .option("--until-ended", "leave when the flows of --flow have ended")
    .option("--with-parent", "leave when the standard input ends")
    .addOption(new Option("--fsync <when>", "of the embedded server, where no --nats is given").choices(["always", "relaxed"]).default("always"))
    .option("--broker-sync <interval>", "the sync_interval of the server of --nats: always, or such as 2m (default)")
    .option("--verbose", "with stacks")
    .addHelpText("after", helpText(`
Examples:
  millrace node --name n1 --nats nats://10.0.0.1:4222 --flow flow.ts
  millrace node --name n2 --nats nats://10.0.0.1:4222 --flow flow.ts --weight 2 --label zone=a
  millrace node --name n3 --nats nats://10.0.0.1:4222 --trust deploy.pub                 an empty one: runs what is deployed
  millrace tree --nats nats://10.0.0.1:4222

A node that is killed is noticed after about three seconds, and its actors go on elsewhere; one that is stopped by Ctrl-C leaves in order.`))
    .action(async (flags: NodeFlags) => ended(await node(flags)));
}

async function node(flags: NodeFlags): Promise<number> {
  const err = terminalOn(process.stderr), say = (line: string): void => err.write(line), interruption = new Interruption(() => say("Stopped at once. Nothing is lost: what ran here goes on elsewhere."));
  const dataDir = flags.dataDir === defaultFolder && flags.name !== undefined ? join(defaultFolder, "nodes", flags.name) : flags.dataDir;
  let cluster: ClusterNode | undefined;
  try {
    const flows: LoadedFlow[] = [];
    for (const path of flags.flow) flows.push(await loadFlow(path, dataDir));
    const trusted = await trustedKeys(flags.trust), modules = new Map(flows.map(({ flow, module }) => [flow.name, module]));
    // Of a flow that is upgraded there are two.
    const loaded = new WeakMap<FlowPlan, string>();
    const load: BundleLoader = async (bundle, { hash, file }) => {
      const { flow, module } = await loadPacked(bundle, { hash, file, dataDir }), plan = planOf(flow) as FlowPlan;
      loaded.set(plan, module);
      return plan;
    };
    const hashes = new Map(flows.map(({ flow, hash }) => [flow.name, hash])), connection = connectionOf(flags), sync = flags.brokerSync as "always" | undefined;
    cluster = await startClusterNode({
      dataDir, fsync: flags.fsync, flows: flows.map(({ flow }) => flow), weight: numberOf("--weight", flags.weight), labels: flags.label, nodes: numberOf("--nodes", flags.nodes), version: versionOfMillrace(), deployed: { trusted, load },
      ...(flags.name === undefined ? {} : { name: flags.name }), ...(flags.capacity === undefined ? {} : { capacity: numberOf("--capacity", flags.capacity) }),
      ...(connection === undefined ? {} : { nats: { ...connection, ...(sync === undefined ? {} : { sync }) } }),
    }, { say, warned: (line) => say(`${err.colors.yellow("!")} ${line}`), code: ({ name }) => hashes.get(name) as string, module: (plan) => loaded.get(plan) ?? modules.get(plan.name) }, startNode);
    const { node: { name, parts: { access } } } = cluster;
    say(`node ${name} has joined: nats-server ${access.broker.version} at ${access.address}, data in ${dataDir}`);
    const end = await Promise.race([
      cluster.done.then(() => (flags.untilEnded === true ? "ended" as const : new Promise<never>(() => {}))),
      interruption.first.then(() => "interrupted" as const),
      ...(flags.withParent === true ? [orphaned()] : []),
    ]);
    if (end === "interrupted") say(`Leaving: ${several(cluster.host.count, "actor")} commit and stop, and go on elsewhere. Ctrl-C again stops at once; nothing is lost either way.`);
    await cluster.stop();
    return end === "ended" ? exitCode.fine : exitCode.interrupted;
  } catch (error) {
    say(failureText(error, err.colors, flags.verbose === true));
    return (error as { code?: unknown }).code === "OPTION_INVALID" ? exitCode.usage : exitCode.failed;
  } finally {
    interruption.close();
    await cluster?.stop();
  }
}

/** Who started this process is no more. */
async function orphaned(): Promise<"interrupted"> {
  await new Promise<void>((resolve) => process.stdin.on("end", resolve).on("close", resolve).on("error", () => resolve()).resume());
  return "interrupted";
}
