// `millrace placement`: which node has which actor, and why.
import type { Command } from "commander";
import { placementOn, type PlacedActor, type PlacementReport } from "../inspect/placement-report.ts";
import { exitCode } from "./exit-code.ts";
import { helpText } from "./help-text.ts";
import { type NatsFlags, reach, withNatsFlags } from "./nats-options.ts";
import { type Column, table } from "./table.ts";
import { plain, type Terminal, terminalOn } from "./terminal.ts";
import { count, listed, several } from "./words.ts";

interface PlacementFlags extends NatsFlags {
  readonly why?: true;
  readonly json?: true;
}

export function placementCommand(program: Command, ended: (code: number) => void): void {
  withNatsFlags(program.command("placement").argument("[flow]", "only of this flow; or a stage or an actor of it, such as quakes/by-region/2").description("print which node of the cluster has which actor"))
    .option("--why", "and why each is where it is")
    .option("--json", "as JSON")
    .addHelpText("after", helpText(`
Examples:
  millrace placement --why
  millrace placement --why quakes/by-region/2
  millrace placement quakes --nats nats://10.0.0.1:4222`))
    .action(async (asked: string | undefined, flags: PlacementFlags) => ended(await placement(asked, flags)));
}

async function placement(asked: string | undefined, flags: PlacementFlags): Promise<number> {
  const out = terminalOn(process.stdout), broker = await reach(flags);
  try {
    const report = await placementOn(broker), flows = chosenOf(report, asked);
    if (flags.json === true) out.write(JSON.stringify({ ...report, flows }));
    else out.write(flows.length === 0 ? noneText(report, asked) : textOf(report, flows, flags.why === true, out));
    return flows.length > 0 ? exitCode.fine : exitCode.failed;
  } finally {
    await broker.close();
  }
}

type PlacedFlow = PlacementReport["flows"][number];

/** Of what was asked for: all, a flow, or the actors of a flow whose addresses begin so; none where there is no such one. */
export function chosenOf({ flows }: Pick<PlacementReport, "flows">, asked: string | undefined): readonly PlacedFlow[] {
  if (asked === undefined) return flows;
  return flows.flatMap((flow) => {
    if (flow.name === asked) return [flow];
    const actors = flow.actors.filter(({ actor }) => actor === asked || actor.startsWith(`${asked}/`));
    return actors.length === 0 ? [] : [{ ...flow, actors }];
  });
}

/** Where nothing that was asked for is placed: what is, and what to do. */
export function noneText({ leader, term, flows }: Pick<PlacementReport, "leader" | "term" | "flows">, asked: string | undefined): string {
  if (leader === undefined) return "No cluster has been here: start nodes with `millrace node` or `millrace up`.";
  const led = `${leader} leads, term ${term}`, begin = "`millrace deploy <flow> --key <seed file>`, or start nodes with --flow";
  if (asked === undefined) return `${led}. No flow is placed: ${begin}.`;
  if (flows.length === 0) return `${led}. "${plain(asked)}" is not placed: no flow is: ${begin}.`;
  const flow = flows.find(({ name }) => name === asked.split("/")[0]);
  if (flow === undefined) return `${led}. No flow "${plain(asked.split("/")[0] ?? "")}" is placed; placed: ${listed(flows.map(({ name }) => name))}. Name one of these, or begin it: ${begin}.`;
  const counts = new Map<string, number>();
  for (const { actor } of flow.actors) counts.set(actor.split("/")[1] ?? "", (counts.get(actor.split("/")[1] ?? "") ?? 0) + 1);
  const stages = [...counts].map(([stage, actors]) => `${stage} (${actors})`);
  return `${led}. Flow ${flow.name} has no actor "${plain(asked)}"; its stages: ${listed(stages, 20)}. Write flow/stage/partition, or the flow alone for all of it.`;
}

const columns: readonly Column[] = [{ title: "actor", least: 12 }, { title: "node", least: 6 }];
const warm: readonly Column[] = [{ title: "warm copy", spare: 1, least: 6 }];
const reasons: readonly Column[] = [{ title: "came from", spare: 2, least: 6 }, { title: "why", least: 20, lines: 5 }];

function textOf({ term, leader, flows, cordoned }: PlacementReport, chosen: readonly PlacedFlow[], why: boolean, { columns: width, colors }: Terminal): string {
  const parts = chosen.map(({ name, run, ended, stopped, actors }) => {
    const all = flows.find((flow) => flow.name === name)?.actors.length ?? 0, those = actors.length === all ? several(all, "actor") : `${count(actors.length)} of ${several(all, "actor")}`;
    const head = `${colors.bold(name)}  run ${run}, ${ended ? (stopped ? "stopped, its journals stay: deployed again it goes on" : "ended") : `${those} on ${several(new Set(actors.flatMap(({ node }) => node ?? [])).size, "node")}`}`;
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
