// The supervision tree, drawn. The same for a node's answer and for the node in this process.
import { display } from "../actor/lifecycle.ts";
import type { ActorFigures } from "../inspect/figures.ts";
import type { TreeLine } from "../inspect/report.ts";
import { coloured } from "./stage-table.ts";
import { type Column, table } from "./table.ts";
import { type Colors, plain, wrapped } from "./terminal.ts";
import { count, duration, several } from "./words.ts";

export interface TreeOptions {
  readonly width: number;
  readonly colors: Colors;
  /** Wall clock of the node, ms since the epoch. */
  readonly now: number;
  /** Of a stage with more actors those that are well are put together. Default 16. */
  readonly mostActors?: number;
}

const right = "right" as const;
const columns: readonly Column[] = [
  { title: "", least: 12 }, { title: "state", least: 7 }, { title: "restarts", align: right, spare: 2 }, { title: "in", align: right, spare: 4 }, { title: "out", align: right, spare: 4 },
  { title: "waiting", align: right, spare: 3 }, { title: "journal", align: right, spare: 5 },
];
const indent = 2;
const noteLines = 2, leastNote = 10;

interface Drawn {
  readonly cells: readonly string[];
  /** On lines of its own below: a table's column would cut it to nothing. */
  readonly note: string;
  /** The branches that go on below. */
  readonly below: string;
}

type Branch = { readonly line: TreeLine; readonly children: Branch[] } | { readonly rest: number; readonly state: string };

export function treeText(lines: readonly TreeLine[], options: TreeOptions): string {
  const { width, colors, mostActors = 16 } = options, rows: Drawn[] = [];
  for (const root of branches(lines)) draw(root, "", "", rows, options.now, mostActors);
  const [head = "", ...drawn] = table(columns, rows.map(({ cells }) => cells), width, {
    indent, head: (text) => colors.dim(text),
    cell: (text, { title }) => (title === "state" ? coloured(text, colors) : title === "restarts" && text !== "0" ? colors.yellow(text) : text),
  }).split("\n");
  return [head, ...drawn.flatMap((line, at) => [line, ...noteOn(rows[at] as Drawn, width, colors)])].join("\n");
}

function noteOn({ note, below }: Drawn, width: number, colors: Colors): readonly string[] {
  if (note === "") return [];
  const prefix = `${" ".repeat(indent)}${below}   `;
  return wrapped(note, Math.max(leastNote, width - prefix.length), noteLines).map((line) => `${prefix}${colors.yellow(line)}`);
}

function branches(lines: readonly TreeLine[]): readonly Branch[] {
  const roots: Branch[] = [], path: Branch[][] = [roots];
  for (const line of lines) {
    const branch: Branch = { line, children: [] };
    (path[line.depth] ?? roots).push(branch);
    path[line.depth + 1] = branch.children;
  }
  return roots;
}

function draw(branch: Branch, prefix: string, below: string, rows: Drawn[], now: number, mostActors: number): void {
  if ("rest" in branch) {
    rows.push({ cells: [`${prefix}… and ${several(branch.rest, "more actor")}`, branch.state], note: "", below });
    return;
  }
  const { line, children } = branch, { figures } = line, shown = together(children, mostActors);
  const counts = figures === undefined ? ["", "", "", ""] : [count(figures.in), count(figures.out), figures.lag === null ? "" : count(figures.lag), count(figures.journal)];
  rows.push({ cells: [`${prefix}${nameOf(line)}`, display(line.state), count(line.restarts), ...counts], note: noteOf(line, now), below: `${below}${shown.length > 0 ? "│" : " "}` });
  for (const [at, child] of shown.entries()) {
    const last = at === shown.length - 1;
    draw(child, `${below}${last ? "└─ " : "├─ "}`, `${below}${last ? "   " : "│  "}`, rows, now, mostActors);
  }
}

/** A thousand actors that are well need no thousand lines. */
function together(children: readonly Branch[], most: number): readonly Branch[] {
  if (children.length <= most) return children;
  const shown: Branch[] = [], rest = new Map<string, number>();
  for (const child of children) {
    const line = "line" in child ? child.line : undefined;
    if (line === undefined || line.kind !== "actor" || shown.length < most / 2 || line.restarts > 0 || line.why !== undefined || line.lastFailure !== undefined) shown.push(child);
    else rest.set(display(line.state), (rest.get(display(line.state)) ?? 0) + 1);
  }
  return [...shown, ...[...rest].map(([state, number]) => ({ rest: number, state }))];
}

/** The last part of the address: what comes before is in the lines above. */
function nameOf({ id, kind }: TreeLine): string {
  return kind === "root" ? `node ${id}` : (id.split("/").at(-1) as string);
}

function noteOf({ state, why, lastFailure, nextTryAt, figures }: TreeLine, now: number): string {
  const notes: string[] = [];
  if (why !== undefined && state !== "running.active" && state !== "ended") notes.push(briefly(why.message));
  else if (lastFailure !== undefined) notes.push(`${duration(now - lastFailure.at)} ago: ${briefly(lastFailure.message)}`);
  if (nextTryAt !== undefined) notes.push(`again in ${duration(nextTryAt - now)}`);
  if (figures !== undefined && figures.heldUpBy.length > 0) notes.push(`held up by ${figures.heldUpBy.join(", ")}`);
  if (figures !== undefined && figures.parked.keys > 0) notes.push(parkedText(figures.parked));
  if (figures !== undefined && figures.deadLetters > 0) notes.push(lettersText(figures));
  if (figures !== undefined && figures.late > 0) notes.push(`${count(figures.late)} late`);
  return notes.join("; ");
}

/** Without the code, the place and the remedy that an error of ours ends with: the place is the line above. */
function briefly(message: string): string {
  return plain(message.replace(/ \([A-Z_]+, [^)]*\)\. [\s\S]*$/, ""));
}

function lettersText({ deadLetters, openLetters }: ActorFigures): string {
  return `${several(deadLetters, "dead letter")}${openLetters === deadLetters ? "" : `, ${count(openLetters)} open`}`;
}

function parkedText({ keys, first, events }: ActorFigures["parked"]): string {
  const named = first.map((key) => plain(String(key)).slice(0, 24)).join(", ");
  return `${keys === 1 ? "key" : `${count(keys)} keys:`} ${named}${keys > first.length ? " …" : ""} ${keys === 1 ? "waits" : "wait"} for dlq replay or drop, ${several(events, "event")} behind`;
}
