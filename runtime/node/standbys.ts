// The warm copies on this node: of each actor that runs elsewhere and for which this node was chosen, one is kept (warm-copy.ts) until the
// actor comes here, another node is chosen, or its flow ends.
import { readingOf, Turnstile } from "../actor/environment.ts";
import { type ClusterState, seatsOf } from "../cluster/placement-record.ts";
import { pause } from "../event/clock.ts";
import { asError } from "../event/errors.ts";
import type { ReadingOptions } from "../journal/recovery.ts";
import { WarmCopy, type WarmFigures, type WarmState } from "../journal/warm-copy.ts";
import type { HostEnvironment } from "./hosted-flow.ts";
import { readRun, type RunRecord } from "./run-record.ts";

/** A warm copy, as it stands now. */
export interface Copy extends Omit<WarmFigures, "state"> {
  readonly actor: string;
  /** `missing`: it is not known yet which generation of the actor runs, or it still runs here. */
  readonly state: WarmState | "missing";
}

export interface StandbysOptions extends Pick<HostEnvironment, "node" | "broker" | "stores" | "clock" | "log"> {
  /** Whether the actor, or what is left of it, is on this node. */
  readonly isHere: (actor: string) => boolean;
}

/** Loads and folds at the same time: more at once would hold up the actors that run here. */
const loadsAtOnce = 2;
/** Which generation of an actor runs is looked at so often: once its stage was scaled, its log is another. In ms. */
const lookMs = 2_000;

export class Standbys {
  readonly #options: StandbysOptions;
  readonly #copies = new Map<string, Keeper>();
  /** Those that end, by actor: none begins before. */
  readonly #ending = new Map<string, Promise<void>>();
  readonly #turnstiles = Array.from({ length: loadsAtOnce }, () => new Turnstile());
  #turns = 0;
  readonly #records = new Map<string, { readonly at: number; readonly record: Promise<RunRecord | undefined> }>();
  #isStopped = false;

  constructor(options: StandbysOptions) {
    this.#options = options;
  }

