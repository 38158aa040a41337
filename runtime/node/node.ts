// A node: takes its data folder, gets to NATS, and hosts flows under its root supervisor until they have ended or it is stopped.
import { Turnstile } from "../actor/environment.ts";
import { EventLoopShares } from "../actor/fair-share.ts";
import { systemClock, systemRandom, type Clock, type Random } from "../event/clock.ts";
import { asError, MillraceError } from "../event/errors.ts";
import type { FlowPlan } from "../flow/plan.ts";
import type { Decision } from "../supervision/decision.ts";
import { StoredDecisionLog } from "../supervision/decision-log.ts";
import { Root } from "../supervision/root.ts";
import type { TreeNode } from "../supervision/tree.ts";
import { FlowEnd, type FlowWatch } from "./flow-end.ts";
import { codeOfShape, HostedFlow, type HostEnvironment } from "./hosted-flow.ts";
import { isolationOf } from "./isolated-flow.ts";
import { openLog, type LogFile } from "./log-file.ts";
import { join, leave, type NodeEntry } from "./membership.ts";
import { checkNodeOptions, defaultName, type NodeOptions, plansOf, stallMsOf } from "./options.ts";
import { type NodeParts, realParts } from "./parts.ts";
import { ask, operateSubject, Questions } from "./questions.ts";
import { FlowRun } from "./run.ts";
import { RunNotes } from "./run-note.ts";
import type { RunChange } from "./run-choice.ts";
import { LocalScaling } from "./local-scaling.ts";
import { FlowScaling } from "./scaling.ts";
import { Story, storySubject } from "./story.ts";
import { Watchdog } from "./watchdog.ts";

/** A process that hosts actors under a root supervisor. */
export interface Node extends AsyncDisposable {
  readonly name: string;
  /**
   * Resolves when all its flows have ended, or when it was stopped. Rejects when an actor or a flow is parked or was left to itself: with
   * who, why, and what to do; the rest goes on until `stop`.
   */
  readonly done: Promise<void>;
  /** Stops in order: takes nothing new, commits, sends what it owes, each actor within its `shutdown`; what was not finished goes on with the next start. */
  stop(): Promise<void>;
}

/** Who watches a node from within its process; the command line. */
export interface NodeWatch {
  /** What is going on while a nats-server is fetched or an old one ended, a line a call. */
  readonly say?: (line: string) => void;
  /** Warnings, a line each. */
  readonly warned?: (line: string) => void;
  /** Asked where something changed since a run was interrupted. */
  readonly ask?: (change: RunChange) => Promise<"fresh" | "resume" | undefined>;
  /** Hash of a flow's code, by its name. Default: of its shape alone. */
  readonly code?: (plan: FlowPlan) => string;
  /** URL of the module that exports a flow, by its name: what threads load. Default: the flow's own `module`. */
  readonly module?: (plan: FlowPlan) => string | undefined;
  /** A flow's plan as it is to run: with what the command line overrides. */
  readonly plan?: (plan: FlowPlan) => FlowPlan;
  readonly parts?: (options: NodeOptions) => Promise<NodeParts>;
  readonly clock?: Clock;
  readonly random?: Random;
}

const pingMs = 1_000;
/** At the end NATS may be away: the run is then found as interrupted, which it is. */
const farewellMs = 3_000;
const notes = { begun: "a new run", resumed: "the interrupted run is resumed" } as const;

/**
 * Starts a node. Resolves when its flows' runs are begun or resumed and their actors are being started.
 * @throws MillraceError OPTION_INVALID, FLOW_EXPECTED, FLOW_TWICE; DATA_FOLDER_BUSY while another node has the folder, DATA_FOLDER_INVALID;
 *   NATS_SERVER_MISSING and other NATS_…, UNREACHABLE; RUN_CHANGED, FLOW_RUNNING, FLOW_TAKEN, BROKER_WENT_BACK; what a source throws whose
 *   input is not there
 */
