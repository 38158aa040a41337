// For every rule of the protocol that a model showed to be needed (†) and that is built: the engine with that rule broken. Each must
// be caught by the same schedules that the whole engine passes.
import { Anchors } from "../../runtime/actor/anchors.ts";
import { Availability } from "../../runtime/actor/availability.ts";
import { Committer } from "../../runtime/actor/committer.ts";
import { Delivery, type Outgoing } from "../../runtime/actor/delivery.ts";
import { Emitter } from "../../runtime/actor/emitter.ts";
import { streamName } from "../../runtime/actor/environment.ts";
import { Held } from "../../runtime/actor/held.ts";
import { type Channel, Inbound, type Position, type Verdict } from "../../runtime/actor/inbound.ts";
import { Seals } from "../../runtime/actor/inheritance.ts";
import { Intake } from "../../runtime/actor/intake.ts";
import { Outlet } from "../../runtime/actor/outlet.ts";
import { RecordKeeper } from "../../runtime/actor/record-keeper.ts";
import { Routing } from "../../runtime/actor/routing.ts";
import { SinkWriter } from "../../runtime/actor/sink-writer.ts";
import { Sealing } from "../../runtime/actor/sealing.ts";
import { type Captured, Snapshots } from "../../runtime/actor/snapshot.ts";
import { MailboxTrim } from "../../runtime/actor/trimming.ts";
import type { BrokerStream } from "../../runtime/broker/broker.ts";
import { decodeFrame, type Frame, message, type Note } from "../../runtime/event/frame.ts";
import { sameTerm } from "../../runtime/event/term.ts";
import { encode } from "../../runtime/event/codec.ts";
import { seal } from "../../runtime/actor/change.ts";
import { rangeOf } from "../../runtime/journal/keys.ts";
import { FencedLog } from "../../runtime/journal/fenced-log.ts";
import { Assembler, type Body, decodeRecord } from "../../runtime/journal/record.ts";
import { MemoryBroker } from "../../runtime/testing/memory-broker.ts";
import { MemoryStream } from "../../runtime/testing/memory-stream.ts";
import { crc32 } from "node:zlib";
import { all, call, getterReplaced, type Method, replaced } from "./breaking.ts";
import { breakDelivery } from "./broken-delivery.ts";
import { current } from "./feed.ts";
import { letterVariants } from "./letter-variants.ts";
import { calm, type Profile, rescaled } from "./profile.ts";
import { type Result, runSchedule } from "./schedule.ts";
import type { Rules, World } from "./world.ts";

export interface Variant {
  readonly name: string;
  /** Where PROTOCOL.md has it. */
  readonly rule: string;
  readonly flows?: readonly string[];
  /** Where random schedules would take long to come to it. */
  readonly profile?: Partial<Profile>;
  readonly rules?: Partial<Rules>;
  /** The seed that is tried first, where a rare schedule is known: it is found there, or searched for from there on. Default 1. */
  readonly from?: number;
  /** What the whole engine must do without as well: another rule would notice it first. */
  readonly without?: Partial<Rules>;
  /** Breaks the engine; returns what mends it. */
  readonly breaks?: () => () => void;
  /** It is to be seen in what comes out: that logs and journals differ would be noticed at once. */
  readonly outcomeOnly?: boolean;
  /** Most schedules until it must be caught. */
  readonly most?: number;
}

const world = (): World => current.host as World;

/** Another way to judge a frame (P16, P17). */
const judging = (judge: (channel: Channel, frame: Frame) => Verdict) => () => replaced(Inbound.prototype, "judge", () => ((channel: Channel, frame: Frame) => judge(channel, frame)) as Method);

const next = (channel: Channel, frame: Frame): boolean => frame.seq === channel.takenSeq + 1;
const begunWrong = (channel: Channel, frame: Frame): boolean => channel.seq === channel.takenSeq && channel.done > 0 && !sameTerm(frame.term, channel.begun);
const seenWrong = (channel: Channel, frame: Frame): boolean => {
  const start = channel.starts.findLast(([seq]) => seq <= frame.seq);
  return frame.seq <= channel.seq && start !== undefined && !sameTerm(start[1], frame.term);
};
const otherwise = (channel: Channel, frame: Frame): Verdict => (frame.seq > channel.takenSeq ? "early" : "seen");

