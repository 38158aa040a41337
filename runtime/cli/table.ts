// A table for a terminal of any width: columns as wide as what they hold; where that is too much the widest are cut, then those
// that matter least are left out.
import Table from "cli-table3";
import stringWidth from "string-width";
import { cutTo, wrapped } from "./terminal.ts";

export interface Column {
  readonly title: string;
  readonly align?: "left" | "right";
  /** May be cut to so many characters. Default: may not be cut. */
  readonly least?: number;
  /** Broken between words over so many lines before it is cut. Default 1. */
  readonly lines?: number;
  /** Left out where there is no room, those with the highest number first. Default: stays. */
  readonly spare?: number;
}

export interface TableStyle {
  /** Of a line's beginning. Default 2 characters. */
  readonly indent?: number;
  readonly head?: (text: string) => string;
  /** Colours a cell that was laid out already. */
  readonly cell?: (text: string, column: Column, row: number) => string;
}

const gap = 2;
const none = {
  top: "", "top-mid": "", "top-left": "", "top-right": "", bottom: "", "bottom-mid": "", "bottom-left": "", "bottom-right": "",
  left: "", "left-mid": "", mid: "", "mid-mid": "", right: "", "right-mid": "", middle: " ".repeat(gap),
};

/** Lines without a line break at the end. */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[], width: number, { indent = 2, head = (text) => text, cell = (text) => text }: TableStyle = {}): string {
  const natural = columns.map(({ title }, at) => Math.max(stringWidth(title), ...rows.map((row) => stringWidth(row[at] ?? ""))));
  const { shown, widths } = fit(columns, natural, Math.max(1, width - indent));
  const made = new Table({
    head: shown.map((at) => head(cutTo((columns[at] as Column).title, widths[at] as number))), chars: none,
    style: { head: [], border: [], "padding-left": 0, "padding-right": 0 },
    colWidths: shown.map((at) => widths[at] as number), colAligns: shown.map((at) => (columns[at] as Column).align ?? "left"),
  });
  for (const [number, row] of rows.entries()) made.push(shown.map((at) => cell(laidOut(row[at] ?? "", widths[at] as number, columns[at]?.lines), columns[at] as Column, number)));
  return made.toString().split("\n").map((line) => `${" ".repeat(indent)}${line}`.trimEnd()).join("\n");
}

const laidOut = (text: string, width: number, lines: number | undefined): string => (lines === undefined ? cutTo(text, width) : wrapped(text, width, lines).join("\n"));

function fit(columns: readonly Column[], natural: readonly number[], room: number): { readonly shown: readonly number[]; readonly widths: readonly number[] } {
  let shown = columns.map((_, at) => at);
  for (;;) {
    const widths = [...natural], sum = (): number => shown.reduce((total, at) => total + (widths[at] as number), (shown.length - 1) * gap);
    for (let over = sum() - room; over > 0; over = sum() - room) {
      const [widest] = shown.filter((at) => (widths[at] as number) > (columns[at]?.least ?? Infinity)).sort((a, b) => (widths[b] as number) - (widths[a] as number));
      if (widest === undefined) break;
      // As far as the next widest, not to nothing: then both go on together.
      widths[widest] = Math.max(columns[widest]?.least ?? 1, (widths[widest] as number) - Math.max(1, Math.ceil(over / 4)));
    }
    if (sum() <= room) return { shown, widths };
    const spare = shown.filter((at) => columns[at]?.spare !== undefined).sort((a, b) => (columns[b]?.spare ?? 0) - (columns[a]?.spare ?? 0))[0];
    if (spare === undefined) return { shown, widths: widths.map((wide) => Math.min(wide, room)) };
    shown = shown.filter((at) => at !== spare);
  }
}
