// One round of chaos: a flow from its first event to its last, disturbed all the time, then judged.
import { appendFileSync } from "node:fs";
import { cp, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { readRun } from "../../runtime/node/run-record.ts";
import { moment } from "../support/moment.ts";
import { eventually, within } from "../support/waiting.ts";
import { faults } from "./chaos-faults.ts";
import { disturbed } from "./chaos-pace.ts";
import { type ChaosVerdict, chaosVerdict } from "./chaos-verifier.ts";
import { type ChaosNode, ChaosWorld, type NodeEnd, type Place, type WorldOptions } from "./chaos-world.ts";

export interface RoundOptions extends WorldOptions {
  readonly seed: number;
  /** Faults begin no more after so long. ms */
  readonly faultsMs: number;
  /** Time between the beginnings of two faults: up to twice that. ms */
  readonly gapMs: number;
  /** Gets the folder of a round that failed. */
  readonly keepIn?: string;
}

export interface RoundResult extends ChaosVerdict {
  readonly seed: number;
  readonly events: number;
  readonly seconds: number;
  /** How often each fault was. */
  readonly faults: ReadonlyMap<string, number>;
  readonly lives: number;
  readonly fences: number;
  /** Nodes that were passed over, and had nothing more to commit by which they would have noticed. */
  readonly idle: number;
  /** Where what it left is kept, if it failed. */
  readonly kept: string | undefined;
}

/** What a start may come to while servers are away or another node has not let go. */
const passing = new Set(["UNREACHABLE", "FLOW_RUNNING", "FLOW_TAKEN", "DATA_FOLDER_BUSY"]);
const settleMs = 120_000, stallMs = 60_000, lookMs = 2_000, fenceMs = 60_000, idleMs = 2_000, againMs = 100, dumpMs = 1_000;

export class ChaosRun {
  readonly world: ChaosWorld;
  readonly counts = new Map<string, number>();
  fences = 0;
  idle = 0;
  active: ChaosNode;
  readonly #wrongs: string[] = [];
  readonly #log: string;
  readonly #begun = performance.now();
  #taking: Promise<void> | undefined;
  #over = false;
  #ended = false;

  private constructor(world: ChaosWorld) {
    this.world = world;
    this.#log = join(world.options.folder, "faults.log");
    this.active = world.live(world.places[0]);
  }

  static async round(options: RoundOptions): Promise<RoundResult> {
    await mkdir(options.folder, { recursive: true });
    await using world = await ChaosWorld.start(options);
    const run = new ChaosRun(world), { flow, seed, keepIn } = options;
    let verdict: ChaosVerdict = { rows: 0, missing: 0, duplicates: 0, letters: 0, takeovers: 0, wrongs: [] };
    const ended = run.#untilEnded(), disturbed = run.#disturb(options, ended);
    try {
      const { place } = await Promise.race([ended, disturbed.then(() => run.#stalled())]);
      await disturbed;
      run.#say("ended; judged");
      verdict = await chaosVerdict({ broker: await world.broker(), flow, folder: options.folder, dataDirOf: () => place.dataDir });
    } catch (error) {
      run.#wrongs.push((error as Error).message);
      run.active.process.kill("SIGUSR2");
      await moment(dumpMs);
    }
    run.#over = true;
    await disturbed;
    const wrongs = [...run.#wrongs, ...verdict.wrongs];
    for (const wrong of wrongs) run.#say(`WRONG: ${wrong}`);
    const kept = wrongs.length > 0 && keepIn !== undefined ? await run.#keep(join(keepIn, `seed-${seed}`)) : undefined;
    return { ...verdict, wrongs, seed, events: flow.events, seconds: (performance.now() - run.#begun) / 1_000, faults: run.counts, lives: world.lives, fences: run.fences, idle: run.idle, kept };
  }

  #say(what: string): void {
    appendFileSync(this.#log, `${((performance.now() - this.#begun) / 1_000).toFixed(2).padStart(7)}  ${what}\n`);
  }

  /** Rejects when nothing is done any more, though nothing disturbs; a busy machine may take its time. */
  async #stalled(): Promise<never> {
    let done = -1;
    for (let at = performance.now(); performance.now() - at < stallMs && !this.#ended; await moment(lookMs)) {
      const { counts } = await this.world.ask(this.active).catch(() => ({ counts: [] })), now = counts.reduce((sum, [, count]) => sum + count, 0);
      if (now > done) [done, at] = [now, performance.now()];
    }
    if (this.#ended) return await new Promise<never>(() => {});
    throw new Error(`the flow does not end: nothing was done for ${stallMs / 1_000} s, nothing disturbed it`);
  }

  /** Whoever dies is brought back, until the flow has ended. The place of the node that ended it. */
  async #untilEnded(): Promise<{ readonly place: Place }> {
    try {
      return await this.#revived();
    } finally {
      this.#ended = true;
    }
  }

  async #revived(): Promise<{ readonly place: Place }> {
    for (;;) {
      const node = this.active, end = await node.ended;
      await this.#taking;
      if (node !== this.active && end.is !== "done") continue;
      this.#say(`${node.name} ${end.is}${end.is === "failed" ? `: ${end.code}: ${end.message}` : ""}`);
      if (end.is === "done" || (await this.#hasFinished())) return { place: node.place };
      this.#judge(node, end);
      await moment(againMs);
      if (this.#over) return { place: node.place };
      this.active = this.world.live(node.place);
    }
  }

  #judge(node: ChaosNode, end: NodeEnd): void {
    if (end.is !== "failed" || passing.has(end.code)) return;
    throw new Error(`node ${node.name} gave up: ${end.code}: ${end.message}`);
  }

  /** A node may be killed between the end of the flow and its own. */
  async #hasFinished(): Promise<boolean> {
    const { keys } = await this.world.broker();
    return (await eventually("the servers tell how the run stands", async () => ({ run: await readRun(keys, this.world.options.flow.name) }), settleMs)).run?.record.state === "finished";
  }

  async #keep(to: string): Promise<string> {
    const { options: { folder }, servers } = this.world;
    await cp(folder, to, { recursive: true, verbatimSymlinks: true });
    for (const [i, server] of servers.entries()) await cp(server.folder, join(to, `server-${i}`), { recursive: true, verbatimSymlinks: true });
    return to;
  }

  async #disturb({ seed, faultsMs, gapMs }: RoundOptions, ended: Promise<unknown>): Promise<void> {
    await this.active.started;
    await disturbed(faults, this, { seed, faultsMs, gapMs, ended, counts: this.counts, say: (what) => this.#say(what), wrong: (what) => void this.#wrongs.push(what) });
    this.world.calm();
  }

  /** SIGKILL; it lives again a little later. */
  async kill(): Promise<void> {
    const node = this.active;
    node.process.kill("SIGKILL");
    await node.ended;
    await eventually("another life has begun, or the flow has ended", () => this.#ended || this.#over || this.active !== node, settleMs);
  }

  async standStill(ms: number): Promise<void> {
    const { process: its } = this.active;
    its.kill("SIGSTOP");
    await moment(ms);
    its.kill("SIGCONT");
  }

  /** The node at the other place takes over; `other` resolves when it has begun to. Until this is over nobody is brought back. */
  async takeover(how: (old: ChaosNode, other: () => Promise<void>) => Promise<void>): Promise<void> {
    const old = this.active;
    let release = (): void => {};
    this.#taking = new Promise((done) => { release = done; });
    let begun: Promise<void> | undefined;
    const other = () => (begun ??= this.#begin(old));
    try {
      await how(old, async () => { await other(); });
      await other();
    } finally {
      this.#taking = undefined;
      release();
    }
  }

  async #begin(old: ChaosNode): Promise<void> {
    const place = this.world.places.find((its) => its !== old.place) as Place;
    for (const until = performance.now() + settleMs; performance.now() < until; await moment(againMs)) {
      // What has finished would begin anew.
      if (this.#ended || this.#over || (await this.#hasFinished())) return;
      const node = this.world.live(place);
      await node.started;
      if (node.end === undefined || node.end.is === "done") {
        this.active = node;
        return;
      }
      this.#say(`${node.name} could not begin: ${node.end.is === "failed" ? `${node.end.code}: ${node.end.message}` : node.end.is}`);
      this.#judge(node, node.end);
    }
    throw new Error("no other node could begin");
  }

  /** Whoever has nothing to commit, since the flow has ended, does not notice. */
  async #afterEnd(): Promise<"idle"> {
    while (!this.#ended) await moment(againMs);
    await moment(idleMs);
    return "idle";
  }

  /** A node whose flow another one has: it ends by itself, and says so. */
  async fenced(old: ChaosNode): Promise<void> {
    const end = await Promise.race([within(fenceMs, `${old.name} notices that it is fenced`, old.ended), this.#afterEnd()]);
    if (end === "idle") {
      this.idle++;
      this.#say(`${old.name} has nothing to commit any more`);
      old.process.kill("SIGKILL");
      return;
    }
    this.#say(`${old.name} ${end.is === "failed" ? end.code : end.is}`);
    if (end.is === "failed" && end.code === "FLOW_TAKEN") this.fences++;
    else if (end.is === "failed" && !passing.has(end.code)) throw new Error(`${old.name} ended with ${end.code}: ${end.message}`);
  }
}
