// What a command waits for while it watches: on a terminal one line that is rewritten, elsewhere a line whenever it is another one.
import { createLogUpdate } from "log-update";
import type { Terminal } from "./terminal.ts";

export class StatusLine {
  readonly #terminal: Terminal;
  readonly #live: ReturnType<typeof createLogUpdate> | undefined;
  #said = "";
  #isClosed = false;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
    if (terminal.isTTY) this.#live = createLogUpdate(terminal.stream);
  }

  /** `ticking`: what changes by itself, such as the time that is left; told on a terminal only. */
  show(line: string, ticking = ""): void {
    if (this.#isClosed) return;
    if (this.#live !== undefined) this.#live(ticking === "" ? line : `${line}; ${ticking}`);
    else if (line !== this.#said) this.#terminal.write(line);
    this.#said = line;
  }

  /** Before anything else is written: a terminal has the line no longer, and none is shown from then on. May be called again. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#live?.clear();
    this.#live?.done();
  }
}