/** A mailbox is trimmed some time after the commit, or when the connection is back, whatever its numbers stand for by then. */
const trimBlindly = () => {
  const brokers = new WeakMap<object, MemoryBroker>();
  return all(
    replaced(MemoryBroker.prototype, "stream", (old) => function (this: MemoryBroker, ...args: unknown[]) {
      const stream = call(old, this, ...args) as object;
      brokers.set(stream, this);
      return stream;
    } as Method),
    replaced(Intake.prototype, "trimTo", () => function (this: Intake, { at }: Position) {
      const { mailbox } = this, { scheduler, slots, alive } = world(), node = alive.find(({ broker }) => broker === brokers.get(mailbox));
      const life = slots.flatMap((slot) => [...slot.lives]).find((one) => one.node === node && mailbox.subject.includes(`.${one.slot.stage.name}.sim00000-1.${one.slot.partition}.`));
      let due = true;
      const trim = () => { if (due && life?.over === false) { due = false; void mailbox.purge(at).catch(() => {}); } };
      node?.broker.onConnection((connected) => { if (connected) trim(); });
      scheduler.add(scheduler.lane(`${node?.name} trims`, node, true), trim);
    } as Method),
  );
};

// ── snapshots

/** Which committer a captured turn belongs to. */
const committers = new WeakMap<object, Committer>();
const noteCommitter = () => replaced(Committer.prototype, "append", (old) => function (this: Committer, ...args: unknown[]) {
  const captured = args[3] as Captured | undefined;
  if (captured !== undefined) committers.set(captured.body, this);
  return call(old, this, ...args);
} as Method);

/** Purges log and chunks as soon as the chunks are written. */
const purgeEarly = () => all(noteCommitter(), replaced(Snapshots.prototype, "write", (old) => async function (this: Snapshots, captured: Captured) {
  const body = (await call(old, this, captured)) as Body, { log } = committers.get(captured.body) as Committer;
  const first = world().archive.logs.get(streamName(log.stream.subject))?.find(({ record }) => record.n > captured.n)?.seq ?? log.at;
  void log.stream.purge(first).catch(() => {});
  const [chunk] = this.chunks;
  if (chunk !== undefined) void this.purge(chunk[0]).catch(() => {});
  return body;
} as Method));

/** A delta of what changed since the fold: what was folded and is in no snapshot record is in no delta. */
const deltaSinceFold = () => {
  const chunks = new WeakMap<Snapshots, (readonly [number, number, number])[]>();
  return all(noteCommitter(), replaced(Snapshots.prototype, "write", () => async function (this: Snapshots, captured: Captured): Promise<Body> {
    const { journal, log } = committers.get(captured.body) as Committer, { n, body } = captured, subject = log.stream.subject.replace(/log$/, "snap"), name = streamName(subject);
    let known = chunks.get(this);
    if (known === undefined) chunks.set(this, (known = [...(world().archive.logs.get(streamName(log.stream.subject))?.findLast(({ record }) => record.kind === "snapshot")?.record.body.snapshot?.chunks ?? [])]));
    const changed = captured.entries.map(([key, value]) => [key() as Uint8Array, value === undefined ? null : seal(value)] as const);
    await journal.store.write(changed.map(([key, value]) => (value === null ? { type: "del", key } : { type: "put", key, value })));
    await journal.store.write([journal.foldedMark(n, { ...body, snapshot: { n, chunks: [] } })]);
    const entries: (readonly [Uint8Array, Uint8Array | null])[] = [];
    if (known.length > 0) entries.push(...changed);
    else for (const letter of "stwo") for await (const [key, value] of journal.store.range(...rangeOf(letter))) entries.push([key, value]);
    const bytes = encode(entries), { server } = world();
    server.create({ name, subject, replicas: 1 });
    known.push([server.streams.get(name)?.append(subject, bytes, undefined) as number, crc32(bytes), entries.length]);
    return { ...body, snapshot: { n, chunks: [...known] } };
  } as Method), getterReplaced(Snapshots.prototype, "chunks", () => function (this: Snapshots) { return chunks.get(this) ?? []; } as never));
};

