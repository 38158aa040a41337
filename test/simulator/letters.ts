// Somebody who has dead letters replayed or dropped, at random moments of a schedule: through what a node answers with (letter-orders.ts),
// of any node, late, twice at once, again and again until there is an answer, and also what is settled already.
import { type DeadLetter, isLetter, isSettlement, type Settlement } from "../../runtime/actor/dead-letter.ts";
import { type Division, deadStream } from "../../runtime/actor/environment.ts";
import type { LetterOrder, LetterOutcome } from "../../runtime/actor/letters.ts";
import { decodeMessage, rowData } from "../../runtime/event/frame.ts";
import { carryOut } from "../../runtime/inspect/letter-orders.ts";
import type { RunningNode } from "../../runtime/node/node.ts";
import type { MemoryStream } from "../../runtime/testing/memory-stream.ts";
import type { SimulatedNode } from "./node.ts";
import { token } from "./scaling.ts";
import type { World } from "./world.ts";

export interface KeptLetter {
  /** Who gave it up, the frame on that one's chain, and the place in it. */
  readonly name: string;
  readonly generation: string;
  /** In the stream. */
  readonly seq: number;
  readonly place: number;
  readonly letter: DeadLetter;
  /** What stands behind it on the chain. */
  readonly settled: readonly Settlement["settled"][];
}

/** What was asked for, and what came of it: `undefined`, as long as nobody said. */
export interface Told {
  readonly letter: string;
  readonly action: LetterOrder["action"];
  readonly outcome: LetterOutcome;
}

export interface TakenBack {
  readonly letters: readonly KeptLetter[];
  /** "replay felt/0 …": what was ever asked for. */
  readonly asked: ReadonlySet<string>;
  readonly told: readonly Told[];
}

/**
 * Letters and what became of them as a reader takes them: of each writer what is above its last number (P29). A reading of its own, beside that of
 * runtime/inspect/dead-letters.ts: it counts each settlement of a letter, where that one knows the newest; it is asked within a step of a schedule; and
 * what it is held against is not to share its mistakes.
 */
export function lettersOf(stream: MemoryStream | undefined): readonly KeptLetter[] {
  const last = new Map<string, number>(), letters: (Omit<KeptLetter, "settled"> & { readonly settled: Settlement["settled"][] })[] = [], byName = new Map<string, Settlement["settled"][]>();
  const settledOf = (name: string): Settlement["settled"][] => {
    let settled = byName.get(name);
    if (settled === undefined) byName.set(name, (settled = []));
    return settled;
  };
  const { first, last: end } = stream?.bounds() ?? { first: 1, last: 0 };
  for (let seq = first; seq <= end; seq++) {
    const stored = stream?.at(seq);
    if (stored === undefined) continue;
    const frame = decodeMessage(stored.data), writer = `${frame.from}@${frame.generation}`;
    if (frame.seq <= (last.get(writer) ?? 0)) continue;
    last.set(writer, frame.seq);
    for (const [place, row] of frame.rows.entries()) {
      const its = rowData(row, frame.shapes), name = `${writer} ${frame.seq}.${place}`;
      if (isLetter(its)) letters.push({ name, generation: frame.generation, seq, place, letter: its, settled: settledOf(name) });
      else if (isSettlement(its)) settledOf(`${its.of ?? writer} ${its.frame}.${its.place}`).push(its.settled);
    }
  }
  return letters;
}

interface Order {
  readonly its: KeptLetter;
  readonly action: LetterOrder["action"];
  tries: number;
  over: boolean;
}

/** Looks at the dead letters; more are not taken before the source may end. */
const mostLooks = 40;
/** Questions about one order; then it is given up. Not of what holds its key: without an answer the flow has no end. */
const mostTries = 150;
/** As who asks a node waits for its answer. */
const requestMs = 3_000;

export class Operator implements TakenBack {
  readonly told: Told[] = [];
  readonly asked = new Set<string>();
  readonly #world: World;
  /** Whether letters hold their keys: then none may stay open. */
  readonly #parks: boolean;
  readonly #holds: boolean;
  readonly #waiting: (() => void)[] = [];
  #left: number;
  #looks = 0;
  #underWay = 0;

  /** @param orders how many letters are asked for */
  constructor(world: World, orders: number, parks: boolean) {
    this.#world = world;
    this.#left = orders;
    this.#parks = parks;
    this.#holds = world.scheduler.chance.hits(world.profile.waitShare);
    this.#later(() => this.#look());
  }

  get letters(): readonly KeptLetter[] {
    return lettersOf(this.#world.server.streams.get(deadStream(this.#world.flow.name)));
  }

  /** Sources end when no more is to be asked for: what has ended takes nothing back. */
  whenDone(go: () => void): void {
    if (this.#holds && !this.#isDone) this.#waiting.push(go);
    else go();
  }

  get #isDone(): boolean {
    return this.#looks >= mostLooks || (this.#left === 0 && this.#underWay === 0);
  }

  #later(step: () => void): void {
    const { scheduler } = this.#world, { chance } = scheduler;
    if (chance.hits(0.5)) scheduler.after(chance.between(1, 400), "operator", undefined, step);
    else scheduler.afterSteps(chance.between(1, 60), "operator", step);
  }

