// What the fuzz scenario feeds, area by area. `share`: how many of the inputs are for it; the dear ones get few.
import { readFile, rm, writeFile } from "node:fs/promises";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { crc32 } from "node:zlib";
import { csv, json, jsonl, text } from "millrace/actors";
import type { Actor } from "../../runtime/actor/actor.ts";
import { Inbound } from "../../runtime/actor/inbound.ts";
import { Memory } from "../../runtime/actor/memory.ts";
import type { RecordKeeper } from "../../runtime/actor/record-keeper.ts";
import { replayAll } from "../support/replay-all.ts";
import { Routing } from "../../runtime/actor/routing.ts";
import { decode, encode, plain } from "../../runtime/event/codec.ts";
import { MillraceError } from "../../runtime/event/errors.ts";
import { decodeMessage, encodeFrame, message, rowData } from "../../runtime/event/frame.ts";
import { isKey } from "../../runtime/event/event.ts";
import type { StagePlan } from "../../runtime/flow/plan.ts";
import type { SourceActor } from "../../runtime/flow/source.ts";
import { checkBody } from "../../runtime/journal/body-form.ts";
import { readStateKey, stateKey } from "../../runtime/journal/keys.ts";
import { LevelStores } from "../../runtime/journal/level-store.ts";
import { Assembler, decodeRecord, type Target } from "../../runtime/journal/record.ts";
import type { Recovered } from "../../runtime/journal/recovery.ts";
import { Questions } from "../../runtime/node/questions.ts";
import { MemoryBroker } from "../../runtime/testing/memory-broker.ts";
import { MemoryServer } from "../../runtime/testing/memory-server.ts";
import { MemoryDisk, MemoryStores } from "../../runtime/testing/memory-store.ts";
import { readAll } from "../actors/reading.ts";
import type { Chance } from "../actors/seeded.ts";
import { recordedFlow } from "../recorded/flow.ts";
import { around, plan, sink } from "../support/flow-parts.ts";
import { mutated, randomBytes } from "../support/mutation.ts";
import { randomData } from "../support/plain-data.ts";
import { foldedByEngine, readEntries, readStored, StandInOutlet, serverOf, storesWith } from "../support/recorded-log.ts";
import type { Stand } from "./fuzz.ts";
import { killers, names, twisted } from "./hostile.ts";
import { MailboxStand } from "./fuzz-mailbox.ts";

interface Area {
  readonly share: number;
  readonly open: (stand: Stand) => Promise<{ readonly one: () => void | Promise<void>; readonly close?: () => Promise<void> }>;
}

const recorded = fileURLToPath(new URL("../recorded/v1", import.meta.url)), recordedFile = (name: string) => readFile(join(recorded, name), "utf8");
const accounts = (): StagePlan => plan(recordedFlow).stages.find(({ name }) => name === "accounts") as StagePlan;

/** A frame like those of others. */
export function frameOf(chance: Chance, seq: number, before: readonly [number, Uint8Array] | null): Uint8Array {
  const shapes = [["account", "amount", "at"], ["a"]];
  return encodeFrame({
    from: "ledger/entries/0", generation: "g-1", term: [1, Buffer.from("entries0")], before, seq, n: seq + 1, edge: 0, watermark: chance.of([null, 1_000, 5, Infinity]), note: chance.of([null, null, null, ["caught"]]), shapes, types: ["x.y"],
    rows: Array.from({ length: chance.below(6) }, (_, k) => (chance.below(3) === 0 ? [k, k, "b", ["id", 0, null], -1, plain(randomData(chance, 3))] : [k, k * 10, chance.of<string | number>(["a", "b\0", -7]), null, 0, "a", chance.below(50), k])),
  });
}