/** The newest snapshot is looked for when the log is read before the claim: one that comes in between is not seen. */
const snapshotBeforeClaim = () => {
  const hidden = new Set<string>(), nameOf = (mark: Uint8Array, n: number) => `${Buffer.from(mark).toString("hex")} ${n}`;
  return all(
    replaced(MemoryBroker.prototype, "stream", (old) => function (this: MemoryBroker, name: string, subject: string) {
      const stream = call(old, this, name, subject) as { -readonly [K in keyof BrokerStream]: BrokerStream[K] };
      if (!subject.endsWith(".log")) return stream;
      const { last, read } = stream;
      let found: number | undefined;
      stream.last = () => {
        found ??= world().archive.logs.get(name)?.findLast(({ record }) => record.kind === "snapshot")?.seq ?? 0;
        return last();
      };
      stream.read = async function* (from, to) {
        for await (const stored of read(from, to)) {
          const record = decodeRecord(stored.data);
          if (record.kind === "snapshot" && stored.seq > (found ?? 0)) hidden.add(nameOf(record.term[1], record.n));
          yield stored;
        }
      };
      return stream;
    } as Method),
    replaced(Assembler.prototype, "take", (old) => function (this: Assembler, record: { kind: string; n: number; term: readonly [number, Uint8Array] }) {
      return record.kind === "snapshot" && hidden.has(nameOf(record.term[1], record.n)) ? undefined : call(old, this, record);
    } as Method),
  );
};

// ── sinks

/** A batch is written first: its record is taken for accepted at once, and appended after. */
const writeFirst = () => replaced(FencedLog.prototype, "append", (old) => async function (this: FencedLog, bytes: Uint8Array) {
  const { body, kind } = decodeRecord(bytes);
  if (body.sink === undefined || kind !== "turn" || body.sink.written) return call(old, this, bytes);
  const before = this.at;
  const appended = call(old, this, bytes) as Promise<unknown>;
  (this as unknown as { pending: Promise<unknown> }).pending = appended;
  this.at = before + 1;
  return "accepted";
} as Method);

let committedNow: Position | undefined;
/** The mailbox is trimmed up to batch n by record n, which only begins it. */
const trimOnCommit = () => all(
  replaced(SinkWriter.prototype, "committed", (old) => function (this: SinkWriter, position: Position | undefined) {
    committedNow = position;
    call(old, this, position);
    committedNow = undefined;
  } as Method),
  replaced(MailboxTrim.prototype, "committed", (old) => function (this: MailboxTrim, position: Position) { call(old, this, committedNow ?? position); } as Method),
);

/** The mailbox is trimmed up to batch n when it is written, though no record says so. */
const trimOnWrite = () => {
  const waits = new WeakMap<SinkWriter, { readonly trim: MailboxTrim; readonly position: Position }>();
  let at: { readonly writer: SinkWriter; readonly position: Position } | undefined;
  return all(
    replaced(SinkWriter.prototype, "committed", (old) => function (this: SinkWriter, position: Position | undefined) {
      at = position === undefined ? undefined : { writer: this, position };
      call(old, this, position);
      at = undefined;
    } as Method),
    replaced(MailboxTrim.prototype, "committed", (old) => function (this: MailboxTrim, position: Position) {
      if (at !== undefined) waits.set(at.writer, { trim: this, position: at.position });
      call(old, this, position);
    } as Method),
    getterReplaced(SinkWriter.prototype, "closable", (old) => function (this: SinkWriter) {
      const free = call(old as Method, this) as boolean, due = waits.get(this);
      if (free && due !== undefined) { waits.delete(this); due.trim.committed(due.position); }
      return free;
    } as never),
  );
};

// ── profiles: what a rule is about happens often

