// Frames on their way from one actor to another, mailboxes and event time (P7 to P19, P30; 2, 8, 9): the engine with one of these rules broken.
import { Anchors } from "../../runtime/actor/anchors.ts";
import { Availability } from "../../runtime/actor/availability.ts";
import { Emitter } from "../../runtime/actor/emitter.ts";
import { Held } from "../../runtime/actor/held.ts";
import { type Channel, Inbound, type Position, type Verdict } from "../../runtime/actor/inbound.ts";
import { Intake } from "../../runtime/actor/intake.ts";
import { type Frame, message } from "../../runtime/event/frame.ts";
import { sameTerm } from "../../runtime/event/term.ts";
import { MemoryBroker } from "../../runtime/testing/memory-broker.ts";
import { all, call, getterReplaced, type Method, replaced } from "./breaking.ts";
import { breakDelivery } from "./broken-delivery.ts";
import { calm, crashes, type Profile, ruined } from "./profile.ts";
import { type Variant, world } from "./variant.ts";

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

const badNetwork: Partial<Profile> = { ...calm, messageFaults: 12, messageFaultShare: 0.08, sendWindow: 64, maxFrames: 4_096, legs: /append|ack|deliver/ };
const powerLoss: Partial<Profile> = { ...calm, faults: 3, faultShare: 0.02, kinds: ["rollback", "rollback", "crash"], rollback: { of: /_in_/, share: 0.5, most: 2 } };
const midFrame: Partial<Profile> = { ...ruined, sourceBatch: 3, turnEvents: 1, rollback: { of: /^mr_/, share: 0.5, most: 2 }, ambush: / append .*\.log$/, faultShare: 0.5, parallelism: 1 };

export const channelVariants: readonly Variant[] = [
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
  { name: "what is held is not in the state", rule: "8, order \"time\"", flows: ["ordered", "timers", "timers-live", "windows"], profile: crashes, breaks: () => replaced(Held.prototype, "rows", () => (() => []) as Method) },
  { name: "the watermark is that of the channels heard of", rule: "9", flows: ["ordered", "windows-live", "timers-live"], profile: calm, breaks: () => getterReplaced(Inbound.prototype, "watermark", () => function (this: Inbound) {
    const heard = [...this.channels].filter(({ watermark, ended }) => watermark > -Infinity || ended);
    return heard.length === 0 ? -Infinity : Math.min(...heard.map(({ watermark, ended }) => (ended ? Infinity : watermark)));
  } as never) },
  { name: "the sender's generation is not part of the channel", rule: "2", profile: { ...calm, faults: 4, faultShare: 0.03, kinds: ["old generation"] }, breaks: () => replaced(Inbound, "id", () => ((input: number, from: string) => `${input} ${from}`) as Method) },
];
