// The wire is plain msgpack: a frame and commit records, taken from a real nats-server while an actor with a real journal worked, are
// read in Python with nothing but Debian's python3-msgpack, field by field as PROTOCOL.md names them.
// test deadline: 180 s
import { execFileSync, spawnSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { stateful } from "../../actors/index.ts";
import { type ActorEnvironment, deadStream, streamName, subjectsOf, Turnstile } from "../../runtime/actor/environment.ts";
import type { Exit } from "../../runtime/actor/exit.ts";
import { createActor } from "../../runtime/actor/wiring.ts";
import type { Broker } from "../../runtime/broker/broker.ts";
import { connect } from "../../runtime/broker/nats-broker.ts";
import { systemClock, systemRandom } from "../../runtime/event/clock.ts";
import { encodeFrame, message, RowBuffer } from "../../runtime/event/frame.ts";
import { defineFlow, type Emits, RetryableError } from "../../runtime/index.ts";
import type { StagePlan } from "../../runtime/flow/plan.ts";
import { LevelStores } from "../../runtime/journal/level-store.ts";
import { plan, sink, source } from "../support/flow-parts.ts";
import { gate } from "../support/gate.ts";
import { startNatsServer } from "../support/nats-server.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { eventually, within } from "../support/waiting.ts";

const test = suite("the wire, read in Python");
const reader = fileURLToPath(new URL("./wire.py", import.meta.url));
/** A Python that has msgpack: Debian's own first, since another one on the PATH does not see Debian's packages. */
const python = ["/usr/bin/python3", "python3"].find((path) => spawnSync(path, ["-c", "import msgpack"], { stdio: "ignore" }).status === 0);
const generation = "k3v9x2ab-1", sent = { at: new Date(-1_500), big: -(2n ** 70n), small: 5n, map: new Map<unknown, unknown>([["a", 1], [2, new Set(["é", null])]]), raw: Uint8Array.of(0, 255), text: "漢字 \ud83d", list: [1.5, true, { deep: 7n }] };
const read = { at: { date: -1_500 }, big: { bigint: String(-(2n ** 70n)) }, small: { bigint: "5" }, map: { map: [["a", 1], [2, { set: ["é", null] }]] }, raw: { bytes: "00ff" }, text: "漢字 \ufffd", list: [1.5, true, { deep: { bigint: "7" } }] };

interface Payment { readonly id: number }

const flow = defineFlow("f", (build) => {
  const feed = build.source("feed", source<Payment>(), { time: () => 0 });
  const work = build.processor("work", feed.keyBy(() => "k"), stateful({
    initial: () => ({ seen: 0, last: null as unknown }),
    on(state, data: Payment, ctx: Emits<unknown, string>) {
      if (data.id === 2 && ctx.attempt === 1) throw new RetryableError("not now", { retryAfter: 300 });
      ctx.timer("later", { at: 9_000 });
      ctx.emit({ ...data, seen: state.seen }, { type: data.id === 2 ? "f.special" : "f.work" });
      return { seen: state.seen + 1, last: data };
    },
    onTimer: (state) => state,
  }));
  build.sink("out", work, sink());
  return {};
});

/** Runs the processor on two frames, until both are handled and all is settled. Gives the raw messages of its log, and those that it sent. */
async function run(broker: Broker, folder: string): Promise<{ readonly log: readonly Uint8Array[]; readonly out: readonly Uint8Array[] }> {
  const of = plan(flow), stage = of.stages.find(({ name }) => name === "work") as StagePlan, subjects = subjectsOf("f", "work", generation, 0), out = subjectsOf("f", "out", generation, 0).mailbox(0);
  for (const subject of [subjects.log, subjects.mailbox(0), out]) await broker.create({ name: streamName(subject), subject, replicas: 1, ...(subject.includes(".in.") ? { maxMessages: 100 } : {}) });
  await broker.create({ name: deadStream("f"), subject: "mr.dead.f.>", replicas: 1 });
  const over = gate<Exit>(), log = { debug() {}, info() {}, warn() {}, error() {} };
  const env: ActorEnvironment = {
    flow: of, division: () => ({ generation, count: 1 }), code: "c0ffee", node: "n", broker, stores: new LevelStores(folder), clock: systemClock, random: systemRandom, log,
    soon: (call) => { setImmediate(call); }, retainMs: 0, replicas: 1, oneByOne: new Turnstile(), readerCursor: () => undefined,
  };
  const actor = createActor(env, stage, 0, { onExit: over.open, onState: () => {}, onPoison: () => {} });
  await actor.start();
  const mailbox = broker.stream(streamName(subjects.mailbox(0)), subjects.mailbox(0)), term = [1, new Uint8Array(8).fill(9)] as const;
  for (const seq of [1, 2]) {
    const rows = new RowBuffer();
    rows.add(0, 100 * seq, "k", null, { id: seq, ...sent });
    const bytes = encodeFrame({ from: "f/feed/0", generation, term, before: seq === 1 ? null : term, seq, n: seq, edge: 0, watermark: 100 * seq, note: null, shapes: rows.shapes, types: rows.types, rows: rows.rows });
    await mailbox.append(message(systemRandom.bytes(8), bytes));
    await eventually("its event went on", () => actor.counts.out === seq);
  }
  await eventually("all that was sent is settled", () => actor.emitter.outlets.every(({ delivery }) => delivery.unsettled === 0 && delivery.settled >= 2));
  await within(20_000, "the actor stops", actor.stop());
  await over.opened;
  const all = async (subject: string): Promise<Uint8Array[]> => {
    const stream = broker.stream(streamName(subject), subject), { first, last } = await stream.bounds(), found: Uint8Array[] = [];
    for await (const { data } of stream.read(first, last)) found.push(data);
    return found;
  };
  return { log: await all(subjects.log), out: await all(out) };
}

test("a frame, and the records of an actor's log, from a real nats-server: every field that PROTOCOL.md names, every kind of value", async () => {
  if (python === undefined) {
    const missing = "python3-msgpack is not on this machine: apt-get install python3-msgpack";
    assert.is.not(process.env["CI"], "true", missing);
    console.log(`not run: ${missing}`);
    return;
  }
  await using server = await startNatsServer();
  await using folder = await temporaryFolder();
  const broker = await connect(server);
  try {
    const { log, out } = await run(broker, join(folder.path, "journals"));
    const decoded = async (kind: "frame" | "record", data: Uint8Array): Promise<Record<string, unknown>> => {
      const file = join(folder.path, "message");
      await writeFile(file, data);
      return JSON.parse(execFileSync(python, [reader, kind, file], { encoding: "utf8" })) as Record<string, unknown>;
    };
    const frames: Record<string, unknown>[] = [], records: Record<string, unknown>[] = [];
    for (const data of out) frames.push(await decoded("frame", data));
    for (const data of log) records.push(await decoded("record", data));

    const withEvents = frames.filter(({ events }) => (events as unknown[]).length > 0) as unknown as { readonly events: readonly Record<string, unknown>[]; readonly n: number; readonly term: unknown }[];
    const [first] = withEvents, shape = ["id", ...Object.keys(sent), "seen"];
    assert.match((first as unknown as { round: string }).round, /^[0-9a-f]{16}$/);
    const { round: _round, term, n, ...fields } = first as unknown as Record<string, unknown>;
    assert.ok(Array.isArray(term) && term[0] === 1 && /^[0-9a-f]{16}$/.test((term[1] as { bytes: string }).bytes) && typeof n === "number");
    assert.equal(fields, {
      version: 1, from: "f/work/0", generation, before: null, seq: 1, edge: 0, watermark: 100, note: null, shapes: [shape], types: [],
      events: [{ k: 0, time: 100, key: "k", id: null, type: null, origin: null, data: { id: 1, ...read, seen: 0 } }],
    });
    const second = withEvents.at(-1)?.events.at(-1);
    assert.equal([second?.["type"], second?.["data"]], ["f.special", { id: 2, ...read, seen: 1 }]);

    // The chain: versions, numbers, previous sequences, terms, code.
    assert.equal(records.map(({ version, n: number, previous, code }) => [version, number, previous, code]), records.map((_, i) => [1, i + 1, i, "c0ffee"]));
    assert.equal(records.map(({ kind }) => kind).filter((kind) => kind !== "turn"), ["claim", "stop"]);
    assert.ok(records.every((record) => JSON.stringify(record["term"]) === JSON.stringify(term)));
    assert.equal(records[0]?.["body"], { node: "n", k: 0 });

    const bodies = records.map(({ body }) => body as Record<string, readonly (readonly unknown[])[]>), all = (field: string) => bodies.flatMap((body) => body[field] ?? []);
    const holding = records.find(({ n: number }) => number === n)?.["body"] as { out: readonly (readonly unknown[])[] };
    const [target, seq, frame] = holding.out[0] as readonly [unknown, unknown, Record<string, unknown>];
    assert.equal([target, seq], [["out", generation, 0, 0], 1]);
    assert.equal({ ...frame, round: "" }, { ...(first as object), round: "" }, "the frame stands in the record as it went out");
    assert.equal(all("cursors").at(-1), [0, "f/feed/0", generation, 2, [1, { bytes: "09".repeat(8) }], 0, null, [[1, [1, { bytes: "09".repeat(8) }]]]]);
    const anchor = all("inputs").at(-1);
    assert.equal([anchor?.[0], anchor?.[1], anchor?.[3], anchor?.[4]], [0, 2, "f/feed/0", 2]);
    assert.match((anchor?.[2] as { bytes: string }).bytes, /^[0-9a-f]{16}$/);
    assert.equal(all("channels").at(-1), [0, "f/feed/0", generation, 200, false, false]);
    assert.equal(all("state").at(-1), [0, 1, "k", null, { seen: 2, last: { id: 2, ...read } }]);
    assert.equal(all("timers")[0], [0, "k", "later", 9_000, false, false]);
    const waiting = all("waiting");
    assert.equal(waiting.map((row) => row.length), [2, 1], "one that waited, and is past");
    const [, attempt, kept] = waiting[0]?.[1] as readonly [number, number, readonly unknown[]];
    assert.equal([waiting[0]?.[0], attempt, kept.slice(0, 5), kept[6], kept[7]], ["f/feed/0@k3v9x2ab-1.2.0", 2, ["f/feed/0", generation, 2, 2, 0], ["id", ...Object.keys(sent)], null]);
    assert.equal((kept[5] as unknown[]).slice(0, 6), [0, 200, "k", null, 0, 2]);
    assert.equal(all("settled").at(-1)?.[0], ["out", generation, 0, 0]);
    assert.equal((bodies.at(-1) as unknown as { counts: unknown }).counts, { in: 2, out: 2, late: 0, deadLetters: 0 });
    assert.equal((bodies.at(-1) as unknown as { own: unknown }).own, { watermark: 200, ended: false, caught: false });
  } finally {
    await broker.close();
  }
});

test.run();
