// A log as it is kept in files, and what it comes to: by the engine's own recovery and replay, as a list of fields whose hash any
// other language can compute (test/python/fold_log.py does).
import { createHash } from "node:crypto";
import type { Actor } from "../../runtime/actor/actor.ts";
import { unseal } from "../../runtime/actor/change.ts";
import { Memory } from "../../runtime/actor/memory.ts";
import { type Outlet, outletId } from "../../runtime/actor/outlet.ts";
import type { RecordKeeper } from "../../runtime/actor/record-keeper.ts";
import { replayAll } from "./replay-all.ts";
import type { BrokerStream, Stored } from "../../runtime/broker/broker.ts";
import { systemClock } from "../../runtime/event/clock.ts";
import type { StagePlan } from "../../runtime/flow/plan.ts";
import { rangeOf, readStateKey } from "../../runtime/journal/keys.ts";
import { Assembler, type Body, type CommitRecord, decodeRecord, type Target } from "../../runtime/journal/record.ts";
import { recover } from "../../runtime/journal/recovery.ts";
import type { Store, Stores } from "../../runtime/journal/store.ts";
import { MemoryBroker } from "../../runtime/testing/memory-broker.ts";
import { MemoryServer } from "../../runtime/testing/memory-server.ts";
import { MemoryDisk, MemoryStores } from "../../runtime/testing/memory-store.ts";
import { SeededRandom } from "../../runtime/testing/seeded-random.ts";
import { fold } from "./folding.ts";

export interface RecordedLog {
  readonly log: readonly Stored[];
  readonly chunks: readonly Stored[];
}

export type StoreEntries = readonly (readonly [key: Uint8Array, value: Uint8Array])[];

export interface FoldedLog {
  /** SHA-256 of all fields. */
  readonly hash: string;
  /** How many fields of each kind there are. */
  readonly fields: Readonly<Record<string, number>>;
  /** Number of the last record. */
  readonly n: number;
}

export const storedLines = (messages: readonly Stored[]): string => messages.map(({ seq, data }) => `${JSON.stringify({ seq, data: Buffer.from(data).toString("base64") })}\n`).join("");
export const entryLines = (entries: StoreEntries): string => entries.map((entry) => `${JSON.stringify(entry.map((bytes) => Buffer.from(bytes).toString("base64")))}\n`).join("");
const lines = (text: string): unknown[] => text.split("\n").filter((line) => line !== "").map((line) => JSON.parse(line) as unknown);
export const readStored = (text: string): Stored[] => (lines(text) as { seq: number; data: string }[]).map(({ seq, data }) => ({ seq, data: Buffer.from(data, "base64") }));
export const readEntries = (text: string): [Uint8Array, Uint8Array][] => (lines(text) as [string, string][]).map(([key, value]) => [Buffer.from(key, "base64"), Buffer.from(value, "base64")]);

/** A server that holds a log and its chunks, each under the sequence that it had. */
export function serverOf({ log, chunks }: RecordedLog): { readonly server: MemoryServer; readonly log: BrokerStream; readonly chunks: BrokerStream } {
  const server = new MemoryServer(), broker = new MemoryBroker(server);
  for (const [name, messages] of [["log", log], ["snap", chunks]] as const) {
    server.create({ name: `mr_${name}`, subject: `mr.${name}`, replicas: 1 });
    const stream = server.streams.get(`mr_${name}`), first = messages[0]?.seq ?? 1;
    for (let seq = 1; seq < first; seq++) stream?.append(`mr.${name}`, new Uint8Array(1), undefined);
    stream?.purge(first);
    for (const { seq, data } of messages) if (stream?.append(`mr.${name}`, data, undefined) !== seq) throw new Error(`message ${seq} of ${name} does not follow`);
  }
  return { server, log: broker.stream("mr_log", "mr.log"), chunks: broker.stream("mr_snap", "mr.snap") };
}

/** Stores in memory of which one holds these entries. */
export async function storesWith(name: string, entries: StoreEntries): Promise<MemoryStores> {
  const stores = new MemoryStores(new MemoryDisk()), store = await stores.open(name);
  await store.write(entries.map(([key, value]) => ({ type: "put", key, value })));
  await store.close();
  return stores;
}

/** Claims the log as a new owner does and replays it (I7). Throws as `recover` does. */
export async function foldedByEngine(stage: StagePlan, recorded: { readonly log: BrokerStream; readonly chunks: BrokerStream }, records: readonly Stored[], stores: Stores, store: string): Promise<FoldedLog> {
  const recovered = await recover({
    where: store, log: recorded.log, chunks: recorded.chunks, stores, store, random: new SeededRandom(1), node: "test", code: "test",
    clock: systemClock, signal: new AbortController().signal, onClaimed: () => {}, onWait: () => {},
  });
  try {
    const memory = new Memory(stage, store), fields = new Fields(), outlets = targetsOf(records).map((target) => new StandInOutlet(target));
    const behaviour = { apply: ({ body }: CommitRecord) => { for (const [split, ...rest] of body.source ?? []) fields.set(["source", split], rest); if (body.sink !== undefined) fields.set(["sink"], body.sink); } };
    const emitter = { outletAt: (target: Target) => outlets.find(({ id }) => id === outletId(target)) as unknown as Outlet, all: [], routing: { apply: () => {} }, follow: () => {}, replayed: () => {} };
    const actor = { memory, behaviour, emitter } as unknown as Actor;
    const { own, counts } = await replayAll(actor, recovered, { add: () => {}, unsettle: () => {} } as unknown as RecordKeeper);
    await fold(memory.changes, recovered.journal.store);
    fields.set(["own"], own);
    fields.set(["counts"], counts);
    for (const { target, seq, term, delivery } of outlets) {
      if (seq > 0) fields.set(["sent", target], [seq, term]);
      if (delivery.settled > 0) fields.set(["settled", target], [delivery.settled, delivery.settledAt]);
      for (const [number, frame] of delivery.frames) fields.set(["out", target, number], frame);
    }
    fields.addSmall(memory);
    await fields.addEntries(recovered.journal.store, store);
    return { hash: fields.hash(), fields: fields.counts(), n: recovered.n - 1 };
  } finally {
    await recovered.journal.store.close();
  }
}

