// A flow's stages in figures: live while it runs, and as the summary at its end.
import type { StageFigures } from "../inspect/figures.ts";
import { type Column, table } from "./table.ts";
import type { Colors } from "./terminal.ts";
import { count, rate } from "./words.ts";

export interface StageRow extends StageFigures {
  /** Events taken a second. */
  readonly rate: number;
}

const right = "right" as const;
const columns: Readonly<Record<"live" | "summary", readonly Column[]>> = {
  live: [
    { title: "stage", least: 6 }, { title: "in", align: right }, { title: "out", align: right }, { title: "rate", align: right, spare: 3 }, { title: "waiting", align: right, spare: 2 },
    { title: "restarts", align: right, spare: 5 }, { title: "dead", align: right, spare: 4 }, { title: "state", least: 7 }, { title: "held by", least: 7, spare: 1 },
  ],
  summary: [
    { title: "stage", least: 6 }, { title: "in", align: right }, { title: "out", align: right }, { title: "rate", align: right, spare: 3 }, { title: "late", align: right, spare: 2 },
    { title: "dead letters", align: right, spare: 1 }, { title: "restarts", align: right, spare: 1 }, { title: "state", least: 7, spare: 4 },
  ],
};

/** Digits come and go: so that the columns stand still, up to a million. */
const counter = 7, rateWidth = 9;

/** While it runs. `most`: lines that there is room for. */
export function liveTable(all: readonly StageRow[], width: number, most: number, colors: Colors): string {
  const rows = all.length <= most ? all : all.slice(0, Math.max(1, most - 1));
  const cells = rows.map((row) => [row.name, count(row.in).padStart(counter), count(row.out).padStart(counter), rate(row.rate).padStart(rateWidth), row.lag === null ? "" : count(row.lag), count(row.restarts), count(row.deadLetters), row.state, row.heldUpBy.join(", ")]);
  const shown = laidOut(columns.live, cells, width, colors);
  return rows.length === all.length ? shown : `${shown}\n  … and ${all.length - rows.length} more stages`;
}

/** When it is over. */
export function summaryTable(rows: readonly StageRow[], width: number, colors: Colors): string {
  const cells = rows.map((row) => [row.name, count(row.in), count(row.out), rate(row.rate), count(row.late), count(row.deadLetters), count(row.restarts), row.state]);
  return laidOut(columns.summary, cells, width, colors);
}

function laidOut(of: readonly Column[], cells: readonly (readonly string[])[], width: number, colors: Colors): string {
  return table(of, cells, width, {
    head: (text) => colors.dim(text),
    cell: (text, { title }) => (title === "state" ? coloured(text, colors) : text.trim() === "0" ? colors.dim(text) : title === "dead" || title === "dead letters" || title === "restarts" || title === "late" ? colors.yellow(text) : text),
  });
}

/** A state in its colour: green at work, red for a person, yellow for what mends itself. */
export function coloured(state: string, colors: Colors): string {
  if (state === "running" || state === "ended") return colors.green(state);
  return state === "parked" || state === "fenced" ? colors.red(state) : colors.yellow(state);
}
