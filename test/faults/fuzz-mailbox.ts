// A running actor on the twins whose mailbox is filled by others: after every batch of hostile messages a good frame must be handled.
import { defineFlow } from "millrace";
import { collect, jsonl, stateful } from "millrace/actors";
import { deadStream, streamName, subjectsOf, Turnstile } from "../../runtime/actor/environment.ts";
import type { Actor } from "../../runtime/actor/actor.ts";
import type { Exit } from "../../runtime/actor/exit.ts";
import { createActor } from "../../runtime/actor/wiring.ts";
import { systemClock } from "../../runtime/event/clock.ts";
import { decode, encode, plain } from "../../runtime/event/codec.ts";
import { MillraceError } from "../../runtime/event/errors.ts";
import { encodeFrame, message } from "../../runtime/event/frame.ts";
import type { StagePlan } from "../../runtime/flow/plan.ts";
import type { Term } from "../../runtime/event/term.ts";
import { MemoryBroker } from "../../runtime/testing/memory-broker.ts";
import { MemoryServer } from "../../runtime/testing/memory-server.ts";
import { MemoryDisk, MemoryStores } from "../../runtime/testing/memory-store.ts";
import { SeededRandom } from "../../runtime/testing/seeded-random.ts";
import type { Chance } from "../actors/seeded.ts";
import { plan } from "../support/flow-parts.ts";
import { mutated } from "../support/mutation.ts";
import type { Stand } from "./fuzz.ts";
import { frameOf } from "./fuzz-areas.ts";
import { twisted } from "./hostile.ts";

const generation = "g-1", sender = "ledger/entries/0", term = [1, Buffer.from("entries0")] as const;
const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
/** An actor that does not come to it within this hangs. */
const hangMs = 10_000;
/** What others may bring about by a frame that is right in form: the actor parks, and says so. */
const parking = ["FRAME_NEWER", "HISTORY_FORKED"];

/** A handler that bears any data: what ends the actor is the engine's own. */
const flow = plan(defineFlow("ledger", (builder) => {
  const entries = builder.source("entries", jsonl.source<{ account: string | number }>("none.jsonl"));
  const accounts = builder.processor("accounts", entries.keyBy((entry) => entry.account), { order: "time" }, stateful<unknown, string | number, { count: number; last: unknown }, unknown>({
    initial: () => ({ count: 0, last: null }),
    on: (state, data, ctx) => { ctx.emit(data); return { count: state.count + 1, last: data }; },
  }));
  builder.sink("report", accounts, collect<unknown>([]));
}));

export class MailboxStand {
  readonly #stand: Stand;
  readonly #stage = flow.stages.find(({ name }) => name === "accounts") as StagePlan;
  readonly #hostile: (bytes: Uint8Array, chance: Chance) => Uint8Array;
  readonly #subject = subjectsOf("ledger", "accounts", generation, 0).mailbox(0);
  #server = new MemoryServer();
  #stores = new MemoryStores(new MemoryDisk());
  #actor: Actor | undefined;
  #exit: Exit | undefined;
  #crashes = 0;

  constructor(stand: Stand, hostile: (bytes: Uint8Array, chance: Chance) => Uint8Array) {
    this.#stand = stand;
    this.#hostile = hostile;
  }

