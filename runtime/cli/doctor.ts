// `millrace doctor`: looks at everything that a run needs, a line each, with what to do where something is wrong.
import type { Command } from "commander";
import { asError, MillraceError } from "../event/errors.ts";
import { checkData, checkDisk, checkNode, checkServer } from "./doctor-machine.ts";
import { checkFlow, checkNats } from "./doctor-flows.ts";
import { exitCode } from "./exit-code.ts";
import { helpText } from "./help-text.ts";
import { type NatsFlags, withNatsFlags } from "./nats-options.ts";
import { type Colors, terminalOn } from "./terminal.ts";

/** What a check found. */
export interface Finding {
  readonly is: "ok" | "warn" | "fail";
  readonly about: string;
  readonly says: string;
  /** Of warn and fail: what to do. */
  readonly remedy?: string;
}

export type Check = (flags: DoctorFlags) => Promise<readonly Finding[]>;

export interface DoctorFlags extends NatsFlags {
  readonly json?: true;
  readonly flow?: string;
}

/** A check that hangs is a finding, too. */
const checkMs = 60_000;

export function doctorCommand(program: Command, ended: (code: number) => void): void {
  withNatsFlags(program.command("doctor").argument("[flow]", "a flow's file: what it promises on each way from source to sink").description("check Node, nats-server, data folder, disk, connection and flows"))
    .option("--json", "the findings as JSON")
    .addHelpText("after", helpText(`
Examples:
  millrace doctor
  millrace doctor flow.ts --nats nats://10.0.0.1:4222

Exit code 1 where something fails; a warning is no failure.`))
    .action(async (flow: string | undefined, flags: DoctorFlags) => ended(await doctor({ ...flags, ...(flow === undefined ? {} : { flow }) })));
}

async function doctor(flags: DoctorFlags): Promise<number> {
  const out = terminalOn(process.stdout), findings: Finding[] = [];
  const checks: readonly (readonly [about: string, check: Check])[] = [
    ["node", checkNode], ["nats-server", checkServer], ["data folder", checkData], ["disk", checkDisk], ["nats", checkNats], ...(flags.flow === undefined ? [] : [["flow", checkFlow] as const]),
  ];
  for (const [about, check] of checks) {
    for (const finding of await bounded(about, () => check(flags))) {
      findings.push(finding);
      if (flags.json !== true) out.write(lineOf(finding, out.colors));
    }
  }
  if (flags.json === true) out.write(JSON.stringify({ findings }));
  const failed = findings.filter(({ is }) => is === "fail").length, warned = findings.filter(({ is }) => is === "warn").length;
  if (flags.json !== true) out.write(failed === 0 && warned === 0 ? "\nAll is well." : `\n${failed} failed, ${warned} to look at.`);
  return failed === 0 ? exitCode.fine : exitCode.failed;
}

async function bounded(about: string, check: () => Promise<readonly Finding[]>): Promise<readonly Finding[]> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<readonly Finding[]>((resolve) => {
    timer = setTimeout(() => resolve([{ is: "fail", about, says: `no answer within ${checkMs / 1000} s`, remedy: "Something hangs: look at the disk and at what this machine is doing." }]), checkMs);
  });
  try {
    return await Promise.race([check(), late]);
  } catch (thrown) {
    return [failed(about, thrown)];
  } finally {
    clearTimeout(timer);
  }
}

/** An error as a finding. */
export function failed(about: string, thrown: unknown): Finding {
  const error = asError(thrown);
  if (!(error instanceof MillraceError)) return { is: "fail", about, says: error.message, remedy: "This is a fault of Millrace or of code that it ran." };
  const tail = ` (${error.code}, ${error.where}). ${error.remedy}`;
  return { is: "fail", about, says: `${error.message.endsWith(tail) ? error.message.slice(0, -tail.length) : error.message} (${error.code})`, remedy: error.remedy };
}

function lineOf({ is, about, says, remedy }: Finding, colors: Colors): string {
  const mark = { ok: colors.green("ok  "), warn: colors.yellow("warn"), fail: colors.red("fail") }[is], indent = " ".repeat(19);
  const more = remedy === undefined ? "" : `\n${indent}${colors.dim("→")} ${remedy.replaceAll("\n", `\n${indent}  `)}`;
  return `${mark}  ${about.padEnd(11)}  ${says.trimEnd().replaceAll("\n", `\n${indent}`)}${more}`;
}
