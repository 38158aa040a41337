// What becomes of an event whose handler threw (API 4, PROTOCOL 9): a dead letter, a later try, a wait for what is down, a crash.
import { MillraceError } from "../event/errors.ts";
import type { Actor } from "./actor.ts";
import { isOfActor } from "./exit.ts";
import { DeadlineError, fateOf } from "./failure.ts";
import { dataOf, idOf, infoOf, type Item, keptOf } from "./item.ts";

const longestSuspensionMs = 300_000;

export class Aftermath {
  readonly #actor: Actor;
  readonly #poisonAfter: number;
  #suspensions = 0;
  /** Nothing is handled before, wall clock in ms. */
  suspendedUntil = -Infinity;

  /** @param poisonAfter tries of one event after which it is given up */
  constructor(actor: Actor, poisonAfter: number) {
    this.#actor = actor;
    this.#poisonAfter = poisonAfter;
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
    if (fate.is === "dead letter") this.#giveUp(fate.code, fate.error, item, attempt);
    else if (fate.is === "retry" && item.kind === "waiting") {
      waiting.postpone(item.entry, env.clock.now() + fate.afterMs, attempt + 1);
      changes.keep();
      this.#actor.events++;
      return "stays";
    } else if (fate.is === "retry" && item.kind !== "timer") waiting.add(id, env.clock.now() + fate.afterMs, attempt + 1, keptOf(item));
    else if (fate.is === "unavailable" || fate.is === "retry") {
      this.#suspend(fate.afterMs, fate.error);
      return "stays";
    } else if (!(thrown instanceof DeadlineError) && tries.of(id) + 1 >= this.#poisonAfter) this.#poison(fate.error, item, tries.of(id) + 1);
    else {
      this.#actor.crash(fate.error, id);
      return "stays";
    }
    return "past";
  }

  /** It was begun as often as it may, and no try came to an end: a process that dies names no error. */
  tooOften(item: Item): void {
    const { address, memory: { tries } } = this.#actor, attempts = tries.of(idOf(item));
    this.#poison(new MillraceError("POISON", address, `An event was begun ${attempts} times and no try came to an end`, "Its process died each time, or its handler was not done in time: look at the handler."), item, attempts);
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

  #poison(error: Error, item: Item, attempts: number): void {
    const id = idOf(item);
    this.#giveUp("POISON", error, item, attempts);
    this.#actor.memory.tries.done(id);
    this.#actor.poisoned(id, error);
  }

  #giveUp(code: string, error: Error, item: Item, attempts: number): void {
    if (item.kind === "timer") this.#actor.memory.timers.fired(item.timer);
    this.#actor.emitter.deadLetter(code, error, attempts, infoOf(this.#actor, item), dataOf(item));
  }
}
