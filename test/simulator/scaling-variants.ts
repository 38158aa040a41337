// Live scaling (PROTOCOL 11): the engine with one of these rules broken.
import { Committer } from "../../runtime/actor/committer.ts";
import { Delivery, type Outgoing } from "../../runtime/actor/delivery.ts";
import { type Channel, Inbound } from "../../runtime/actor/inbound.ts";
import { Seals } from "../../runtime/actor/inheritance.ts";
import { Outlet } from "../../runtime/actor/outlet.ts";
import { Routing } from "../../runtime/actor/routing.ts";
import { Sealing } from "../../runtime/actor/sealing.ts";
import { SinkWriter } from "../../runtime/actor/sink-writer.ts";
import { decodeFrame, type Frame, type Note } from "../../runtime/event/frame.ts";
import type { Body } from "../../runtime/journal/record.ts";
import { all, call, getterReplaced, type Method, replaced } from "./breaking.ts";
import { rescaled } from "./profile.ts";
import { type Variant, world } from "./variant.ts";

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

export const scalingVariants: readonly Variant[] = [
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
];
