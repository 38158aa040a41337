// Whether what an actor needs is there: the broker, and what its handlers call. An outage suspends it in place and spends no
// restart. After the broker is back nothing is committed before it is checked that it still holds what it had acknowledged (P30).
import type { FencedLog } from "../journal/fenced-log.ts";
import type { Actor } from "./actor.ts";
import type { Anchors } from "./anchors.ts";
import type { ActorEvents } from "./environment.ts";

export class Availability {
  readonly #actor: Actor;
  readonly #anchors: Anchors;
  readonly #say: ActorEvents["onState"];
  #running = false;
  #lost = false;
  #suspended = false;
  #checks = 0;
  #waiting: (() => void)[] = [];
  #disconnect = () => {};

  constructor(actor: Actor, anchors: Anchors, say: ActorEvents["onState"]) {
    this.#actor = actor;
    this.#anchors = anchors;
    this.#say = say;
  }

  /** Whether it may commit: no check, of the start or after a reconnect, is under way. */
  get checked(): boolean {
    return this.#checks === 0;
  }

  /** Nothing is committed before this has been checked: a record that says more is settled would hide that what was before is gone. */
  async holdFor(check: Promise<void>): Promise<void> {
    this.#checks++;
    await check;
    this.#checkDone();
  }

  #checkDone(): void {
    if (--this.#checks === 0) for (const done of this.#waiting.splice(0)) done();
  }

  /**
   * Resolves when no check is under way, or the actor is over. Who has ended waits for it: a last record that was on its way when the
   * server lost its power was accepted after the reconnect, and its actor gone before it was seen that its end, which it had sent, was
   * lost; the reader waited for that for ever.
   */
  whenChecked(): Promise<void> {
    return this.checked ? Promise.resolve() : new Promise((done) => { this.#waiting.push(done); });
  }

  /** Watches the connection from now on. `failed`: the broker went back. */
  watch(log: FencedLog, failed: (error: unknown) => void): void {
    this.#disconnect = this.#actor.env.broker.onConnection((connected) => {
      if (connected) this.#reconnected(log, failed);
      else this.lost();
    });
  }

  /** The actor runs: what is said of it changes. */
  running(): void {
    this.#running = true;
    this.#say("running.active");
  }

  /** The broker does not answer. */
  lost(): void {
    this.#lost = true;
    this.#say(this.#running ? "unavailable.running" : "unavailable.claiming", this.#actor.env.broker.fault);
  }

  /** A handler says that something it needs is down; it is tried again in place. */
  suspended(error: Error): void {
    this.#suspended = true;
    this.#say("unavailable.running", error);
  }

  /** The broker answers again. */
  back(): void {
    if (!this.#lost || !this.#running) return;
    this.#lost = false;
    if (!this.#suspended) this.#say("running.active");
  }

  /** A handler came to its end: what it needs is back. */
  resumed(): void {
    if (!this.#suspended || !this.#running) return;
    this.#suspended = false;
    if (!this.#lost) this.#say("running.active");
  }

  #reconnected(log: FencedLog, failed: (error: unknown) => void): void {
    const { signal, emitter } = this.#actor, sent = this.#anchors.sent();
    this.#checks++;
    this.#anchors.checkOwn(log).then(() => this.#anchors.checkSent(log, sent)).then(() => {
      this.#checkDone();
      if (signal.aborted || !this.checked) return;
      this.back();
      for (const { delivery } of emitter.all) delivery.reconnected();
      this.#actor.soon();
    }).catch(failed);
  }

  close(): void {
    this.#disconnect();
    for (const done of this.#waiting.splice(0)) done();
    this.#running = this.#lost = this.#suspended = false;
  }
}
