// `millrace keys`: the key that signs what is deployed.
import type { Command } from "commander";
import { newKey } from "../deploy/nkey.ts";
import { exitCode } from "./exit-code.ts";
import { helpText } from "./help-text.ts";
import { readKey, writeSeed } from "./key-file.ts";
import { terminalOn } from "./terminal.ts";

interface KeysFlags {
  readonly account?: true;
  readonly json?: true;
}

export function keysCommand(program: Command, ended: (code: number) => void): void {
  const keys = program.command("keys").description("make and show the keys that sign what is deployed")
    .addHelpText("after", helpText(`
Examples:
  millrace keys new deploy.nk                    once: its public half is printed
  millrace keys show deploy.nk                   the public half again
  millrace node --trust $(millrace keys show deploy.nk)
  millrace deploy flow.ts --key deploy.nk`));
  keys.command("new").argument("<file>", "where its seed, the secret half, is written: mode 0600, and never over another file").description("make a key, and print its public half")
    .option("--account", "of an account (A…) instead of a user (U…)")
    .option("--json", "as JSON")
    .addHelpText("after", helpText(`
Examples:
  millrace keys new deploy.nk
  millrace node --nats nats://10.0.0.1:4222 --trust $(millrace keys show deploy.nk)
  millrace deploy flow.ts --key deploy.nk --nats nats://10.0.0.1:4222

Keep the file secret: who has it can run code on every node that trusts it. NATS' own nk reads and makes such files, too.`))
    .action(async (file: string, flags: KeysFlags) => ended(await make(file, flags)));
  keys.command("show").argument("<file>", "a file that keys new has made").description("print the public half of a key: what nodes are told to trust")
    .option("--json", "as JSON")
    .addHelpText("after", helpText(`
Examples:
  millrace keys show deploy.nk`))
    .action(async (file: string, flags: KeysFlags) => ended(await show(file, flags)));
}

async function make(file: string, { account, json }: KeysFlags): Promise<number> {
  const { key: { publicKey }, seed } = newKey(account === true ? "account" : "user");
  await writeSeed(file, seed);
  print(publicKey, file, json);
  if (json !== true) terminalOn(process.stderr).write(`The seed is in ${file}: keep it secret. Nodes take what it signs with --trust ${publicKey}`);
  return exitCode.fine;
}

async function show(file: string, { json }: KeysFlags): Promise<number> {
  const err = terminalOn(process.stderr);
  print((await readKey(file, (line) => err.write(`${err.colors.yellow("!")} ${line}`))).publicKey, file, json);
  return exitCode.fine;
}

function print(key: string, file: string, json: true | undefined): void {
  terminalOn(process.stdout).write(json === true ? JSON.stringify({ key, file }) : key);
}
