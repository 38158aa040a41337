// A child that does what a test tells it, writes down what it is told, and a tree of such children.
import { exitOf, type Exit } from "../../../runtime/actor/exit.ts";
import type { Random } from "../../../runtime/event/clock.ts";
import type { FlowPlan, StagePlan, SupervisionPlan } from "../../../runtime/flow/plan.ts";
import type { Child, Run } from "../../../runtime/supervision/child.ts";
import { MemoryDecisionLog } from "../../../runtime/supervision/decision-log.ts";
import type { Decision, DecisionLog } from "../../../runtime/supervision/decision.ts";
import type { SupervisionOptions } from "../../../runtime/supervision/environment.ts";
import { Root } from "../../../runtime/supervision/root.ts";
import type { TreeNode } from "../../../runtime/supervision/tree.ts";
import { ManualClock, settle } from "../../../runtime/testing/manual-clock.ts";

export const plan: SupervisionPlan = {
  strategy: "one_for_one", restart: "permanent", intensity: 3, periodMs: 10_000, shutdownMs: 1_000,
  backoff: { minMs: 100, maxMs: 1_600, factor: 2, jitter: 0 },
};

export class ScriptedChild implements Child {
  readonly id: string;
  readonly #told: string[];
  /** What the next starts come to; then they run. */
  readonly starts: ("hangs" | Error | Exit)[] = [];
  /** "exits": says so by its exit as well, as the engine's actors do. */
  stops: "at once" | "exits" | "never" | Error = "at once";
  run: Run | undefined;
  runs = 0;
  /** Lets the start, or the stop, that hangs go on. */
  started = (): void => {};
  failStop = (_: Error): void => {};

  constructor(id: string, told: string[]) {
    this.id = id;
    this.#told = told;
  }

  start(run: Run): Promise<void> {
    this.#told.push(`start ${this.id}`);
    this.runs++;
    this.run = run;
    const next = this.starts.shift();
    if (next === "hangs") return new Promise((resolve) => (this.started = resolve));
    if (next instanceof Error) return Promise.reject(next);
    if (typeof next === "object") run.exit(next);
    return Promise.resolve();
  }

  stop(deadlineMs: number): Promise<void> {
    this.#told.push(`stop ${this.id} ${deadlineMs}`);
    if (this.stops === "never") return new Promise((_, reject) => (this.failStop = reject));
    if (this.stops === "exits") this.run?.exit({ class: "shutdown" });
    return this.stops === "at once" || this.stops === "exits" ? Promise.resolve() : Promise.reject(this.stops);
  }

  kill(): void {
    this.#told.push(`kill ${this.id}`);
  }

  /** Throws, as it were. */
  crash(message = "boom", event?: string): void {
    this.run?.exit(exitOf(new Error(message), event));
  }

  exit(exit: Exit): void {
    this.run?.exit(exit);
  }
}

export interface World {
  readonly clock: ManualClock;
  readonly root: Root;
  /** Starts, stops, kills and decisions, in their order. */
  readonly told: string[];
  readonly decisions: Decision[];
  readonly faults: string[];
  readonly states: string[];
  child(id: string): ScriptedChild;
  node(id: string): TreeNode;
  state(id: string): string;
  /** What was told since the last call. */
  news(): string[];
  elapse(ms: number): Promise<void>;
}

export interface Shape {
  /** Number of actors by stage, in start order. Default one stage "s" of three. */
  readonly stages?: Readonly<Record<string, number>>;
  readonly stage?: Partial<SupervisionPlan>;
  readonly flow?: Partial<SupervisionPlan>;
  readonly log?: DecisionLog;
  readonly run?: string;
  readonly options?: Partial<SupervisionOptions>;
  /** Before anything is started. */
  readonly prepare?: (world: World) => void;
  readonly flows?: readonly string[];
}

const middle: Random = { next: () => 0.5, bytes: (count) => new Uint8Array(count) };

/** A started tree of one flow "f". Decisions are in `told` as "decided: <words> (<offender>)". */
export async function grow({ stages = { s: 3 }, stage = {}, flow = {}, log = new MemoryDecisionLog(), run, options = {}, prepare, flows = ["f"] }: Shape = {}): Promise<World> {
  const clock = new ManualClock(), told: string[] = [], decisions: Decision[] = [], faults: string[] = [], states: string[] = [], children = new Map<string, ScriptedChild>();
  for (const name of flows) for (const [of, count] of Object.entries(stages)) for (let p = 0; p < count; p++) children.set(`${name}/${of}/${p}`, new ScriptedChild(`${name}/${of}/${p}`, told));
  const root = new Root("node", {
    clock, random: middle, log,
    observer: {
      onDecision(decision) {
        decisions.push(decision);
        told.push(`decided: ${decision.decision} (${decision.offender})`);
      },
      onState: (id, now) => states.push(`${id} ${now.state}`),
      onFault: (error, where) => faults.push(`${where}: ${error.message}`),
    },
    ...options,
  });
  const world: World = {
    clock, root, told, decisions, faults, states,
    child: (id) => children.get(id) as ScriptedChild,
    node: (id) => root.snapshot(id),
    state: (id) => root.snapshot(id).state,
    news: () => told.splice(0),
    elapse: (ms) => clock.elapse(ms),
  };
  prepare?.(world);
  await root.start();
  for (const name of flows) {
    const flowPlan = {
      name, supervision: { ...plan, ...flow },
      stages: Object.keys(stages).map((of) => ({ name: of, supervision: { ...plan, ...stage } }) as StagePlan),
    } as FlowPlan;
    const added = root.addFlow(flowPlan, { ...(run === undefined ? {} : { run }), actors: ({ name: of }) => [...children.values()].filter(({ id }) => id.startsWith(`${name}/${of}/`)) });
    void added.catch((error: Error) => faults.push(error.message));
    await settle();
  }
  return world;
}

/** A log whose appends wait, or fail, until the test says otherwise. */
export class WaywardLog implements DecisionLog {
  readonly #log = new MemoryDecisionLog();
  readonly attempts: Decision[] = [];
  #waiting: (() => void)[] = [];
  mode: "works" | "hangs" | "fails" = "works";

  async append(decision: Decision): Promise<void> {
    this.attempts.push(decision);
    if (this.mode === "fails") throw new Error("disk full");
    if (this.mode === "hangs") await new Promise<void>((resolve) => this.#waiting.push(resolve));
    await this.#log.append(decision);
  }

  read(offender: string): Promise<readonly Decision[]> {
    return this.#log.read(offender);
  }

  /** Lets what hangs go on. */
  release(): void {
    this.mode = "works";
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}
