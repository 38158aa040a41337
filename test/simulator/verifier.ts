// Judges a world at the end of its schedule: what the targets hold, and the invariants of the logs and journals.
import { subjectsOf, streamName, deadStream } from "../../runtime/actor/environment.ts";
import type { DeadLetter } from "../../runtime/actor/emitter.ts";
import { unseal } from "../../runtime/actor/change.ts";
import { decode, encode } from "../../runtime/event/codec.ts";
import { decodeMessage, rowData } from "../../runtime/event/frame.ts";
import { partitionOf } from "../../runtime/event/partition.ts";
import { sameTerm } from "../../runtime/event/term.ts";
import { rangeOf, stateKey } from "../../runtime/journal/keys.ts";
import { Journal } from "../../runtime/journal/journal.ts";
import { Assembler, type Body, type CommitRecord } from "../../runtime/journal/record.ts";
import { MemoryStores } from "../../runtime/testing/memory-store.ts";
import type { SimulatedFlow } from "./flows.ts";
import type { Observed } from "./reference.ts";
import { generation, type Kept, type Slot, type World } from "./world.ts";

/** What is wrong with what came out; `whole`: the flow has ended. */
export function outcomeWrong(world: World, flow: SimulatedFlow, whole: boolean): string | undefined {
  const sink = world.flow.stages.find(({ kind }) => kind === "sink") as { name: string; parallelism: number };
  const parts = Array.from({ length: sink.parallelism }, (_, p) => world.targets.get(`${world.flow.name}/${sink.name}/${p}`)?.data ?? []);
  for (const [p, data] of parts.entries()) if (whole && Array.from(data).includes(undefined)) return `target ${p} has a hole`;
  const observed: Observed = { parts: parts.map((data) => Array.from(data)), all: parts.flat(), letters: lettersOf(world), lost: world.lost, partitionOf: (key) => partitionOf(key, sink.parallelism) };
  return flow.wrong(observed, world.feed, whole);
}

/** Dead letters as a reader takes them: of each writer what is above its last number (P29). */
function lettersOf(world: World): readonly DeadLetter[] {
  const stream = world.server.streams.get(deadStream(world.flow.name)), last = new Map<string, number>(), letters: DeadLetter[] = [];
  const { first, last: end } = stream?.bounds() ?? { first: 1, last: 0 };
  for (let seq = first; seq <= end; seq++) {
    const stored = stream?.at(seq);
    if (stored === undefined) continue;
    const frame = decodeMessage(stored.data), writer = `${frame.from}@${frame.generation}`;
    if (frame.seq <= (last.get(writer) ?? 0)) continue;
    last.set(writer, frame.seq);
    for (const row of frame.rows) letters.push(rowData(row, frame.shapes) as DeadLetter);
  }
  return letters;
}

/** I1: one writer. Records chain, terms only rise, and a record's term is that of the newest claim. */
export function logWrong(slot: Slot, log: readonly Kept[]): string | undefined {
  let before: { readonly record: CommitRecord; readonly seq: number } | undefined, claimed: CommitRecord | undefined;
  for (const { seq, record } of log) {
    const { kind, n, term, previous } = record, at = `record ${n} (${kind}) of ${slot.address}`;
    if (n !== (before?.record.n ?? 0) + 1) return `${at} follows record ${before?.record.n ?? 0}`;
    if (previous !== (before?.seq ?? 0)) return `${at} extends ${previous}, not ${before?.seq ?? 0}`;
    if (kind === "claim") {
      if (term[0] !== (claimed?.term[0] ?? 0) + 1) return `${at} claims with term ${term[0]} after ${claimed?.term[0] ?? 0}`;
      claimed = record;
    } else if (claimed === undefined || !sameTerm(term, claimed.term)) return `${at} has another term than the newest claim`;
    before = { record, seq };
  }
  return undefined;
}

/** The fields of an actor as a fold gives them. Values are msgpack, as text of one byte a character. */
class Fields {
  readonly #values = new Map<string, string>();
  /** A claim says k anew; where nothing is said nothing was tried. */
  #tries: NonNullable<Body["tries"]> = { k: 0, events: [] };

