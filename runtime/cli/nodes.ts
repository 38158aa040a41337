// `millrace nodes`: the members of the cluster.
import type { Command } from "commander";
import { MillraceError } from "../event/errors.ts";
import { askPlacement } from "../inspect/placement-orders.ts";
import type { PlacementAnswer } from "../node/placement-questions.ts";
import { exitCode } from "./exit-code.ts";
import { helpText } from "./help-text.ts";
import { type NatsFlags, reach, withNatsFlags } from "./nats-options.ts";
import { type Column, table } from "./table.ts";
import { type Terminal, terminalOn } from "./terminal.ts";
import { ago, count } from "./words.ts";

interface NodesFlags extends NatsFlags {
  readonly json?: true;
}

export function nodesCommand(program: Command, ended: (code: number) => void): void {
  withNatsFlags(program.command("nodes").description("print the nodes of the cluster: what they offer, and how many actors each has"))
    .option("--json", "as JSON")
    .addHelpText("after", helpText(`
Examples:
  millrace nodes
  millrace nodes --json --nats nats://10.0.0.1:4222`))
    .action(async (flags: NodesFlags) => ended(await nodes(flags)));
}

async function nodes(flags: NodesFlags): Promise<number> {
  const out = terminalOn(process.stdout), broker = await reach(flags);
  try {
    const members = membersOf(await askPlacement(broker));
    out.write(flags.json === true ? JSON.stringify({ nodes: members }) : textOf(members, out));
    return exitCode.fine;
  } catch (error) {
    if (!(error instanceof MillraceError) || error.code !== "NO_CLUSTER") throw error;
    if (flags.json === true) out.write(JSON.stringify({ nodes: [] }));
    else terminalOn(process.stderr).write("No node of a cluster is there: start one with `millrace node` or `millrace up`.");
    return exitCode.failed;
  } finally {
    await broker.close();
  }
}

type State = "here" | "draining" | "drained";

export interface Member {
  readonly name: string;
  /** `draining`: it takes no actors, and has some yet. `drained`: it has none any more. */
  readonly state: State | "leads" | `leads, ${State}`;
  readonly actors: number;
  /** Warm copies that it keeps for actors of other nodes, and how many of them have all that there is. */
  readonly copies: { readonly kept: number; readonly warm: number };
  readonly capacity: number | null;
  readonly weight: number;
  readonly labels: readonly string[];
  readonly version: string;
  /** Wall clock, ms since the epoch. */
  readonly since: number;
}

export function membersOf({ nodes, leader, cordoned }: Pick<PlacementAnswer, "nodes" | "leader" | "cordoned">): readonly Member[] {
  const copiesOf = (flows: PlacementAnswer["nodes"][number]["flows"], of: "kept" | "warm"): number => flows.reduce((sum, { copies }) => sum + (copies?.[of] ?? 0), 0);
  const stateOf = (name: string, actors: number): Member["state"] => {
    const state = !cordoned.includes(name) ? "here" : actors > 0 ? "draining" : "drained";
    if (name !== leader) return state;
    return state === "here" ? "leads" : `leads, ${state}`;
  };
  return nodes.map(({ name, weight, labels, capacity, version, startedAt, flows }) => {
    const actors = flows.reduce((sum, { hosted }) => sum + hosted, 0), copies = { kept: copiesOf(flows, "kept"), warm: copiesOf(flows, "warm") };
    return { name, state: stateOf(name, actors), actors, copies, capacity: capacity ?? null, weight, labels, version, since: startedAt };
  });
}

const columns: readonly Column[] = [
  { title: "node", least: 8 }, { title: "state" }, { title: "actors", align: "right" }, { title: "warm copies", align: "right", spare: 5 }, { title: "weight", align: "right", spare: 1 }, { title: "labels", least: 8, spare: 2 }, { title: "since", spare: 3 }, { title: "version", spare: 4 },
];

function textOf(members: readonly Member[], { columns: width, colors }: Terminal): string {
  const now = Date.now(), hasCopies = members.some(({ copies: { kept } }) => kept > 0), shown = columns.filter(({ title }) => hasCopies || title !== "warm copies");
  const copiesText = ({ kept, warm }: Member["copies"]): string => (kept === warm ? count(kept) : `${count(warm)} of ${count(kept)}`);
  const rows = members.map(({ name, state, actors, copies, capacity, weight, labels, since, version }) => [name, state, `${count(actors)}${capacity === null ? "" : ` of ${count(capacity)}`}`, ...(hasCopies ? [copiesText(copies)] : []), String(weight), labels.join(" "), ago(now - since), version]);
  return table(shown, rows, width - 1, { head: (text) => colors.dim(text) });
}