/** Bytes with something wrong: in the bytes, or in the values; or one that is known to kill. */
function hostileBytes(bytes: Uint8Array, chance: Chance): Uint8Array {
  const way = chance.below(20);
  if (way < 9) return mutated(bytes, chance);
  if (way === 9) return randomBytes(chance);
  if (way === 10) { const killer = chance.of(killers); return chance.below(2) === 0 ? killer : mutated(killer, chance); }
  try {
    return encode(plain(twisted(decode(bytes), chance)));
  } catch (error) {
    if (error instanceof MillraceError && error.code === "UNSERIALIZABLE") return mutated(bytes, chance);
    throw error;
  }
}

const bytes: Area = {
  share: 0.15,
  open: async (stand) => {
    const { chance } = stand;
    return { one: () => { decode(hostileBytes(encode(plain(randomData(chance, 4))), chance)); stand.came(); } };
  },
};

const frames: Area = {
  share: 0.35,
  open: async (stand) => {
    const { chance } = stand, seeds = Array.from({ length: 60 }, () => frameOf(chance, 1, null));
    return {
      one: () => {
        const frame = decodeMessage(chance.below(20) === 0 ? mutated(message(new Uint8Array(8), chance.of(seeds)), chance) : message(new Uint8Array(8), hostileBytes(chance.of(seeds), chance)));
        const inbound = new Inbound();
        inbound.declare(0, frame.from, frame.generation);
        const channel = inbound.channel(0, frame.from, frame.generation);
        if (channel !== undefined && inbound.judge(channel, frame) === "next") { inbound.take(channel, frame); inbound.accept(channel, frame); }
        for (const row of frame.rows) rowData(row, frame.shapes);
        stand.came();
      },
    };
  },
};

const records: Area = {
  share: 0.25,
  open: async (stand) => {
    const { chance } = stand, stage = accounts(), history = readStored(await recordedFile("log.jsonl")).map(({ data }) => data), store = await new MemoryStores(new MemoryDisk()).open("f");
    // The large ones are few, and would take most of the time.
    const seeds = [...history.filter((data) => data.length < 1_200), ...history.filter((data) => data.length >= 1_200).slice(0, 3)], assembler = new Assembler();
    return {
      one: async () => {
        const record = assembler.take(decodeRecord(hostileBytes(chance.of(seeds), chance)));
        if (record !== undefined) {
          checkBody("f/s/0", record);
          const memory = new Memory(stage, "f/s/0"), emitter = { outletAt: (target: Target) => new StandInOutlet(target), routing: new Routing(() => ({ generation: "fuzz0000-1", count: 1 }), undefined), all: [], follow() {}, replayed() {} };
          const actor = { memory, address: "f/s/0", behaviour: { apply() {} }, emitter } as unknown as Actor;
          const recovered = { journal: { store }, folded: undefined, term: record.term, records: async function* () { yield { record, seq: 1, size: 1 }; } } as unknown as Recovered;
          await replayAll(actor, recovered, { add() {}, unsettle() {} } as unknown as RecordKeeper);
        }
        stand.came();
      },
    };
  },
};