  /** A world of its own for the actor, with nothing in it. */
  #begin(): void {
    this.#server = new MemoryServer();
    this.#stores = new MemoryStores(new MemoryDisk());
    this.#crashes = 0;
    for (const subject of [subjectsOf("ledger", "accounts", generation, 0).log, this.#subject, subjectsOf("ledger", "report", generation, 0).mailbox(0)]) this.#server.create({ name: streamName(subject), subject, replicas: 1 });
    this.#server.create({ name: deadStream("ledger"), subject: "mr.dead.ledger.>", replicas: 1 });
  }

  async #start(): Promise<Actor> {
    this.#exit = undefined;
    const actor = createActor({
      flow, division: () => ({ generation, count: 1 }), code: "c", node: "n", broker: new MemoryBroker(this.#server), stores: this.#stores, clock: systemClock, random: new SeededRandom(1), log: silent,
      soon: (call) => void setImmediate(call), retainMs: 0, replicas: 1, oneByOne: new Turnstile(), readerCursor: () => undefined,
    }, this.#stage, 0, { onExit: (exit) => { this.#exit = exit; }, onState: () => {}, onPoison: () => {} });
    await actor.start();
    this.#actor = actor;
    return actor;
  }

  #put(data: Uint8Array): number {
    return this.#server.streams.get(streamName(this.#subject))?.append(this.#subject, data, undefined) as number;
  }

  /** So many hostile messages, and a good frame. */
  async round(count: number): Promise<void> {
    const { chance } = this.#stand;
    if (this.#actor === undefined) this.#begin();
    let actor = this.#actor ?? (await this.#start());
    const channel = () => actor.memory.inbound.channel(0, sender, generation);
    let last = 0;
    for (let i = 0; i < count; i++) {
      last = this.#put(this.#message(channel()?.takenSeq ?? 0, channel()?.takenTerm ?? null));
      this.#stand.came();
    }
    for (;;) {
      await this.#until("the hostile messages are read", () => this.#exit !== undefined || (actor.memory.inbound.reached[0]?.at ?? 0) >= last);
      if (this.#exit === undefined) {
        const now = channel();
        const frame = encodeFrame({ from: sender, generation, term, before: now?.takenTerm ?? null, seq: (now?.takenSeq ?? 0) + 1, n: 1, edge: 0, watermark: null, note: null, shapes: [], types: [], rows: [[0, 1, "a", null, -1, { account: "a", amount: 1, at: 1 }]] });
        last = this.#put(message(new Uint8Array(8), frame));
        await this.#until("a good frame is handled", () => this.#exit !== undefined || (actor.memory.inbound.positions[0]?.at ?? 0) >= last);
        if (this.#exit === undefined) {
          this.#stand.note("(good frame handled)");
          break;
        }
      }
      if (!(await this.#goesOn(this.#exit))) return;
      actor = await this.#start();
    }
    this.#stand.note(actor.counts.in > 1 ? "(hostile events handled)" : "(none of them was next)");
    // Worlds grow old: what is held and remembered is not what this is about.
    if (chance.below(10) === 0) await this.close();
  }

  #message(taken: number, before: Term | null): Uint8Array {
    const { chance } = this.#stand, way = chance.below(40), round = new Uint8Array(8);
    // Most are not next on their channel, whatever else they are; some are, and wrong in what they hold; few are wrong anywhere.
    if (way < 24) return message(round, this.#hostile(frameOf(chance, taken + 2 + chance.below(50), before), chance));
    const frame = frameOf(chance, taken + 1, before);
    if (way < 26) return mutated(message(round, frame), chance);
    if (way === 26) return message(round, this.#hostile(frame, chance));
    const fields = decode(frame) as unknown[];
    try {
      return message(round, encode([...fields.slice(0, 8), ...(plain(twisted(fields.slice(8), chance)) as unknown[])]));
    } catch {
      return message(round, frame);
    }
  }

  // An actor that an event ended starts again, as its supervisor would have it; three times for each, then the event is a dead letter.
  async #goesOn(exit: Exit): Promise<boolean> {
    this.#actor = undefined;
    this.#stand.note(`(actor: ${exit.class}${exit.error instanceof MillraceError ? ` ${exit.error.code}` : exit.error === undefined ? "" : `, ${exit.error.message.slice(0, 60)}`})`);
    if (exit.class === "crash" && exit.event !== undefined && ++this.#crashes < 500) return true;
    if (exit.class === "parked" && exit.error instanceof MillraceError && parking.includes(exit.error.code)) return false;
    if (exit.error !== undefined) this.#stand.wrong(`the actor ended (${exit.class}) by ${exit.error.stack?.split("\n").slice(0, 7).join(" | ")}`);
    return false;
  }

  async #until(what: string, check: () => boolean): Promise<void> {
    const end = performance.now() + hangMs;
    while (!check()) {
      if (performance.now() > end) { this.#stand.wrong(`${what}: it never happens`); await this.close(); throw new MillraceError("HANGS", "fuzz", what, "Look."); }
      await new Promise(setImmediate);
    }
  }

  async close(): Promise<void> {
    this.#actor?.exit({ class: "process" });
    await new Promise(setImmediate);
    this.#actor = undefined;
  }
}