const crashes: Partial<Profile> = { ...calm, faults: 4, faultShare: 0.02, kinds: ["crash", "kill", "takeover"], hurry: 0 };
const zombies: Partial<Profile> = { ...calm, faults: 4, faultShare: 0.02, kinds: ["pause", "takeover", "takeover"] };
const badNetwork: Partial<Profile> = { ...calm, messageFaults: 12, messageFaultShare: 0.08, sendWindow: 64, maxFrames: 4_096, legs: /append|ack|deliver/ };
const powerLoss: Partial<Profile> = { ...calm, faults: 3, faultShare: 0.02, kinds: ["rollback", "rollback", "crash"], rollback: { of: /_in_/, share: 0.5, most: 2 } };
const ruined: Partial<Profile> = { ...calm, faults: 1, faultShare: 0.02, faultsFrom: 90, script: ["ruin"], aim: "source", batchesGrow: true, sourceBatch: 1, rollback: { of: /^mr_/, share: 0.5, most: 8 }, maxFrames: 4_096, events: 8, hurry: 0 };
const midFrame: Partial<Profile> = { ...ruined, sourceBatch: 3, turnEvents: 1, rollback: { of: /^mr_/, share: 0.5, most: 2 }, ambush: / append .*\.log$/, faultShare: 0.5, parallelism: 1 };
const snapshotting: Partial<Profile> = { ...crashes, kinds: ["crash", "takeover", "takeover", "wipe", "kill"], snapshotRecords: 2, inlineBytes: 0, chunkBytes: 60, slowShare: 0.3 };
const sinks: Partial<Profile> = { ...calm, aim: "sink", faults: 4, faultShare: 0.03, faultsFrom: 110, hurry: 0 };
// Batches of more than one frame, and a mailbox that is trimmed at once.
const severalFrames: Partial<Profile> = { ...sinks, maxFrames: 4, sinkBatch: 8_192, turnEvents: 1, sourceBatch: 1, parallelism: 1, events: 8, slowTargets: true, faultShare: 0.2, ambush: / read .*\.report\..*\.in\.0$/ };

// ── live scaling

/** A barrier goes only into the first of the old mailboxes. */
const oneBarrier = () => replaced(Outlet.prototype, "close", (old) => function (this: Outlet, head: unknown, watermark: number, note: Note | null, ...rest: unknown[]) {
  return call(old, this, head, watermark, note?.[0] === "barrier" && this.target[2] !== 0 ? null : note, ...rest);
} as Method);

/** A failover follows the plan that is in force; that it has sent its barriers it knows from its log. */
const routedByPlan = () => {
  const sent = new WeakMap<Routing, Map<string, string>>();
  return all(
    replaced(Routing.prototype, "apply", (old) => function (this: Routing, body: Body) {
      call(old, this, body);
      const its = sent.get(this) ?? new Map<string, string>();
      for (const [stage, generation] of body.routing ?? []) its.set(stage, generation);
      sent.set(this, its);
    } as Method),
    replaced(Routing.prototype, "of", (old) => function (this: Routing, stage: string) {
      return sent.get(this)?.has(stage) === true ? world().scaling.division(stage) : call(old, this, stage);
    } as Method),
    replaced(Routing.prototype, "due", (old) => function (this: Routing, stage: string) {
      const due = call(old, this, stage) as ReturnType<Routing["due"]>;
      return due !== undefined && sent.get(this)?.get(stage) === due.generation ? undefined : due;
    } as Method),
  );
};

/** Sealed although what it sent may not have arrived. */
const sealedAtOnce = () => getterReplaced(Delivery.prototype, "unsettled", (old) => function (this: Delivery) {
  const last = (this as unknown as { readonly queue: readonly Outgoing[] }).queue.at(-1);
  return last !== undefined && typeof this.stream.subject === "string" && !this.stream.subject.startsWith("mr.dead") && decodeFrame(last.frame).note?.[0] === "sealed" ? 0 : call(old as Method, this);
} as never);

