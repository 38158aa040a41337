// Which flows this node has the code of: those that it was started with, and those that were deployed; and which of them are to run.
import type { WantedFlow } from "../cluster/leader.ts";
import { codeOf, type FlowSeats, seatsOf } from "../cluster/placement-record.ts";
import { codeAt } from "../cluster/upgrade-step.ts";
import { MillraceError } from "../event/errors.ts";
import type { FlowPlan } from "../flow/plan.ts";
import type { RunMode } from "./run-choice.ts";

/** A flow that this node has the code of. */
export interface LoadedPlan {
  readonly plan: FlowPlan;
  /** Hash of its code. */
  readonly code: string;
  /** Its first placement waits for so many nodes that have its code. */
  readonly nodes: number;
  /** Where it was deployed: under which id, and what becomes of a run that was interrupted before. */
  readonly deployment?: { readonly id: string; readonly mode: RunMode };
}

/** Of a flow that was undeployed: what is not to run, and whether that is on record. `until`: monotonic ms. */
interface Withdrawal {
  readonly code: string;
  settled: boolean;
  until?: number;
}

export class FlowCatalog {
  readonly #flows: Map<string, LoadedPlan>;
  /** Other codes of flows, by name and hash: those that a flow may go over to, and those that it has left. */
  readonly #others = new Map<string, LoadedPlan>();
  /** Names and hashes of those that flows may go over to. */
  readonly #candidates = new Map<string, ReadonlySet<string>>();
  /** Flows of which the end was seen, or that were refused: not to be begun again by this node. */
  readonly #done = new Set<string>();
  readonly #withdrawn = new Map<string, Withdrawal>();
  /** Hashes of what is deployed, be it loaded here or not. */
  readonly #newest = new Map<string, string>();

  constructor(flows: readonly LoadedPlan[]) {
    this.#flows = new Map(flows.map((flow) => [flow.plan.name, flow]));
  }

  /** The code of a flow came. */
  add(flow: LoadedPlan): void {
    const { plan: { name }, code } = flow, before = this.#flows.get(name);
    if (before !== undefined && before.code !== code) this.#others.set(codeOf(name, before.code), before);
    this.#flows.set(name, flow);
    this.deployed(name, code);
  }

  /** It was deployed, be its code loaded here or not: what was undeployed before does not count any more. */
  deployed(name: string, code: string): void {
    this.#newest.set(name, code);
    this.#done.delete(name);
    // Another code goes on stopping.
    if (this.#withdrawn.get(name)?.code === code) this.#withdrawn.delete(name);
  }

  /** Codes that the actors of a flow may go over to, be they loaded here or not; what is not among them any more is not offered, unless actors have it. */
  candidates(name: string, codes: readonly string[]): void {
    this.#candidates.set(name, new Set(codes));
  }

  /** The code of a candidate came. */
  addCandidate(flow: LoadedPlan): void {
    this.#others.set(codeOf(flow.plan.name, flow.code), flow);
  }

  /** What was loaded of a deployment. */
  loaded(name: string, code: string, id: string): LoadedPlan | undefined {
    return [this.#flows.get(name), this.#others.get(codeOf(name, code))].find((flow) => flow?.code === code && flow.deployment?.id === id);
  }

  /** Whether that is the code under which it is deployed now. */
  isDeployed(name: string, code: string): boolean {
    return this.#newest.get(name) === code;
  }

  /** A flow was undeployed: what of it has this code is to stop, in order. */
  withdraw(flow: string, code: string): void {
    this.#newest.delete(flow);
    this.#candidates.delete(flow);
    this.#withdrawn.set(flow, { code, settled: false });
  }

  /** It has ended, or cannot be begun. */
  done(flow: string): void {
    this.#done.add(flow);
  }

  get wanted(): readonly WantedFlow[] {
    return this.#standing.filter(({ plan: { name } }) => !this.#done.has(name)).map(({ plan: { name }, code, nodes }) => ({ name, code, nodes }));
  }

  /** Whether it is to run because it was deployed. */
  isWanted(name: string): boolean {
    return this.#flows.get(name)?.deployment !== undefined && this.wanted.some((flow) => flow.name === name);
  }

  /** `code`: hash of the one that is meant. Default: any. */
  has(name: string, code?: string): boolean {
    return code === undefined ? this.#flows.has(name) : this.#flows.get(name)?.code === code || this.#others.has(codeOf(name, code));
  }

  /** What the node offers to the placement. `open`: runs here; of what was undeployed that stays until it has stopped. `seats`: as flows are placed. */
  offered(open: (flow: string) => boolean, seats: (flow: string) => FlowSeats | undefined = () => undefined): readonly LoadedPlan[] {
    const standing = this.#standing, own = [...this.#flows.values()].filter((flow) => open(flow.plan.name) || standing.includes(flow));
    return [...own, ...[...this.#others.values()].filter(({ plan: { name }, code }) => this.#flows.get(name)?.code !== code && (this.#candidates.get(name)?.has(code) === true || isInUse(seats(name), code)))];
  }

  /** Set where that code of a flow is to stop, and that it has is not on record yet. */
  stopping(flow: string, code: string): Withdrawal | undefined {
    const withdrawal = this.#withdrawn.get(flow);
    return withdrawal?.code === code && !withdrawal.settled ? withdrawal : undefined;
  }

  /** `code`: hash of the one that is meant. Default: of what is deployed. @throws MillraceError CODE_MISSING */
  flow(name: string, code?: string): LoadedPlan {
    const own = this.#flows.get(name), found = code === undefined || own?.code === code ? own : this.#others.get(codeOf(name, code));
    if (found === undefined) throw new MillraceError("CODE_MISSING", name, `This node does not have ${code === undefined ? "the code" : `code ${code.slice(0, 12)}`} of flow "${name}"`, "Start it with --flow and the flow's file, or deploy the flow with a key that it trusts.");
    return found;
  }

  get #standing(): readonly LoadedPlan[] {
    return [...this.#flows.values()].filter(({ plan: { name }, code, deployment }) => deployment === undefined || this.isDeployed(name, code));
  }
}

/** Whether actors of a flow have that code, or may come to have it. */
function isInUse(seats: FlowSeats | undefined, code: string): boolean {
  return seats !== undefined && !seats.ended && (seats.code === code || seats.upgrade?.to === code || [...seatsOf(seats)].some(([, seat]) => codeAt(seats, seat) === code));
}
