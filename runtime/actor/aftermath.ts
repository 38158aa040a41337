// What becomes of an event whose handler threw (API 4, PROTOCOL 9): a dead letter, a later try, a wait for what is down, a crash.
import { MillraceError } from "../event/errors.ts";
import type { Row } from "../event/frame.ts";
import type { ProcessorPlan } from "../flow/plan.ts";
import type { Actor } from "./actor.ts";
import type { Replay } from "./dead-letter.ts";
import { isOfActor } from "./exit.ts";
import { DeadlineError, type Fate, fateOf } from "./failure.ts";
import { dataOf, idOf, infoOf, type Item, keptOf } from "./item.ts";
import type { Recalled } from "./letters.ts";

const longestSuspensionMs = 300_000;

export class Aftermath {
  readonly #actor: Actor;
  readonly #poison: ProcessorPlan["poison"];
  #suspensions = 0;
  /** Nothing is handled before, wall clock in ms. */
  suspendedUntil = -Infinity;

  constructor(actor: Actor, poison: ProcessorPlan["poison"]) {
    this.#actor = actor;
    this.#poison = poison;
  }

  /** Takes back what the event did. "past": the step past it is to be taken; "stays": it is tried again, or the actor is over. */
  of(thrown: unknown, item: Item, attempt: number): "past" | "stays" {
    const { emitter, env } = this.#actor, { changes, waiting, tries } = this.#actor.memory;
    changes.revert();
    emitter.revert();
    const fate = fateOf(thrown, attempt), id = idOf(item);
    if (isOfActor(thrown)) {
      this.#actor.crash(thrown, id, false);
      return "stays";
    }
    if (item.kind === "letter") return this.#ofLetter(thrown, fate, item.letter, item);
    if (fate.is === "dead letter") this.#giveUp(fate.code, fate.error, item, attempt, null);
    else if (fate.is === "retry" && item.kind === "waiting") {
      waiting.postpone(item.entry, env.clock.now() + fate.afterMs, attempt + 1);
      tries.withdraw(id);
      changes.keep();
      this.#actor.events++;
      return "stays";
    } else if (fate.is === "retry" && item.kind !== "timer") waiting.add(id, env.clock.now() + fate.afterMs, attempt + 1, keptOf(item, this.#actor));
    else if (fate.is === "unavailable" || fate.is === "retry") {
      // This try came to an end: it is none of those that count against the event.
      tries.withdraw(id);
      this.#suspend(fate.afterMs, fate.error);
      return "stays";
    } else if (!(thrown instanceof DeadlineError) && tries.of(id) + 1 >= this.#poison.after) return this.#poisoned(fate.error, item, tries.of(id) + 1);
    else {
      this.#actor.crash(fate.error, id);
      return "stays";
    }
    return "past";
  }

  /** It was begun as often as it may, and no try came to an end: a process that dies names no error. As `of`. */
  tooOften(item: Item): "past" | "stays" {
    const { address, memory: { tries } } = this.#actor, attempts = tries.of(idOf(item));
    return this.#poisoned(new MillraceError("POISON", address, `An event was begun ${attempts} times and no try came to an end`, "Its process died each time, or its handler was not done in time: look at the handler."), item, attempts);
  }

  // A replay that fails leaves the letter as it was: it costs no restart, and whoever asked is told why (letters.ts).
  #ofLetter(thrown: unknown, fate: Fate, letter: Recalled, item: Item): "past" | "stays" {
    const { env, letters, memory: { waiting } } = this.#actor, replay = letter.replay as Replay, due = env.clock.now() + (fate.is === "retry" ? fate.afterMs : 0);
    if (fate.is === "unavailable") {
      this.#suspend(fate.afterMs, fate.error);
      return "stays";
    }
    // Waits as any event does whose handler asks for a later try: by that it has gone in. Not one that goes in half way.
    if (fate.is === "retry" && replay.step === 0 && replay.timer === null) {
      const parked = letters.parkedBy(letter);
      if (parked === undefined) waiting.add(idOf(item), due, letter.attempts + 2, keptOf(item, this.#actor));
      else waiting.postpone(parked, due, letter.attempts + 2);
      return "past";
    }
    letters.failed(fate.error);
    if (thrown instanceof DeadlineError) this.#actor.crash(thrown, idOf(item), false, "poison");
    return "stays";
  }

  /** An event came to its end: what was down is back, the next wait for it begins anew. */
  calm(): void {
    if (this.#suspensions === 0) return;
    this.#suspensions = 0;
    this.#actor.availability.resumed();
  }

  #suspend(afterMs: number, error: Error): void {
    const { env, address } = this.#actor;
    this.suspendedUntil = env.clock.now() + Math.min(longestSuspensionMs, afterMs * 2 ** Math.min(8, this.#suspensions++));
    env.log.warn("suspended: something that it needs is down", { actor: address, reason: error.message });
    this.#actor.availability.suspended(error);
  }

  // With `park: "key"` it stays at the head of its key, and is due never: later ones wait behind it until a person has decided.
  #poisoned(error: Error, item: Item, attempts: number): "past" | "stays" {
    const { waiting, tries, changes } = this.#actor.memory, id = idOf(item), event = keptOf(item, this.#actor), parks = this.#poison.park === "key" && (event[5] as Row)[2] !== null;
    this.#giveUp("POISON", error, item, attempts, parks ? id : null);
    this.#actor.poisoned(id, error);
    tries.done(id);
    if (parks && item.kind === "waiting") {
      waiting.postpone(item.entry, Infinity, attempts);
      changes.keep();
      this.#actor.events++;
      return "stays";
    }
    if (parks) waiting.add(id, Infinity, attempts, event);
    return "past";
  }

  #giveUp(code: string, error: Error, item: Item, attempts: number, parks: string | null): void {
    const info = infoOf(this.#actor, item);
    if (item.kind === "timer") this.#actor.memory.timers.fired(item.timer);
    const replay = item.kind === "timer" ? { step: item.timer.operator, timer: item.timer.name } : { step: 0, timer: null };
    this.#actor.emitter.deadLetter(code, error, attempts, info, dataOf(item), { ...replay, time: info.time, type: null, parks });
  }
}