export async function startNode(options: NodeOptions = {}, watch: NodeWatch = {}): Promise<RunningNode> {
  checkNodeOptions(options);
  const plans = plansOf(options.flows ?? []).map((plan) => watch.plan?.(plan) ?? plan);
  const { clock = systemClock, random = systemRandom, warned = () => {}, say = () => {} } = watch;
  const name = options.name ?? defaultName(random), log = openLog(options.dataDir ?? ".millrace", name, warned);
  const stallMs = stallMsOf(options), watchdog = stallMs === Infinity ? undefined : new Watchdog({ node: name, stallMs, log: log.path });
  let parts: NodeParts | undefined, node: RunningNode | undefined;
  try {
    let fault = (error: Error, _final: boolean): void => log.error(error.message);
    parts = await (watch.parts ?? ((of) => realParts(of, { say, onFault: (error, final) => fault(error, final) })))(options);
    const host: HostEnvironment = {
      node: name, broker: parts.access.broker, stores: parts.journals, clock, random, log, soon: (call) => void setImmediate(call), shares: new EventLoopShares(clock, (call) => void setImmediate(call)),
      retainMs: parts.access.retainMs, replicas: parts.access.replicas ?? 1, oneByOne: new Turnstile(), seats: watchdog,
      isolation: (plan) => isolationOf(plan, watch.module?.(plan) ?? plan.module, options.dataDir ?? ".millrace", parts?.access.connection),
    };
    // Before anything is begun: what cannot run here is refused whole.
    for (const plan of plans) host.isolation?.(plan);
    node = new RunningNode(host, parts, log, () => void watchdog?.close());
    fault = (error, final) => node?.broken(error, final);
    await node.start();
    for (const plan of plans) {
      const run = await FlowRun.begin({ ...host, notes: node.notes, removeOldJournals: parts.removeOldJournals, ask: watch.ask }, plan, watch.code?.(plan) ?? codeOfShape(plan), options.run ?? "continue");
      log.info(`${plan.name}: ${run.resumed ? notes.resumed : notes.begun}`, { run: run.record.token });
      const flow = new HostedFlow(host, plan, run);
      const scaling = new FlowScaling(host, new LocalScaling({ ...host, root: node.root }, flow, run));
      node.scalings.set(plan.name, scaling);
      flow.onSealed = () => scaling.poke();
      void node.host(flow, new FlowEnd(run, clock, log, () => node?.look(), (actor) => (node as RunningNode).root.unpark(actor)));
      node.scalings.get(plan.name)?.resume();
    }
    return node;
  } catch (error) {
    log.fatal(asError(error).message);
    if (node === undefined) void watchdog?.close();
    if (node !== undefined) await node.stop();
    else await parts?.close().finally(() => log.close());
    if (parts === undefined) log.close();
    throw error;
  }
}

export class RunningNode implements Node {
  readonly name: string;
  readonly parts: NodeParts;
  readonly clock: Clock;
  readonly log: LogFile;
  readonly root: Root;
  readonly questions: Questions;
  readonly orders: Questions;
  readonly notes: RunNotes;
  /** By flow: of those whose stages this node may scale. */
  readonly scalings = new Map<string, FlowScaling>();
  readonly startedAt: number;
  readonly done: Promise<void>;
  readonly #host: HostEnvironment;
  #flows: { readonly flow: HostedFlow; readonly end: FlowWatch }[] = [];
  readonly #story: Story;
  readonly #decisions: StoredDecisionLog;
  #settle: { readonly resolve: () => void; readonly reject: (error: Error) => void };
  #endings: (() => void)[] = [];
  #stopping: Promise<void> | undefined;

  /** `ended`: called when it has stopped. */
  constructor(host: HostEnvironment, parts: NodeParts, log: LogFile, ended = (): void => {}) {
    this.#endings.push(ended);
    this.name = host.node;
    this.parts = parts;
    this.clock = host.clock;
    this.log = log;
    this.#host = host;
    this.questions = new Questions(this.name);
    this.orders = new Questions(this.name, operateSubject(this.name));
    this.startedAt = host.clock.now();
    this.#story = new Story(host.broker, host.clock);
    this.#decisions = new StoredDecisionLog(parts.own, "decisions");
    this.notes = new RunNotes(parts.own);
    this.root = new Root(this.name, {
      clock: host.clock, random: host.random, log: this.#decisions,
      observer: {
        onDecision: (decision) => this.#decided(decision),
        onState: (id, { state }) => void (state === "ended" && this.#flowOf(id)?.end.ended()),
        onFault: (error, where) => log.warn("the supervision itself has a fault", { where, reason: error.message }),
      },
    });
    this.#settle = { resolve: () => {}, reject: () => {} };
    this.done = new Promise((resolve, reject) => { this.#settle = { resolve, reject }; });
    // Who does not look at `done` is not to die of it.
    this.done.catch(() => {});
  }

  get flows(): readonly HostedFlow[] {
    return this.#flows.map(({ flow }) => flow);
  }

  get stopping(): boolean {
    return this.#stopping !== undefined;
  }

  /** What its flows share: for those who host further ones on it. */
  get hostEnvironment(): HostEnvironment {
    return this.#host;
  }

  /** Takes orders from now on: once it is said what can be ordered. */
  takeOrders(): void {
    this.#endings.push(this.orders.serve(this.#host.broker));
  }

  tree(): TreeNode {
    return this.root.snapshot();
  }

  async start(): Promise<void> {
    const { broker } = this.#host;
    await this.root.start();
    // Before anybody hears of it: who is there under this name is not to be taken for one that was started again.
    const isTaken = await this.#answers(this.name).catch((error: unknown) => error instanceof MillraceError && error.code === "REQUEST_FAILED");
    if (isTaken) throw new MillraceError("NODE_NAME_TAKEN", this.name, `A node named ${this.name} is there already`, "Give this one another --name.");
    this.#endings.push(this.questions.serve(broker));
    this.#endings.push(broker.onConnection((connected) => {
      if (!connected) return this.log.warn("NATS is away: actors wait, nothing is lost");
      this.log.info("NATS is back");
      this.root.retrySuspended();
      this.#story.send();
    }));
    await join(broker.keys, this.#entry, (node) => this.#answers(node).catch(() => true), this.clock);
  }

  get #entry(): NodeEntry {
    return { name: this.name, since: this.startedAt };
  }

