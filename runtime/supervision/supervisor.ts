// A supervisor: keeps its children by its plan, as in OTP. verdict.ts and strategy.ts decide, agenda.ts says what is next,
// member.ts carries out for one child. Itself a child of the one above: root, flow, stage, actor.
// S1. A decision, and an order about one child, is in the log before it is carried out (I8). `stop` and `kill` wait for no log.
// S2. What happens is a message in the lane; nothing is restarted from within a failure. `stop` and `kill` pass the lane.
// S3. Children are started in order and stopped in reverse order. Under one_for_one they owe each other nothing: told in that
//     order, waited for together. Under the other strategies each waits for the one before it.
import { setMaxListeners } from "node:events";
import type { Exit } from "../actor/exit.ts";
import type { Why } from "../actor/lifecycle.ts";
import { MillraceError } from "../event/errors.ts";
import type { SupervisionPlan } from "../flow/plan.ts";
import { Agenda, limitOf } from "./agenda.ts";
import type { Child, Run } from "./child.ts";
import { checkSpecs, type ChildSpec, type SupervisorKind } from "./child-spec.ts";
import { decisionOf, reasonOf, type Action, type Reason } from "./decision.ts";
import type { Environment } from "./environment.ts";
import { escalated } from "./escalation.ts";
import { Lane } from "./lane.ts";
import { Member, whyOf, type Owner } from "./member.ts";
import { strike } from "./restart-intensity.ts";
import { stepsFor } from "./strategy.ts";
import { judge } from "./verdict.ts";

export interface SupervisorOptions {
  readonly id: string;
  readonly kind: SupervisorKind;
  readonly plan: SupervisionPlan;
  /** In start order. */
  readonly children: readonly ChildSpec[];
  /** Token of the flow's run: restarts are counted for each. */
  readonly run?: string | undefined;
  /** Goes on when all its children have ended: more may be placed here. The root does, always. */
  readonly lasting?: boolean;
}

export class Supervisor implements Child {
  readonly id: string;
  readonly kind: SupervisorKind;
  #plan: SupervisionPlan;
  readonly #members: Member[] = [];
  readonly #env: Environment;
  readonly #token: string | undefined;
  readonly #lasting: boolean;
  readonly #lane: Lane;
  readonly #agenda: Agenda;
  readonly #owner: Owner;
  #up = false;
  // Of one life, from start to stop: what an earlier one left in the lane or waiting for the log does nothing.
  #life = new AbortController();
  #poked: AbortController | undefined;
  #run: Run | undefined;
  /** Those who wait for members to be begun; called with each advance and at the end. */
  #waiting: { readonly isOver: () => boolean; readonly resolve: () => void }[] = [];

  /** @throws MillraceError SPEC_INVALID */
  constructor(env: Environment, { id, kind, plan, children, run, lasting = kind === "root" }: SupervisorOptions) {
    checkSpecs(id, plan, children);
    this.id = id;
    this.kind = kind;
    this.#plan = plan;
    this.#env = env;
    this.#token = run;
    this.#lasting = lasting;
    this.#lane = new Lane((error) => env.fault(error, id));
    const poke = (): void => this.#poke();
    this.#agenda = new Agenda(this.#members, this, env, poke);
    this.#owner = {
      exited: (member, exit, context, ranMs) => this.#post(() => this.#handle(member, exit, context, ranMs)),
      poisoned: (member, exit) => this.#post(() => this.#forgive(member, exit)),
      settled: poke,
      overdue: (member, deadlineMs) => env.recordAtOnce(this.#decide(member, "stop", { class: "deadline", message: `did not stop within ${deadlineMs} ms` }, "kill")),
    };
    for (const spec of children) this.#members.push(new Member(spec, plan.restart, env, this.#owner));
  }

  get plan(): SupervisionPlan {
    return this.#plan;
  }

  /** In start order. */
  get members(): readonly Member[] {
    return this.#members;
  }