const journals: Area = {
  share: 0.003,
  open: async (stand) => {
    const { chance } = stand, stage = accounts(), history = readStored(await recordedFile("log.jsonl")), chunks = readStored(await recordedFile("chunks.jsonl")), entries = readEntries(await recordedFile("journal.jsonl"));
    const { store, firstKept, hash } = JSON.parse(await recordedFile("state.json")) as { store: string; firstKept: number; hash: string }, log = history.filter(({ seq }) => seq >= firstKept);
    const change = (value: Uint8Array): Buffer => {
      const changed = mutated(value, chance);
      // Now and then as one writes it who knows the form: with the right CRC.
      if (changed.length > 24 && chance.below(3) === 0) { changed.writeUInt32BE(crc32(changed.subarray(4)), 0); return changed; }
      if (changed.length > 24 && chance.below(3) === 0) { changed.writeUInt32BE(changed.length - 24, 8); changed.writeUInt32BE(crc32(changed.subarray(24)), 4); changed.writeUInt32BE(crc32(changed.subarray(0, 20)), 20); }
      return changed;
    };
    return {
      one: async () => {
        let its: (readonly [Uint8Array, Uint8Array])[] = [...entries], logs = log, pieces = chunks, honest = true;
        const at = chance.below(its.length), [key, value] = its[at] as readonly [Uint8Array, Uint8Array];
        switch (chance.below(8)) {
          case 0: its.splice(at, 1); break;
          case 1: its[at] = [mutated(key, chance), value]; break;
          case 2: its = []; logs = log.map((record, i) => (i === at % log.length ? { seq: record.seq, data: hostileBytes(record.data, chance) } : record)); honest = false; break;
          case 3: its = []; pieces = chunks.map((chunk) => ({ seq: chunk.seq, data: hostileBytes(chunk.data, chance) })); break;
          case 4: its = its.map(([k]) => [k, randomBytes(chance)] as const); break;
          default: { const changed = change(value); its[at] = [key, changed]; honest = changed.length < 4 || Buffer.compare(changed, value) === 0 || crc32(changed.subarray(4)) !== changed.readUInt32BE(0); }
        }
        if (its.some(([k], i) => k.length === 0 || its.findIndex(([other]) => Buffer.compare(other, k) === 0) !== i)) its = its.filter(([k]) => k.length > 0);
        const folded = await foldedByEngine(stage, serverOf({ log: logs, chunks: pieces }), history, await storesWith(store, its), store);
        // What is taken although it was changed must come to the same: it was not needed, or was built anew.
        if (honest && folded.hash !== hash && !missing(its, entries)) stand.wrong(`a changed journal was taken, and came to another state: entry ${Buffer.from(key).toString("hex")}`);
        stand.came();
      },
    };
  },
};

/** Whether an entry of the folded space is gone, or has another key: LevelDB's own checksums answer for that. */
function missing(its: readonly (readonly [Uint8Array, Uint8Array])[], entries: readonly (readonly [Uint8Array, Uint8Array])[]): boolean {
  const there = new Set(its.map(([key]) => Buffer.from(key).toString("hex")));
  return its.length > 0 && (its.length !== entries.length || entries.some(([key]) => !there.has(Buffer.from(key).toString("hex"))));
}

const mailbox: Area = {
  share: 0.15,
  open: async (stand) => {
    const it = new MailboxStand(stand, hostileBytes);
    return { one: () => it.round(25), close: () => it.close() };
  },
};

