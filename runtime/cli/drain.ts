// `millrace drain`: a node gives up its actors, in order, and takes no more.
import type { Command } from "commander";
import { setTimeout as pause } from "node:timers/promises";
import type { Broker } from "../broker/broker.ts";
import { MillraceError } from "../event/errors.ts";
import { askMoves, orderPlacement, watchPlacement } from "../inspect/placement-orders.ts";
import { type MoveReceipt, moveReceipt } from "../node/move-receipt.ts";
import type { PlacementAnswer } from "../node/placement-questions.ts";
import { DrainProgress } from "./drain-progress.ts";
import { exitCode } from "./exit-code.ts";
import { helpText } from "./help-text.ts";
import { Interruption } from "./interruption.ts";
import { moveText } from "./move-table.ts";
import { type NatsFlags, reach, withNatsFlags } from "./nats-options.ts";
import { durationOf } from "./number-option.ts";
import { terminalOn } from "./terminal.ts";
import { listed, several } from "./words.ts";

interface DrainFlags extends NatsFlags {
  readonly undo?: true;
  readonly wait: boolean;
  readonly timeout: string;
  readonly json?: true;
}

const lookMs = 100;
/** An actor that does not run on its new node so long after the last one that does, in ms, waits for something else than the move. */
const arriveMs = 60_000;

export function drainCommand(program: Command, ended: (code: number) => void): void {
  withNatsFlags(program.command("drain").argument("<node>", "its name, as `millrace placement` and `millrace tree` show it").description("have a node take no actors any more, and move those that it has to the others"))
    .option("--undo", "let it take actors again")
    .option("--no-wait", "return when it is decided: the nodes carry it out, whoever watches")
    .option("--timeout <duration>", "watch no longer than that, such as 90s; the drain itself goes on", "10m")
    .option("--json", "one line of JSON: the receipt")
    .addHelpText("after", helpText(`
Examples:
  millrace drain n2                 before it is stopped for maintenance: nothing is lost, and no timeout has to pass
  millrace drain n2 --undo          it takes actors again, as the balance wants
  millrace drain n2 --json --timeout 2m

Its actors go where the rules of the placement put them (labels, anti-affinity, weight). One that no other node may have stays and goes on
until there is such a node; it is said which. A node that is started again takes actors, drained or not. Stopped half-way the drain goes on by
itself; the same command watches on and prints the receipt of all of it. Exit codes: 0 it has none any more, 1 it still has some, 130 interrupted.`))
    .action(async (node: string, flags: DrainFlags) => ended(await drain(node, flags)));
}

async function drain(node: string, flags: DrainFlags): Promise<number> {
  const timeoutMs = durationOf("--timeout", flags.timeout), broker = await reach(flags), out = terminalOn(process.stdout), err = terminalOn(process.stderr);
  const interruption = new Interruption(() => {}), say = (line: string): void => { if (flags.json !== true) err.write(line); };
  try {
    const since = await orderPlacement(broker, { action: flags.undo === true ? "uncordon" : "cordon", node });
    if (flags.undo === true || !flags.wait) {
      const text = flags.undo === true ? `${node} takes actors again.` : `${node} takes no actors from now on, and gives up those that it has.`;
      out.write(flags.json === true ? JSON.stringify({ node, cordoned: flags.undo !== true, since }) : text);
      return exitCode.fine;
    }
    const end = await Promise.race([followed(broker, node, since, performance.now() + timeoutMs, new DrainProgress(node, timeoutMs, err.colors), say), interruption.first.then(() => undefined)]);
    if (end === undefined) {
      say(`Not watched any more: the drain goes on. \`millrace drain ${node}\` watches on, --undo takes it back.`);
      return exitCode.interrupted;
    }
    const { receipt, left, late } = end, names = Object.keys(left);
    if (flags.json === true) out.write(JSON.stringify({ node, cordoned: true, since, drained: names.length === 0, left, late, ...receipt }));
    else out.write([
      names.length === 0 ? `${node} has no actors any more, and takes none.` : `${node} still has ${several(names.length, "actor")}; the drain goes on.`,
      ...names.map((actor) => `  ${actor}: ${left[actor]}`),
      ...(late.length === 0 ? [] : [`Moved, and not at work yet: ${listed(late)}; \`millrace tree\` tells why.`]),
      ...(receipt.moved === 0 ? [] : [moveText(receipt, out)]),
    ].join("\n"));
    return names.length === 0 ? exitCode.fine : exitCode.failed;
  } finally {
    interruption.close();
    await broker.close();
  }
}

export interface DrainEnd {
  readonly receipt: MoveReceipt;
  /** What is still on it, and why. */
  readonly left: Readonly<Record<string, string>>;
  /** Moved, and not known to run where they are now. */
  readonly late: readonly string[];
}

/** Until it has none any more and those that it had run elsewhere; or until then. */
export async function followed(broker: Broker, node: string, since: number, until: number, progress: DrainProgress, say: (line: string) => void): Promise<DrainEnd> {
  let moved = 0, movedAt = performance.now();
  for (;;) {
    const placement = await watchPlacement(broker), live = placement.flows.filter(({ ended }) => !ended), now = performance.now(), isThere = placement.nodes.some(({ name }) => name === node);
    if (isThere && placement.n >= since && !placement.cordoned.includes(node)) throw new MillraceError("DRAIN_UNDONE", node, `Node ${node} takes actors again`, "Somebody has taken the drain back, or the node was started again; drain it once more.");
    const arrivals = await askMoves(broker, placement.nodes.map(({ name }) => name), since), receipt = moveReceipt(arrivals, (arrival) => arrival.from === node && arrival.since > since);
    const on = live.flatMap(({ actors }) => Object.entries(actors).filter(([, at]) => at === node).map(([actor]) => actor)), late = isThere ? onTheirWay(live, node, since, new Set(receipt.actors.map(({ actor }) => actor))) : [];
    if (receipt.moved !== moved) [moved, movedAt] = [receipt.moved, now];
    if (now > until || (on.length === 0 && (late.length === 0 || now - movedAt > arriveMs))) return { receipt, late, left: Object.fromEntries(on.map((actor) => [actor, placement.lingering[actor] ?? "not moved yet"])) };
    for (const line of progress.news({ moved, late, left: Object.fromEntries(on.map((actor) => [actor, placement.lingering[actor]])) })) say(line);
    await pause(lookMs);
  }
}

function onTheirWay(flows: PlacementAnswer["flows"], node: string, since: number, arrived: ReadonlySet<string>): readonly string[] {
  return flows.flatMap(({ moves, actors }) => Object.entries(moves).filter(([actor, move]) => move.from === node && move.since > since && actors[actor] !== node && !arrived.has(actor)).map(([actor]) => actor));
}
