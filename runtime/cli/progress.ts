// What is shown while a flow runs: on a terminal one block that is drawn anew, elsewhere a line every few seconds. On the standard
// error, as are warnings: the standard output belongs to results.
import { createLogUpdate } from "log-update";
import { stageFigures, treeOfFlow, type StageFigures } from "../inspect/figures.ts";
import { Lags } from "../inspect/lag.ts";
import type { HostedFlow } from "../node/hosted-flow.ts";
import type { RunningNode } from "../node/node.ts";
import { liveTable, type StageRow } from "./stage-table.ts";
import { cutTo, type Terminal } from "./terminal.ts";
import { count, duration, listed, rate, several } from "./words.ts";

const drawMs = 250;
const lineMs = 5_000;
const drainLineMs = 2_000;
/** Lines of the terminal that the stages do not have: title, heads, what is waited for, where the cursor stands. */
const headLines = 5;
/** A rate is that of the last so many ms. */
const rateMs = 3_000;

/** States of a stage whose counts are not those of its journal yet. */
const starting: readonly string[] = ["idle", "claiming", "recovering"];

interface Sample {
  readonly at: number;
  readonly taken: readonly number[];
}

export class Progress {
  readonly #node: RunningNode;
  readonly #flow: HostedFlow;
  readonly #terminal: Terminal;
  readonly #block: ReturnType<typeof createLogUpdate> | undefined;
  readonly #lags = new Lags();
  readonly #begun = performance.now();
  #samples: Sample[] = [];
  /** Of a run that goes on: what had been taken when all its actors were at work again. */
  #resumed: Sample | undefined;
  #said = "";
  #lineAt = performance.now();
  #draining = false;
  #timer: NodeJS.Timeout | undefined;

  /** `live`: whether nothing else writes to the terminal. */
  constructor(node: RunningNode, flow: HostedFlow, terminal: Terminal, live: boolean) {
    this.#node = node;
    this.#flow = flow;
    this.#terminal = terminal;
    if (live && terminal.isTTY) this.#block = createLogUpdate(terminal.stream);
  }

  start(): void {
    const tick = (): void => void this.#tick().catch((error: unknown) => this.#node.log.debug("progress could not be shown", { reason: String(error) }));
    this.#timer = setInterval(tick, drawMs);
    this.#timer.unref();
    tick();
  }

  /** A line that stays, above the block. */
  say(line: string): void {
    if (this.#block === undefined) return this.#terminal.write(line);
    this.#block.clear();
    this.#terminal.write(line);
    if (this.#said !== "") this.#block(this.#said);
  }

  /** From now on it is said what is waited for. */
  draining(): void {
    this.#draining = true;
    this.#lineAt = performance.now() - drainLineMs;
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#block?.clear();
    this.#block?.done();
  }

  /** Figures of now, and the rate of each stage over `ms`: the last few seconds, or the whole run. */
  rows(ms: number): readonly StageRow[] {
    const figures = this.#figures(), now = performance.now(), since = this.#samples.find(({ at }) => at >= now - ms), seconds = (now - (since?.at ?? now)) / 1_000;
    return figures.map((row, at) => ({ ...row, rate: seconds < 0.05 ? 0 : Math.max(0, row.in - (since?.taken[at] ?? 0)) / seconds }));
  }

  /** The same, with the rate over the whole time; of a run that goes on, since its actors were at work again: what it took before is not of this time. */
  summary(runMs: number): readonly StageRow[] {
    const { resumed } = this.#flow.run, from = resumed ? this.#resumed : undefined, ms = !resumed ? runMs : from === undefined ? 0 : performance.now() - from.at;
    return this.#figures().map((row, at) => ({ ...row, rate: ms <= 0 ? 0 : (Math.max(0, row.in - (from?.taken[at] ?? 0)) * 1_000) / ms }));
  }

  #figures(): readonly StageFigures[] {
    const tree = treeOfFlow(this.#node.tree(), this.#flow.name);
    return tree === undefined ? [] : stageFigures(this.#flow, tree, this.#lags);
  }

  async #tick(): Promise<void> {
    const now = performance.now();
    if (!this.#draining) await this.#lags.measure(this.#flow, [...this.#flow.actors.values()], this.#node.clock.monotonic());
    const rows = this.rows(rateMs);
    const sample: Sample = { at: now, taken: rows.map((row) => row.in) };
    this.#samples.push(sample);
    if (this.#resumed === undefined && rows.every(({ state }) => !starting.includes(state))) this.#resumed = sample;
    this.#samples = this.#samples.filter(({ at }) => at >= now - 2 * rateMs);
    if (this.#block !== undefined) {
      this.#said = this.#draw(rows);
      if (this.#timer !== undefined) this.#block(this.#said);
    } else if (now - this.#lineAt >= (this.#draining ? drainLineMs : lineMs)) {
      this.#lineAt = now;
      this.#terminal.write(this.#draining ? this.#waitsFor() : this.#line(rows));
    }
  }

  #draw(rows: readonly StageRow[]): string {
    const { columns, rows: height, colors } = this.#terminal, head = `${this.#flow.name}  ${duration(performance.now() - this.#begun)}${this.#node.parts.access.broker.connected ? "" : "  NATS is away, waiting for it"}`;
    return [colors.bold(cutTo(head, columns)), liveTable(rows, columns - 1, height - headLines, colors), ...(this.#draining ? [cutTo(this.#waitsFor(), columns - 1)] : [])].join("\n");
  }

  #line(rows: readonly StageRow[]): string {
    const stages = rows.map((row) => `${row.name} ${count(row.in)}${row.kind === "source" ? ` (${rate(row.rate)})` : ""}${row.state === "running" || row.state === "ended" ? "" : ` ${row.state}`}`);
    const trouble = rows.reduce((sum, { restarts, deadLetters }) => ({ restarts: sum.restarts + restarts, dead: sum.dead + deadLetters }), { restarts: 0, dead: 0 });
    const told = [...(trouble.restarts > 0 ? [several(trouble.restarts, "restart")] : []), ...(trouble.dead > 0 ? [several(trouble.dead, "dead letter")] : [])];
    return `${this.#flow.name} ${duration(performance.now() - this.#begun)}: ${[stages.join(" → "), ...told].join(", ")}`;
  }

  #waitsFor(): string {
    const tree = treeOfFlow(this.#node.tree(), this.#flow.name);
    const waiting = (tree?.children ?? []).flatMap(({ children }) => children).filter(({ state }) => state === "draining").map(({ id }) => {
      const [full] = this.#flow.actors.get(id)?.view?.full ?? [];
      const short = id.slice(this.#flow.name.length + 1);
      return full === undefined ? short : `${short} (held up by ${full.split("/")[0]})`;
    });
    return waiting.length === 0 ? "Stopping: leaving NATS" : `Stopping: waits until ${listed(waiting)} ${waiting.length === 1 ? "has" : "have"} committed and sent what is under way`;
  }
}
