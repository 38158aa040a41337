// A world in which a flow runs: one server, some nodes, targets of the sinks, and who starts actors again. It outlives everything
// that is killed in it.
import { type ActorEnvironment, addressOf, type Division, deadStream, streamName, subjectsOf } from "../../runtime/actor/environment.ts";
import { type Exit, exitOf } from "../../runtime/actor/exit.ts";
import { HeadStart } from "../../runtime/actor/head-start.ts";
import { createActor } from "../../runtime/actor/wiring.ts";
import type { FlowPlan, StagePlan } from "../../runtime/flow/plan.ts";
import type { Logger } from "../../runtime/flow/context.ts";
import { MemoryServer } from "../../runtime/testing/memory-server.ts";
import type { MemoryStream } from "../../runtime/testing/memory-stream.ts";
import { MemoryDisk } from "../../runtime/testing/memory-store.ts";
import { Archive, type Kept } from "./archive.ts";
import type { Feed, FlowHost } from "./feed.ts";
import type { Change } from "../../runtime/node/scale-step.ts";
import type { Operator } from "./letters.ts";
import { type NodeHost, SimulatedNode } from "./node.ts";
import type { Profile } from "./profile.ts";
import type { Rules } from "./rules.ts";
import { SimulatedScaling, streamsOf } from "./scaling.ts";
import type { Lane, Scheduler } from "./scheduler.ts";
import { type Life, Slot } from "./slot.ts";
import { StepFaults } from "./step-faults.ts";
import { SimulatedTargets } from "./targets.ts";

/** That of all stages when the run began. */
export const generation = "sim00000-1";

/** Terms without a mark: what is random is asked for once to mark rounds, then for the claim. */
function withoutMarks(env: ActorEnvironment): ActorEnvironment {
  let asked = 0;
  return { ...env, get random() { return asked++ === 0 ? env.random : { next: () => 0, bytes: (count: number) => new Uint8Array(count) }; } };
}

export class World implements FlowHost {
  readonly scheduler: Scheduler;
  readonly profile: Profile;
  readonly flow: FlowPlan;
  readonly feed: Feed;
  readonly rules: Rules;
  readonly server: MemoryServer;
  slots: Slot[] = [];
  /** Also those whose generation is gone. */
  readonly everySlot: Slot[] = [];
  readonly scaling: SimulatedScaling;
  /** Who takes dead letters back, where somebody does. */
  operator: Operator | undefined;
  /** Frames that were stored, where late copies of them are to come. */
  readonly stored: (readonly [stream: string, subject: string, data: Uint8Array])[] = [];
  readonly nodes = new Map<string, SimulatedNode>();
  readonly disks = new Map<string, MemoryDisk>();
  readonly targets = new SimulatedTargets(this);
  readonly faults: StepFaults;
  readonly archive: Archive;
  /** All lanes that lead to the server. */
  readonly sent = new Set<Lane>();
  /** What went wrong while it ran. */
  failure: string | undefined;
  /** The broker lost something that it had acknowledged. */
  lost = false;
  /** And a sink's log was among it: what its target was told is not taken back. */
  sinkLost = false;
  readonly #counts = new Map<string, number>();
  readonly #host: NodeHost;
  readonly #everyLife: Life[] = [];

