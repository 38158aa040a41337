// Batches of sinks and their targets (P28): the engine, or a target, with one of these rules broken.
import type { Position } from "../../runtime/actor/inbound.ts";
import { SinkWriter } from "../../runtime/actor/sink-writer.ts";
import { MailboxTrim } from "../../runtime/actor/trimming.ts";
import { FencedLog } from "../../runtime/journal/fenced-log.ts";
import { decodeRecord } from "../../runtime/journal/record.ts";
import { all, call, getterReplaced, type Method, replaced } from "./breaking.ts";
import { calm, crashes, type Profile } from "./profile.ts";
import type { Variant } from "./variant.ts";

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

const sinks: Partial<Profile> = { ...calm, aim: "sink", faults: 4, faultShare: 0.03, faultsFrom: 110, hurry: 0 };
// Batches of more than one frame, and a mailbox that is trimmed at once.
const severalFrames: Partial<Profile> = { ...sinks, maxFrames: 4, sinkBatch: 8_192, turnEvents: 1, sourceBatch: 1, parallelism: 1, events: 8, slowTargets: true, faultShare: 0.2, ambush: / read .*\.report\..*\.in\.0$/ };

export const sinkVariants: readonly Variant[] = [
  { name: "a batch is written before its record", rule: "P28", profile: { ...crashes, faultShare: 0.03, target: "numbered" }, breaks: writeFirst },
  { name: "the sink's mailbox is trimmed when a batch is committed", rule: "P28", profile: { ...severalFrames, kinds: ["kill"] }, breaks: trimOnCommit },
  { name: "the sink's mailbox is trimmed when a batch is written and no record says so", rule: "P28", profile: { ...severalFrames, maxFrames: 3, faultShare: 0.4, faults: 6, kinds: ["kill", "crash"], target: "file" }, breaks: trimOnWrite },
  { name: "the target takes any number", rule: "P28", profile: { ...sinks, kinds: ["pause", "takeover"], target: "numbered" }, rules: { next: false } },
  { name: "a file is cut back and appended to", rule: "P28", profile: { ...sinks, kinds: ["pause", "takeover"], target: "file" }, rules: { place: "append" } },
  { name: "a file is begun anew by batch 1", rule: "P28", profile: { ...sinks, kinds: ["pause", "takeover"], target: "file", slowTargets: true, ambush: / append .*report.*\.log$/, faultShare: 0.3, parallelism: 1, sinkBatch: 1, events: 8 }, rules: { place: "anew" } },
];