function targetsOf(records: readonly Stored[]): readonly Target[] {
  const assembler = new Assembler(), targets = new Map<string, Target>();
  for (const { data } of records) {
    const body = assembler.take(decodeRecord(data))?.body;
    for (const [target] of [...(body?.out ?? []), ...(body?.sent ?? []), ...(body?.settled ?? [])]) targets.set(outletId(target), target);
  }
  return [...targets.values()];
}

/** What replay knows of an outlet. */
export class StandInOutlet {
  readonly target: Target;
  readonly id: string;
  seq = 0;
  term: unknown = null;
  readonly delivery = {
    settled: 0, settledAt: 0, frames: new Map<number, Uint8Array>(),
    add(seq: number, frame: Uint8Array) { if (seq > this.settled) this.frames.set(seq, frame); },
    dropSettled() { for (const seq of this.frames.keys()) if (seq <= this.settled) this.frames.delete(seq); },
  };

  constructor(target: Target) {
    this.target = target;
    this.id = outletId(target);
  }
}

class Fields {
  readonly #values = new Map<string, { readonly kind: string; readonly bytes: Buffer }>();

  set(name: readonly [kind: string, ...rest: unknown[]], value: unknown): void {
    this.#values.set(canonical(name).toString("latin1"), { kind: name[0], bytes: canonical(value) });
  }

  addSmall({ inbound, tries }: Memory): void {
    const body: Body = {};
    inbound.write(body, true);
    tries.write(body);
    for (const [input, ...rest] of body.inputs ?? []) this.set(["input", input], rest);
    for (const [input, from, generation, ...rest] of body.cursors ?? []) this.set(["cursor", input, from, generation], rest);
    for (const [input, from, generation, ...rest] of body.channels ?? []) this.set(["channel", input, from, generation], rest);
    this.set(["tries"], body.tries ?? { k: 0, events: [] });
  }

  async addEntries(store: Store, where: string): Promise<void> {
    for await (const [bytes, value] of store.range(...rangeOf("s"))) {
      const { operator, key, part } = readStateKey(bytes);
      this.set(["state", operator, key, part ?? null], unseal(value, where));
    }
    for await (const [, value] of store.range(...rangeOf("t"))) {
      const [operator, key, name, ...rest] = unseal(value, where) as unknown[];
      this.set(["timer", operator, key, name], rest);
    }
    // The place of one that waits counts arrivals in this life: it is no state.
    for await (const [key, value] of store.range(...rangeOf("w"))) this.set(["waiting", Buffer.from(key).subarray(1).toString()], (unseal(value, where) as unknown[]).slice(1));
    for await (const [key, value] of store.range(...rangeOf("o"))) this.set(["held", key], unseal(value, where));
  }

  counts(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const { kind } of this.#values.values()) counts[kind] = (counts[kind] ?? 0) + 1;
    return counts;
  }

  hash(): string {
    const hash = createHash("sha256");
    for (const [name, { bytes }] of [...this.#values].sort(([a], [b]) => Buffer.compare(Buffer.from(a, "latin1"), Buffer.from(b, "latin1")))) hash.update(Buffer.from(name, "latin1")).update(bytes);
    return hash.digest("hex");
  }
}

/** A value as bytes that are the same in every language: all numbers as doubles, the properties of objects in the order of their names' bytes. */
export function canonical(value: unknown): Buffer {
  const double = (letter: string, number: number): Buffer => { const bytes = Buffer.alloc(9, letter); bytes.writeDoubleBE(number, 1); return bytes; };
  const sized = (letter: string, count: number, ...rest: readonly Uint8Array[]): Buffer => { const head = Buffer.alloc(5, letter); head.writeUInt32BE(count, 1); return Buffer.concat([head, ...rest]); };
  const text = (letter: string, string: string): Buffer => { const bytes = Buffer.from(string); return sized(letter, bytes.length, bytes); };
  if (value === null || value === undefined) return Buffer.from("z");
  if (typeof value === "boolean") return Buffer.from(value ? "t" : "f");
  if (typeof value === "number") return double("n", value);
  if (typeof value === "string") return text("s", value);
  if (typeof value === "bigint") return text("i", String(value));
  if (value instanceof Date) return double("d", value.getTime());
  if (value instanceof Uint8Array) return sized("b", value.length, value);
  if (value instanceof Map) return sized("m", value.size, ...[...value].flat(1).map(canonical));
  if (value instanceof Set) return sized("e", value.size, ...[...value].map(canonical));
  if (Array.isArray(value)) return sized("a", value.length, ...value.map(canonical));
  const properties = Object.entries(value as object).filter(([, item]) => item !== undefined).map(([name, item]) => [Buffer.from(name), item as unknown] as const).sort(([a], [b]) => Buffer.compare(a, b));
  return sized("o", properties.length, ...properties.flatMap(([name, item]) => [canonical(name.toString()), canonical(item)]));
}
