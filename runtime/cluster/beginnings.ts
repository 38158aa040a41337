// Runs of the flows that are wanted. To begin one may take long: what it reads is looked at, streams are made. So that goes on beside the
// leader's other work, which would keep actors of other flows without a node meanwhile; what has come of it the leader then puts on record.
import type { Clock } from "../event/clock.ts";
import { asError, MillraceError } from "../event/errors.ts";
import type { Logger } from "../flow/context.ts";
import type { FlowDirectory, WantedFlow } from "./leader.ts";
import type { Membership } from "./membership.ts";
import type { PlacementLog } from "./placement-log.ts";
import { codeOf, type FlowSeats } from "./placement-record.ts";
import { withoutCode } from "./upgrade-step.ts";

export interface BeginningsOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly placements: PlacementLog;
  readonly membership: Membership;
  readonly directory: Pick<FlowDirectory, "wanted" | "run" | "begin" | "stops" | "refused">;
  /** What is wrong with one flow is its own. */
  readonly apart: (flow: string, work: () => Promise<void>) => Promise<void>;
  /** One more run was begun. */
  readonly onBegun: () => void;
}

interface Begun {
  readonly wanted: WantedFlow;
  readonly term: number;
  readonly run: Awaited<ReturnType<FlowDirectory["begin"]>>;
}

/** A first placement does not wait longer for the nodes that it is to have. In ms. */
const gatherMs = 15_000;

export class Beginnings {
  readonly #options: BeginningsOptions;
  /** Run tokens, by flow, that were compared with the flows' keys in this term. */
  readonly #checked = new Map<string, string>();
  /** When a flow was first found wanted, by name and code. Monotonic ms. */
  readonly #wantedSince = new Map<string, number>();
  readonly #underWay = new Set<string>();
  #begun: Begun[] = [];

  constructor(options: BeginningsOptions) {
    this.#options = options;
  }

  /** Whether its run is being begun, or was and is not on record yet. */
  has(flow: string): boolean {
    return this.#underWay.has(flow) || this.#begun.some(({ wanted }) => wanted.name === flow);
  }

  /** This node leads anew: keys may be others. */
  renew(): void {
    this.#checked.clear();
  }

  /** Begins a run of each flow that is wanted and has none; takes note of what happened to runs outside of the cluster. `term`: in which this node leads. */
  async look(term: number): Promise<void> {
    const wanted = this.#options.directory.wanted(), named = new Set(wanted.map(({ name, code }) => codeOf(name, code)));
    for (const flow of this.#wantedSince.keys()) if (!named.has(flow)) this.#wantedSince.delete(flow);
    for (const flow of wanted) {
      if (this.has(flow.name)) continue;
      await this.#options.apart(flow.name, async () => {
        if (await this.#isDue(flow)) void this.#begin(flow, term);
      });
    }
  }

  /** What was begun in this term, as it is to be put on record; to be taken once. */
  take(term: number): readonly FlowSeats[] {
    const { flows } = this.#options.placements.state;
    return this.#begun.splice(0).filter((begun) => begun.term === term).map(({ wanted: { name, code }, run }) => {
      const known = flows.get(name);
      // A resumed run keeps the seats that it had: its journals are there. Where they may be its code says.
      const stages = known?.run === run.token ? known.stages.map((stage) => ({ ...stage, seats: stage.seats.map(withoutCode), place: run.stages.find((one) => one.name === stage.name)?.place ?? stage.place })) : run.stages;
      return { name, run: run.token, code, ended: false, stages };
    });
  }

  async #isDue(wanted: WantedFlow): Promise<boolean> {
    const { placements, directory } = this.#options, known = placements.state.flows.get(wanted.name);
    if (known !== undefined && !known.ended) {
      const run = await this.#runOf(known);
      // Placed, and never said to have ended: of such a run a key is there.
      if (run === undefined) {
        directory.refused(wanted.name, lost(known));
        return false;
      }
      if ((known.code === wanted.code || known.upgrade?.to === wanted.code) && stands(known, run)) return false;
    }
    // Another code of it was undeployed: that stops first.
    if (known !== undefined && directory.stops(known)) return false;
    return known?.ended === false || this.#gathered(wanted);
  }

  /** Never rejects. */
  async #begin(wanted: WantedFlow, term: number): Promise<void> {
    const { directory, log, onBegun } = this.#options, { name, code } = wanted;
    this.#underWay.add(name);
    const run = await directory.begin(name).catch((thrown: unknown) => {
      const error = asError(thrown), known = error instanceof MillraceError ? error.code : "";
      // NATS is away, or another node that leads by now was faster: looked at again with the next beat.
      if (known === "UNREACHABLE" || known === "FLOW_TAKEN") log.debug(`a run of ${name} could not be begun now`, { reason: error.message });
      else directory.refused(name, error);
      return undefined;
    });
    this.#underWay.delete(name);
    if (run === undefined) return;
    this.#checked.set(name, run.token);
    this.#wantedSince.delete(codeOf(name, code));
    this.#begun.push({ wanted, term, run });
    onBegun();
  }

  /** What the key of a flow tells of. Where that is the run that is placed, it is asked once in a term. */
  async #runOf(flow: FlowSeats): Promise<Pick<FlowSeats, "code"> & { readonly token: string } | undefined> {
    if (this.#checked.get(flow.name) === flow.run) return { token: flow.run, code: flow.code };
    const run = await this.#options.directory.run(flow.name);
    if (run !== undefined && stands(flow, run)) this.#checked.set(flow.name, flow.run);
    return run;
  }

  #gathered({ name, code, nodes }: WantedFlow): boolean {
    const { membership, clock } = this.#options, able = membership.nodes.filter(({ name: node, flows }) => membership.isHeard(node) && flows.some((flow) => flow.name === name && flow.code === code)).length;
    const now = clock.monotonic(), since = this.#wantedSince.get(codeOf(name, code)) ?? now;
    this.#wantedSince.set(codeOf(name, code), since);
    return able >= nodes || now - since >= gatherMs;
  }
}

function stands({ run, code, upgrade }: FlowSeats, of: { readonly token: string; readonly code: string }): boolean {
  return of.token === run && (of.code === code || of.code === upgrade?.to);
}

function lost({ name, run }: FlowSeats): MillraceError {
  return new MillraceError("BROKER_WENT_BACK", name, `Run ${run} of flow "${name}" is placed and has not ended, and the server lost its key`, "millrace repair writes the key again, from what nodes know of it. Else bring the server's store back; or undeploy it, and deploy it with --fresh.");
}
