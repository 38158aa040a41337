// `millrace move`: an actor goes to a certain node, and stays there.
import type { Command } from "commander";
import { setTimeout as pause } from "node:timers/promises";
import type { Broker } from "../broker/broker.ts";
import { MillraceError } from "../event/errors.ts";
import { askMoves, orderPlacement, watchPlacement } from "../inspect/placement-orders.ts";
import { type MoveReceipt, moveReceipt } from "../node/move-receipt.ts";
import { exitCode } from "./exit-code.ts";
import { helpText } from "./help-text.ts";
import { Interruption } from "./interruption.ts";
import { moveText } from "./move-table.ts";
import { type NatsFlags, reach, withNatsFlags } from "./nats-options.ts";
import { durationOf } from "./number-option.ts";
import { terminalOn } from "./terminal.ts";

interface MoveFlags extends NatsFlags {
  readonly release?: true;
  readonly wait: boolean;
  readonly timeout: string;
  readonly json?: true;
}

const lookMs = 100;

export function moveCommand(program: Command, ended: (code: number) => void): void {
  withNatsFlags(program.command("move").argument("<flow/stage/partition>", "such as quakes/by-region/2").argument("[node]", "where it is to be").description("move an actor to a certain node, and keep it there"))
    .option("--release", "let the placement decide again where it is")
    .option("--no-wait", "return when it is decided: the nodes carry it out, whoever watches")
    .option("--timeout <duration>", "watch no longer than that, such as 90s; the move itself goes on", "2m")
    .option("--json", "one line of JSON: the receipt")
    .addHelpText("after", helpText(`
Examples:
  millrace move quakes/by-region/2 n3             from now on it is on n3; it commits and stops where it is, and goes on there
  millrace move quakes/by-region/2 --release      where it is from here on the placement decides
  millrace placement --why                        what is pinned

It stays there until it is released, or that node goes, is drained, or may not have it any more. To keep the balance another actor may be
moved in return. A move that is stopped half-way goes on by itself; the same command watches on. Exit codes: 0 it is there, 1 it is not, 130 interrupted.`))
    .action(async (actor: string, node: string | undefined, flags: MoveFlags) => ended(await move(actor, node, flags)));
}

async function move(actor: string, node: string | undefined, flags: MoveFlags): Promise<number> {
  if (!/^[^/]+\/[^/]+\/\d+$/.test(actor)) throw new MillraceError("OPTION_INVALID", "move", `"${actor}" names no actor`, "Write flow/stage/partition, such as quakes/by-region/2; `millrace placement` lists them.");
  if ((node === undefined) !== (flags.release === true)) throw new MillraceError("OPTION_INVALID", "move", node === undefined ? "Where it is to go is not said" : "A node and --release are two things", `Write millrace move ${actor} <node>, or millrace move ${actor} --release.`);
  const timeoutMs = durationOf("--timeout", flags.timeout), broker = await reach(flags), out = terminalOn(process.stdout), err = terminalOn(process.stderr), interruption = new Interruption(() => {});
  try {
    const since = await orderPlacement(broker, node === undefined ? { action: "release", actor } : { action: "pin", actor, node });
    if (node === undefined || !flags.wait) {
      out.write(flags.json === true ? JSON.stringify({ actor, pinned: node ?? null, since }) : node === undefined ? `${actor} is where the placement puts it from now on.` : `${actor} is pinned to ${node}, and goes there.`);
      return exitCode.fine;
    }
    const end = await Promise.race([followed(broker, actor, node, since, performance.now() + timeoutMs), interruption.first.then(() => undefined)]);
    if (end === undefined) {
      if (flags.json !== true) err.write("Not watched any more: the move goes on; the same command watches on, --release takes the pin back.");
      return exitCode.interrupted;
    }
    if (flags.json === true) out.write(JSON.stringify({ actor, pinned: node, since, isThere: end.isThere, ...end.receipt }));
    else if (!end.isThere) out.write(`${actor} is not at work on ${node} yet; the move goes on, and \`millrace tree\` tells what holds it up.`);
    else out.write(end.receipt.moved === 0 ? `${actor} was on ${node} already, and stays there now.` : `${actor} is on ${node}, and stays there until it is released.\n${moveText(end.receipt, out)}`);
    return end.isThere ? exitCode.fine : exitCode.failed;
  } finally {
    interruption.close();
    await broker.close();
  }
}

/** Until it runs there; or until then. @throws MillraceError PIN_OVER, NO_CLUSTER, UNREACHABLE */
async function followed(broker: Broker, actor: string, node: string, since: number, until: number): Promise<{ readonly isThere: boolean; readonly receipt: MoveReceipt }> {
  for (;;) {
    const placement = await watchPlacement(broker), flow = placement.flows.find(({ actors }) => actor in actors), at = flow?.actors[actor], move = flow?.moves[actor];
    if (placement.n >= since && flow?.pins[actor] !== node) throw new MillraceError("PIN_OVER", actor, `${actor} is not kept on ${node} any more`, "That node has gone, is being drained, or may not have it; or somebody has released it: `millrace placement --why` tells where it is and why.");
    const was = at === node && (move === undefined || move.since <= since);
    // What the balance asked for in return is of the same record.
    const arrivals = await askMoves(broker, placement.nodes.map(({ name }) => name), since), receipt = moveReceipt(arrivals, (arrival) => !was && arrival.since > since && arrival.since === move?.since);
    const isThere = was || (at === node && receipt.actors.some((one) => one.actor === actor && one.to === node));
    if (isThere || flow?.ended === true || performance.now() > until) return { isThere, receipt };
    await pause(lookMs);
  }
}