  #look(): void {
    const { scheduler: { chance }, done } = this.#world, isLast = this.#isDone;
    if (isLast) for (const go of this.#waiting.splice(0)) go();
    if (done || (isLast && !this.#parks)) return;
    this.#looks++;
    const { letters } = this, open = letters.filter(({ settled, letter }) => settled.length === 0 && (!isLast || letter.replay?.parks != null)), from = !isLast && chance.hits(0.25) ? letters : open;
    if (from.length > 0 && (isLast ? this.#underWay === 0 : this.#left > 0)) {
      this.#left = Math.max(0, this.#left - 1);
      const its = chance.of(from);
      this.#begin(its, chance.hits(isLast ? 0.3 : 0.65) ? "replay" : "drop");
      if (!isLast && chance.hits(0.2)) this.#begin(its, chance.hits(0.7) ? "replay" : "drop");
    }
    this.#later(() => this.#look());
  }

  #begin(its: KeptLetter, action: Order["action"]): void {
    const order: Order = { its, action, tries: 0, over: false };
    this.#world.scheduler.trace?.(`== ${action} ${its.name}`);
    this.asked.add(`${action} ${its.name}`);
    this.#underWay++;
    this.#ask(order);
    if (this.#world.scheduler.chance.hits(0.2)) this.#ask(order);
  }

  // A node at a time, whichever may have the actor, or not.
  #ask(order: Order): void {
    const { scheduler: { chance }, alive, slots, done } = this.#world, [, stage] = order.its.letter.actor.split("/"), its = slots.filter((slot) => slot.stage.name === stage);
    if (order.over || done) return;
    if (its.every((slot) => slot.done && !slot.sealed) || (++order.tries > mostTries && !this.#parks)) return this.#end(order);
    const likely = chance.hits(0.85) ? alive.filter((node) => its.some(({ lives }) => [...lives].some((life) => life.node === node))) : alive, node = likely.length > 0 ? chance.of(likely) : undefined;
    if (node === undefined) this.#later(() => this.#ask(order));
    else this.#question(order, node);
  }

  #question(order: Order, node: SimulatedNode): void {
    const { scheduler, flow } = this.#world, { its: { letter, generation, seq, place, name }, action } = order;
    let open = true;
    const answered = (outcome: LetterOutcome | null | undefined): void => {
      cancel();
      if (outcome != null && outcome.is !== "pending") {
        scheduler.trace?.(`== ${action} ${name}: ${JSON.stringify(outcome)}`);
        this.told.push({ letter: name, action, outcome });
        return this.#end(order);
      }
      if (!open) return;
      open = false;
      if (!order.over) this.#later(() => this.#ask(order));
    };
    const cancel = scheduler.after(requestMs, "operator waits", undefined, () => answered(undefined));
    scheduler.alone(`operator asks ${node.name}`, node, () => {
      if (!node.connected) return;
      carryOut(this.#asRunning(node), { what: "letters", flow: flow.name, letters: [{ actor: letter.actor, generation, key: letter.event.key, seq, place, action }] }).then(([outcome]) => {
        scheduler.alone(`${node.name} answers operator`, undefined, () => { if (this.#world.faults.quiet || !scheduler.chance.hits(0.1)) answered(outcome); });
      }, (error: unknown) => { this.#world.failure ??= `a question about letters is refused: ${String(error)}`; });
    });
  }

  #end(order: Order): void {
    if (order.over) return;
    order.over = true;
    this.#underWay--;
  }

  /** As much of a node as an order about letters looks at. */
  #asRunning(node: SimulatedNode): RunningNode {
    const { flow, slots, everySlot } = this.#world, actors = new Map<string, { readonly generation: string; readonly settle: (order: LetterOrder) => Promise<LetterOutcome> }>();
    // One that has ended takes nothing more, in any life.
    for (const { address, generation, done, sealed, lives } of slots) if (done && !sealed && lives.size === 0) actors.set(address, { generation, settle: async () => ({ is: "failed", code: "ENDED", message: "it has ended" }) });
    for (const slot of everySlot) for (const { actor, node: its, ran } of slot.lives) if (its === node && ran) actors.set(slot.address, { generation: slot.generation, settle: (order) => actor.letters.ask(order) });
    const divisionOf = (stage: string): Division => {
      const { generations, division } = node.env, next = generations?.next(stage), begun = everySlot.some((slot) => slot.stage.name === stage && slot.generation === next?.generation);
      return next !== undefined && begun ? next : division(stage);
    };
    return { name: node.name, clock: node.clock, flows: [{ name: flow.name, run: { record: { token } }, divisionOf, actors }] } as unknown as RunningNode;
  }
}
