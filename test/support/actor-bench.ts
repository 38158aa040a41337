// One processor on the twins, between a source and a reader that the test plays itself: it sends frames into the mailbox, and reads
// what comes out as readers do, exactly the next of each channel. Time stands still unless the test, or `until`, moves it.
import type { Actor } from "../../runtime/actor/actor.ts";
import type { DeadLetter } from "../../runtime/actor/emitter.ts";
import { type ActorEnvironment, type Generations, streamName, subjectsOf, Turnstile } from "../../runtime/actor/environment.ts";
import type { Exit } from "../../runtime/actor/exit.ts";
import { createActor } from "../../runtime/actor/wiring.ts";
import type { EventInfo, FlowEvent, Key, Operator, StageOptions } from "../../runtime/index.ts";
import { rowInfo, typeOf } from "../../runtime/actor/event-info.ts";
import { decodeMessage, encodeFrame, type Frame, message, type Note, RowBuffer, rowData } from "../../runtime/event/frame.ts";
import { nextTerm, type Term } from "../../runtime/event/term.ts";
import type { FlowPlan, StagePlan } from "../../runtime/flow/plan.ts";
import { Assembler, type CommitRecord, decodeRecord } from "../../runtime/journal/record.ts";
import { ManualClock } from "../../runtime/testing/manual-clock.ts";
import { MemoryBroker } from "../../runtime/testing/memory-broker.ts";
import { MemoryServer } from "../../runtime/testing/memory-server.ts";
import { MemoryDisk, MemoryStores } from "../../runtime/testing/memory-store.ts";
import { Chance, seed } from "../actors/seeded.ts";
import { driven, until } from "./driven.ts";
import { anyhow, plan, sink, source } from "./flow-parts.ts";
import { ScriptedNetwork } from "./scripted-network.ts";

export const generation = "g-1";
const sender = "f/feed/0";

export interface Sent {
  readonly data: unknown;
  readonly key?: Key;
  readonly time?: number;
}

export interface BenchOptions extends StageOptions {
  /** Further outputs of the processor that are read: each has a reader of its name. */
  readonly outputs?: readonly string[];
  readonly retainMs?: number;
}

type Warning = readonly [message: string, fields: object | undefined];

export class ActorBench {
  readonly clock = new ManualClock();
  readonly server = new MemoryServer({ clock: this.clock });
  readonly disk = new MemoryDisk();
  readonly flow: FlowPlan;
  readonly stage: StagePlan;
  readonly exits: Exit[] = [];
  readonly states: string[] = [];
  readonly poisoned: string[] = [];
  readonly warnings: Warning[] = [];
  readonly chance = new Chance(seed);
  /** What the readers have committed, as anchors are told; `undefined`: not known. */
  readerCursor: number | undefined;
  /** As of the next start. */
  generations: Generations | undefined;
  network = new ScriptedNetwork();
  broker = new MemoryBroker(this.server, this.network);
  #stores = new MemoryStores(this.disk);
  #actor: Actor | undefined;
  readonly #retainMs: number;
  // The source.
  term: Term = nextTerm(0, this.random);
  seq = 0;
  #before: Term | null = null;

  /** The same streams and disk, with other code. */
  as(operator: unknown, options: BenchOptions = {}): ActorBench {
    const other = new ActorBench(operator, options);
    Object.assign(other, { server: this.server, disk: this.disk, clock: this.clock, term: this.term, seq: this.seq });
    other.#before = this.#before;
    other.#stores = new MemoryStores(this.disk);
    return other;
  }

  constructor(operator: unknown, options: BenchOptions = {}) {
    const { outputs = [], retainMs = 0, ...stage } = options;
    this.#retainMs = retainMs;
    const flow = anyhow("f", (build: { source(...of: readonly unknown[]): Stream; processor(...of: readonly unknown[]): Stream; sink(...of: readonly unknown[]): unknown }) => {
      const feed = build.source("feed", source(), { time: () => 0 }), work = build.processor("work", feed.keyBy(() => "k"), stage, operator as Operator<unknown, unknown>);
      build.sink("out", work, sink());
      for (const output of outputs) build.sink(output, (work as unknown as Record<string, Stream>)[output], sink());
      return {};
    });
    this.flow = plan(flow);
    this.stage = this.flow.stages.find(({ name }) => name === "work") as StagePlan;
    const streams = [subjectsOf("f", "work", generation, 0).log, ...["work", "out", ...outputs].map((name) => subjectsOf("f", name, generation, 0).mailbox(0))];
    for (const subject of streams) this.server.create({ name: streamName(subject), subject, replicas: 1, ...(subject.includes(".in.") ? { maxMessages: 1_000 } : {}) });
    this.server.create({ name: "mr_dead_f", subject: "mr.dead.f.>", replicas: 1 });
  }

  get random(): { next: () => number; bytes: (count: number) => Uint8Array } {
    return { next: this.chance.next, bytes: (count) => Uint8Array.from({ length: count }, () => this.chance.below(256)) };
  }

  /** The life that runs, or ran last. */
  get actor(): Actor {
    return this.#actor as Actor;
  }

  // ── lives

