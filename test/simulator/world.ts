// A world in which a flow runs: one server, some nodes, targets of the sinks, and who starts actors again. It outlives everything
// that is killed in it.
import type { Actor } from "../../runtime/actor/actor.ts";
import { type ActorEnvironment, addressOf, type Division, deadStream, streamName, subjectsOf } from "../../runtime/actor/environment.ts";
import { type Exit, exitOf } from "../../runtime/actor/exit.ts";
import { createActor } from "../../runtime/actor/wiring.ts";
import type { FlowPlan, StagePlan } from "../../runtime/flow/plan.ts";
import type { Logger } from "../../runtime/flow/context.ts";
import { MemoryServer } from "../../runtime/testing/memory-server.ts";
import type { MemoryStream } from "../../runtime/testing/memory-stream.ts";
import { MemoryDisk } from "../../runtime/testing/memory-store.ts";
import type { Leg } from "../../runtime/testing/network.ts";
import { Archive, type Kept } from "./archive.ts";
import type { Feed, FlowHost } from "./feed.ts";
import type { Fate } from "./network.ts";
import { type NodeHost, SimulatedNode } from "./node.ts";
import type { Profile } from "./profile.ts";
import type { Lane, Scheduler } from "./scheduler.ts";
import type { Target, TargetHost, TargetRules } from "./target.ts";

/** What a broken variant changes of the world. */
export interface Rules extends TargetRules {
  watchdog: boolean;
  /** P30: what a reader has committed can be asked. */
  askReader: boolean;
  /** P5: a claim carries a mark of its own. */
  mark: boolean;
}

export const allRules: Rules = { next: true, place: "mark", watchdog: true, askReader: true, mark: true };

/** One partition of one stage, whoever runs it. */
export class Slot {
  readonly stage: StagePlan;
  readonly partition: number;
  readonly address: string;
  readonly lives = new Set<Life>();
  /** Node that it is started on, unless a fault says otherwise. */
  home: string;
  done = false;
  parked: Exit | undefined;
  starting = false;
  restarts = 0;

  constructor(stage: StagePlan, partition: number, address: string, home: string) {
    this.stage = stage;
    this.partition = partition;
    this.address = address;
    this.home = home;
  }
}

export interface Life {
  readonly slot: Slot;
  readonly node: SimulatedNode;
  readonly actor: Actor;
  /** Counts the lives of all slots. */
  readonly number: number;
  over: boolean;
}

export const generation = "sim00000-1";

/** Terms without a mark: what is random is asked for once to mark rounds, then for the claim. */
function withoutMarks(env: ActorEnvironment): ActorEnvironment {
  let asked = 0;
  return { ...env, get random() { return asked++ === 0 ? env.random : { next: () => 0, bytes: (count: number) => new Uint8Array(count) }; } };
}

export class World implements FlowHost, TargetHost {
  readonly scheduler: Scheduler;
  readonly profile: Profile;
  readonly flow: FlowPlan;
  readonly feed: Feed;
  readonly rules: Rules;
  readonly server: MemoryServer;
  readonly slots: Slot[] = [];
  readonly nodes = new Map<string, SimulatedNode>();
  readonly disks = new Map<string, MemoryDisk>();
  readonly targets = new Map<string, Target>();
  readonly archive: Archive;
  /** All lanes that lead to the server. */
  readonly sent = new Set<Lane>();
  /** What went wrong while it ran. */
  failure: string | undefined;
  /** The broker lost something that it had acknowledged. */
  lost = false;
  /** And a sink's log was among it: what its target was told is not taken back. */
  sinkLost = false;
  /** And after that somebody who had been fenced told the target what only the lost log had said: section 10 has it named, not undone. */
  sinkTold = false;
  quiet = false;
  readonly #counts = new Map<string, number>();
  readonly #targetLanes = new Map<string, Lane>();
  readonly #host: NodeHost;
  readonly #everyLife: Life[] = [];
  #messageFaults: number;
  #handlerFaults: number;