  entry(key: Uint8Array, value: unknown): void {
    const name = Buffer.from(key.buffer, key.byteOffset, key.length).toString("latin1");
    if (value === undefined) this.#values.delete(name);
    else this.#values.set(name, packed(value));
  }

  apply(body: Body): void {
    const small = (name: string, value: unknown) => this.#values.set(name, packed(value));
    for (const [operator, version, key, part, ...value] of body.state ?? []) this.entry(stateKey(operator, key, part ?? undefined), value.length === 0 ? undefined : [version, value[0]]);
    for (const [operator, key, name, time, wall, stays] of body.timers ?? []) {
      this.entry(Buffer.concat([Buffer.from("t"), stateKey(operator, key, undefined).subarray(1), Buffer.from(name)]), time === undefined ? undefined : [operator, key, name, time, wall, stays]);
    }
    for (const [id, waiting] of body.waiting ?? []) this.entry(Buffer.from(`w${id}`), waiting);
    for (const [id, event] of body.held ?? []) this.entry(id, event);
    for (const [input, ...rest] of body.inputs ?? []) small(`input ${input}`, rest);
    for (const [input, from, its, ...rest] of body.cursors ?? []) small(`cursor ${input} ${from} ${its}`, rest);
    for (const [input, from, its, ...rest] of body.channels ?? []) small(`channel ${input} ${from} ${its}`, rest);
    for (const [target, seq, term] of body.sent ?? []) small(`sent ${target}`, [seq, term]);
    for (const [target, ...rest] of body.settled ?? []) small(`settled ${target}`, rest);
    for (const [split, ...rest] of body.source ?? []) small(`split ${split}`, rest);
    for (const name of ["own", "sink", "counts"] as const) if (body[name] !== undefined) small(name, body[name]);
    if (body.tries !== undefined) this.#tries = body.tries;
    if (body.node !== undefined) this.#tries = { ...this.#tries, k: body.k ?? 0 };
  }