export const variants: readonly Variant[] = [
  { name: "a log without compare-and-set", rule: "P1, I1", profile: zombies, breaks: () => replaced(MemoryStream.prototype, "append", (old) => function (this: MemoryStream, subject: string, data: Uint8Array, expected: number | undefined) {
    return call(old, this, subject, data, subject.endsWith(".log") ? undefined : expected);
  } as Method) },
  { name: "a claim without a mark", rule: "P5, P17", profile: ruined, rules: { mark: false } },
  { name: "the snapshot is looked for before the claim", rule: "P5", profile: { ...snapshotting, kinds: ["takeover"], aim: "processor", slowShare: 0.5, faultShare: 0.5, ambush: / append .*\.snap$/, events: 8, turnEvents: 1, sourceBatch: 1 }, breaks: snapshotBeforeClaim },
  { name: "frames are sent before the commit", rule: "P7, I2", profile: crashes, breaks: () => replaced(Emitter.prototype, "close", (old) => function (this: Emitter, ...args: unknown[]) {
    const frames = call(old, this, ...args) as ReturnType<Emitter["close"]>;
    for (const { outlet, bytes } of frames) if (typeof outlet.target !== "string") void outlet.delivery.stream.append(message(world().scheduler.chance.bytes(8), bytes));
    return frames;
  } as Method) },
  { name: "acks of an ended round count", rule: "P11", profile: badNetwork, breaks: () => breakDelivery({ acks: "selective", reconnect: "new round" }) },
  { name: "a round goes on over a reconnect", rule: "P11", profile: { ...calm, faults: 4, faultShare: 0.03, kinds: ["cut"], turnEvents: 1, sourceBatch: 1, maxFrames: 4_096, slowShare: 0.5 }, breaks: () => breakDelivery({ acks: "strict", reconnect: "same round" }) },
  { name: "a bare high-water mark", rule: "P16, I5", profile: badNetwork, breaks: judging((channel, frame) => (frame.seq > channel.takenSeq ? "next" : "seen")) },
  { name: "the term of the frame before is not compared", rule: "P17", flows: ["slow"], profile: { ...midFrame, ruins: "kept" }, breaks: judging((channel, frame) => (next(channel, frame) ? (begunWrong(channel, frame) ? "forked" : "next") : seenWrong(channel, frame) ? "forked" : otherwise(channel, frame))) },
  { name: "the term of a frame begun is not kept", rule: "P17", flows: ["slow"], profile: { ...midFrame, ruins: "begun" }, breaks: judging((channel, frame) => (next(channel, frame) ? (sameTerm(frame.before, channel.takenTerm) ? "next" : "forked") : seenWrong(channel, frame) ? "forked" : otherwise(channel, frame))) },
  { name: "the term of a frame seen before is not compared", rule: "P17", from: 4_820, profile: ruined, breaks: judging((channel, frame) => (next(channel, frame) ? (!sameTerm(frame.before, channel.takenTerm) || begunWrong(channel, frame) ? "forked" : "next") : otherwise(channel, frame))) },
  { name: "a frame seen before is compared with the latest term only", rule: "P17", from: 3_950, without: { askReader: false }, profile: { ...ruined, faults: 2, faultsFrom: 60, faultShare: 0.03, ruins: "claims", script: ["takeover", "ruin"] }, breaks: judging((channel, frame) => {
    if (next(channel, frame)) return !sameTerm(frame.before, channel.takenTerm) || begunWrong(channel, frame) ? "forked" : "next";
    if (frame.seq > channel.takenSeq || channel.term === null) return otherwise(channel, frame);
    return frame.term[0] > channel.term[0] || (frame.term[0] === channel.term[0] && !sameTerm(frame.term, channel.term)) ? "forked" : "seen";
  }) },
  { name: "no watchdog for a lost tail", rule: "P18", profile: { ...badNetwork, legs: /deliver/, messageFaultShare: 0.2 }, rules: { watchdog: false } },
  { name: "the mailbox is trimmed on delivery", rule: "P19, I6", profile: crashes, breaks: () => replaced(Intake.prototype, "next", (old) => function (this: Intake) {
    const open = call(old, this) as ReturnType<Intake["next"]>;
    if (open !== undefined) void this.mailbox.purge(open.at.at + 1).catch(() => {});
    return open;
  } as Method) },
  { name: "trimmed without looking at the anchor", rule: "P19", profile: { ...calm, faults: 1, faultShare: 0.05, ambush: / append .*\.log$/, script: ["restore"], sleep: "until looked", slowTargets: true, parallelism: 1, turnEvents: 1, events: 8, sourceBatch: 1, maxFrames: 4_096, batchesGrow: false }, breaks: trimBlindly },
  { name: "a position without an anchor", rule: "P30, inputs", profile: { ...powerLoss, faults: 1, script: ["blackout"], rollback: { of: /_in_/, share: 0.3, most: 1 }, faultShare: 0.05, ambush: / append .*\.log$/ }, breaks: () => replaced(Anchors.prototype, "checkOwn", () => (async () => {}) as Method) },
  { name: "nothing waits for what is checked after a reconnect", rule: "P30, I6", profile: { ...powerLoss, kinds: ["rollback", "cut"], script: ["cut", "rollback", "rollback"], rollback: { of: /_log$/, share: 0.3, most: 8 }, faultShare: 0.05, faultsFrom: 250, events: 8, turnEvents: 1, sourceBatch: 1, hurry: 0.3, slowShare: 0.4, maxFrames: 16 }, breaks: () => getterReplaced(Availability.prototype, "checked", () => (() => true) as never) },
  { name: "\"or was trimmed\" without asking the reader", rule: "P30", flows: ["merge", "ordered"], profile: { ...powerLoss, rollback: { of: /_(both|rank)_.*_in_/, share: 1, most: 1 }, hurry: 0.05, maxFrames: 2, slowShare: 0.5 }, without: { askSender: false }, rules: { askReader: false } },
  { name: "a delta holds what changed since the fold", rule: "P22", profile: { ...snapshotting, aim: "processor", faultShare: 0.1, ambush: / disk /, kinds: ["crash"], events: 8 }, breaks: deltaSinceFold },
  { name: "purged past frames that are not settled", rule: "P23", profile: { ...snapshotting, slowShare: 0.5, sendWindow: 1 }, breaks: () => replaced(RecordKeeper.prototype, "add", (old) => function (this: RecordKeeper, record: object) { call(old, this, { ...record, out: [] }); } as Method) },
  { name: "purged before the snapshot record is accepted", rule: "P23", profile: snapshotting, breaks: purgeEarly },
  { name: "a batch is written before its record", rule: "P28", profile: { ...crashes, faultShare: 0.03, target: "numbered" }, breaks: writeFirst },
  { name: "the sink's mailbox is trimmed when a batch is committed", rule: "P28", profile: { ...severalFrames, kinds: ["kill"] }, breaks: trimOnCommit },
  { name: "the sink's mailbox is trimmed when a batch is written and no record says so", rule: "P28", profile: { ...severalFrames, maxFrames: 3, faultShare: 0.4, faults: 6, kinds: ["kill", "crash"], target: "file" }, breaks: trimOnWrite },
  { name: "the target takes any number", rule: "P28", profile: { ...sinks, kinds: ["pause", "takeover"], target: "numbered" }, rules: { next: false } },
  { name: "a file is cut back and appended to", rule: "P28", profile: { ...sinks, kinds: ["pause", "takeover"], target: "file" }, rules: { place: "append" } },
  { name: "a file is begun anew by batch 1", rule: "P28", profile: { ...sinks, kinds: ["pause", "takeover"], target: "file", slowTargets: true, ambush: / append .*report.*\.log$/, faultShare: 0.3, parallelism: 1, sinkBatch: 1, events: 8 }, rules: { place: "anew" } },
  { name: "what is held is not in the state", rule: "8, order \"time\"", flows: ["ordered", "timers", "timers-live", "windows"], profile: crashes, breaks: () => replaced(Held.prototype, "rows", () => (() => []) as Method) },
  { name: "the watermark is that of the channels heard of", rule: "9", flows: ["ordered", "windows-live", "timers-live"], profile: calm, breaks: () => getterReplaced(Inbound.prototype, "watermark", () => function (this: Inbound) {
    const heard = [...this.channels].filter(({ watermark, ended }) => watermark > -Infinity || ended);
    return heard.length === 0 ? -Infinity : Math.min(...heard.map(({ watermark, ended }) => (ended ? Infinity : watermark)));
  } as never) },
  { name: "the sender's generation is not part of the channel", rule: "2", profile: { ...calm, faults: 4, faultShare: 0.03, kinds: ["old generation"] }, breaks: () => replaced(Inbound, "id", () => ((input: number, from: string) => `${input} ${from}`) as Method) },
  { name: "a barrier goes into one old mailbox only", rule: "11.2", profile: rescaled, breaks: oneBarrier },
  { name: "routed by the plan as last seen", rule: "11.2", outcomeOnly: true, profile: rescaled, breaks: routedByPlan },
  { name: "the barrier of one who feeds it is enough", rule: "11.3", flows: ["chain", "merge", "timers", "ordered", "windows", "slow"], profile: { ...rescaled, parallelism: 2 }, breaks: () => getterReplaced(Inbound.prototype, "closedFor", () => function (this: Inbound) {
    return [...this.channels].find(({ barrier }) => barrier !== undefined)?.barrier;
  } as never) },
  { name: "sealed before what it sent has arrived", rule: "11.3", profile: { ...rescaled, kinds: ["crash", "kill", "cut"], maxFrames: 1 }, breaks: sealedAtOnce },
  { name: "new actors start when one old one is sealed", rule: "11.4", profile: { ...rescaled, parallelism: 2 }, rules: { allSealed: false }, breaks: () => replaced(Seals.prototype, "all", () => async function (this: Seals) {
    const found = [];
    for (let p = 0; p < this.count; p++) {
      const seal = await this.of(p).catch(() => undefined);
      if (seal !== undefined) found.push({ where: this.address(p), seal });
    }
    return found;
  } as Method) },
  { name: "a new actor reads before its state is in its own log", rule: "11.4", outcomeOnly: true, profile: { ...rescaled, kinds: ["wipe", "takeover", "kill"], faults: 4 }, breaks: () => replaced(Committer.prototype, "begin", () => (async () => {}) as Method) },
  { name: "the first frame to a new generation may go on from any barrier", rule: "P17, 11.2", without: { askReader: false }, profile: { ...rescaled, faults: 2, script: ["ruin", "ruin"], ruins: "unread", aim: "processor", parallelism: 1 }, breaks: () => replaced(Inbound.prototype, "judge", (old) => function (this: Inbound, channel: Channel, frame: Frame) {
    return channel.takenSeq === 0 && frame.seq === 1 ? "next" : call(old, this, channel, frame);
  } as Method) },
  { name: "a reader keeps no floor", rule: "11.5", outcomeOnly: true, profile: { ...rescaled, faults: 5, aim: "sink", kinds: ["crash", "takeover", "late copy"], events: 8 }, breaks: () => replaced(Inbound.prototype, "write", (old) => function (this: Inbound, body: Body, whole: boolean) {
    call(old, this, body, whole);
    delete body.floors;
  } as Method) },
  { name: "a source hands its splits over before all of its stage have promised to", rule: "11", flows: ["dealt", "chain", "merge"], profile: { ...rescaled, parallelism: 2 }, breaks: () => getterReplaced(Sealing.prototype, "due", (old) => function (this: Sealing) {
    const { promised } = this;
    return promised === undefined || this.said ? old.call(this as never) : [promised.generation, promised.count];
  } as never) },
  { name: "targets of partitions that a sink has no longer are forgotten", rule: "11, P28", from: 5_110, outcomeOnly: true, flows: ["dealt", "chain"], profile: rescaled, breaks: () => replaced(SinkWriter.prototype, "write", (old) => function (this: SinkWriter, body: Body, whole: boolean) {
    call(old, this, body, whole);
    delete body.targets;
  } as Method) },
  { name: "those who follow are not declared at the watermark reached", rule: "11.5", flows: ["ordered", "windows-live", "timers-live"], profile: rescaled, breaks: () => replaced(Inbound.prototype, "accept", (old) => function (this: Inbound, channel: Channel, frame: Frame) {
    call(old, this, channel, frame);
    if (frame.note?.[0] === "sealed") for (const other of this.channels) if (other.generation === frame.note[1] && other.seq === 0) other.watermark = Infinity;
  } as Method) },
  { name: "frames to a retired mailbox are not settled", rule: "P15", profile: { ...rescaled, messageFaults: 8, messageFaultShare: 0.1, legs: /ack/ }, breaks: () => getterReplaced(Delivery.prototype, "retired", () => (() => false) as never) },
  ...letterVariants,
];

export interface Caught {
  /** How many schedules it took. */
  readonly schedules: number;
  readonly seed: number;
  readonly result: Result | undefined;
}

/** Runs a broken variant until it is caught; without a `result` it was not. */
export async function caught(variant: Variant, seed: number, most = variant.most ?? 6_000): Promise<Caught> {
  for (let i = 0; i < most; i++) {
    const mend = variant.breaks?.() ?? (() => {});
    try {
      const result = await runSchedule(seed + i, { flows: variant.flows, profile: variant.profile, rules: { ...variant.without, ...variant.rules }, outcomeOnly: variant.outcomeOnly, ended: mend });
      if (result.wrong !== undefined) return { schedules: i + 1, seed: seed + i, result };
    } finally {
      mend();
    }
  }
  return { schedules: most, seed, result: undefined };
}
