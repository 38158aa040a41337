// A flow that is placed over nodes, as it is scaled: each node is asked what its actors have done, and hears of the plan by that question at
// the latest. Where actors are is the cluster's leader's to say: it gives a stage as many seats as its run's record says.
import type { Broker } from "../broker/broker.ts";
import type { Membership } from "../cluster/membership.ts";
import { MillraceError } from "../event/errors.ts";
import type { FlowPlan } from "../flow/plan.ts";
import { type StageLag, together } from "./lag-watch.ts";
import { ask, operateSubject } from "./questions.ts";
import type { FlowRun } from "./run.ts";
import type { RunRecord } from "./run-record.ts";
import type { Change } from "./scale-step.ts";
import type { ScaleView } from "./scale-view.ts";
import { type ScaleGround, whileIts } from "./scaling.ts";

/** What a node of the cluster is asked. It looks at the run's record first where it knows an older one. */
export interface GenerationQuestion {
  readonly flow: string;
  /** Token of the run. */
  readonly run: string;
  readonly revision: number;
  readonly change?: Change;
  /** What that costs, too. */
  readonly cost?: boolean;
  readonly lags?: true;
}

export interface GenerationAnswer {
  readonly view?: ScaleView;
  readonly lags?: readonly StageLag[];
}

export interface PlacedScalingOptions {
  readonly broker: Broker;
  readonly membership: () => Membership;
  /** What keeps it from being scaled now. */
  readonly obstacle: (to?: { readonly stage: string; readonly count: number }) => MillraceError | undefined;
  /** The record says another number of seats. */
  readonly reseat: () => void;
}

/** A node that does not answer in time is left out; in ms. */
const answerMs = 1_500;
const tries = 4;

export class PlacedScaling implements ScaleGround {
  readonly plan: FlowPlan;
  readonly #options: PlacedScalingOptions;
  readonly #run: FlowRun;

  constructor(options: PlacedScalingOptions, plan: FlowPlan, run: FlowRun) {
    this.#options = options;
    this.#run = run;
    this.plan = plan;
  }

  get record(): RunRecord {
    return this.#run.record;
  }

  get resumed(): boolean {
    return true;
  }

  obstacle(to?: { readonly stage: string; readonly count: number }): MillraceError | undefined {
    return this.#options.obstacle(to);
  }

  async refresh(): Promise<void> {
    await this.#run.refresh();
  }

  async change(to: (now: RunRecord) => RunRecord): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#run.change(to);
        return;
      } catch (error) {
        // Another node wrote to the key: what to write is computed from that again.
        if (attempt === tries || !(error instanceof MillraceError) || error.code !== "FLOW_TAKEN" || !(await this.#run.refresh())) throw error;
      }
    }
  }

  async views(change: Change, cost: boolean): Promise<readonly ScaleView[]> {
    return (await this.#ask({ change, cost })).flatMap(({ view }) => view ?? []);
  }

  async start(change: Change): Promise<void> {
    if (this.record.change?.started !== true) await this.change(whileIts(change, (now, its) => ({ ...now, change: { ...its, started: true } })));
    this.#options.reseat();
    await this.#ask({});
  }

  async ended(): Promise<void> {
    this.#options.reseat();
    await this.#ask({});
  }

  /** Each node removes what it has itself. */
  async tidied(): Promise<void> {}

  async lags(): Promise<readonly StageLag[]> {
    const worst = new Map<string, StageLag>();
    for (const { lags = [] } of await this.#ask({ lags: true })) for (const lag of lags) worst.set(lag.stage, together(worst.get(lag.stage), lag));
    return [...worst.values()];
  }

  async #ask(more: Pick<GenerationQuestion, "change" | "cost" | "lags">): Promise<readonly GenerationAnswer[]> {
    const { broker, membership } = this.#options, { name } = this.plan, question = { what: "generation", flow: name, run: this.record.token, revision: this.#run.revision, ...more };
    const answers = await Promise.all(membership().nodes.filter(({ flows }) => flows.some((flow) => flow.name === name)).map(async (node) => {
      try {
        return (await ask(broker, node.name, question, answerMs, operateSubject(node.name))) as GenerationAnswer;
      } catch {
        // It may be gone, busy, or be standing still: what it has is away until it answers.
        return {};
      }
    }));
    return answers.filter((answer) => answer !== null);
  }
}
