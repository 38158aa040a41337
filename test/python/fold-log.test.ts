// The format is documented, not private: a reader in Python, with nothing but Debian's python3-msgpack, folds a log to the same state
// as the engine: the recorded one of version 1, and one taken from a real nats-server.
// test deadline: 180 s
import { execFileSync, spawnSync } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { defineFlow } from "millrace";
import { collect, generate, stateful } from "millrace/actors";
import { streamName, subjectsOf } from "../../runtime/actor/environment.ts";
import { snapshotEvery, snapshotSize } from "../../runtime/actor/snapshot.ts";
import type { Stored } from "../../runtime/broker/broker.ts";
import { connect } from "../../runtime/broker/nats-broker.ts";
import { encode, decode } from "../../runtime/event/codec.ts";
import { decodeRecord, encodeRecord } from "../../runtime/journal/record.ts";
import type { StagePlan } from "../../runtime/flow/plan.ts";
import { startNode } from "../../runtime/inspect/inspected-node.ts";
import { MemoryDisk, MemoryStores } from "../../runtime/testing/memory-store.ts";
import { plan } from "../support/flow-parts.ts";
import { startNatsServer } from "../support/nats-server.ts";
import { foldedByEngine, type FoldedLog, readStored, serverOf, storedLines } from "../support/recorded-log.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { within } from "../support/waiting.ts";

const test = suite("a reader in Python");
const reader = fileURLToPath(new URL("./fold_log.py", import.meta.url)), recorded = fileURLToPath(new URL("../recorded/v1", import.meta.url));

/** A Python that has msgpack: Debian's own first, since another one on the PATH does not see Debian's packages. */
const python = ["/usr/bin/python3", "python3"].find((path) => spawnSync(path, ["-c", "import msgpack"], { stdio: "ignore" }).status === 0);

/** With a Python; without one CI fails, and elsewhere it is said. */
const withPython = (name: string, check: (python: string) => Promise<void>): void => {
  test(name, async () => {
    if (python !== undefined) return check(python);
    const missing = "python3-msgpack is not on this machine: apt-get install python3-msgpack";
    assert.is.not(process.env["CI"], "true", missing);
    console.log(`not run: ${missing}`);
  });
};

async function folder(path: string, log: readonly Stored[], chunks: readonly Stored[]): Promise<string> {
  await mkdir(path);
  await writeFile(join(path, "log.jsonl"), storedLines(log));
  await writeFile(join(path, "chunks.jsonl"), storedLines(chunks));
  return path;
}

withPython("folds the recorded log of version 1 to the recorded state", async (python) => {
  const { hash, fields, n } = JSON.parse(await readFile(join(recorded, "state.json"), "utf8")) as FoldedLog;
  const { kinds, ...folded } = JSON.parse(execFileSync(python, [reader, recorded], { encoding: "utf8" })) as FoldedLog & { kinds: Record<string, number> };
  assert.equal(folded, { hash, fields, n });
  assert.ok((kinds["claim"] ?? 0) > 1 && (kinds["turn"] ?? 0) > 10 && (kinds["snapshot"] ?? 0) > 1);
});

withPython("folds a log without a snapshot, up to any record, to the same state as the engine", async (python) => {
  await using made = await temporaryFolder();
  const { recordedFlow } = await import("../recorded/flow.ts"), stage = plan(recordedFlow).stages.find(({ name }) => name === "accounts") as StagePlan;
  const history = readStored(await readFile(join(recorded, "log.jsonl"), "utf8"));
  for (const end of [1, 4, 14]) {
    const log = history.slice(0, end), ours = await foldedByEngine(stage, serverOf({ log, chunks: [] }), log, new MemoryStores(new MemoryDisk()), "f/s/g-1/0");
    const { kinds: _, ...theirs } = JSON.parse(execFileSync(python, [reader, await folder(join(made.path, String(end)), log, [])], { encoding: "utf8" })) as FoldedLog & { kinds: unknown };
    assert.equal(theirs, ours, `up to record ${end}`);
  }
});

