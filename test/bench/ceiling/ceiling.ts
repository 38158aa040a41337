// Baseline (c), the ceiling: the design without a runtime around it. Source, aggregate and sink commit to fenced logs and LevelDB
// journals, a stream for each mailbox and log, frames as in PROTOCOL.md; nothing recovers, restarts, trims, snapshots or supervises.
import { open } from "node:fs/promises";
import { join } from "node:path";
import { AckPolicy, connect, type ConsumerMessages, DeliverPolicy, type JetStreamManager, type NatsConnection } from "nats";
import { type Bid, bidOf, checkFile, counts, due, keyOf, Made, plus, timeOf, type Total, type Update, updatesOf } from "../bids.ts";
import { type Contender, type Run, Stopwatch } from "../contender.ts";
import { messageOf, newPackr, packFrame, type Sent, unpackFrame } from "./frame.ts";
import { Log } from "./log.ts";
import { Publisher } from "./publisher.ts";

const partitions = 4;
const sourceFrame = 256;
const aggregateFrame = 1_024;
/** Events that wait for a commit: more are not taken. */
const aggregateAhead = 4_096;
const sinkAhead = 8_192;

interface Stages {
  readonly connection: NatsConnection;
  readonly manager: JetStreamManager;
  readonly run: Run;
  readonly made: Made | undefined;
  readonly path: string;
}

export const ceiling: Contender = async (run: Run) => {
  const connection = await connect({ servers: run.server.servers, user: run.server.user, pass: run.server.pass, noAsyncTraces: true });
  const manager = await connection.jetstreamManager();
  const subjects = [...Array.from({ length: partitions }, (_, p) => [`m.agg.${p}`, `c.agg.${p}`]).flat(), "m.snk.0", "c.src.0", "c.snk.0"];
  for (const subject of subjects) {
    await manager.streams.add({ name: streamOf(subject), subjects: [subject], discard: "new" as never, allow_direct: false, duplicate_window: 100e6 });
  }
  const made = run.rate === 0 ? undefined : new Made();
  const stages: Stages = { connection, manager, run, made, path: join(run.folder, "out.jsonl") };
  const failure = new Promise<never>((_, reject) => { fail = reject; });
  const aggregates = await Promise.all(Array.from({ length: partitions }, (_, p) => aggregate(stages, p)));
  const written = await sink(stages);
  const begin = await source(stages);
  const watch = new Stopwatch();
  watch.start();
  const sourced = begin().catch(fail);
  await Promise.race([written.done, failure]);
  watch.stop();
  await sourced;
  for (const { close } of [...aggregates, written]) await close();
  await checkFile(stages.path, run.events);
  await connection.close();
  return made === undefined ? watch.took : { ...watch.took, latency: made.latency };
};

let fail: (error: unknown) => void = () => {};

/** Generates, commits position and frames in one record, and then sends; while a record is under way the next turn is made. */
async function source({ connection, run, made }: Stages): Promise<() => Promise<void>> {
  const publisher = new Publisher(connection, 64);
  const log = await Log.open("c.src.0", publisher, join(run.folder, "src"));
  const packr = newPackr();
  const seqs = new Array<number>(partitions).fill(0);
  const turn = ([from, to]: readonly [number, number]) => {
    const batches = Array.from({ length: partitions }, (): Sent[] => []);
    for (let n = from; n < to; n++) {
      const bid = bidOf(n);
      made?.made(bid);
      const key = keyOf(bid);
      batches[fnv1a(key) % partitions]?.push({ time: timeOf(n), key, data: bid as unknown as Record<string, unknown> });
    }
    const out: { to: number; frame: Uint8Array }[] = [];
    batches.forEach((events, p) => {
      if (events.length > 0) out.push({ to: p, frame: packFrame(packr, "src/0", (seqs[p] = (seqs[p] as number) + 1), timeOf(to), events) });
    });
    return { position: to, out };
  };
  return async () => {
    let sending: Promise<void> = Promise.resolve();
    for await (const range of due(0, run.events, run.rate, sourceFrame * partitions)) {
      const next = turn(range);
      await sending;
      sending = commitAndSend(log, next, async ({ to, frame }) => {
        await publisher.room();
        void publisher.publish(`m.agg.${to}`, messageOf(frame)).catch(fail);
      });
    }
    await sending;
    await log.close();
  };
}

async function commitAndSend<O>(log: Log, record: { readonly out: readonly O[]; readonly [field: string]: unknown }, send: (out: O) => Promise<void>): Promise<void> {
  await log.append(record);
  for (const out of record.out) await send(out);
}

