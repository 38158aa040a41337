// Where the command writes: results to the standard output, all else to the standard error, each with what it can show.
import pc from "picocolors";
import stringWidth from "string-width";

export type Colors = ReturnType<typeof pc.createColors>;

export interface Terminal {
  readonly isTTY: boolean;
  /** Characters a line; 80 where it is not known. */
  readonly columns: number;
  readonly rows: number;
  readonly colors: Colors;
  readonly stream: NodeJS.WriteStream;
  /** A line, or several. */
  write(text: string): void;
}

const defaultColumns = 80, defaultRows = 24;
/** A line is never laid out for less. */
const leastColumns = 20;

export function terminalOn(stream: NodeJS.WriteStream, env: NodeJS.ProcessEnv = process.env): Terminal {
  const isTTY = stream.isTTY === true && env["TERM"] !== "dumb";
  const columns = (): number => Math.max(leastColumns, stream.columns ?? (Number(env["COLUMNS"]) || defaultColumns));
  return {
    isTTY,
    get columns() { return columns(); },
    get rows() { return stream.rows ?? defaultRows; },
    colors: pc.createColors(Boolean(env["FORCE_COLOR"] && env["FORCE_COLOR"] !== "0") || (isTTY && !env["NO_COLOR"])),
    stream,
    write: (text) => void stream.write(`${text}\n`),
  };
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: what it takes out.
const controls = /[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g;

/** Data of others on one line: nothing in it moves the cursor, sets colours or turns the direction of writing. */
export function plain(text: string): string {
  return text.replace(controls, "·");
}

/** Cut to a width, with "…" where something is missing. */
export function cutTo(text: string, width: number): string {
  if (stringWidth(text) <= width) return text;
  let cut = "", used = 0;
  for (const { segment } of new Intl.Segmenter().segment(text)) {
    const wide = stringWidth(segment);
    if (used + wide > width - 1) break;
    cut += segment;
    used += wide;
  }
  return `${cut}…`;
}

/** On lines of at most so many characters, broken between words; what is too much for `most` lines ends with "…". */
export function wrapped(text: string, width: number, most: number): readonly string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    const longer = line === "" ? word : `${line} ${word}`;
    if (stringWidth(longer) <= width || line === "") { line = longer; continue; }
    lines.push(line);
    line = word;
  }
  lines.push(line);
  const shown = lines.slice(0, most).map((one) => cutTo(one, width));
  if (lines.length > most) shown[most - 1] = cutTo(`${shown[most - 1]} …`, width);
  return shown;
}
