// What a supervisor is to stop and to start next. Looks at the state of its members each time, so that it does not matter in
// which order failures, orders and finished starts came in between.
import type { SupervisionPlan } from "../flow/plan.ts";
import { longestMs } from "./child-spec.ts";
import type { Environment } from "./environment.ts";
import type { Member } from "./member.ts";
import type { Sibling, Step } from "./strategy.ts";

export class Agenda {
  readonly #members: readonly Member[];
  readonly #of: { readonly plan: SupervisionPlan };
  readonly #env: Environment;
  readonly #poke: () => void;
  #dismissing = false;
  #wake = (): void => {};

  /** `of`: the supervisor, by whose plan it goes as that stands. `poke`: has `advance` called soon, in its turn. */
  constructor(members: readonly Member[], of: { readonly plan: SupervisionPlan }, env: Environment, poke: () => void) {
    this.#members = members;
    this.#of = of;
    this.#env = env;
    this.#poke = poke;
  }

  /** The members as a strategy sees them. */
  siblings(): readonly Sibling[] {
    return this.#members.map((member) => {
      // Stopped and not due: it was left so.
      const settled = member.settledDown || (!member.alive && member.dueAt === undefined && member.lifecycle.state === "stopped");
      return { id: member.id, restart: member.restart, state: settled ? "settled" : member.alive ? "up" : "down" };
    });
  }

  /** Notes a strategy's steps; the starts are due at `due`, on the monotonic clock. */
  note(steps: readonly Step[], failed: Member, due: number): void {
    for (const { step, id } of steps) {
      const member = this.#members.find((one) => one.id === id);
      if (member === undefined || member.settledDown) continue;
      if (step === "stop") member.leaving = true;
      else if (member === failed) member.dueAt = due;
      // One that waits for what is down goes on waiting by itself; one that backs off longer keeps its own time.
      else if (member.suspended === undefined) member.dueAt = Math.max(due, member.dueAt ?? 0);
    }
  }

  /** Does what is next: all stops, one after another in reverse order; then what is due, in start order. */
  advance(): void {
    if (this.#dismissing) return;
    const leaving = this.#members.findLast((member) => member.leaving);
    if (leaving !== undefined) return this.#dismiss(leaving);
    const ordered = this.#of.plan.strategy !== "one_for_one", now = this.#env.clock.monotonic();
    let wake = Infinity;
    for (const member of this.#members) {
      const { dueAt } = member;
      if (member.halting || member.settledDown) continue;
      if (dueAt === undefined || member.alive) {
        if (ordered && member.starting) break;
        continue;
      }
      if (dueAt > now) {
        wake = Math.min(wake, dueAt);
        if (ordered && member.suspended === undefined) break;
        continue;
      }
      // Supervisors take no place: they would hold those that their own actors wait for.
      const release = member.spec.kind === "actor" ? this.#env.starts.enter(this.#poke) : () => {};
      if (release === undefined) break;
      member.begin(release);
      if (ordered) break;
    }
    this.#wake();
    this.#wake = wake === Infinity ? () => {} : this.#env.clock.after(Math.min(wake - now, longestMs), this.#poke);
  }

  /** Nothing is to be done any more. */
  clear(): void {
    this.#wake();
    this.#wake = () => {};
    for (const member of this.#members) member.forget();
  }

  #dismiss(member: Member): void {
    this.#dismissing = true;
    void member.halt(limitOf(member, this.#of.plan)).then(() => {
      this.#dismissing = false;
      member.leaving = false;
      this.#poke();
    });
  }
}

/** How long a member may take to stop, in ms. A supervisor takes the time that its actors take. */
export function limitOf({ spec }: Member, { shutdownMs }: SupervisionPlan): number {
  return spec.kind === "actor" ? shutdownMs : Infinity;
}
