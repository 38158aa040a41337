// The command `millrace` with all that it knows. One file a command; here they are put together.
import { Command, Help } from "commander";
import { backupCommand } from "./backup.ts";
import { deployCommand } from "./deploy.ts";
import { dlqCommand } from "./dlq.ts";
import { doctorCommand } from "./doctor.ts";
import { drainCommand } from "./drain.ts";
import { exitCodesText } from "./exit-code.ts";
import { flowsCommand } from "./flows.ts";
import { helpText } from "./help-text.ts";
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
import { treeCommand } from "./tree.ts";
import { undeployCommand } from "./undeploy.ts";
import { upCommand } from "./up.ts";
import { versionOfMillrace } from "./version.ts";

const plain = new Help();
const commands = [runCommand, upCommand, nodeCommand, spawnCommand, nodesCommand, keysCommand, deployCommand, undeployCommand, flowsCommand, placementCommand, treeCommand, scaleCommand, drainCommand, moveCommand, dlqCommand, doctorCommand, repairCommand, backupCommand, restoreCommand];

/** @param ended called with the exit code when a command is over; what is wrong with a command line is thrown as CommanderError */
export function programOf(ended: (code: number) => void): Command {
  const program = new Command("millrace").description("An actor runtime for event processing: exactly once, in order per key.").version(versionOfMillrace(), "-V, --version", "print the version")
    .showHelpAfterError("(millrace --help, or millrace help <command>, tells more)").exitOverride()
    .configureHelp({
      // Of an option that may be repeated "(default: [])" tells nobody anything.
      optionDescription: (option) => (Array.isArray(option.defaultValue) ? option.description : plain.optionDescription(option)),
      // All of them have options, and what each is for needs the room.
      subcommandTerm: (command) => plain.subcommandTerm(command).replace(" [options]", ""),
    })
    .addHelpText("after", helpText(`
Examples:
  millrace run flow.ts
  millrace tree
  millrace doctor flow.ts

${exitCodesText}`));
  for (const command of commands) command(program, ended);
  for (const command of program.commands.flatMap((one) => [one, ...one.commands])) command.exitOverride();
  return program;
}