/** One partition of the aggregate: whatever comes while a record is under way goes into the next one. */
async function aggregate({ connection, manager, run }: Stages, p: number): Promise<{ close: () => Promise<void> }> {
  const publisher = new Publisher(connection, 32);
  const log = await Log.open(`c.agg.${p}`, publisher, join(run.folder, `agg-${p}`));
  const packr = newPackr();
  const totals = new Map<string, Total>();
  const cursor = new Map<string, number>();
  let changed = new Map<string, Total>();
  let gathered: Sent[] = [];
  let position = 0, seq = 0;
  let committing: Promise<void> | undefined;
  const commit = async () => {
    while (gathered.length > 0) {
      const state = [...changed], events = gathered, out: { frame: Uint8Array }[] = [];
      changed = new Map();
      gathered = [];
      for (let i = 0; i < events.length; i += aggregateFrame) out.push({ frame: packFrame(packr, `agg/${p}`, ++seq, 0, events.slice(i, i + aggregateFrame)) });
      await commitAndSend(log, { cursor: [...cursor], position, state, out }, async ({ frame }) => {
        await publisher.room();
        void publisher.publish("m.snk.0", messageOf(frame)).catch(fail);
      });
    }
    committing = undefined;
  };
  const messages = await mailbox(connection, manager, `m.agg.${p}`);
  const running = (async () => {
    for await (const message of messages) {
      const frame = unpackFrame(packr, message.data);
      if (!isNext(cursor, frame)) continue;
      position = message.seq;
      for (const { time, key, data } of frame.events) {
        const bid = data as unknown as Bid;
        if (!counts(bid)) continue;
        const total = plus(changed.get(key) ?? totals.get(key), bid);
        totals.set(key, total);
        changed.set(key, total);
        gathered.push({ time, key, data: { key, ...total } });
      }
      if (gathered.length === 0) continue;
      committing ??= commit();
      committing.catch(fail);
      if (gathered.length > aggregateAhead) await committing;
    }
  })();
  running.catch(fail);
  return { close: async () => { await messages.close(); await running; await committing; await log.close(); } };
}

/** A record fixes the batch, then it is written to its place in the file. */
async function sink({ connection, manager, run, made, path }: Stages): Promise<{ done: Promise<void>; close: () => Promise<void> }> {
  const publisher = new Publisher(connection, 8);
  const log = await Log.open("c.snk.0", publisher, join(run.folder, "snk"));
  const file = await open(path, "w");
  const packr = newPackr();
  const cursor = new Map<string, number>();
  const expected = updatesOf(run.events);
  let gathered: Sent[] = [];
  let taken = 0, offset = 0;
  let committing: Promise<void> | undefined;
  const messages = await mailbox(connection, manager, "m.snk.0");
  const commit = async () => {
    while (gathered.length > 0) {
      const events = gathered;
      gathered = [];
      await log.append({ cursor: [...cursor], offset });
      const bytes = Buffer.from(`${events.map(({ data }) => JSON.stringify(data)).join("\n")}\n`);
      await file.write(bytes, 0, bytes.length, offset);
      offset += bytes.length;
      made?.written(events.map(({ data }) => data as unknown as Update));
    }
    committing = undefined;
  };
  const done = (async () => {
    for await (const message of messages) {
      const frame = unpackFrame(packr, message.data);
      if (!isNext(cursor, frame)) continue;
      gathered.push(...frame.events);
      taken += frame.events.length;
      committing ??= commit();
      committing.catch(fail);
      if (gathered.length > sinkAhead || taken >= expected) await committing;
      if (taken >= expected) break;
    }
  })();
  return { done, close: async () => { messages.stop(); await file.close(); await log.close(); } };
}

/** Whether it is the next of its sender; that it was seen is noted. */
function isNext(cursor: Map<string, number>, { from, seq }: { readonly from: string; readonly seq: number }): boolean {
  const last = cursor.get(from) ?? 0;
  if (seq <= last) return false;
  if (seq !== last + 1) throw new Error(`frame ${seq} of ${from} came after ${last}`);
  cursor.set(from, seq);
  return true;
}

async function mailbox(connection: NatsConnection, manager: JetStreamManager, subject: string): Promise<ConsumerMessages> {
  const name = "reader", stream = streamOf(subject);
  await manager.consumers.add(stream, {
    name, filter_subject: subject, ack_policy: AckPolicy.None, mem_storage: true, num_replicas: 1,
    deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: 1, inactive_threshold: 300e9,
  });
  const consumer = await connection.jetstream().consumers.get(stream, name);
  return consumer.consume({ max_messages: 256, expires: 5_000, idle_heartbeat: 1_500 });
}

function streamOf(subject: string): string {
  return subject.replaceAll(".", "_");
}

function fnv1a(key: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193) >>> 0;
  return hash;
}
