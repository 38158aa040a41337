// `millrace dlq replay` and `millrace dlq drop`: letters that are open go in again, or are put away, while the flow runs. However the
// command is interrupted, it can be given again: what is settled stays settled, and is not done twice (inspect/letter-orders.ts).
import type { Command } from "commander";
import type { LetterOutcome } from "../actor/letters.ts";
import type { Broker } from "../broker/broker.ts";
import { systemClock, systemRandom } from "../event/clock.ts";
import { asError, MillraceError } from "../event/errors.ts";
import { allLetters, type KeptLetter, letterOf } from "../inspect/dead-letters.ts";
import { settleLetters } from "../inspect/letter-orders.ts";
import { type FilterFlags, withFilterFlags } from "./dlq-filter.ts";
import { exitCode } from "./exit-code.ts";
import { helpText } from "./help-text.ts";
import { reachOrStart } from "./nats-options.ts";
import { plain, terminalOn } from "./terminal.ts";
import { several } from "./words.ts";

interface SettleFlags extends FilterFlags {
  readonly all?: true;
  readonly json?: true;
}

type Action = "replay" | "drop";
const done = { replay: "replayed", drop: "dropped" } as const;

export function settleCommands(dlq: Command, ended: (code: number) => void): void {
  for (const [action, says] of [["replay", "let dead letters that are open go in again, each exactly once, while the flow runs"], ["drop", "put dead letters away: they count as open no more, and a key that waits for one goes on without it"]] as const) {
    withFilterFlags(dlq.command(action).argument("<flow>", "name of a flow").argument("[numbers...]", "as `dlq list` names them, such as 12.0; else --stage, --code or --all choose").description(says))
      .option("--all", "all that are open")
      .option("--json", "a line of JSON for each")
      .addHelpText("after", helpText(`
Examples:
  millrace dlq ${action} quakes 12.0 12.1
  millrace dlq ${action} quakes --stage felt --code POISON
  millrace dlq ${action} quakes --all --json

Interrupted, the same command goes on with the rest; what is settled is not settled again.`))
      .action(async (flow: string, numbers: readonly string[], flags: SettleFlags) => ended(await settle(flow, numbers, action, flags)));
  }
}

async function settle(flow: string, numbers: readonly string[], action: Action, flags: SettleFlags): Promise<number> {
  const { stage, code, all, json } = flags, out = terminalOn(process.stdout), err = terminalOn(process.stderr);
  if (numbers.length === 0 && stage === undefined && code === undefined && all !== true) throw new MillraceError("OPTION_INVALID", `dlq ${action}`, "It is not said which letters", "Name them by their numbers, choose by --stage or --code, or say --all.");
  if (numbers.length > 0 && (stage !== undefined || code !== undefined || all === true)) throw new MillraceError("OPTION_INVALID", `dlq ${action}`, "Letters are named, and chosen by options as well", "Give the one or the other.");
  const broker = await reachOrStart(flags, (line) => err.write(line)), count = { done: 0, before: 0, failed: 0 };
  try {
    const letters = numbers.length > 0 ? named(broker, flow, numbers) : allLetters(broker, flow, { stage, code, open: true });
    for await (const [letter, outcome] of settleLetters(broker, flow, letters, action, { clock: systemClock, random: systemRandom })) {
      count[outcome.is === "failed" ? "failed" : outcome.is === done[action] && !(outcome as { before: boolean }).before ? "done" : "before"]++;
      if (json === true) out.write(JSON.stringify({ number: letter.number, actor: letter.actor, ...outcome }));
      else if (lineOf(letter, outcome, action) !== "") out.write(lineOf(letter, outcome, action));
    }
  } catch (error) {
    if (count.done > 0) err.write(`${several(count.done, "dead letter")} ${done[action]} before this; the same command goes on with the rest:`);
    throw asError(error);
  } finally {
    await broker.close();
  }
  if (json !== true) {
    const { done: settled, before, failed } = count, parts = [...(settled > 0 || before + failed === 0 ? [`${several(settled, "dead letter")} ${done[action]}`] : []), ...(before > 0 ? [`${before} settled before`] : []), ...(failed > 0 ? [`${failed} not, still open`] : [])];
    out.write(parts.join(", "));
  }
  return count.failed > 0 ? exitCode.failed : exitCode.fine;
}

async function* named(broker: Broker, flow: string, numbers: readonly string[]): AsyncGenerator<KeptLetter> {
  for (const number of new Set(numbers)) yield await letterOf(broker, flow, number);
}

/** Only what needs a look. */
function lineOf({ number, actor }: KeptLetter, outcome: LetterOutcome, action: Action): string {
  if (outcome.is === "failed") return `  ${number}  ${actor}  ${outcome.code}: ${plain(outcome.message)}`;
  return outcome.is !== "pending" && (outcome.before || outcome.is !== done[action]) ? `  ${number}  ${actor}  was ${outcome.is} before` : "";
}
