// Works on the mailbox with several events under way: begins them in order, lets them go in order (PROTOCOL 8, concurrency).
import type { Row } from "../event/frame.ts";
import type { ProcessorPlan } from "../flow/plan.ts";
import type { Actor } from "./actor.ts";
import type { Ahead } from "./ahead.ts";
import type { EventScope } from "./chain.ts";
import { heldOf } from "./event-info.ts";
import { fateOf } from "./failure.ts";
import type { Intake } from "./intake.ts";
import { idOf, type Item, keptOf, rowOf } from "./item.ts";

/** What the processor does with an event. */
export interface AheadSteps {
  push(item: Item, scope: EventScope): void | Promise<void>;
  await(result: Promise<void>, item: Item): void;
  done(item: Item): void;
  failed(thrown: unknown, item: Item, attempt: number): void;
  tooOften(item: Item): void;
  /** Nothing is there, and nothing is under way. */
  idle(): void;
}

export class AheadWork {
  readonly #actor: Actor;
  readonly #inOrder: boolean;
  readonly #poisonAfter: number;
  readonly #intake: Intake;
  readonly #ahead: Ahead;
  readonly #steps: AheadSteps;

  constructor(actor: Actor, plan: ProcessorPlan, intake: Intake, ahead: Ahead, steps: AheadSteps) {
    this.#actor = actor;
    this.#inOrder = plan.order === "time";
    this.#poisonAfter = plan.poison.after;
    this.#intake = intake;
    this.#ahead = ahead;
    this.#steps = steps;
  }

  /** Says whether there was something to do. */
  work(): boolean {
    this.#passEmpty();
    const began = this.#begin(), released = this.#release();
    this.#passEmpty();
    return began || released;
  }

  #begin(): boolean {
    const { emitter } = this.#actor, { waiting, inbound, held, tries } = this.#actor.memory;
    let began = false;
    while (this.#ahead.room && !waiting.full) {
      const open = this.#intake.open.find(({ given, frame }) => given < frame.rows.length) ?? this.#intake.next();
      if (open === undefined) { if (this.#ahead.idle) this.#steps.idle(); break; }
      began = true;
      if (open.given >= open.frame.rows.length) continue;
      const index = open.given++, row = open.frame.rows[index] as Row, item: Item = { kind: "row", open, index };
      if (tries.size > 0 && tries.of(idOf(item)) >= this.#poisonAfter) this.#ahead.add(item, () => this.#steps.tooOften(item));
      else if (this.#inOrder && row[1] > inbound.watermark) this.#ahead.add(item, () => { emitter.save(); held.add(heldOf(open.frame, row)); });
      else this.#ahead.start(item, (scope) => this.#steps.push(item, scope));
    }
    return began;
  }

  #release(): boolean {
    const { emitter } = this.#actor, { waiting } = this.#actor.memory, ahead = this.#ahead;
    let released = false;
    for (let first = ahead.settled(); first !== undefined && !this.#actor.full; first = ahead.settled()) {
      released = true;
      // One that stands before this one's frame would keep its step from being taken.
      this.#passEmpty();
      const { item, release, error, attempt } = first;
      if (item.kind === "row" && waiting.blocks(rowOf(item)[2])) {
        waiting.add(idOf(item), 0, 1, keptOf(item, this.#actor));
        ahead.shift();
        this.#steps.done(item);
        continue;
      }
      emitter.save();
      try {
        if (error !== undefined) throw error.thrown;
        const result = release();
        ahead.shift();
        if (result !== undefined) { this.#steps.await(result, item); return true; }
        this.#steps.done(item);
      } catch (thrown) {
        if (ahead.first === first) ahead.shift();
        const fate = fateOf(thrown, attempt);
        this.#steps.failed(thrown, item, attempt);
        // After it: where the event was given up, the next one is what runs again first.
        if (fate.is === "crash" || fate.is === "unavailable") this.takeBack();
        if (fate.is === "unavailable") return true;
      }
    }
    return released;
  }

  /** A throw aborts the later ones; they run again. */
  takeBack(): void {
    this.#ahead.abort();
    for (const open of this.#intake.open) open.given = open.done;
  }

  /** A frame without events is past when those before it are: a watermark, an end. */
  #passEmpty(): void {
    for (let head = this.#intake.open[0]; head?.frame.rows.length === 0; head = this.#intake.open[0]) this.#intake.progress(0);
  }
}
