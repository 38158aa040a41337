#!/usr/bin/env node
// The command `millrace`. One file a command; here they are put together, and the process is ended with the right code.
import { Command, CommanderError, Help } from "commander";
import { setHeapPolicy } from "../node/heap-policy.ts";
import { deployCommand } from "./deploy.ts";
import { backupCommand } from "./backup.ts";
import { dlqCommand } from "./dlq.ts";
import { drainCommand } from "./drain.ts";
import { doctorCommand } from "./doctor.ts";
import { exitCode, exitCodesText } from "./exit-code.ts";
import { failureText } from "./failure-text.ts";
import { flowsCommand } from "./flows.ts";
import { keysCommand } from "./keys.ts";
import { moveCommand } from "./move.ts";
import { nodeCommand } from "./node.ts";
import { nodesCommand } from "./nodes.ts";
import { placementCommand } from "./placement.ts";
import { repairCommand } from "./repair.ts";
import { restoreCommand } from "./restore.ts";
import { runCommand } from "./run.ts";
import { scaleCommand } from "./scale.ts";
import { spawnCommand } from "./spawn.ts";
import { terminalOn } from "./terminal.ts";
import { treeCommand } from "./tree.ts";
import { undeployCommand } from "./undeploy.ts";
import { upCommand } from "./up.ts";
import { versionOfMillrace } from "./version.ts";

setHeapPolicy();
// Stacks and places in flows then name the lines of their TypeScript.
process.setSourceMapsEnabled(true);
const err = terminalOn(process.stderr);
// Who read our output has gone (`| head`): the rest is for nobody, and no reason to end the flow.
for (const stream of [process.stdout, process.stderr]) stream.on("error", (error: NodeJS.ErrnoException) => { if (error.code !== "EPIPE") throw error; });
process.on("uncaughtException", (error) => {
  err.write(`${failureText(error, err.colors, true)}\nThat came from outside any handler, so no supervisor could catch it; the node ends. Nothing is lost: the same command goes on where it was.`);
  process.exit(exitCode.failed);
});

let code: number = exitCode.fine;
const program = new Command("millrace").description("An actor runtime for event processing: exactly once, in order per key.").version(versionOfMillrace(), "-V, --version", "print the version")
  .showHelpAfterError("(millrace --help, or millrace help <command>, tells more)").exitOverride()
  // Of an option that may be repeated "(default: [])" tells nobody anything.
  .configureHelp({ optionDescription: (option) => (Array.isArray(option.defaultValue) ? option.description : new Help().optionDescription(option)) })
  .addHelpText("after", `
Examples:
  millrace run flow.ts
  millrace tree
  millrace doctor flow.ts

${exitCodesText}`);
const ended = (with_: number): void => void (code = with_);
for (const command of [runCommand, upCommand, nodeCommand, spawnCommand, nodesCommand, keysCommand, deployCommand, undeployCommand, flowsCommand, placementCommand, treeCommand, scaleCommand, drainCommand, moveCommand, dlqCommand, doctorCommand, repairCommand, backupCommand, restoreCommand]) command(program, ended);
for (const command of program.commands.flatMap((one) => [one, ...one.commands])) command.exitOverride();

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) code = error.exitCode === 0 ? exitCode.fine : exitCode.usage;
  else {
    err.write(failureText(error, err.colors, process.argv.includes("--verbose")));
    code = exitCode.failed;
  }
}
// What is in a pipe is written before the end; handles that a flow left open do not keep the process.
for (const stream of [process.stdout, process.stderr]) await new Promise<void>((done) => { if (!stream.write("", () => done())) stream.once("error", () => done()); });
process.exit(code);
