// Journals that actors have left on this node: they run on another one now, or their generation or run is over. A journal is evidence of what the log was
// (P24, P31), so one goes only when it can prove nothing any more: all that it holds is in the log, or was purged behind a newer snapshot; a later
// owner has committed more than its claim, and so has a journal that holds the same; and that has been so for longer than a loss may reach back (P32).
import { crc32 } from "node:zlib";
import { streamName, subjectsOf } from "../actor/environment.ts";
import type { ClusterState, FlowSeats, SeatState } from "../cluster/placement-record.ts";
import { asError, MillraceError } from "../event/errors.ts";
import { type Head, Journal } from "../journal/journal.ts";
import { decodeRecord } from "../journal/record.ts";
import type { Store } from "../journal/store.ts";
import type { HostEnvironment } from "./hosted-flow.ts";
import { checkNotBehind, type RunNotes } from "./run-note.ts";
import { readRun } from "./run-record.ts";
import { isLeft } from "./stage-generations.ts";

export interface LeftJournalsOptions extends Pick<HostEnvironment, "node" | "broker" | "stores" | "clock" | "log" | "retainMs"> {
  /** Names of the journals of a flow that are here. */
  readonly journalsOf: (flow: string) => Promise<readonly string[]>;
  readonly notes: Pick<RunNotes, "read">;
  readonly placed: () => ClusterState;
  /** Whether the actor, or what is left of it, is on this node. */
  readonly isHere: (actor: string) => boolean;
  /** While it is held its journals are read. */
  readonly isHeld: (flow: string) => boolean;
  /** Does something with what is left of an actor, while it is neither started here nor a copy of it begun. Never rejects. */
  readonly aside: (actor: string, work: () => Promise<void>) => Promise<void>;
}

const lookMs = 60_000;
/** An actor that comes back meanwhile finds its journal, and has only the rest to read. In ms. */
const leastMs = 600_000;

/** - `as`: it can prove nothing, and what it was then. - `busy`: that cannot be told yet. - `kept`: it may prove something. */
type Verdict = { readonly as: string } | "busy" | "kept";

export class LeftJournals {
  readonly #options: LeftJournalsOptions;
  /** By name: as what it was found first, and when. Monotonic ms. */
  readonly #found = new Map<string, { readonly as: string; readonly at: number }>();
  /** Those that may prove something, as was told. */
  readonly #kept = new Set<string>();
  #cancel = (): void => {};
  #stopped = false;
  #looking: Promise<void> = Promise.resolve();

  constructor(options: LeftJournalsOptions) {
    this.#options = options;
  }

  start(): void {
    this.#cancel = this.#options.clock.after(lookMs, () => {
      if (this.#stopped) return;
      this.#looking = this.look();
      void this.#looking.then(() => { if (!this.#stopped) this.start(); });
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel();
    await this.#looking;
  }

  /** Resolves when no journal is looked at that was when this was called. */
  get idle(): Promise<void> {
    return this.#looking;
  }

  /** Looks once at all that is here. Never rejects. */
  async look(): Promise<void> {
    const { placed, isHeld, journalsOf, log } = this.#options, there = new Set<string>();
    for (const flow of placed().flows.values()) {
      try {
        const names = await journalsOf(flow.name);
        for (const name of names) there.add(name);
        if (names.length > 0 && !flow.ended && !isHeld(flow.name)) await this.#of(flow, names);
      } catch (thrown) {
        log.debug("journals that actors have left could not be looked at", { flow: flow.name, reason: asError(thrown).message });
      }
    }
    for (const name of this.#found.keys()) if (!there.has(name)) this.#found.delete(name);
    for (const name of this.#kept) if (!there.has(name)) this.#kept.delete(name);
  }

  async #of(flow: FlowSeats, names: readonly string[]): Promise<void> {
    const { broker, aside, isHeld, notes } = this.#options, kept = await readRun(broker.keys, flow.name);
    if (kept?.record.token !== flow.run) return;
    // A key that went back behind what is here says nothing of what is over.
    checkNotBehind(flow.name, await notes.read(flow.name), kept);
    const { record } = kept;
    for (const name of names) {
      const [, stage, generation, p] = name.split("/") as [string, string, string, string], actor = `${flow.name}/${stage}/${p}`;
      if (this.#stopped || isHeld(flow.name)) return;
      // Of one that this record does not tell of, a newer one does.
      const isOver = !generation.startsWith(`${record.token}-`) || isLeft(record, stage, generation), isInForce = record.stages.some((its) => its.name === stage && its.generation === generation);
      if (this.#kept.has(name) || record.change?.stage === stage || !(isOver || (isInForce && !this.#isUsed(flow, stage, Number(p))))) continue;
      const found = this.#found.get(name), { clock } = this.#options;
      if (found !== undefined && clock.monotonic() - found.at < this.#waitMs) continue;
      await aside(actor, async () => {
        const verdict: Verdict = isOver ? { as: "over" } : await this.#verdictOf(name, stage, generation, Number(p));
        if (verdict === "busy") return void this.#found.set(name, { as: "", at: clock.monotonic() });
        if (verdict === "kept") return void this.#kept.add(name);
        if (found?.as !== verdict.as) return void this.#found.set(name, { as: verdict.as, at: clock.monotonic() });
        await this.#remove(name, actor);
      });
    }
  }

  get #waitMs(): number {
    return Math.max(leastMs, this.#options.retainMs);
  }

  /** The actor is placed here or kept warm here, or is not all gone from here. */
  #isUsed({ name, stages }: FlowSeats, stage: string, p: number): boolean {
    const { node, isHere } = this.#options, seat: SeatState | undefined = stages.find((one) => one.name === stage)?.seats[p];
    return isHere(`${name}/${stage}/${p}`) || seat?.node === node || seat?.standby.includes(node) === true;
  }

  async #verdictOf(name: string, stage: string, generation: string, p: number): Promise<Verdict> {
    const { broker, stores, log } = this.#options, { log: subject } = subjectsOf(name.slice(0, name.indexOf("/")), stage, generation, p), records = broker.stream(streamName(subject), subject);
    try {
      const head = await headIn(await stores.open(name), name);
      // None: a crash fell into the loading of a snapshot; no record is in it.
      if (head === undefined) return { as: "empty" };
      const last = await records.last(), there = await records.get(head.seq);
      const isIn = there !== undefined ? crc32(there.data) === head.crc : (await records.bounds()).first > head.seq;
      if (!isIn || last === undefined) {
        log.warn(`${name}: the log does not hold what this journal does, which may prove a loss: it is left as it is`);
        return "kept";
      }
      const { term: [owner], kind } = decodeRecord(last.data);
      // Who has only claimed may be loading yet.
      if (last.seq <= head.seq || kind === "claim" || (there !== undefined && decodeRecord(there.data).term[0] >= owner)) return "busy";
      return { as: `${head.seq} ${head.crc}` };
    } catch (thrown) {
      // Damaged, or of a newer program: for whoever goes on from it, or repairs.
      if (thrown instanceof MillraceError && ["JOURNAL_BROKEN", "JOURNAL_CORRUPT", "JOURNAL_NEWER", "RECORD_NEWER", "BYTES_REFUSED"].includes(thrown.code)) return "kept";
      throw thrown;
    }
  }

  async #remove(name: string, actor: string): Promise<void> {
    const { stores, log } = this.#options;
    this.#found.delete(name);
    await stores.remove(name);
    log.debug("a journal that an actor had left was removed", { actor, journal: name });
  }
}

async function headIn(store: Store, name: string): Promise<Head | undefined> {
  try {
    return new Journal(store, name).head;
  } finally {
    await store.close();
  }
}
