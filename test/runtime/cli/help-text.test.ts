// The help of all commands: none of its lines is wider than a terminal of 80 columns, whatever the command is.
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Command } from "commander";
import { fitted } from "../../../runtime/cli/help-text.ts";
import { programOf } from "../../../runtime/cli/program.ts";

const test = suite("help");

const allOf = (command: Command): readonly Command[] => [command, ...command.commands.flatMap(allOf)];

function helpOf(command: Command, columns: number): string {
  let text = "";
  command.configureOutput({ writeOut: (part) => { text += part; }, getOutHelpWidth: () => columns });
  command.outputHelp();
  return text;
}

test("no line of the help of any command is wider than 80 columns, nor than 100 where the terminal has them", () => {
  const commands = allOf(programOf(() => {}));
  assert.ok(commands.length > 20, "the commands were found");
  for (const command of commands) for (const columns of [80, 100]) {
    const text = helpOf(command, columns);
    assert.match(text, /^Usage: millrace/);
    assert.equal(text.split("\n").filter((line) => line.length > columns), [], command.name());
  }
});

test("every command has examples, and --json but for those that run until they are stopped, or whose output is JSON as it is", () => {
  const commands = allOf(programOf(() => {})).slice(1), without = commands.filter((command) => command.commands.length === 0 && !command.options.some(({ long }) => long === "--json"));
  for (const command of commands) assert.match(helpOf(command, 80), /^Examples:$/m, command.name());
  assert.equal(without.map((command) => command.name()).sort(), ["export", "node", "show", "up"]);
});

test("remarks stand beside examples where both have room", () => {
  assert.is(fitted("Examples:\n  a flow         what it does\n  much longer --x  what that does, at a length that does not go on one line\n  alone", 60), [
    "Examples:",
    "  a flow           what it does",
    "  much longer --x  what that does, at a length that does not",
    "                   go on one line",
    "  alone",
  ].join("\n"));
});

test("else below them; a command that is too long is broken before its options, as a shell takes it", () => {
  assert.is(fitted("  a command --with an option --and=another   what it does\n  b   what b does", 41), ["  a command --with an option \\", "      --and=another", "      what it does", "  b", "      what b does"].join("\n"));
});

test("prose is filled up to 80 columns, however wide the terminal; paragraphs stay apart, and so do exit codes", () => {
  const words = (count: number) => Array(count).fill("word").join(" ");
  assert.is(fitted(`\n${words(10)}\n${words(10)}\n\nanother\nExit code 1: it is not`, 200), `\n${words(16)}\n${words(4)}\n\nanother\nExit code 1: it is not`);
});

test.run();