const files: Area = {
  share: 0.007,
  open: async (stand) => {
    const { chance, folder } = stand, rows = Array.from({ length: 12 }, (_, n) => ({ id: n, name: `n${n} "ü", x`, deep: { list: [n, null, true, 1e300] } }));
    const kinds: readonly (readonly [string, string, (path: string) => SourceActor<unknown>])[] = [
      ["a.json", JSON.stringify({ head: 1, features: rows, tail: [] }), (path) => json.source(path, { at: "features" } as never)], ["b.json", JSON.stringify(rows), (path) => json.source(path)],
      ["c.jsonl", rows.map((row) => `${JSON.stringify(row)}\n`).join(""), (path) => jsonl.source(path)], ["d.csv", `id,name\n${rows.map(({ id, name }) => `${id},"${name.replaceAll('"', '""')}"\r\n`).join("")}`, (path) => csv.source(path)],
      ["e.txt", "one\ntwo\r\nthree\u2028\nfour", (path) => text.source(path)],
    ];
    return {
      one: async () => {
        const [name, whole, source] = chance.of(kinds), path = join(folder, name);
        let content: Buffer = mutated(Buffer.from(whole), chance);
        if (chance.below(12) === 0) content = chance.of([Buffer.alloc(50_000, "["), Buffer.alloc(50_000, '{"a":'), Buffer.alloc(50_000, '"'), Buffer.alloc(20_000, 0), Buffer.alloc(20_000, 0xff), Buffer.from("\ufeff[]"), Buffer.from("\ufffe["), Buffer.alloc(100_000, "1"), Buffer.alloc(50_000, ","), Buffer.alloc(30_000, "\n"), Buffer.alloc(30_000, "\r")]);
        if (chance.below(12) === 0) content = randomBytes(chance);
        await writeFile(path, content);
        try {
          const taken = await readAll(source(path), { limit: 60_000 });
          for (const { error } of taken.dead) if (!(error instanceof MillraceError)) stand.wrong(`a dead letter without a code: ${String(error)}`);
          stand.came();
        } finally {
          await rm(path, { force: true });
        }
      },
    };
  },
};

const requests: Area = {
  share: 0.05,
  open: async (stand) => {
    const { chance } = stand, server = new MemoryServer(), questions = new Questions("n1"), stop = questions.serve(new MemoryBroker(server)), broker = new MemoryBroker(server);
    questions.answer("tree", async ({ from }) => ({ page: from ?? 0 }));
    const seeds = ['{"what":"tree","from":0}', '{"what":"ping"}', '{"what":"tree","from":[{"a":1}],"__proto__":{"x":1}}', '{"what":"__proto__"}', '{"what":"constructor"}'];
    return {
      one: async () => {
        const request = chance.below(40) === 0 ? chance.of([Buffer.alloc(20_000, "["), Buffer.alloc(16_000, "["), Buffer.alloc(16_000, '{"what":'), Buffer.alloc(1_000_000, 32), ...killers]) : mutated(Buffer.from(chance.of(seeds)), chance);
        await broker.request("mr.inspect.n1", request, 5_000);
        stand.came();
      },
      close: async () => {
        await broker.request("mr.inspect.n1", Buffer.from('{"what":"ping"}'), 5_000);
        stop();
      },
    };
  },
};

const named: Area = {
  share: 0.04,
  open: async (stand) => {
    const { chance, folder } = stand, data = join(folder, "data"), memory = new MemoryStores(new MemoryDisk()), disk = new LevelStores(data);
    const outside = (): string => readdirSync(folder).sort().join(" ");
    const before = outside();
    return {
      one: async () => {
        const name = names(chance), valid = /^[a-z][a-z0-9-]{0,63}$/.test(name);
        switch (chance.below(5)) {
          case 0: {
            around((flow, feed) => flow.sink(name, feed, sink()));
            if (!valid) stand.wrong(`a stage may be named ${JSON.stringify(name)}`);
            break;
          }
          case 1: {
            // A key is encoded, whatever is in it, or is none.
            if (!isKey(name)) throw new MillraceError("KEY_INVALID", "key", "too long", "shorter");
            const wellFormed = Buffer.from(name).toString(), read = readStateKey(stateKey(3, name, 7));
            if (read.key !== wellFormed || read.part !== 7 || read.operator !== 3) stand.wrong(`key ${JSON.stringify(name)} came back as ${JSON.stringify(read)}`);
            break;
          }
          case 2: await (await memory.open(`f/${name}/g-1/0`)).close(); break;
          case 3: {
            const store = `f/${name}`;
            if (!/^[a-z0-9][a-z0-9-]{0,63}(\/[a-z0-9][a-z0-9-]{0,63}){0,6}$/.test(name)) {
              await disk.exists(store);
              await disk.open(store);
              stand.wrong(`a journal may be named ${JSON.stringify(store)}`);
            }
            break;
          }
          default: {
            if (chance.below(2) === 0) await disk.remove(name);
            else await disk.setAside(`a/${name}`);
          }
        }
        stand.came();
      },
      close: async () => {
        if (outside() !== before && outside() !== `${before} data`.trim()) stand.wrong(`files outside of the data folder: ${outside()}`);
      },
    };
  },
};

/** By name. */
export const areas: Readonly<Record<string, Area>> = { bytes, frames, records, journals, mailbox, files, requests, named };
