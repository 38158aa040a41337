// The root of a node's supervision tree, and the orders that a person or the node gives to whatever is below it, by address.
import type { Exit } from "../actor/exit.ts";
import type { Why } from "../actor/lifecycle.ts";
import { MillraceError } from "../event/errors.ts";
import type { FlowPlan } from "../flow/plan.ts";
import type { ChildSpec } from "./child-spec.ts";
import type { Decision } from "./decision.ts";
import { Environment, type SupervisionOptions } from "./environment.ts";
import { rootSupervision } from "./escalation.ts";
import { superviseFlow, type FlowSupervision } from "./flow-supervisor.ts";
import { Member } from "./member.ts";
import { Supervisor } from "./supervisor.ts";
import { treeOf, type TreeNode } from "./tree.ts";

interface Place {
  readonly supervisor: Supervisor;
  readonly member: Member;
}

export class Root {
  readonly #env: Environment;
  readonly #supervisor: Supervisor;
  readonly #member: Member;
  #started = (): void => {};

  /** `id`: of the node. */
  constructor(id: string, options: SupervisionOptions) {
    this.#env = new Environment(options);
    this.#supervisor = new Supervisor(this.#env, { id, kind: "root", plan: rootSupervision, children: [] });
    this.#member = new Member({ kind: "root", child: this.#supervisor }, "permanent", this.#env, {
      exited: (_, exit) => this.#env.fault(exit.error ?? new Error(`the root supervisor exited: ${exit.class}`), id),
      poisoned: () => {},
      settled: () => this.#started(),
      overdue: () => Promise.resolve(),
    });
  }

  async start(): Promise<void> {
    const started = new Promise<void>((resolve) => (this.#started = resolve));
    this.#member.begin(() => {});
    await started;
  }

  /** Stops all flows in order, at the latest at each actor's own deadline, or at this one (ms from now), by a kill. */
  stop(deadlineMs = Infinity): Promise<void> {
    return this.#member.halt(deadlineMs);
  }

  /** Ends everything at once. */
  kill(): void {
    this.#member.kill();
  }

  /** Takes a flow and starts it; resolves when each of its actors was started once, or failed to. @throws MillraceError SPEC_INVALID */
  addFlow(plan: FlowPlan, supervision: FlowSupervision): Promise<void> {
    return this.#supervisor.add(superviseFlow(this.#env, plan, supervision));
  }

  /** A flow's newer code has rules of its own: they hold for what of it is here. Stages that it does not have keep theirs. @throws MillraceError NOT_FOUND, SPEC_INVALID */
  replan({ name, supervision, stages }: FlowPlan): void {
    const rules = new Map([[name, supervision], ...stages.map((stage) => [`${name}/${stage.name}`, stage.supervision] as const)]), flow = this.#at(name).member.spec.child;
    for (const child of flow instanceof Supervisor ? [flow, ...flow.members.map(({ spec }) => spec.child)] : []) if (child instanceof Supervisor) child.replan(rules.get(child.id) ?? child.plan);
  }

  /** Takes one more child below the supervisor at an address: an actor that was placed here. @throws MillraceError NOT_FOUND, SPEC_INVALID */
  add(id: string, spec: ChildSpec): Promise<void> {
    const { child } = this.#at(id).member.spec;
    if (!(child instanceof Supervisor)) throw notFound(id, "no supervisor of that address");
    return child.add(spec);
  }

  /** Stops what is at an address and forgets it. @throws MillraceError NOT_FOUND, NOT_RUNNING */
  async remove(id: string, deadlineMs?: number): Promise<void> {
    const { supervisor, member } = this.#at(id);
    await supervisor.remove(member, deadlineMs);
  }

  /** Stops what is at an address; it stays stopped until `unpark`. @throws MillraceError NOT_FOUND, NOT_RUNNING */
  async terminate(id: string, deadlineMs?: number): Promise<void> {
    const { supervisor, member } = this.#at(id);
    await supervisor.terminate(member, deadlineMs);
  }

  /** Parks what is at an address: a flow whose broker lost data (P30). @throws MillraceError NOT_FOUND, NOT_RUNNING */
  async park(id: string, why: Why): Promise<void> {
    const { supervisor, member } = this.#at(id);
    await supervisor.park(member, why);
  }

  /**
   * Starts what is parked, fenced, stopped or waiting at an address, with a new budget, and what is parked below it. Resolves
   * when that was tried. @throws MillraceError NOT_FOUND, NOT_PARKED where it runs or has ended, NOT_RUNNING
   */
  async unpark(id: string): Promise<void> {
    const place = this.#at(id), { child } = place.member.spec;
    const parked = place.member.alive && child instanceof Supervisor ? [...parkedIn(child)] : [];
    if (parked.length === 0) return await place.supervisor.unpark(place.member);
    await Promise.all(parked.map(({ supervisor, member }) => supervisor.unpark(member)));
  }

  /** Ends an actor at once, as an exit that it could not report itself: it hangs, or its worker is gone. One that does not run is left alone. @throws MillraceError NOT_FOUND */
  fail(id: string, exit: Exit): void {
    this.#at(id).member.fail(exit);
  }

  /** What was down is back (NATS is connected again): all that is suspended is tried again now. */
  retrySuspended(): void {
    this.#supervisor.retrySuspended();
  }

  /** The tree, or the part of it at an address. @throws MillraceError NOT_FOUND */
  snapshot(id?: string): TreeNode {
    return treeOf(id === undefined || id === this.#supervisor.id ? this.#member : this.#at(id).member, this.#env.clock);
  }

  /** The newest decisions about an address, at most 200, oldest first: also about one that is no longer here. */
  decisions(id: string): Promise<readonly Decision[]> {
    return this.#env.log.read(id);
  }

  #at(id: string): Place {
    for (const place of below(this.#supervisor)) if (place.member.id === id) return place;
    throw notFound(id, "nothing with that address on this node");
  }
}

function* below(supervisor: Supervisor): Generator<Place> {
  for (const member of supervisor.members) {
    yield { supervisor, member };
    if (member.spec.child instanceof Supervisor) yield* below(member.spec.child);
  }
}

/** The parked ones below a supervisor that runs; what a parked supervisor holds is started with it. */
function* parkedIn(supervisor: Supervisor): Generator<Place> {
  for (const member of supervisor.members) {
    if (member.lifecycle.state === "parked") yield { supervisor, member };
    else if (member.alive && member.spec.child instanceof Supervisor) yield* parkedIn(member.spec.child);
  }
}

function notFound(id: string, what: string): MillraceError {
  return new MillraceError("NOT_FOUND", id, `There is ${what}`, "`millrace tree` lists the addresses.");
}