  /** What is here and not there, or otherwise there. */
  beyond(other: Fields): readonly string[] {
    const lines = [...this.#values].filter(([name, value]) => other.#values.get(name) !== value).map(([name, value]) => `${shown(name)} = ${shown(value)}`);
    const tries = JSON.stringify(this.#tries);
    return tries === JSON.stringify(other.#tries) ? lines : [...lines, `tries = ${tries}`];
  }
}

const packed = (value: unknown): string => (encode(value) as Buffer).toString("latin1");
const shown = (bytes: string): string => bytes.replaceAll(/[^ -~]/g, (c) => `\\${c.charCodeAt(0).toString(16)}`);

function applyRecord(fields: Fields, { kind, term, body }: CommitRecord): void {
  if (kind === "snapshot") return;
  fields.apply({ ...body, sent: [...(body.sent ?? []), ...(body.out ?? []).map(([target, seq]) => [target, seq, term] as const)] });
}

function foldStored(fields: Fields, key: Uint8Array, value: Uint8Array | null): void {
  if (value === null) return fields.entry(key, undefined);
  const stored = unseal(value, "the verifier") as unknown[];
  // The place among those of a key stands in no record.
  fields.entry(key, key[0] === 119 ? stored.slice(1) : stored);
}

/** Records 1..n, one after the other: what state is (I4). */
function ofWholeLog(log: readonly Kept[]): Fields {
  const fields = new Fields(), assembler = new Assembler();
  for (const { record: part } of log) {
    const record = assembler.take(part);
    if (record !== undefined) applyRecord(fields, record);
  }
  return fields;
}

/** The newest snapshot that the log names, and the tail. What is missing is said. */
function ofServer(world: World, slot: Slot, log: readonly Kept[]): Fields | string {
  const subjects = subjectsOf(world.flow.name, slot.stage.name, generation, slot.partition), stream = world.server.streams.get(streamName(subjects.log)), chunks = world.server.streams.get(streamName(subjects.chunks));
  const { first, last } = stream?.bounds() ?? { first: 1, last: 0 }, records: CommitRecord[] = [], assembler = new Assembler(), fields = new Fields();
  let begin: number | undefined;
  for (const { seq, record } of log) {
    if (seq < first || seq > last) continue;
    const whole = assembler.take(record);
    begin ??= record.n;
    if (whole !== undefined) records.push(whole);
  }
  const snapshot = records.findLast(({ kind }) => kind === "snapshot")?.body, as = snapshot?.snapshot;
  if (begin !== undefined && begin > (as?.n ?? 0) + 1) return `the log of ${slot.address} begins at record ${begin}, its newest snapshot is of ${as?.n ?? "none"}`;
  if (snapshot !== undefined && as !== undefined) {
    for (const [key, value] of as.entries ?? []) foldStored(fields, key, value);
    for (const [seq] of as.chunks) {
      const chunk = chunks?.at(seq);
      if (chunk === undefined) return `chunk ${seq} of the newest snapshot of ${slot.address} is gone`;
      for (const [key, value] of decode(chunk.data) as [Uint8Array, Uint8Array | null][]) foldStored(fields, key, value);
    }
    fields.apply(snapshot);
  }
  for (const record of records) if (record.n > (as?.n ?? 0)) applyRecord(fields, record);
  return fields;
}

/** A journal on a disk: what is folded, and the records after it. `undefined`: it holds no newest record of this log. */
async function ofJournal(world: World, slot: Slot, stores: MemoryStores, log: readonly Kept[]): Promise<Fields | string | undefined> {
  const name = `${world.flow.name}/${slot.stage.name}/${generation}/${slot.partition}`;
  if (!(await stores.exists(name))) return undefined;
  const store = await stores.open(name), fields = new Fields(), assembler = new Assembler();
  try {
    const journal = new Journal(store, slot.address), { head } = journal;
    // Prefixes of the log are right; only one that is as long is compared in full.
    if (head === undefined || head.n !== log.length) return undefined;
    const folded = journal.folded() as { n: number; body: Body } | undefined, first = await journal.first();
    if (folded !== undefined) {
      for (const letter of "stwo") for await (const [key, value] of store.range(...rangeOf(letter))) foldStored(fields, key, value);
      fields.apply(folded.body);
    }
    if (first === undefined) return `the journal of ${slot.address} is empty`;
    for await (const { n, seq, bytes } of journal.read(first)) {
      const kept = log[n - 1];
      if (kept === undefined || kept.seq !== seq || Buffer.compare(kept.data, bytes) !== 0) return `record ${n} in the journal of ${slot.address} is not the one in its log`;
      const record = assembler.take(kept.record);
      if (record !== undefined && record.n > (folded?.n ?? 0)) applyRecord(fields, record);
    }
    return fields;
  } finally {
    await store.close();
  }
}

function differ(slot: Slot, what: string, found: Fields, expected: Fields): string | undefined {
  const has = found.beyond(expected), misses = expected.beyond(found);
  if (has.length === 0 && misses.length === 0) return undefined;
  return `${what} of ${slot.address} is not the fold of its log:\n${has.map((line) => `  has      ${line}`).concat(misses.map((line) => `  expected ${line}`)).join("\n")}`;
}

/** I1 and I4 of every actor, from the server alone and from every journal that is up to date. */
export async function logsWrong(world: World): Promise<string | undefined> {
  for (const slot of world.slots) {
    const log = world.logOf(slot), wrong = logWrong(slot, log);
    if (wrong !== undefined) return wrong;
    const whole = ofWholeLog(log), server = ofServer(world, slot, log);
    if (typeof server === "string") return server;
    const differs = differ(slot, "what the server keeps", server, whole);
    if (differs !== undefined) return differs;
    for (const [name, disk] of world.disks) {
      disk.locks.clear();
      const journal = await ofJournal(world, slot, new MemoryStores(disk), log);
      if (typeof journal === "string") return journal;
      const off = journal === undefined ? undefined : differ(slot, `the journal on ${name}`, journal, whole);
      if (off !== undefined) return off;
    }
  }
  return undefined;
}
