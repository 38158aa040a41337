// One round of chaos over several nodes: a deployed flow from its first event to its last, disturbed and operated all the time, then judged.
import { appendFileSync, writeFileSync } from "node:fs";
import { cp, mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { asError } from "../../runtime/event/errors.ts";
import { askPlacement } from "../../runtime/inspect/placement-orders.ts";
import { decodeRecord } from "../../runtime/journal/record.ts";
import type { PlacementAnswer } from "../../runtime/node/placement-questions.ts";
import { ask } from "../../runtime/node/questions.ts";
import { readRun, type RunRecord } from "../../runtime/node/run-record.ts";
import { moment } from "../support/moment.ts";
import { eventually, within } from "../support/waiting.ts";
import { disturbed } from "./chaos-pace.ts";
import { type ChaosVerdict, chaosVerdict } from "./chaos-verifier.ts";
import { clusterFaults } from "./cluster-chaos-faults.ts";
import { ClusterChaosWorld, type ClusterWorldOptions, type Commanded, type NodePlace } from "./cluster-chaos-world.ts";

export interface ClusterRoundOptions extends ClusterWorldOptions {
  readonly seed: number;
  /** Faults begin no more after so long. ms */
  readonly faultsMs: number;
  /** Time between the beginnings of two faults: up to twice that. ms */
  readonly gapMs: number;
  /** Gets the folder of a round that failed. */
  readonly keepIn?: string;
}

export interface ClusterRoundResult extends ChaosVerdict {
  readonly seed: number;
  readonly events: number;
  readonly seconds: number;
  /** How often each fault was. */
  readonly faults: ReadonlyMap<string, number>;
  /** What orders came to: "scale: finished", "move: refused, NODE_UNKNOWN". */
  readonly orders: ReadonlyMap<string, number>;
  readonly lives: number;
  readonly codes: number;
  /** How often an actor found that another node has it. */
  readonly fenced: number;
  /** Where what it left is kept, if it failed. */
  readonly kept: string | undefined;
}

/** What a start may come to while servers are away, or the life before is not known to be over. */
const passing = /\b(UNREACHABLE|NODE_NAME_TAKEN|DATA_FOLDER_BUSY|NATS_NO_JETSTREAM|STREAM_MISSING)\b/;
/** What an order may be refused with: another one is under way, who is asked is away, what it names is not there any more, there is nothing to do. */
const refusals: ReadonlySet<string> = new Set([
  "SCALE_UNDER_WAY", "UPGRADE_UNDER_WAY", "UPGRADE_HELD", "UPGRADE_REFUSED", "UPGRADE_NOT_LOADED", "DEPLOY_RACED", "STATE_OLDER", "NOTHING_TO_DO", "SCALE_STANDS", "NOT_RUNNING", "UNREACHABLE", "NOT_LEADER", "NOT_FOUND", "BUSY",
  "NO_CLUSTER", "DEPLOY_NOWHERE", "NODE_UNKNOWN", "NODE_CORDONED", "CODE_MISSING", "ACTOR_UNKNOWN", "PIN_OVER", "DRAIN_UNDONE", "REQUEST_FAILED", "FLOW_TAKEN",
  // The flow has come to its end meanwhile.
  "ENDED", "FLOW_UNKNOWN", "FLOW_DEPLOYED",
]);
const startMs = 120_000, awayMs = 20_000, rejoinMs = 60_000, leaveMs = 120_000, changeMs = 60_000, settleMs = 180_000, stallMs = 90_000, lookMs = 1_000, againMs = 500;
/** By SIGKILL, and in order. */
const ends: ReadonlySet<number> = new Set([137, 130]);
const away: ReadonlySet<string> = new Set(["UNREACHABLE", "NO_CLUSTER", "NOT_LEADER", "BUSY"]), orderTries = 4;
const nodesOf = 3, mostWrongs = 20, shownLines = 12;

export class ClusterChaosRun {
  readonly world: ClusterChaosWorld;
  readonly counts = new Map<string, number>();
  readonly orders = new Map<string, number>();
  readonly #wrongs: string[] = [];
  readonly #log: string;
  readonly #begun = performance.now();
  #over = false;

  private constructor(world: ClusterChaosWorld) {
    this.world = world;
    this.#log = join(world.options.folder, "faults.log");
  }

  static async round(options: ClusterRoundOptions): Promise<ClusterRoundResult> {
    const { folder, flow, seed, keepIn } = options;
    await mkdir(folder, { recursive: true });
    await using world = await ClusterChaosWorld.start(options);
    const run = new ClusterChaosRun(world);
    let verdict: ChaosVerdict = { rows: 0, missing: 0, duplicates: 0, letters: 0, takeovers: 0, wrongs: [] };
    try {
      await run.#begin();
      await run.#disturb(options);
      await run.#settle();
      await run.#leave();
      run.#say("ended; judged");
      const dataDirOf = (node: string) => (world.places.find(({ name }) => name === node) as NodePlace).dataDir, versions = new Map(world.codes.map(({ number, version }) => [number, version]));
      verdict = await chaosVerdict({ broker: await world.broker(), flow, folder, dataDirOf, versions });
    } catch (error) {
      run.#wrongs.push(asError(error).message);
      await run.#tell();
    }
    run.#over = true;
    const wrongs = [...run.#wrongs, ...verdict.wrongs];
    for (const wrong of wrongs) run.#say(`WRONG: ${wrong}`);
    const kept = wrongs.length > 0 && keepIn !== undefined ? await run.#keep(join(keepIn, `seed-${seed}`)) : undefined;
    const fenced = (await readFile(world.fencedFile, "utf8").catch(() => "")).split("\n").length - 1, seconds = (performance.now() - run.#begun) / 1_000;
    return { ...verdict, wrongs, seed, events: flow.events, seconds, faults: run.counts, orders: run.orders, lives: world.lives, codes: world.codes.length, fenced, kept };
  }

  #say(what: string): void {
    appendFileSync(this.#log, `${((performance.now() - this.#begun) / 1_000).toFixed(2).padStart(7)}  ${what}\n`);
  }

  async #begin(): Promise<void> {
    const { world } = this, broker = await world.broker();
    for (const place of world.places) this.#start(place);
    await eventually("all nodes have joined", async () => this.#wrongs.length > 0 || (await askPlacement(broker)).nodes.length === nodesOf, startMs);
    if (this.#wrongs.length > 0) throw new Error("not all nodes could be started");
    const { code, said } = await world.deploy(await world.nextCode(false));
    if (code !== 0) throw new Error(`the flow could not be deployed: ${said}`);
    await eventually("its run has begun", async () => (await this.#record())?.state === "running", startMs);
  }

  /** Begins a life; one that ends by itself is followed by another, and judged. */
  #start(place: NodePlace): void {
    const node = this.world.live(place);
    void node.ended.then(async ({ code, stderr }) => {
      if (place.node === node) place.node = undefined;
      if (this.#over || ends.has(code)) return;
      this.#say(`${place.name} ended by itself, ${code}: ${stderr.trim().split("\n").slice(-4).join(" | ")}`);
      if (!passing.test(stderr)) this.#wrongs.push(`node ${place.name} ended by itself with ${code}: ${stderr.trim().slice(-300)}`);
      await moment(againMs);
      if (place.node === undefined && !place.isTaken && !this.#over && this.#wrongs.length < mostWrongs) this.#start(place);
    });
  }

  async #disturb({ seed, faultsMs, gapMs }: ClusterRoundOptions): Promise<void> {
    const ended = this.#finished().catch(() => {});
    await disturbed(clusterFaults, this, { seed, faultsMs, gapMs, ended, counts: this.counts, say: (what) => this.#say(what), wrong: (what) => void this.#wrongs.push(what) });
    this.#say("no faults any more");
    this.world.calm();
  }

  /** Nothing disturbs: what was begun comes to its end, then the flow does. */
  async #settle(): Promise<void> {
    const { options: { flow } } = this.world, ended = this.#finished();
    const quiet = async () => {
      await eventually("all nodes are there again", async () => (await askPlacement(await this.world.broker())).nodes.length === nodesOf, settleMs);
      for (const node of (await this.#placement())?.cordoned ?? []) await this.ordered("drain", node, "--undo");
      for (const actor of Object.keys((await this.#flow())?.pins ?? {})) await this.ordered("move", actor, "--release");
      if ((await this.#flow())?.upgrade?.is === "held") await this.ordered("deploy", flow.name, "--timeout", "60s", "--continue");
      await eventually("what was begun has come to its end", async () => (await this.#isFinished()) || ((await this.#record())?.change === undefined && (await this.#flow())?.upgrade === undefined), settleMs);
      this.#say("nothing is under way any more");
    };
    await Promise.race([Promise.all([quiet(), ended]), this.#stalled(ended)]);
  }

  async #leave(): Promise<void> {
    this.#over = true;
    const nodes = this.world.places.map(({ name, node }) => ({ name, node }));
    for (const { node } of nodes) node?.child.kill("SIGTERM");
    for (const { name, node } of nodes) {
      const end = node === undefined ? undefined : await within(leaveMs, `${name} leaves`, node.ended);
      if (end?.code !== 130) this.#wrongs.push(`${name} left with ${end?.code}: ${end?.stderr.trim().slice(-300)}`);
    }
  }

  // ── what is looked at

  async #record(): Promise<RunRecord | undefined> {
    return (await readRun((await this.world.broker()).keys, this.world.options.flow.name))?.record;
  }

  async #isFinished(): Promise<boolean> {
    return (await this.#record())?.state === "finished";
  }

  /** Resolves when the flow has ended. */
  async #finished(): Promise<void> {
    while (!this.#over && !(await this.#isFinished().catch(() => false))) await moment(lookMs);
    this.#say("the flow has ended");
  }

  async #placement(): Promise<PlacementAnswer | undefined> {
    return await askPlacement(await this.world.broker()).catch(() => undefined);
  }

  async #flow() {
    return (await this.#placement())?.flows.find(({ name }) => name === this.world.options.flow.name);
  }

  /** Rejects when no actor takes events any more, though nothing disturbs; a busy machine may take its time. */
  async #stalled(ended: Promise<void>): Promise<void> {
    let isOver = false, before = "";
    const end = ended.then(() => { isOver = true; });
    for (let at = performance.now(); !isOver && performance.now() - at < stallMs; await Promise.race([moment(2 * lookMs), end])) {
      const now = await this.#progress().catch(() => before);
      if (now !== before) [before, at] = [now, performance.now()];
    }
    // What is under way is still waited for.
    if (isOver) return await new Promise<never>(() => {});
    throw new Error(`the flow does not end: nothing was taken for ${stallMs / 1_000} s, nothing disturbed it`);
  }

  /** How many events each actor has taken, by its log. */
  async #progress(): Promise<string> {
    const broker = await this.world.broker(), counts: string[] = [];
    for (const name of (await broker.list(`mr_actor_${this.world.options.flow.name}_`)).filter((its) => its.endsWith("_log"))) {
      const last = await broker.stream(name, name.replaceAll("_", ".")).last(), taken = last === undefined ? undefined : decodeRecord(last.data).body.counts;
      if (taken !== undefined) counts.push(`${name} ${taken.in} ${taken.out}`);
    }
    return counts.sort().join();
  }

  // ── what faults do

  /** No other fault has that node until this is over. */
  async taking(place: NodePlace, of: (place: NodePlace) => Promise<void>): Promise<void> {
    place.isTaken = true;
    try {
      await of(place);
    } finally {
      place.isTaken = false;
      if (place.node === undefined && !this.#over) this.#start(place);
    }
  }

  /** SIGKILL; it lives again a little later. */
  async dies(place: NodePlace, downMs: number): Promise<void> {
    const { node } = place;
    node?.child.kill("SIGKILL");
    await node?.ended;
    await moment(downMs);
  }

  /** SIGTERM: it leaves in order, and comes again a little later. */
  async leaves(place: NodePlace, downMs: number): Promise<void> {
    const { node } = place;
    if (node === undefined) return;
    node.child.kill("SIGTERM");
    const { code, stderr } = await within(leaveMs, `${place.name} leaves`, node.ended);
    // One that was just starting may have given up for what passes by itself.
    if (code !== 130 && !passing.test(stderr)) throw new Error(`${place.name} left with ${code}: ${stderr.trim().slice(-300)}`);
    await moment(downMs);
  }

  /** Until all actors of a node are on others; no longer than that takes where nothing else disturbs. */
  async elsewhere({ name }: NodePlace): Promise<void> {
    const broker = await this.world.broker(), others = this.world.places.filter((place) => place.name !== name && place.node !== undefined);
    for (const until = performance.now() + awayMs; performance.now() < until; await moment(lookMs / 4)) {
      for (const other of others) {
        const { flows } = ((await ask(broker, other.name, { what: "placement" }, lookMs).catch(() => undefined)) ?? {}) as Partial<PlacementAnswer>, actors = flows?.find((flow) => flow.name === this.world.options.flow.name)?.actors;
        if (actors !== undefined && !Object.values(actors).includes(name)) return;
      }
    }
  }

  /** A node that went on, or has its lines again, is a member as before. */
  async rejoins({ name, node }: NodePlace): Promise<void> {
    const broker = await this.world.broker();
    await eventually(`${name} is a member again`, async () => {
      // It ended by itself: that is judged elsewhere.
      if (node?.child.exitCode !== null || node.child.signalCode !== null) return true;
      return ((await ask(broker, name, { what: "placement" }, lookMs)) as PlacementAnswer).nodes.some((its) => its.name === name);
    }, rejoinMs);
  }

  /** An order of an operator. Rejects where it was refused for what it must not be. */
  async ordered(...args: readonly string[]): Promise<Commanded> {
    return this.#judged(args.join(" "), await this.#patiently(() => this.world.commanded(...args)));
  }

  /** An operator who is told that servers or leader are away gives the order again. */
  async #patiently(order: () => Promise<Commanded>): Promise<Commanded> {
    for (let tried = 1; ; tried++, await moment(lookMs)) {
      const came = await order();
      if (tried === orderTries || came.refused === undefined || !away.has(came.refused)) return came;
      this.#say(`  ${came.refused}: ordered again`);
    }
  }

  /** Another code of the flow. */
  async deploys(raises: boolean, ...more: readonly string[]): Promise<void> {
    const file = await this.world.nextCode(raises), came = this.#judged(`deploy ${file}${raises ? ", of newer state" : ""} ${more.join(" ")}`, await this.#patiently(() => this.world.deploy(file, ...more)));
    const { is, failed } = came.json as { readonly is?: string; readonly failed?: { readonly actor: string; readonly message: string } | null };
    if (is === "failed") throw new Error(`${failed?.actor} does not go on with code that is good: ${failed?.message}`);
  }

  #judged(order: string, came: Commanded): Commanded {
    const { code, refused, json: { is }, said } = came, what = order.split(" ")[0] as string, outcome = refused !== undefined ? `refused, ${refused}` : typeof is === "string" ? is : code === 0 ? "done" : code === "late" ? "late" : "not yet";
    this.orders.set(`${what}: ${outcome}`, (this.orders.get(`${what}: ${outcome}`) ?? 0) + 1);
    this.#say(`  ${order}: ${outcome}`);
    if (refused !== undefined ? !refusals.has(refused) : code === "late" || Object.keys(came.json).length === 0) throw new Error(`${order}: ${code}: ${said.trim().slice(-400)}`);
    return came;
  }

  /** Until no change of the flow is under way; no longer than that takes where nothing else disturbs. */
  async changed(): Promise<void> {
    for (const until = performance.now() + changeMs; performance.now() < until; await moment(lookMs / 4)) {
      const record = await this.#record().catch(() => undefined);
      if (record !== undefined && record.change === undefined && record.upgrade === undefined) return;
    }
  }

  // ── what is left of a round that failed

  /** What the nodes say of themselves. */
  async #tell(): Promise<void> {
    const { options: { flow, folder } } = this.world, lines: string[] = [];
    for (const args of [["tree"], ["placement", "--why"], ["scale", `${flow.name}/tally`, "--why"], ["flows"]]) lines.push(`$ millrace ${args.join(" ")} --json`, (await this.world.commanded(...args)).said);
    writeFileSync(join(folder, "told.txt"), `${lines.join("\n")}\n`);
  }

  async #keep(to: string): Promise<string> {
    const { options: { folder }, servers } = this.world;
    await cp(folder, to, { recursive: true, verbatimSymlinks: true });
    for (const [i, server] of servers.entries()) await cp(server.folder, join(to, `server-${i}`), { recursive: true, verbatimSymlinks: true });
    return to;
  }
}

export function clusterRoundText({ seed, events, rows, seconds, faults: its, lives, codes, takeovers, fenced, missing, duplicates, wrongs, kept }: ClusterRoundResult): string {
  const many = [...its.values()].reduce((sum, count) => sum + count, 0);
  return `seed ${seed}: ${events} events, ${rows} rows, ${seconds.toFixed(0)} s, ${many} faults and orders, ${lives} lives, ${codes} codes, ${takeovers} takeovers of logs, ${fenced} fenced, missing ${missing}, duplicates ${duplicates}`
    + (wrongs.length === 0 ? "" : `\n  FAILED, seed ${seed}${kept === undefined ? "" : `, kept in ${kept}`}:${wrongs.slice(0, shownLines).map((wrong) => `\n  - ${wrong}`).join("")}`);
}