  constructor(scheduler: Scheduler, profile: Profile, flow: FlowPlan, feed: Feed, rules: Rules) {
    this.scheduler = scheduler;
    this.profile = profile;
    this.flow = flow;
    this.feed = feed;
    this.rules = rules;
    this.#messageFaults = profile.messageFaults;
    this.#handlerFaults = profile.handlerFaults;
    this.server = new MemoryServer({ clock: scheduler.clock, maxPayload: profile.maxPayload });
    this.#host = {
      scheduler, server: this.server, watchdog: rules.watchdog, fate: (leg) => this.#fate(leg), sent: this.sent,
      diskFails: () => this.#spend(profile.diskFaultShare),
      environment: () => ({
        flow, code: "c0de", retainMs: profile.retainMs, replicas: 1,
        division: (stage) => this.division(stage),
        readerCursor: (reader, input, from, its) => (rules.askReader ? this.readerCursor(reader, input, from, its) : undefined),
      }),
    };
    this.archive = new Archive(this.server, scheduler);
    this.server.create({ name: deadStream(flow.name), subject: `mr.dead.${flow.name}.>`, replicas: 1 });
    for (const stage of flow.stages) {
      for (let p = 0; p < stage.parallelism; p++) {
        const subjects = subjectsOf(flow.name, stage.name, generation, p), log = streamName(subjects.log);
        this.server.create({ name: log, subject: subjects.log, replicas: 1 });
        this.archive.keep(log);
        if (stage.kind !== "source") this.server.create({ name: streamName(subjects.mailbox(0)), subject: subjects.mailbox(0), maxMessages: stage.maxFrames + 1, replicas: 1 });
        const slot = new Slot(stage, p, addressOf(flow, stage, p), scheduler.chance.of(profile.nodes));
        this.slots.push(slot);
        if (stage.kind !== "source") this.#watchTrims(this.server.streams.get(streamName(subjects.mailbox(0))) as MemoryStream, slot);
      }
    }
    for (const name of profile.nodes) this.boot(name);
    for (const slot of this.slots) this.startSoon(slot, 0);
  }

  division(stage: string): Division {
    return { generation, count: (this.flow.stages.find(({ name }) => name === stage) as StagePlan).parallelism };
  }

  // I6: nothing goes that its reader has not committed.
  #watchTrims(mailbox: MemoryStream, slot: Slot): void {
    const purge = mailbox.purge.bind(mailbox);
    mailbox.purge = (before) => {
      const read = this.positionOf(slot);
      if (before > read && mailbox.bounds().first < before) this.failure ??= `the mailbox of ${slot.address} is trimmed up to ${before}, and its log says that it is read up to ${read}`;
      purge(before);
    };
  }

  logNameOf({ stage, partition }: Slot): string {
    return streamName(subjectsOf(this.flow.name, stage.name, generation, partition).log);
  }

  logOf(slot: Slot): readonly Kept[] {
    return this.archive.logs.get(this.logNameOf(slot)) as Kept[];
  }

  /** Up to where a mailbox is read, as the log of its reader says. */
  positionOf(slot: Slot): number {
    return this.archive.newest(this.logNameOf(slot), ({ inputs }) => inputs?.[0]?.[1]) ?? 0;
  }

  /** P30: what the reader's log says now. */
  readerCursor(reader: string, input: number, from: string, its: string): number | undefined {
    const slot = this.slots.find(({ address }) => address === reader);
    if (slot === undefined) return undefined;
    return this.archive.newest(this.logNameOf(slot), ({ cursors }) => cursors?.find((cursor) => cursor[0] === input && cursor[1] === from && cursor[2] === its)?.[3]) ?? 0;
  }

  // ── nodes and lives

  boot(name: string): SimulatedNode {
    const disk = this.disks.get(name) ?? new MemoryDisk(), node = new SimulatedNode(this.#host, name, disk);
    this.disks.set(name, disk);
    this.nodes.set(name, node);
    return node;
  }

  get alive(): readonly SimulatedNode[] {
    return [...this.nodes.values()].filter(({ dead }) => !dead);
  }

  kill(node: SimulatedNode): void {
    node.kill();
    for (const slot of this.slots) for (const life of slot.lives) if (life.node === node) {
      life.over = true;
      slot.lives.delete(life);
      // Somebody had ended it before; who goes on with it after that has to end it again.
      slot.done = false;
    }
    for (const slot of this.slots) if (slot.lives.size === 0) this.startSoon(slot, this.scheduler.chance.between(1, 500));
  }

  /** Starts a life, after a while, where there is a node for it. 0 ms: within some steps. */
  startSoon(slot: Slot, ms: number, on?: string): void {
    if (slot.starting || slot.done || slot.parked !== undefined) return;
    slot.starting = true;
    const start = () => {
      slot.starting = false;
      this.start(slot, on);
    };
    // While there is something to do no time passes: some start in the middle of it.
    if (ms > 0 && this.scheduler.chance.hits(0.5)) this.scheduler.after(ms, `start ${slot.address}`, undefined, start);
    else this.scheduler.afterSteps(this.scheduler.chance.between(0, 40), `start ${slot.address}`, start);
  }

  start(slot: Slot, on?: string): void {
    if (slot.done || slot.parked !== undefined) return;
    const fit = this.alive.filter(({ paused }) => !paused), node = fit.find(({ name }) => name === (on ?? slot.home)) ?? (fit.length > 0 ? this.scheduler.chance.of(fit) : undefined);
    if (node === undefined) return this.startSoon(slot, 200, on);
    for (const life of slot.lives) if (life.node === node) {
      life.actor.exit({ class: "shutdown" });
      return this.startSoon(slot, 1, on);
    }
    slot.home = node.name;
    this.scheduler.trace?.(`    ${slot.address} starts on ${node.name}`);
    const life: Life = {
      slot, node, over: false, number: this.#everyLife.length,
      actor: createActor(this.rules.mark ? node.env : withoutMarks(node.env), slot.stage, slot.partition, { onState: () => {}, onPoison: () => {}, onExit: (exit) => this.#exited(life, exit) }),
    };
    slot.lives.add(life);
    this.#everyLife.push(life);
    life.actor.start().catch((error: unknown) => this.#exited(life, exitOf(error)));
  }

  #exited(life: Life, exit: Exit): void {
    const { slot, node } = life;
    if (life.over || node.dead) return;
    life.over = true;
    slot.lives.delete(life);
    this.scheduler.trace?.(`    ${slot.address} on ${node.name} exits: ${exit.class} ${exit.error?.message ?? ""}`);
    if (exit.class === "normal") { slot.done = true; return; }
    if (exit.class === "parked") {
      // A zombie that finds the broker gone back says nothing about who came after it.
      if (this.lost && [...slot.lives].some(({ number }) => number > life.number)) return;
      slot.parked = exit;
      if (!this.lost) this.failure ??= `${slot.address} parked although the broker lost nothing: ${exit.error?.message}`;
      return;
    }
    if (exit.class === "fenced" && (slot.lives.size > 0 || slot.done)) return;
    slot.done = false;
    if (++slot.restarts > 200) this.failure ??= `${slot.address} is restarted again and again: ${exit.class} ${exit.error?.message ?? ""}`;
    this.startSoon(slot, exit.class === "fenced" ? 5 : this.scheduler.chance.between(1, 300));
  }

  /** The world ends: no call of a handler that never came back may keep this process alive. */
  close(): void {
    for (const { actor } of this.#everyLife) actor.exit({ class: "shutdown" });
  }

  get done(): boolean {
    return this.slots.every(({ done }) => done);
  }

  get parked(): readonly Slot[] {
    return this.slots.filter(({ parked }) => parked !== undefined);
  }

  // ── faults of single steps

  #spend(share: number): boolean {
    if (this.quiet || this.#messageFaults <= 0 || !this.scheduler.chance.hits(share)) return false;
    this.#messageFaults--;
    return true;
  }

  #fate(leg: Leg): Fate {
    const { profile, scheduler: { chance } } = this;
    if (!profile.legs.test(leg) || !this.#spend(profile.messageFaultShare)) return "carried";
    if (leg !== "append") return "lost";
    const which = chance.below(10);
    return which < 5 ? "lost" : which < 6 ? "twice" : which < 7 ? "refused" : which < 8 ? "full" : which < 9 ? "unknown" : "missing";
  }

  // ── what sources, handlers and targets see

  turn(log: Logger): Promise<void> {
    const node = this.alive.find((one) => one.log === log);
    return new Promise((resolve) => { if (node !== undefined) this.scheduler.alone(`${node.name} handler`, node, resolve); });
  }

  fails(what: "source" | "handler"): boolean {
    if (this.quiet || this.#handlerFaults <= 0 || !this.scheduler.chance.hits(what === "source" ? 0.05 : 0.02)) return false;
    this.#handlerFaults--;
    return true;
  }

  times(what: string): number {
    const count = (this.#counts.get(what) ?? 0) + 1;
    this.#counts.set(what, count);
    return count;
  }

  batch(): number {
    return this.lost && this.profile.batchesGrow ? 8 : this.scheduler.chance.between(1, this.profile.sourceBatch);
  }

  target(actor: string): Target {
    let target = this.targets.get(actor);
    if (target === undefined) this.targets.set(actor, (target = { batch: 0, data: [], finished: false }));
    return target;
  }

  told(log: Logger, actor: string): void {
    if (!this.sinkLost) return;
    const lives = [...(this.slots.find(({ address }) => address === actor)?.lives ?? [])], newest = Math.max(...lives.map(({ number }) => number));
    this.sinkTold ||= lives.find(({ node }) => node.log === log)?.number !== newest;
  }

  call<T>(log: Logger, actor: string, there: (torn: () => number) => T): Promise<{ readonly answer: T } | undefined> {
    const { scheduler, profile } = this, { chance } = scheduler, node = this.alive.find((one) => one.log === log);
    return new Promise((resolve, reject) => {
      if (node === undefined) return;
      const key = `${node.name} target ${actor}`, noAnswer = scheduler.after(1_000, `${key} timer`, node, () => resolve(undefined));
      let lane = this.#targetLanes.get(key);
      if (lane === undefined) this.#targetLanes.set(key, (lane = scheduler.lane(key, undefined, profile.slowTargets)));
      scheduler.add(lane, () => {
        // A writer that dies takes with it what its machine had not sent: all of it, or from some event on.
        if ((node.dead && chance.hits(0.5)) || this.#spend(profile.messageFaultShare)) return;
        const torn = (node.dead && chance.hits(0.3)) || this.#spend(profile.messageFaultShare);
        let answer: () => void;
        try {
          const given = there(() => (torn ? chance.below(3) : Infinity));
          answer = () => resolve({ answer: given });
        } catch (error) {
          answer = () => reject(error);
        }
        if (!torn) scheduler.alone(`${key} answers`, node, () => { noAnswer(); answer(); });
      });
    });
  }
}
