// Judges a world at the end of its schedule: what the targets hold, and the invariants of the logs and journals.
import { subjectsOf, streamName, deadStream } from "../../runtime/actor/environment.ts";
import { decode } from "../../runtime/event/codec.ts";
import { partitionOf } from "../../runtime/event/partition.ts";
import { Journal } from "../../runtime/journal/journal.ts";
import { Assembler, type CommitRecord, decodeRecord } from "../../runtime/journal/record.ts";
import { MemoryStores } from "../../runtime/testing/memory-store.ts";
import { chainWrong, Fields, foldOf, journalOf } from "../support/log-fold.ts";
import type { Kept } from "./archive.ts";
import type { SimulatedFlow } from "./flows.ts";
import { lettersOf } from "./letters.ts";
import type { Observed } from "./reference.ts";
import { mostParallel } from "./scaling.ts";
import type { Slot } from "./slot.ts";
import type { World } from "./world.ts";

/** What is wrong with what came out; `whole`: the flow has ended. */
export function outcomeWrong(world: World, flow: SimulatedFlow, whole: boolean): string | undefined {
  const sink = world.flow.stages.find(({ kind }) => kind === "sink") as { name: string; parallelism: number }, first = world.scaling.first(sink.name).generation, scaled = world.everySlot.some(({ stage, generation }) => stage.name === sink.name && generation !== first);
  const targets = Array.from({ length: scaled ? mostParallel : sink.parallelism }, (_, p) => world.targets.kept.get(`${world.flow.name}/${sink.name}/${p}`)), parts = targets.map((target) => target?.data ?? []);
  for (const [p, data] of parts.entries()) {
    if (whole && Array.from(data).includes(undefined)) return `target ${p} has a hole`;
    if (whole && targets[p]?.finished === false) return `target ${p} is not finished`;
  }
  const observed: Observed = { parts: parts.map((data) => Array.from(data)), all: parts.flat(), letters: lettersOf(world.server.streams.get(deadStream(world.flow.name))).map(({ letter }) => letter), takenBack: world.operator, lost: world.lost, partitionOf: scaled ? undefined : (key) => partitionOf(key, sink.parallelism) };
  return flow.wrong(observed, world.feed, whole);
}

/** The newest snapshot that the log names, and the tail. What is missing is said. */
function ofServer(world: World, slot: Slot, log: readonly Kept[]): Fields | string {
  const subjects = subjectsOf(world.flow.name, slot.stage.name, slot.generation, slot.partition), stream = world.server.streams.get(streamName(subjects.log)), chunks = world.server.streams.get(streamName(subjects.chunks));
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
    for (const [key, value] of as.entries ?? []) fields.stored(key, value, slot.address);
    for (const [seq] of as.chunks) {
      const chunk = chunks?.at(seq);
      if (chunk === undefined) return `chunk ${seq} of the newest snapshot of ${slot.address} is gone`;
      for (const [key, value] of decode(chunk.data) as [Uint8Array, Uint8Array | null][]) fields.stored(key, value, slot.address);
    }
    fields.apply(snapshot);
  }
  for (const record of records) if (record.n > (as?.n ?? 0)) fields.applyRecord(record);
  return fields;
}

/** A journal on a disk: what is folded, and the records after it. `undefined`: it holds no newest record of this log. */
async function ofJournal(world: World, slot: Slot, stores: MemoryStores, log: readonly Kept[]): Promise<Fields | string | undefined> {
  const name = `${world.flow.name}/${slot.stage.name}/${slot.generation}/${slot.partition}`;
  if (!(await stores.exists(name))) return undefined;
  const store = await stores.open(name);
  let wrong: string | undefined;
  try {
    const journal = new Journal(store, slot.address), { head } = journal;
    // Prefixes of the log are right; only one that is as long is compared in full.
    if (head === undefined || head.n !== log.length) return undefined;
    if ((await journal.first()) === undefined) return `the journal of ${slot.address} is empty`;
    const fields = await journalOf(journal, slot.address, ({ n, seq, bytes }) => {
      const kept = log[n - 1];
      if (kept !== undefined && kept.seq === seq && Buffer.compare(kept.data, bytes) === 0) return kept.record;
      wrong ??= `record ${n} in the journal of ${slot.address} is not the one in its log`;
      return decodeRecord(bytes);
    });
    return wrong ?? fields;
  } finally {
    await store.close();
  }
}

function differ(world: World, slot: Slot, what: string, found: Fields, expected: Fields): string | undefined {
  const isRetired = (stage: string, generation: string): boolean => world.scaling.isRetired(stage, generation);
  const lines = found.forgetRetired(isRetired).differences(expected.forgetRetired(isRetired));
  return lines.length === 0 ? undefined : [`${what} of ${slot.address} is not the fold of its log:`, ...lines].join("\n  ");
}

/** I1 and I4 of every actor, from the server alone and from every journal that is up to date. */
export async function logsWrong(world: World): Promise<string | undefined> {
  for (const slot of world.slots) {
    const log = world.logOf(slot), chain = chainWrong(log);
    if (chain !== undefined) return `the log of ${slot.address}: ${chain}`;
    const chunks = world.archive.chunks.get(streamName(subjectsOf(world.flow.name, slot.stage.name, slot.generation, slot.partition).chunks)), whole = foldOf(log, (seq) => chunks?.get(seq)), server = ofServer(world, slot, log);
    // A snapshot that lost its chunks with the broker's power is noticed by whoever needs it.
    if (typeof server === "string" && !world.lost) return server;
    const differs = typeof server === "string" ? undefined : differ(world, slot, "what the server keeps", server, whole);
    if (differs !== undefined) return differs;
    for (const [name, disk] of world.disks) {
      disk.locks.clear();
      const journal = await ofJournal(world, slot, new MemoryStores(disk), log);
      if (typeof journal === "string") return journal;
      const off = journal === undefined ? undefined : differ(world, slot, `the journal on ${name}`, journal, whole);
      if (off !== undefined) return off;
    }
  }
  return undefined;
}
