// What is shown while a flow runs on several nodes: the sums of what they answer, a line every few seconds, a block on a terminal.
import { createLogUpdate } from "log-update";
import { display, type StateName } from "../actor/lifecycle.ts";
import type { Broker } from "../broker/broker.ts";
import { askAll } from "../inspect/inquiry.ts";
import type { TreeLine } from "../inspect/report.ts";
import { coloured } from "./stage-table.ts";
import { table, type Column } from "./table.ts";
import { cutTo, type Terminal } from "./terminal.ts";
import { count, duration, rate } from "./words.ts";

const askMs = 1_000;
const lineMs = 5_000;

interface StageSum {
  readonly name: string;
  in: number;
  out: number;
  lag: number;
  restarts: number;
  dead: number;
  readonly states: StateName[];
  readonly nodes: Map<string, number>;
}

const worstFirst: readonly StateName[] = ["parked", "fenced", "backing-off", "unavailable.claiming", "unavailable.recovering", "unavailable.running", "stopped", "draining", "claiming", "recovering", "idle", "running.paused", "running.active", "ended"];
const right = "right" as const;
const columns: readonly Column[] = [{ title: "stage", least: 6 }, { title: "in", align: right }, { title: "out", align: right }, { title: "rate", align: right, spare: 3 }, { title: "waiting", align: right, spare: 2 }, { title: "restarts", align: right, spare: 4 }, { title: "state", least: 7 }, { title: "on", least: 8, spare: 1 }];

export class JointProgress {
  readonly #broker: Broker;
  readonly #terminal: Terminal;
  readonly #block: ReturnType<typeof createLogUpdate> | undefined;
  readonly #begun = performance.now();
  #before: { readonly at: number; readonly taken: ReadonlyMap<string, number> } | undefined;
  #lineAt = performance.now();
  #said = "";
  #asking = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(broker: Broker, terminal: Terminal) {
    this.#broker = broker;
    this.#terminal = terminal;
    if (terminal.isTTY) this.#block = createLogUpdate(terminal.stream);
  }

  start(): void {
    this.#timer = setInterval(() => void this.#tick(), askMs);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#block?.clear();
    this.#block?.done();
  }

  /** A line that stays, above the block. */
  say(line: string): void {
    if (this.#block === undefined) return this.#terminal.write(line);
    this.#block.clear();
    this.#terminal.write(line);
    if (this.#said !== "" && this.#timer !== undefined) this.#block(this.#said);
  }

  async #tick(): Promise<void> {
    if (this.#asking) return;
    this.#asking = true;
    try {
      const reports = (await askAll(this.#broker)).flatMap(({ report }) => report ?? []);
      if (this.#timer !== undefined) this.#show(sumsOf(reports));
    } catch {
      // NATS is away for the moment, or a node is just going: shown again when it can be.
    } finally {
      this.#asking = false;
    }
  }

  #show(stages: readonly StageSum[]): void {
    const now = performance.now(), taken = new Map(stages.map((stage) => [stage.name, stage.in])), before = this.#before, seconds = (now - (before?.at ?? now)) / 1_000;
    this.#before = { at: now, taken };
    if (stages.length === 0) return;
    const speed = ({ name, in: its }: StageSum): number => (before === undefined || seconds < 0.05 ? 0 : Math.max(0, its - (before.taken.get(name) ?? its)) / seconds);
    if (this.#block !== undefined) {
      const { columns: width, colors } = this.#terminal;
      const cells = stages.map((stage) => [stage.name, count(stage.in), count(stage.out), rate(speed(stage)), count(stage.lag), count(stage.restarts), stateOf(stage), nodesOf(stage)]);
      this.#said = `${colors.bold(cutTo(duration(now - this.#begun), width))}\n${table(columns, cells, width - 1, { head: (text) => colors.dim(text), cell: (text, { title }) => (title === "state" ? coloured(text, colors) : text) })}`;
      this.#block(this.#said);
    } else if (now - this.#lineAt >= lineMs) {
      this.#lineAt = now;
      this.#terminal.write(`${duration(now - this.#begun)}: ${stages.map((stage) => `${stage.name} ${count(stage.in)} (${nodesOf(stage)})`).join(" → ")}`);
    }
  }
}

const stateOf = ({ states }: StageSum): string => display(worstFirst.find((state) => states.includes(state)) ?? "idle");
const nodesOf = ({ nodes }: StageSum): string => [...nodes].sort().map(([node, actors]) => (actors === 1 ? node : `${node} ×${actors}`)).join(", ");

/** Stages in their order; each node has all stages of a flow, and some of their actors. */
function sumsOf(reports: readonly { readonly node: string; readonly lines: readonly TreeLine[] }[]): readonly StageSum[] {
  const sums = new Map<string, StageSum>();
  for (const { node, lines } of reports) {
    for (const { id, kind, state, restarts, figures } of lines) {
      if (kind === "stage" && !sums.has(id)) sums.set(id, { name: id.slice(id.indexOf("/") + 1), in: 0, out: 0, lag: 0, restarts: 0, dead: 0, states: [], nodes: new Map() });
      const sum = sums.get(kind === "actor" ? id.slice(0, id.lastIndexOf("/")) : id);
      if (kind !== "actor" || sum === undefined) continue;
      sum.in += figures?.in ?? 0;
      sum.out += figures?.out ?? 0;
      sum.lag += figures?.lag ?? 0;
      sum.dead += figures?.deadLetters ?? 0;
      sum.restarts += restarts;
      sum.states.push(state);
      sum.nodes.set(node, (sum.nodes.get(node) ?? 0) + 1);
    }
  }
  return [...sums.values()];
}
