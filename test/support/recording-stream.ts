// A stream in the place of a terminal: keeps what is written, and says how large it is.
import { Writable } from "node:stream";
import { terminalOn, type Terminal } from "../../runtime/cli/terminal.ts";

export interface Recording {
  readonly terminal: Terminal;
  /** All that was written. */
  readonly text: string;
}

export function record({ isTTY = false, columns = 80, rows = 24 }: { isTTY?: boolean; columns?: number; rows?: number } = {}): Recording {
  let text = "";
  const stream = Object.assign(new Writable({ write(chunk: Buffer, _, done) { text += String(chunk); done(); } }), { isTTY, columns, rows }) as unknown as NodeJS.WriteStream;
  return { terminal: terminalOn(stream, { NO_COLOR: "1" }), get text() { return text; } };
}