  /** A new life, in a process of its own. */
  async start(): Promise<Actor> {
    this.#stores.kill();
    this.#stores = new MemoryStores(this.disk);
    this.network = new ScriptedNetwork();
    this.broker = new MemoryBroker(this.server, this.network);
    const log = { debug: () => {}, info: () => {}, warn: (text: string, fields?: object) => { this.warnings.push([text, fields]); }, error: () => {} };
    const env: ActorEnvironment = {
      flow: this.flow, division: () => ({ generation, count: 1 }), code: "code", node: "n", broker: this.broker, stores: this.#stores, clock: this.clock, random: this.random, log,
      soon: (call) => { setImmediate(call); }, retainMs: this.#retainMs, replicas: 1, oneByOne: new Turnstile(), readerCursor: () => this.readerCursor, ...(this.generations === undefined ? {} : { generations: this.generations }),
    };
    const actor = createActor(env, this.stage, 0, { onExit: (exit) => { this.exits.push(exit); }, onState: (state) => { this.states.push(state); }, onPoison: (event) => { this.poisoned.push(event); } });
    this.#actor = actor;
    await driven(this.clock, actor.start());
    return actor;
  }

  /** Ends its process: what it had not written, or sent, never is. */
  kill(): void {
    this.#stores.kill();
    this.broker.disconnect();
    this.actor.exit({ class: "process" });
  }

  /** Waits for its exit; a new life. The exit is given. */
  async restart(): Promise<Exit> {
    const exit = await this.ended();
    await this.start();
    return exit;
  }

  async ended(): Promise<Exit> {
    const before = this.exits.length;
    if (this.#taken === before) await this.until("the actor ends", () => this.exits.length > before);
    this.#taken++;
    return this.exits[this.#taken - 1] as Exit;
  }

  #taken = 0;

  async stop(): Promise<void> {
    await driven(this.clock, this.actor.stop());
    await this.ended();
  }

  until(what: string, check: () => boolean, ms?: number): Promise<void> {
    return until(this.clock, what, check, ms);
  }

  // ── the source

  /** The next frame's message. */
  frame(events: readonly Sent[], { watermark = null as number | null, note = null as Note | null, from = sender, seq = this.seq + 1, before = this.#before } = {}): Uint8Array {
    const rows = new RowBuffer();
    events.forEach(({ data, key, time }, k) => { rows.add(k, time ?? 0, key ?? null, null, data); });
    return message(this.random.bytes(8), encodeFrame({ from, generation, term: this.term, before, seq, n: seq, edge: 0, watermark, note, shapes: rows.shapes, types: rows.types, rows: rows.rows }));
  }

  /** Sends the next frame. */
  send(events: readonly Sent[], more: { readonly watermark?: number | null; readonly note?: Note | null } = {}): void {
    const frame = this.frame(events, more);
    this.seq++;
    this.#before = this.term;
    this.put(frame);
  }

  /** Puts any message into the mailbox. */
  put(data: Uint8Array): void {
    const subject = subjectsOf("f", "work", generation, 0).mailbox(0);
    this.server.streams.get(streamName(subject))?.append(subject, data, undefined);
  }

  end(): void {
    this.send([], { watermark: Infinity, note: ["end"] });
  }

  // ── what comes out

  /** Frames to a reader, each once. */
  frames(reader = "out"): readonly Frame[] {
    return this.#messages(streamName(subjectsOf("f", reader, generation, 0).mailbox(0))).map(decodeMessage).reduce<Frame[]>((taken, frame) => {
      if (frame.seq === taken.length + 1) taken.push(frame);
      return taken;
    }, []);
  }

  events(reader = "out"): readonly FlowEvent[] {
    return this.frames(reader).flatMap((frame) => frame.rows.map((row): FlowEvent => ({ ...(rowInfo(frame.from, frame.generation, frame.n, row, typeOf(frame, row)) as EventInfo), data: rowData(row, frame.shapes) })));
  }

  data(reader = "out"): readonly unknown[] {
    return this.events(reader).map(({ data }) => data);
  }

  watermark(reader = "out"): number {
    return Math.max(-Infinity, ...this.frames(reader).map(({ watermark }) => watermark ?? -Infinity));
  }

  letters(): readonly DeadLetter[] {
    return this.#messages("mr_dead_f").map(decodeMessage).reduce<Frame[]>((taken, frame) => {
      if (frame.seq === (taken.at(-1)?.seq ?? 0) + 1) taken.push(frame);
      return taken;
    }, []).flatMap(({ rows, shapes }) => rows.map((row) => rowData(row, shapes) as DeadLetter));
  }

  /** Records of the log, parts put together. */
  log(): readonly CommitRecord[] {
    const assembler = new Assembler();
    return this.#messages(streamName(subjectsOf("f", "work", generation, 0).log)).flatMap((data) => assembler.take(decodeRecord(data)) ?? []);
  }

  #messages(stream: string): readonly Uint8Array[] {
    const its = this.server.streams.get(stream), { first, last } = its?.bounds() ?? { first: 1, last: 0 };
    return Array.from({ length: last - first + 1 }, (_, i) => its?.at(first + i)?.data as Uint8Array);
  }
}

interface Stream {
  keyBy(key: (data: unknown) => unknown): unknown;
}