  /** @param scalable stages that may be scaled */
  constructor(scheduler: Scheduler, profile: Profile, flow: FlowPlan, feed: Feed, rules: Rules, scalable: readonly string[] = []) {
    this.scheduler = scheduler;
    this.profile = profile;
    this.flow = flow;
    this.feed = feed;
    this.rules = rules;
    this.faults = new StepFaults(scheduler, profile);
    this.server = new MemoryServer({ clock: scheduler.clock, maxPayload: profile.maxPayload });
    this.#host = {
      scheduler, server: this.server, watchdog: rules.watchdog, fate: (leg) => this.faults.of(leg), sent: this.sent,
      diskFails: () => this.faults.spend(profile.diskFaultShare),
      environment: (node) => ({
        flow, code: "c0de", retainMs: profile.retainMs, replicas: 1,
        ...this.scaling.viewOf(() => (profile.scales > 0 ? node : undefined)),
        readerCursor: (reader, input, from, its, of) => (rules.askReader ? this.readerCursor(reader, input, from, its, of) : undefined),
      }),
    };
    this.archive = new Archive(this.server, scheduler, profile.scales > 0);
    this.server.create({ name: deadStream(flow.name), subject: `mr.dead.${flow.name}.>`, replicas: 1 });
    this.scaling = new SimulatedScaling(this, scalable, profile.scales);
    for (const stage of flow.stages) {
      for (let p = 0; p < stage.parallelism; p++) {
        this.createStreams(stage, generation, p);
        this.#seat(new Slot(stage, p, addressOf(flow, stage, p), scheduler.chance.of(profile.nodes), generation));
      }
    }
    for (const name of profile.nodes) this.boot(name);
    for (const slot of this.slots) this.startSoon(slot, 0);
  }

  division(stage: string): Division {
    return this.scaling.division(stage);
  }

  createStreams(stage: StagePlan, its: string, partition: number): void {
    const { log, mailbox } = subjectsOf(this.flow.name, stage.name, its, partition), name = streamName(log);
    this.server.create({ name, subject: log, replicas: 1 });
    this.archive.keep(name);
    if (stage.kind === "source") return;
    const box = streamName(mailbox(0));
    this.server.create({ name: box, subject: mailbox(0), maxMessages: stage.maxFrames + 1, replicas: 1 });
    if (this.profile.scales === 0) return;
    const stream = this.server.streams.get(box) as MemoryStream, append = stream.append.bind(stream);
    stream.append = (subject, data, expected) => {
      const outcome = append(subject, data, expected);
      if (typeof outcome === "number") this.stored.push([box, subject, data.slice()]);
      return outcome;
    };
  }

  #seat(slot: Slot): void {
    this.slots.push(slot);
    this.everySlot.push(slot);
    if (slot.stage.kind !== "source") this.#watchTrims(this.server.streams.get(streamsOf(this.flow.name, slot.stage, slot.generation, slot.partition).mailbox) as MemoryStream, slot);
  }

  /** Those of the next generation start. */
  startGeneration({ stage: name, from, to }: Change): void {
    const stage = this.flow.stages.find((one) => one.name === name) as StagePlan;
    for (let p = 0; p < to.count; p++) {
      if (this.slots.some((slot) => slot.stage === stage && slot.partition === p && slot.generation === to.generation)) continue;
      const slot = new Slot(stage, p, addressOf(this.flow, stage, p), this.scheduler.chance.of(this.profile.nodes), to.generation, from);
      this.#seat(slot);
      this.startSoon(slot, 0);
    }
  }

  /** The streams of a generation go; who is left of it knows when it hears of it. */
  removeGeneration(name: string, { generation: its, count }: Division): void {
    const stage = this.flow.stages.find((one) => one.name === name) as StagePlan;
    this.slots = this.slots.filter((slot) => slot.stage !== stage || slot.generation !== its);
    for (const slot of this.everySlot) if (slot.stage === stage && slot.generation === its) slot.done = true;
    for (let p = 0; p < count; p++) for (const stream of Object.values(streamsOf(this.flow.name, stage, its, p))) this.server.remove(stream);
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

  logNameOf({ stage, partition, generation: its }: Slot): string {
    return streamName(subjectsOf(this.flow.name, stage.name, its, partition).log);
  }

  logOf(slot: Slot): readonly Kept[] {
    return this.archive.logs.get(this.logNameOf(slot)) as Kept[];
  }

  /** Up to where a mailbox is read, as the log of its reader says. */
  positionOf(slot: Slot): number {
    return this.archive.newest(this.logNameOf(slot), ({ inputs }) => inputs?.[0]?.[1]) ?? 0;
  }

  /** P30: what the reader's log says now. */
  readerCursor(reader: string, input: number, from: string, its: string, of = generation): number | undefined {
    const slot = this.slots.find(({ address, generation: own }) => address === reader && own === of);
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
      this.times(`cut off ${slot.address}`);
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
      slot, node, over: false, ran: false, number: this.#everyLife.length,
      actor: createActor(this.rules.mark ? node.env : withoutMarks(node.env), slot.stage, slot.partition, {
        onState: (state) => { if (state === "running.active") slot.ran = life.ran = true; }, onPoison: () => {}, onExit: (exit) => this.#exited(life, exit),
      }, { generation: slot.generation, from: slot.from }),
    };
    slot.lives.add(life);
    this.#everyLife.push(life);
    const begin = (): void => void life.actor.start().catch((error: unknown) => this.#exited(life, exitOf(error)));
    // While whoever has it goes on, as in a planned move.
    const { headStarts } = this.profile;
    if (headStarts === 0 || !this.scheduler.chance.hits(slot.lives.size > 1 ? 5 * headStarts : headStarts)) return begin();
    this.scheduler.trace?.(`    ${slot.address} on ${node.name} has a head start`);
    life.actor.headStart = HeadStart.of(life.actor);
    const isGone = (): boolean => life.over || node.dead;
    life.actor.headStart.then(() => {
      this.scheduler.afterSteps(this.scheduler.chance.between(0, 400), `${slot.address} goes on`, () => { if (!isGone()) begin(); });
    }, () => { if (!isGone()) life.actor.exit({ class: "crash" }); });
  }

  #exited(life: Life, exit: Exit): void {
    const { slot, node } = life;
    if (life.over || node.dead) return;
    life.over = true;
    slot.lives.delete(life);
    if (exit.class !== "crash") this.times(`cut off ${slot.address}`);
    this.scheduler.trace?.(`    ${slot.address} on ${node.name} exits: ${exit.class} ${exit.error?.message ?? ""}`);
    if (exit.class === "normal") { slot.done = true; return; }
    if (exit.class === "sealed") { slot.done = slot.sealed = true; return this.scaling.sealed(slot); }
    if (exit.class === "parked") {
      // A zombie that finds the broker gone back says nothing about who came after it.
      if (this.lost && [...slot.lives].some(({ number }) => number > life.number)) return;
      return this.park(slot, exit);
    }
    if (exit.class === "fenced" && (slot.lives.size > 0 || slot.done)) return;
    slot.done = false;
    // Who goes on with the state of one that is parked waits for it.
    if (this.lost && exit.class === "unavailable") slot.restarts--;
    if (++slot.restarts > 200) this.failure ??= `${slot.address} is restarted again and again: ${exit.class} ${exit.error?.message ?? ""}`;
    this.startSoon(slot, exit.class === "fenced" ? 5 : this.scheduler.chance.between(1, 300));
  }

  park(slot: Slot, exit: Exit): void {
    slot.parked = exit;
    if (!this.lost) this.failure ??= `${slot.address} parked although the broker lost nothing: ${exit.error?.message}`;
  }

  /** The world ends: no call of a handler that never came back may keep this process alive. */
  close(): void {
    for (const { actor } of this.#everyLife) actor.exit({ class: "shutdown" });
  }

  get done(): boolean {
    return !this.scaling.busy && this.slots.every(({ done }) => done);
  }

  get parked(): readonly Slot[] {
    return this.slots.filter(({ parked }) => parked !== undefined);
  }

  // ── what sources and handlers see

  turn(log: Logger): Promise<void> {
    const node = this.alive.find((one) => one.log === log);
    return new Promise((resolve) => { if (node !== undefined) this.scheduler.alone(`${node.name} handler`, node, resolve); });
  }

  end(log: Logger): Promise<void> {
    const { operator } = this;
    return operator === undefined ? this.turn(log) : new Promise((resolve) => { operator.whenDone(() => void this.turn(log).then(resolve)); });
  }

  fails(what: "source" | "handler"): boolean {
    return this.faults.fails(what);
  }

  times(what: string): number {
    const count = (this.#counts.get(what) ?? 0) + 1;
    this.#counts.set(what, count);
    return count;
  }

  batch(): number {
    return this.lost && this.profile.batchesGrow ? 8 : this.scheduler.chance.between(1, this.profile.sourceBatch);
  }
}
