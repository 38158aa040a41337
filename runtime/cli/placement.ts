// `millrace placement`: which node has which actor, and why.
import type { Command } from "commander";
import { placementOn, type PlacedActor, type PlacementReport } from "../inspect/placement-report.ts";
import { exitCode } from "./exit-code.ts";
import { helpText } from "./help-text.ts";
import { type NatsFlags, reach, withNatsFlags } from "./nats-options.ts";
import { type Column, table } from "./table.ts";
import { type Terminal, terminalOn } from "./terminal.ts";
import { listed, several } from "./words.ts";

interface PlacementFlags extends NatsFlags {
  readonly why?: true;
  readonly json?: true;
}

export function placementCommand(program: Command, ended: (code: number) => void): void {
  withNatsFlags(program.command("placement").argument("[flow]", "only of this flow").description("print which node of the cluster has which actor"))
    .option("--why", "and why each is where it is")
    .option("--json", "as JSON")
    .addHelpText("after", helpText(`
Examples:
  millrace placement --why
  millrace placement quakes --nats nats://10.0.0.1:4222`))
    .action(async (flow: string | undefined, flags: PlacementFlags) => ended(await placement(flow, flags)));
}

async function placement(flow: string | undefined, flags: PlacementFlags): Promise<number> {
  const out = terminalOn(process.stdout), broker = await reach(flags);
  try {
    const report = await placementOn(broker), flows = report.flows.filter(({ name }) => flow === undefined || name === flow);
    if (flags.json === true) out.write(JSON.stringify({ ...report, flows }));
    else out.write(textOf({ ...report, flows }, flags.why === true, out));
    return flows.length > 0 ? exitCode.fine : exitCode.failed;
  } finally {
    await broker.close();
  }
}

const columns: readonly Column[] = [{ title: "actor", least: 12 }, { title: "node", least: 6 }];
const warm: readonly Column[] = [{ title: "warm copy", spare: 1, least: 6 }];
const reasons: readonly Column[] = [{ title: "came from", spare: 2, least: 6 }, { title: "why", least: 20, lines: 5 }];

function textOf({ term, leader, flows, cordoned }: PlacementReport, why: boolean, { columns: width, colors }: Terminal): string {
  if (flows.length === 0) return leader === undefined ? "No cluster has been here: start nodes with `millrace node` or `millrace up`." : `${leader} leads (term ${term}), and no such flow is placed.`;
  const parts = flows.map(({ name, run, ended, stopped, actors }) => {
    const head = `${colors.bold(name)}  run ${run}, ${ended ? (stopped ? "stopped, its journals stay: deployed again it goes on" : "ended") : `${several(actors.length, "actor")} on ${several(new Set(actors.flatMap(({ node }) => node ?? [])).size, "node")}`}`;
    const hasCopies = actors.some(({ copies }) => copies > 0), shown = [...columns, ...(hasCopies ? warm : []), ...(why ? reasons : [])];
    return ended && !why ? head : `${head}\n${table(shown, actors.map((actor) => rowOf(actor, hasCopies, why, cordoned)), width - 1, { head: (text) => colors.dim(text) })}`;
  });
  const drained = cordoned.length === 0 ? "" : `; ${listed(cordoned)} ${cordoned.length === 1 ? "takes" : "take"} no actors (\`millrace drain\`)`;
  return [`${leader} leads, term ${term}${drained}`, ...parts].join("\n\n");
}

function rowOf(placed: PlacedActor, hasCopies: boolean, why: boolean, cordoned: readonly string[]): readonly string[] {
  return [placed.actor, placed.node ?? "waits", ...(hasCopies ? [copiesOf(placed)] : []), ...(why ? [placed.move?.from ?? "", whyOf(placed, cordoned)] : [])];
}

function copiesOf({ standby, copies }: PlacedActor): string {
  if (copies === 0) return "";
  // Fewer than are asked for where no other node may have it.
  return standby.length === copies ? standby.join(", ") : `${standby.join(", ") || "none"}, of ${copies}`;
}

function whyOf({ node, pin, move }: PlacedActor, cordoned: readonly string[]): string {
  const moved = move?.why ?? "it has been there for long", pinned = `pinned to ${pin}`;
  if (node !== null && cordoned.includes(node)) return `${node} is drained, and no other node may have it or has room`;
  return pin === undefined || moved.includes(pinned) ? moved : `${pinned}; ${moved}`;
}