withPython("folds a snapshot whose chunks are in pieces, since no message could hold them, to the recorded state", async (python) => {
  await using made = await temporaryFolder();
  const { recordedFlow } = await import("../recorded/flow.ts"), stage = plan(recordedFlow).stages.find(({ name }) => name === "accounts") as StagePlan;
  const expected = JSON.parse(await readFile(join(recorded, "state.json"), "utf8")) as FoldedLog & { firstKept: number };
  const history = readStored(await readFile(join(recorded, "log.jsonl"), "utf8")).filter(({ seq }) => seq >= expected.firstKept), whole = readStored(await readFile(join(recorded, "chunks.jsonl"), "utf8"));
  const pieces: Stored[] = [];
  const log = history.map(({ seq, data }) => {
    const record = decodeRecord(data), { snapshot } = record.body;
    if (snapshot === undefined) return { seq, data };
    const chunks = snapshot.chunks.flatMap(([chunk, , entries]) => {
      const bytes = whole.find((one) => one.seq === chunk)?.data ?? new Uint8Array(), cut = Math.floor(bytes.length / 3);
      return [bytes.subarray(0, cut), bytes.subarray(cut)].map((piece, i) => [pieces.push({ seq: pieces.length + 1, data: piece }), crc32(piece), i === 0 ? 0 : entries] as const);
    });
    return { seq, data: encodeRecord({ ...record, body: { ...record.body, snapshot: { ...snapshot, chunks } } }) };
  });
  const ours = await foldedByEngine(stage, serverOf({ log, chunks: pieces }), log, new MemoryStores(new MemoryDisk()), "f/s/g-1/0");
  const { kinds: _, ...theirs } = JSON.parse(execFileSync(python, [reader, await folder(join(made.path, "pieces"), log, pieces)], { encoding: "utf8" })) as FoldedLog & { kinds: unknown };
  assert.is(ours.hash, expected.hash);
  assert.equal(theirs, ours);
  assert.is(pieces.length, whole.length * 2);
});

withPython("refuses a newer version, as the engine does", async (python) => {
  await using made = await temporaryFolder();
  const history = readStored(await readFile(join(recorded, "log.jsonl"), "utf8")), last = history.at(-1) as Stored;
  const log = [...history.slice(0, -1), { seq: last.seq, data: encode([2, ...(decode(last.data) as unknown[]).slice(1)]) }];
  const { status, stderr } = spawnSync(python, [reader, await folder(join(made.path, "newer"), log, [])], { encoding: "utf8" });
  assert.is(status, 3);
  assert.match(stderr, /^RECORD_NEWER/);
});

withPython("folds a log from a real nats-server to the same state as the engine", async (python) => {
  await using made = await temporaryFolder();
  await using server = await startNatsServer();
  const flow = defineFlow("sums", (builder) => {
    const numbers = builder.source("numbers", generate({ count: 40_000, seed: 3, make: (n, random) => ({ n, key: Math.floor(random() * 50) }) }), { time: { of: ({ n }) => n, outOfOrder: 0 } });
    const sums = builder.processor("sums", numbers.keyBy(({ key }) => key), stateful<{ n: number; key: number }, number, { sum: number; all: bigint; last: Set<number> }, { key: number; sum: number }>({
      initial: () => ({ sum: 0, all: 0n, last: new Set() }),
      on: (state, { n, key }, ctx) => {
        if (n % 3 === 0) ctx.timer(`at ${n % 5}`, { at: 1e9 + n }, { clock: "event" });
        if (n % 1_000 === 0) ctx.timer("wall", { at: 9e12 + n }, { clock: "wall" });
        ctx.emit({ key, sum: state.sum + n });
        return { sum: state.sum + n, all: state.all * 3n % 1_000_000_007n - BigInt(n), last: new Set([...state.last, n].slice(-3)) };
      },
      onTimer: (state) => state,
    }));
    builder.sink("out", sums, collect<unknown>([]));
  });
  const stage = plan(flow).stages.find(({ name }) => name === "sums") as StagePlan;
  // So that the newest snapshot and a tail are there, with chunks.
  snapshotEvery.records = 3;
  snapshotSize.inlineBytes = 1_000;
  const node = await startNode({ nats: { servers: server.servers, user: server.user, pass: server.pass }, dataDir: join(made.path, "data"), flows: [flow] });
  await within(60_000, "the end of the flow", node.done).finally(() => node.stop());
  const broker = await connect({ servers: server.servers, user: server.user, pass: server.pass });
  try {
    const [name = ""] = (await broker.list("mr_actor_sums_sums_")).filter((stream) => stream.endsWith("_log"));
    const subjects = subjectsOf("sums", "sums", name.split("_")[4] as string, 0), read = async (subject: string): Promise<Stored[]> => {
      const stream = broker.stream(streamName(subject), subject), { first, last } = await stream.bounds(), found: Stored[] = [];
      for await (const { seq, data } of stream.read(first, last)) found.push({ seq, data: data.slice() });
      return found;
    };
    const log = await read(subjects.log), chunks = await read(subjects.chunks);
    assert.is(streamName(subjects.log), name);
    const { kinds, ...theirs } = JSON.parse(execFileSync(python, [reader, await folder(join(made.path, "taken"), log, chunks)], { encoding: "utf8" })) as FoldedLog & { kinds: Record<string, number> };
    const ours = await foldedByEngine(stage, serverOf({ log, chunks }), log, new MemoryStores(new MemoryDisk()), "f/s/g-1/0");
    assert.equal(theirs, ours);
    assert.is(ours.fields["state"], 50);
    assert.ok((kinds["snapshot"] ?? 0) > 0 && (ours.fields["timer"] ?? 0) > 0, JSON.stringify({ kinds, ours }));
  } finally {
    await broker.close();
  }
});

test.run();