  /** A record changed where actors are. */
  follow({ flows }: ClusterState): void {
    if (this.#isStopped) return;
    const { node } = this.#options, wanted = new Map<string, string>();
    for (const flow of flows.values()) if (!flow.ended) for (const [actor, seat] of seatsOf(flow)) if (seat.node !== node && seat.standby.includes(node)) wanted.set(actor, flow.run);
    for (const [actor, { run }] of this.#copies) if (wanted.get(actor) !== run) void this.release(actor);
    for (const [actor, run] of wanted) {
      if (this.#copies.has(actor)) continue;
      this.#copies.set(actor, new Keeper(actor, run, this.#ending.get(actor), this.#options, {
        turn: () => (this.#turnstiles[this.#turns++ % loadsAtOnce] as Turnstile).enter(), record: (name) => this.#record(name),
      }));
    }
  }

  /** The actor is about to be started here: resolves when its journal is closed. Never rejects. */
  release(actor: string): Promise<void> {
    const copy = this.#copies.get(actor), ending = this.#ending.get(actor) ?? Promise.resolve();
    if (copy === undefined) return ending;
    this.#copies.delete(actor);
    const ended = copy.stop().then(() => { if (this.#ending.get(actor) === ended) this.#ending.delete(actor); });
    this.#ending.set(actor, ended);
    return ended;
  }

  /** Does something with what is left of an actor here, while it is neither started nor a copy of it kept or begun. Never rejects: what fails is tried again, and told. */
  async aside(actor: string, work: () => Promise<void>): Promise<void> {
    if (this.#isStopped || this.#copies.has(actor) || this.#ending.has(actor)) return;
    const done: Promise<void> = work().catch((thrown: unknown) => this.#options.log.debug("what is left of an actor could not be seen to", { actor, reason: asError(thrown).message })).then(() => { if (this.#ending.get(actor) === done) this.#ending.delete(actor); });
    this.#ending.set(actor, done);
    await done;
  }

  /** Read once for all copies of a flow that look at the same time. */
  async #record(flow: string): Promise<RunRecord | undefined> {
    const { broker, clock } = this.#options, now = clock.monotonic();
    let read = this.#records.get(flow);
    if (read === undefined || now - read.at >= lookMs / 2) this.#records.set(flow, (read = { at: now, record: readRun(broker.keys, flow).then((kept) => kept?.record) }));
    return await read.record;
  }

  /** Of a flow, or of all. */
  copies(flow?: string): readonly Copy[] {
    return [...this.#copies].filter(([actor]) => flow === undefined || actor.startsWith(`${flow}/`)).map(([actor, { figures }]) => ({ actor, ...figures }));
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await Promise.all([...this.#copies.keys()].map((actor) => this.release(actor)));
    await Promise.all(this.#ending.values());
  }
}

const nothing: Omit<Copy, "actor"> = { state: "missing", n: 0, messages: 0, bytes: 0 };

/** Keeps the copy of one actor, through its generations. */
class Keeper {
  readonly run: string;
  readonly #actor: string;
  readonly #options: StandbysOptions;
  readonly #turn: () => Promise<() => void>;
  readonly #record: (flow: string) => Promise<RunRecord | undefined>;
  readonly #stop = new AbortController();
  readonly #done: Promise<void>;
  #copy: WarmCopy | undefined;

  constructor(actor: string, run: string, before: Promise<void> | undefined, options: StandbysOptions, shared: { readonly turn: () => Promise<() => void>; readonly record: (flow: string) => Promise<RunRecord | undefined> }) {
    this.#actor = actor;
    this.run = run;
    this.#options = options;
    this.#turn = shared.turn;
    this.#record = shared.record;
    this.#done = this.#keep(before);
  }

  get figures(): Omit<Copy, "actor"> {
    return this.#copy?.figures ?? nothing;
  }

  stop(): Promise<void> {
    this.#stop.abort();
    return this.#done;
  }

  async #keep(before: Promise<void> | undefined): Promise<void> {
    await before;
    const { clock, isHere, log } = this.#options, { signal } = this.#stop, until = { clock, signal };
    let known: string | undefined;
    while (!signal.aborted) {
      // What runs here has its journal open: it goes first.
      const generation = isHere(this.#actor) ? undefined : await this.#generation().catch((thrown: unknown) => {
        log.debug("which generation of an actor runs is not known now", { actor: this.#actor, reason: asError(thrown).message });
        return undefined;
      });
      if (generation !== undefined && generation !== known && !signal.aborted) {
        await this.#copy?.stop();
        if (known !== undefined) await this.#options.stores.remove(this.#readingOf(known).store).catch((thrown: unknown) => log.debug("a copy of an old generation could not be removed", { actor: this.#actor, reason: asError(thrown).message }));
        known = generation;
        this.#copy = this.#begin(generation);
      }
      await pause(lookMs, until);
    }
    await this.#copy?.stop();
  }

  #readingOf(generation: string): Omit<ReadingOptions, "signal"> {
    const [flow, stage, partition] = this.#actor.split("/") as [string, string, string];
    return readingOf(this.#options, flow, stage, generation, Number(partition));
  }

  #begin(generation: string): WarmCopy {
    const { log } = this.#options;
    const copy = new WarmCopy({
      ...this.#readingOf(generation), turn: this.#turn,
      onState: () => {
        const { state, ...its } = copy.figures;
        log.debug(`warm copy: ${state}`, { actor: this.#actor, ...its });
        if (state === "kept") log.warn("a journal on this node is no copy of its actor's log: it is left as it is, and is none that a failover could go on from", { actor: this.#actor });
      },
    });
    return copy;
  }

  /** While its stage is being scaled, the old one; of an actor that is only of the new one, none. */
  async #generation(): Promise<string | undefined> {
    const [flow, name, partition] = this.#actor.split("/") as [string, string, string], record = await this.#record(flow), stage = record?.stages.find((one) => one.name === name);
    return record?.token === this.run && stage !== undefined && Number(partition) < stage.parallelism ? stage.generation : undefined;
  }
}
