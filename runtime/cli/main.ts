#!/usr/bin/env node
// The command `millrace`: what program.ts puts together, and the process ended with the right code.
import { CommanderError } from "commander";
import { setHeapPolicy } from "../node/heap-policy.ts";
import { exitCode } from "./exit-code.ts";
import { failureText } from "./failure-text.ts";
import { programOf } from "./program.ts";
import { terminalOn } from "./terminal.ts";

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
const program = programOf((with_) => void (code = with_));

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
