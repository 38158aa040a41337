// What stands below the options in the help of a command: examples, each with what it does, and prose; fitted to the terminal.
import type { AddHelpTextContext } from "commander";
import { wrapped } from "./terminal.ts";

/** Wider lines are hard to read, narrower ones than the least nobody can lay out. */
const mostColumns = 80, leastColumns = 40;
/** A column of remarks that is narrower goes below the commands. */
const leastRemark = 28;
const gap = 2, indent = 6;

interface Example {
  readonly command: string;
  readonly remark: string;
}

/**
 * For `addHelpText`. Lines that are indented by two are examples, with a remark after two spaces or more; others are prose: those that follow
 * each other are one paragraph, where none of them begins with "Exit code".
 */
export function helpText(text: string): (context: AddHelpTextContext) => string {
  return ({ command }) => fitted(text, command.configureOutput().getOutHelpWidth?.() ?? mostColumns);
}

export function fitted(text: string, columns: number): string {
  const width = Math.min(mostColumns, Math.max(leastColumns, columns)), lines: string[] = [];
  for (const block of blocksOf(text)) lines.push(...(block[0]?.startsWith("  ") === true ? laidOut(block.map(exampleOf), width) : wrapped(block.join(" "), width, Infinity)));
  return lines.join("\n");
}

function blocksOf(text: string): readonly (readonly string[])[] {
  const blocks: string[][] = [];
  let kind = "";
  for (const line of text.split("\n")) {
    const its = line === "" ? "empty" : line.startsWith("  ") ? "example" : "prose", last = blocks[blocks.length - 1];
    if (last === undefined || its !== kind || its === "empty" || line.startsWith("Exit code")) blocks.push([line]);
    else last.push(line);
    kind = its;
  }
  return blocks;
}

function exampleOf(line: string): Example {
  const [, command = "", remark = ""] = /^ {2}(.*?\S)(?: {2,}(\S.*))?$/.exec(line) ?? [];
  return { command, remark };
}

/** In two columns where both have room, else with each remark below its command. */
function laidOut(examples: readonly Example[], width: number): readonly string[] {
  const column = gap + Math.max(...examples.filter(({ remark }) => remark !== "").map(({ command }) => command.length)) + gap, room = width - column;
  return examples.flatMap(({ command, remark }) => {
    if (remark === "") return broken(command, width);
    if (room < leastRemark) return [...broken(command, width), ...wrapped(remark, width - indent, Infinity).map((line) => " ".repeat(indent) + line)];
    return wrapped(remark, room, Infinity).map((line, at) => (at === 0 ? " ".repeat(gap) + command : "").padEnd(column) + line);
  });
}

/** A command as a shell takes it on several lines: broken before its options. */
function broken(command: string, width: number): readonly string[] {
  const [first = "", ...options] = command.split(/ (?=-)/), lines: string[] = [];
  let line = " ".repeat(gap) + first;
  for (const [at, option] of options.entries()) {
    const longer = `${line} ${option}`, isLast = at === options.length - 1;
    if (longer.length + (isLast ? 0 : " \\".length) <= width) { line = longer; continue; }
    lines.push(`${line} \\`);
    line = " ".repeat(indent) + option;
  }
  return [...lines, line];
}