  /** Other rules from now on: for what happens next, not for what was decided. Restarts that were counted stay counted. @throws MillraceError SPEC_INVALID */
  replan(plan: SupervisionPlan): void {
    checkSpecs(this.id, plan, []);
    this.#plan = plan;
    for (const member of this.#members) member.restart = member.spec.restart ?? plan.restart;
  }

  /**
   * Starts all children but those that ended, are parked, fenced or stopped by order, each with a new budget. Resolves when each
   * was started once, or failed to; what failed is then under way as any failure is.
   */
  async start(run: Run): Promise<void> {
    const { signal } = (this.#life = new AbortController());
    // Each order and decision under way listens to it.
    setMaxListeners(0, signal);
    this.#run = run;
    this.#up = true;
    run.report({ type: "claimed" });
    await Promise.all(this.#members.map((member) => this.#remember(member, signal)));
    if (signal.aborted) return;
    const now = this.#env.clock.monotonic();
    for (const member of this.#members) {
      member.renew();
      if (!member.settledDown) member.dueAt = now;
    }
    await this.#begun(this.#members);
  }

  async stop(deadlineMs: number): Promise<void> {
    this.#close();
    await this.#haltAll(deadlineMs);
  }

  kill(): void {
    this.#close();
    for (const member of this.#members.toReversed()) member.kill();
  }

  /** Takes one more child, last in order; resolves when it was started once, or failed to. @throws MillraceError SPEC_INVALID */
  async add(spec: ChildSpec): Promise<void> {
    checkSpecs(this.id, this.plan, [...this.#members.map((member) => member.spec), spec]);
    const member = new Member(spec, this.plan.restart, this.#env, this.#owner);
    this.#members.push(member);
    const { signal } = this.#life;
    if (!this.#up) return;
    await this.#remember(member, signal);
    if (signal.aborted) return;
    member.dueAt = this.#env.clock.monotonic();
    await this.#begun([member]);
  }

  /** Stops a child by order and leaves it so. @throws MillraceError NOT_RUNNING where this supervisor does not run */
  async terminate(member: Member, deadlineMs = Infinity): Promise<void> {
    await this.#order(member, "stop", { class: "order", message: "stopped by order" });
    await this.#hold(member, deadlineMs);
  }

  /** Stops a child and forgets it. Below a supervisor that does not run, nothing of it does: then it is only forgotten. @throws MillraceError NOT_RUNNING where it is being stopped with its supervisor */
  async remove(member: Member, deadlineMs = Infinity): Promise<void> {
    if (this.#up || member.alive) await this.terminate(member, deadlineMs);
    const at = this.#members.indexOf(member);
    if (at >= 0) this.#members.splice(at, 1);
    this.#poke();
  }

  /** Stops a child that must not go on before a person has looked. @throws MillraceError NOT_RUNNING */
  async park(member: Member, why: Why): Promise<void> {
    await this.#order(member, "park", { class: "order", message: why.message, ...(why.code === undefined ? {} : { code: why.code }) });
    const order = await this.#hold(member, Infinity);
    if (member.orders !== order) return;
    member.move({ type: "park", why });
    member.held = false;
  }

  /**
   * Starts a child that is parked, fenced, stopped, backing off or unavailable, and all below it that is parked, with a new
   * budget; resolves when that was tried. @throws MillraceError NOT_PARKED where it runs or has ended, NOT_RUNNING
   */
  async unpark(member: Member): Promise<void> {
    const { state } = member.lifecycle;
    if (member.alive || state === "ended") throw new MillraceError("NOT_PARKED", member.id, `${member.id} is ${state}`, state === "ended" ? "It is done for this run; start a new run." : "There is nothing to do.");
    await this.#order(member, "start", { class: "order", message: "started by order" });
    if (member.alive) return;
    member.orders++;
    member.held = false;
    member.move({ type: "unpark" });
    if (member.spec.child instanceof Supervisor) member.spec.child.#release();
    member.renew();
    member.dueAt = this.#env.clock.monotonic();
    await this.#begun([member]);
  }

  /** Tries again, now, all that is suspended: what was down is back. */
  retrySuspended(): void {
    const now = this.#env.clock.monotonic();
    for (const member of this.#members) {
      if (member.suspended !== undefined && member.dueAt !== undefined) member.dueAt = now;
      if (member.spec.child instanceof Supervisor) member.spec.child.retrySuspended();
    }
    this.#poke();
  }

  async #handle(member: Member, exit: Exit, context: "start" | "run", ranMs: number | undefined): Promise<void> {
    if (member.unanswered !== exit) return;
    const { action, delayMs, standing } = judge(member.standing, exit, { kind: this.kind, plan: this.plan, restart: member.restart, now: this.#env.clock.monotonic(), ranMs, random: this.#env.random });
    member.standing = standing;
    if (action === undefined) return this.#advance();
    const reason = reasonOf(exit), missing = reason.code ?? reason.message;
    const again = action === "restart" || action === "dead-letter";
    const steps = again ? stepsFor(this.plan.strategy, this.#agenda.siblings(), member.id, exit.class) : [];
    // To try again what is suspended is what was decided: not a decision, and no entry, for each try.
    if (action !== "suspend" || member.suspended !== missing) {
      const siblings = steps.filter(({ step, id }) => step === "start" && id !== member.id).map(({ id }) => id);
      member.last = this.#decide(member, context, reason, action, delayMs, siblings);
      if (!(await this.#env.record(member.last, this.#life.signal))) return;
    }
    // An order that came in meanwhile stands.
    if (member.unanswered !== exit) return this.#advance();
    // Never at once (S2): a child that fails within its start would keep everything else from being heard.
    const due = this.#env.clock.monotonic() + Math.max(1, delayMs ?? 0);
    member.forget();
    if (action === "suspend") [member.suspended, member.dueAt] = [missing, due];
    if (action === "leave") member.move({ type: "stop" });
    if (action === "park") member.move({ type: "park", why: whyOf(exit) });
    if (action === "escalate") return await this.#giveUp(member, exit);
    this.#agenda.note(steps, member, due);
    this.#advance();
  }

  /** The child's own record holds the dead letter; what is decided here is that it cost nothing. */
  async #forgive(member: Member, exit: Exit): Promise<void> {
    member.last = this.#decide(member, "run", reasonOf(exit), "dead-letter");
    if (!(await this.#env.record(member.last, this.#life.signal))) return;
    member.standing = { ...member.standing, counted: strike(member.standing.counted, exit.event ?? "") };
  }

  #advance(): void {
    this.#agenda.advance();
    const waiting = this.#waiting.filter(({ isOver, resolve }) => (isOver() ? void resolve() : true));
    this.#waiting = waiting;
    // The root has no end: flows come and go.
    if (this.#lasting || this.#members.length === 0 || !this.#members.every(({ lifecycle }) => lifecycle.state === "ended")) return;
    const run = this.#run;
    this.#close();
    run?.exit({ class: "normal" });
  }

  async #giveUp(offender: Member, exit: Exit): Promise<void> {
    const run = this.#run;
    this.#close();
    await this.#haltAll(Infinity);
    run?.exit(escalated(offender.id, exit, this.plan));
  }

  #close(): void {
    this.#up = false;
    this.#run = undefined;
    this.#life.abort();
    this.#agenda.clear();
    for (const { resolve } of this.#waiting.splice(0)) resolve();
  }

  /** Has `#advance` done in its turn, once however often it is asked for. */
  #poke(): void {
    const life = this.#life;
    if (this.#poked === life) return;
    this.#poked = life;
    this.#post(() => {
      this.#poked = undefined;
      this.#advance();
    });
  }

  /** Does `task` in its turn, if this life of the supervisor lasts so long. */
  #post(task: () => void | Promise<void>): void {
    const life = this.#life;
    this.#lane.post(() => (this.#up && life === this.#life ? task() : undefined));
  }

  async #haltAll(deadlineMs: number): Promise<void> {
    const until = this.#env.clock.monotonic() + deadlineMs;
    const halt = (member: Member): Promise<void> => member.halt(Math.max(0, Math.min(limitOf(member, this.plan), until - this.#env.clock.monotonic())));
    const members = this.#members.toReversed();
    if (this.plan.strategy === "one_for_one") await Promise.all(members.map(halt));
    else for (const member of members) await halt(member);
  }

  /** Stops a member and keeps it so. Gives the number of this order: once another is given, that one stands. */
  async #hold(member: Member, deadlineMs: number): Promise<number> {
    const order = ++member.orders;
    member.held = true;
    member.forget();
    await member.halt(Math.min(deadlineMs, limitOf(member, this.plan)));
    this.#poke();
    return order;
  }

  /** What is parked below is to be started with this one; what is fenced belongs to another owner, what was stopped by order stays so. */
  #release(): void {
    for (const member of this.#members) {
      if (member.lifecycle.state === "parked" && !member.held) member.move({ type: "unpark" });
      if (member.spec.child instanceof Supervisor) member.spec.child.#release();
    }
  }

  async #begun(members: readonly Member[]): Promise<void> {
    if (!this.#up) return;
    this.#poke();
    await new Promise<void>((resolve) => this.#waiting.push({ isOver: () => members.every(({ begun }) => begun), resolve }));
  }

  async #order(member: Member, action: Action, reason: Reason): Promise<void> {
    if (!this.#up || !(await this.#env.record(this.#decide(member, "order", reason, action), this.#life.signal))) {
      throw new MillraceError("NOT_RUNNING", this.id, `${this.id}, which keeps ${member.id}, does not run`, `Start it first.`);
    }
  }

  #decide(member: Member, context: "start" | "run" | "stop" | "order", reason: Reason, action: Action, delayMs?: number, siblings?: readonly string[]) {
    const about = { at: this.#env.clock.now(), supervisor: this.id, context, reason, offender: member.id, action, restarts: member.standing.restarts };
    return decisionOf(about, this.#token, { delayMs, ...(siblings === undefined ? {} : { siblings }) });
  }

  async #remember(member: Member, signal: AbortSignal): Promise<void> {
    if (member.remembered) return;
    member.remembered = true;
    const inRun = (await this.#env.remember(member.id, signal)).filter(({ run }) => run === this.#token);
    member.last ??= inRun.findLast(({ context }) => context !== "order");
    member.standing = { ...member.standing, restarts: Math.max(member.standing.restarts, inRun.at(-1)?.restarts ?? 0) };
  }
}