  /** Whether a node of that name is there. One that stands still gives no answer. @throws what `request` does where that cannot be said */
  async #answers(node: string): Promise<boolean> {
    try {
      await ask(this.#host.broker, node, { what: "ping" }, pingMs);
      return true;
    } catch (error) {
      if (error instanceof MillraceError && error.code === "NOT_FOUND") return false;
      throw error;
    }
  }

  /** Takes a flow; its actors are being started when this returns. `placed`: they come one by one, as they are placed here. */
  host(flow: HostedFlow, end: FlowWatch, placed = false): Promise<void> {
    this.#flows.push({ flow, end });
    return this.root.addFlow(flow.plan, flow.supervision(placed)).catch((error: unknown) => end.failed(asError(error)));
  }

  /** Stops what is left of a flow here, in order, and forgets it. */
  async forget(name: string): Promise<void> {
    this.#flows = this.#flows.filter(({ flow }) => flow.name !== name);
    await this.root.remove(name);
  }

  /** The embedded server ended. */
  broken(error: Error, final: boolean): void {
    this.log.error(error.message);
    if (final) for (const { end } of this.#flows) end.failed(error);
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #stop(): Promise<void> {
    const { broker } = this.#host;
    for (const scaling of this.scalings.values()) void scaling.close();
    try {
      await this.root.stop();
      await this.#bounded(Promise.all([...this.#flows.map(({ end }) => end.stopped()), leave(broker.keys, this.#entry)]));
    } finally {
      for (const end of this.#endings) end();
      this.#story.close();
      for (const store of [this.#decisions, this.notes]) await store.close().catch((error: unknown) => this.log.warn("a store of the node did not close", { reason: asError(error).message }));
      await this.parts.close().catch((error: unknown) => this.log.warn("NATS was not let go of in order", { reason: asError(error).message }));
      this.log.info("stopped");
      this.log.close();
      this.#settle.resolve();
    }
  }

  /** Good manners, not safety: NATS may be away. */
  async #bounded(work: Promise<unknown>): Promise<void> {
    await new Promise<void>((done) => {
      const cancel = this.clock.after(farewellMs, done);
      work.catch((error: unknown) => this.log.debug("a farewell did not arrive", { reason: asError(error).message })).finally(() => { cancel(); done(); });
    });
  }

  #flowOf(id: string): { readonly flow: HostedFlow; readonly end: FlowWatch } | undefined {
    return this.#flows.find(({ flow }) => flow.name === id);
  }

  #decided(decision: Decision): void {
    const { offender, reason, action } = decision, name = offender.split("/")[0] as string, hosted = this.#flowOf(name);
    if (reason.class !== "order") this.log.warn(`${offender}: ${told(reason).what}: ${decision.decision}`, reason.event === undefined ? {} : { event: reason.event });
    this.log.debug("decision", { decision });
    if (hosted === undefined) return;
    const { flow, end } = hosted;
    this.#story.tell(name, storySubject(name, offender, (stage) => flow.generationOf(stage)), decision);
    if (action === "park" || action === "yield" || action === "leave") end.failed(whyNot(decision));
  }

  /** A flow has finished or failed. */
  look(): void {
    const ends = this.#flows.map(({ end }) => end), failure = ends.find(({ failure }) => failure !== undefined)?.failure;
    if (failure !== undefined) this.#settle.reject(failure);
    else if (ends.every(({ finished }) => finished)) this.#settle.resolve();
  }
}

/** A reason in its parts: a MillraceError's message holds what to do, too. */
function told({ message, code }: Decision["reason"]): { readonly what: string; readonly remedy: string } {
  const at = code === undefined ? -1 : message.indexOf(` (${code}, `), end = message.indexOf("). ", at);
  return at < 0 ? { what: message, remedy: "" } : { what: message.slice(0, at), remedy: end < 0 ? "" : message.slice(end + 3) };
}

/** The flow cannot come to its end: one of its actors will not go on. */
function whyNot({ offender, action, reason }: Decision): MillraceError {
  const again = "start again: the same command goes on where it stopped", { what, remedy } = told(reason);
  if (action === "yield") return new MillraceError("FLOW_TAKEN", offender, `${offender} belongs to another node now`, "Leave it to that one; `millrace tree` shows it.");
  if (action === "leave") return new MillraceError("ACTOR_LEFT", offender, `${offender} is not restarted, by its restart type: ${what}`, `Make it permanent, or mend the cause; then ${again}.`);
  const mend = reason.class === "escalated" || remedy === "" ? "Mend what makes it fail" : remedy.replace(/\.$/, "");
  return new MillraceError("PARKED", offender, `${offender} is parked: ${what}${reason.class === "escalated" || reason.code === undefined ? "" : ` (${reason.code})`}`, `${mend}; then ${again}.`);
}
