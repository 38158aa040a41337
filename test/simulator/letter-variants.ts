// Dead letters that are taken back (letters.ts, L1 to L3): the engine with one of these rules broken.
import { Actor } from "../../runtime/actor/actor.ts";
import { Aftermath } from "../../runtime/actor/aftermath.ts";
import { Changes } from "../../runtime/actor/change.ts";
import { isSettlement } from "../../runtime/actor/dead-letter.ts";
import { Emitter } from "../../runtime/actor/emitter.ts";
import type { Item } from "../../runtime/actor/item.ts";
import { Letters } from "../../runtime/actor/letters.ts";
import { Sections } from "../../runtime/actor/section.ts";
import { lettersOperator, State } from "../../runtime/actor/state.ts";
import { WaitingEvents } from "../../runtime/actor/waiting.ts";
import { decodeFrame, message, rowData } from "../../runtime/event/frame.ts";
import type { Body } from "../../runtime/journal/record.ts";
import { all, call, getterReplaced, type Method, replaced } from "./breaking.ts";
import { calm, rescaled } from "./profile.ts";
import type { Profile } from "./profile.ts";
import { type Variant, world } from "./variant.ts";

type Rows = NonNullable<Body["state"]>;

const isMark = ([operator]: Rows[number]): boolean => operator === lettersOperator;

/** Marks are as in memory; no record holds one. */
const unmarked = () => replaced(State.prototype, "rows", (old) => function (this: State, ...args: unknown[]) {
  return (call(old, this, ...args) as Rows).filter((row) => !isMark(row));
} as Method);

/** A mark comes with the record after that of its replay. */
const markedLater = () => {
  const kept = new WeakMap<State, Rows>();
  return replaced(State.prototype, "rows", (old) => function (this: State, ...args: unknown[]) {
    const rows = call(old, this, ...args) as Rows, before = kept.get(this) ?? [];
    kept.set(this, rows.filter(isMark));
    return [...before, ...rows.filter((row) => !isMark(row))];
  } as Method);
};

/** A frame with a settlement goes onto the chain before the record that says so is accepted. */
const settledEarly = () => replaced(Emitter.prototype, "close", (old) => function (this: Emitter, ...args: unknown[]) {
  const frames = call(old, this, ...args) as ReturnType<Emitter["close"]>;
  for (const { outlet, bytes } of frames) {
    if (typeof outlet.target !== "string") continue;
    const frame = decodeFrame(bytes);
    if (frame.rows.some((row) => isSettlement(rowData(row, frame.shapes)))) void outlet.delivery.stream.append(message(world().scheduler.chance.bytes(8), bytes));
  }
  return frames;
} as Method);

/** What a replay did that failed stays. */
const nothingTakenBack = () => {
  let ofLetter = false;
  const unless = (old: Method) => function (this: object) { if (!ofLetter) call(old, this); } as Method;
  return all(
    replaced(Aftermath.prototype, "of", (old) => function (this: Aftermath, thrown: unknown, item: Item, attempt: number) {
      ofLetter = item.kind === "letter";
      try { return call(old, this, thrown, item, attempt); } finally { ofLetter = false; }
    } as Method),
    replaced(Emitter.prototype, "revert", unless), replaced(Changes.prototype, "revert", unless),
  );
};

/** A letter goes in although the stage has ended. */
const afterTheEnd = () => {
  let asked = false;
  return all(
    replaced(Letters.prototype, "next", (old) => function (this: Letters) {
      asked = true;
      try { return call(old, this); } finally { asked = false; }
    } as Method),
    getterReplaced(Actor.prototype, "hasEnded", (old) => function (this: Actor) { return !asked && call(old as Method, this) as boolean; } as never),
  );
};

const lettered: Partial<Profile> = { ...calm, events: 8, orders: 8, turnEvents: 1, faults: 6, faultShare: 0.01, kinds: ["crash", "takeover", "kill"], parallelism: 1, waitShare: 1 };
const keyed = ["letters"];

export const letterVariants: readonly Variant[] = [
  { name: "that a letter is settled is not kept in the state", rule: "L1", flows: keyed, outcomeOnly: true, profile: lettered, breaks: unmarked },
  { name: "that a letter is settled is in the record after that of its replay", rule: "L1", flows: keyed, outcomeOnly: true, profile: lettered, breaks: markedLater },
  { name: "a settlement is written before its record", rule: "L1, P7", flows: keyed, profile: { ...lettered, ambush: / append mr\.dead\./, faultShare: 0.5, kinds: ["crash", "kill"] }, breaks: settledEarly },
  { name: "who asked is told before it is committed", rule: "L1", flows: keyed, profile: { ...lettered, ambush: / answers operator$/, faultShare: 0.3 }, breaks: () => replaced(Actor.prototype, "whenCommitted", () => (async () => true) as Method) },
  { name: "a replay that fails takes nothing back", rule: "L3", flows: keyed, profile: lettered, breaks: nothingTakenBack },
  { name: "a letter goes in after the end", rule: "L1, ENDED", flows: ["letters", "letters-ahead"], profile: { ...lettered, faults: 0, waitShare: 0 }, breaks: afterTheEnd },
  { name: "that a letter is settled is known to one new actor only", rule: "L1, 11", flows: keyed, outcomeOnly: true, profile: { ...rescaled, orders: 8, waitShare: 1 }, breaks: () => replaced(Sections.prototype, "of", (old) => function (this: Sections, key: Uint8Array, value: Uint8Array) {
    return call(old, this, key, value) ?? 0;
  } as Method) },
  { name: "what is kept of a settled letter does not say of which generation it is", rule: "L1, 11", flows: keyed, outcomeOnly: true, profile: { ...rescaled, orders: 8, waitShare: 1 }, breaks: () => replaced(State.prototype, "entry", (old) => function (this: State, operator: number, key: string | number, part?: number) {
    return call(old, this, operator, operator === lettersOperator && typeof key === "string" ? Number(key.split(" ")[1]) : key, part);
  } as Method) },
  { name: "later ones of a key go past one that is parked", rule: "9, park", flows: ["letters-parked"], profile: lettered, breaks: () => replaced(WaitingEvents.prototype, "blocks", (old) => function (this: WaitingEvents, key: string | null) {
    return (call(old, this, key) as boolean) && ![...this.parked].some((entry) => entry.key === key);
  } as Method) },
  { name: "a parked event that is settled holds its key on", rule: "9, park", flows: ["letters-parked"], profile: lettered, breaks: () => replaced(Letters.prototype, "parkedBy", () => (() => undefined) as Method) },
];
