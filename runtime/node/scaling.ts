// Scales a stage of a flow while it runs (PROTOCOL 11): this node leads. What is planned stands under the flow's key before anything is done,
// and what is next is found from the facts (scale-step.ts), so whoever leads next goes on where it was. Each step can be taken twice, and a
// leader that does not know that it leads no longer does no harm: facts stay true, and the key is changed by compare-and-set.
import type { Broker } from "../broker/broker.ts";
import type { Clock } from "../event/clock.ts";
import { asError, MillraceError } from "../event/errors.ts";
import type { Logger } from "../flow/context.ts";
import { type FlowPlan, followsOf } from "../flow/plan.ts";
import type { StageLag } from "./lag-watch.ts";
import { type FollowStatus, Following } from "./following.ts";
import type { RunRecord } from "./run-record.ts";
import { createStreams, removeGenerations, streamsOfStage } from "./run-streams.ts";
import { checkFree, checkRunning, checkScale } from "./scale-check.ts";
import { ScaleCost, type ScaleReceipt } from "./scale-receipt.ts";
import { type Change, nextStep, type Step } from "./scale-step.ts";
import { factsOf, type ScaleView } from "./scale-view.ts";
import { changeOf, generationOf, givenTo, isLeft } from "./stage-generations.ts";

/** What a flow is scaled on: one node that has all of it, or several that it is placed over. */
export interface ScaleGround {
  readonly plan: FlowPlan;
  /** The run, as it is known here. */
  readonly record: RunRecord;
  /** Whether it goes on where an earlier start was interrupted. */
  readonly resumed: boolean;
  /** What keeps any of its stages from being scaled now. Default: nothing. */
  readonly obstacle?: (to?: { readonly stage: string; readonly count: number }) => MillraceError | undefined;
  /** Where other nodes may have changed it: looks what the key says now. @throws MillraceError UNREACHABLE */
  refresh(): Promise<void>;
  /** Changes the run, by compare-and-set, and tells all who have a part of it. `to` may be called again, with what another has made of it. @throws MillraceError FLOW_TAKEN, UNREACHABLE, and what `to` throws */
  change(to: (now: RunRecord) => RunRecord): Promise<void>;
  /** What each node knows of that change; of one that does not answer, nothing. `cost`: with what it takes longer to count. */
  views(change: Change, cost: boolean): Promise<readonly ScaleView[]>;
  /** †All old ones are sealed: has the new ones started. May be called again. @throws MillraceError FLOW_TAKEN, UNREACHABLE */
  start(change: Change): Promise<void>;
  /** The change is no more: what has no place in the flow now goes. */
  ended(change: Change, finished: boolean): Promise<void>;
  /** The streams of that generation are gone. */
  tidied(stage: string, gone: Change["from"]): Promise<void>;
  /** Of the stages that follow their lag. */
  lags(): Promise<readonly StageLag[]>;
}

export interface ScalingEnvironment {
  readonly broker: Broker;
  readonly clock: Clock;
  readonly log: Logger;
  readonly replicas: 1 | 3;
  readonly retainMs: number;
}

/** What is to be known of it, as plain data. */
export interface ScaleStatus {
  readonly flow: string;
  /** What is being changed now. */
  readonly change: { readonly stage: string; readonly generation: string; readonly from: number; readonly to: number; readonly takenBack: boolean } | null;
  /** What it waits for: actors, and in which step. */
  readonly waits: { readonly for: readonly string[]; readonly why: "upstream" | "seal" | "start" } | null;
  /** Why a step could not be taken; it is tried again. */
  readonly trouble: string | null;
  /** Of the last one that came to its end on this node. Withdrawn and not taken back: some of its actors, or all of those who feed it, had come to their end. */
  readonly last: { readonly stage: string; readonly generation: string; readonly is: "finished" | "withdrawn"; readonly takenBack: boolean; readonly receipt: ScaleReceipt } | null;
  readonly counts: Readonly<Record<string, number>>;
  /** Stages that follow their lag. */
  readonly follows: readonly FollowStatus[];
}

/** Who is waited for is looked at so often; less often when nothing has happened for a while, or where there are many nodes. In ms. */
const lookMs = { soon: 50, later: 250, laterAfter: 5_000, ofEachNode: 4 } as const;
const againMs = 500, followMs = 1_000;

export class FlowScaling {
  readonly #env: ScalingEnvironment;
  readonly #ground: ScaleGround;
  readonly #following: Following;
  #leading: Promise<void> | undefined;
  #waits: Extract<Step, { is: "wait" }> | undefined;
  #trouble: string | undefined;
  #last: ScaleStatus["last"] = null;
  /** What the record may not say any more, and `#last` not yet. */
  #ending: Change | undefined;
  #cost: { readonly generation: string; readonly of: ScaleCost } | undefined;
  #nodes = 1;
  #closed = false;
  readonly #waiting = new Set<() => void>();
  #poke = (): void => {};

  constructor(env: ScalingEnvironment, ground: ScaleGround) {
    this.#env = env;
    this.#ground = ground;
    this.#following = new Following(ground.plan, env.log);
  }

  /** The run, as it stands. */
  get record(): RunRecord {
    return this.#ground.record;
  }

  get status(): ScaleStatus {
    const { record, plan } = this.#ground, change = changeOf(record) ?? this.#ending;
    return {
      flow: plan.name, last: this.#last, trouble: this.#trouble ?? null,
      change: change === undefined ? null : { stage: change.stage, generation: change.to.generation, from: change.from.count, to: change.to.count, takenBack: change.takenBack },
      waits: change === undefined || this.#waits === undefined ? null : { for: this.#waits.for, why: this.#waits.why },
      counts: Object.fromEntries(record.stages.map(({ name, parallelism }) => [name, parallelism])),
      follows: this.#following.status(record),
    };
  }

  /** Goes on with what was begun before, and has stages follow their lag. */
  resume(): void {
    if (this.#ground.resumed) this.#tidyLater();
    if (this.record.change !== undefined) this.#lead();
    if (this.#ground.plan.stages.some((stage) => followsOf(stage) !== undefined)) this.#followLater();
  }

  /** Another node may have changed the run. @throws MillraceError UNREACHABLE */
  async look(): Promise<void> {
    await this.#ground.refresh();
    if (this.record.change !== undefined && !this.#closed) this.#lead();
  }

  /** There may be something to see. */
  poke(): void {
    this.#poke();
  }

  /** Plans it; it is then under way. @throws MillraceError as checkScale and checkRunning do, FLOW_TAKEN, UNREACHABLE */
  async begin(stage: string, count: number): Promise<void> {
    const ground = this.#ground, { plan } = ground;
    await ground.refresh();
    const obstacle = ground.obstacle?.({ stage, count });
    if (obstacle !== undefined) throw obstacle;
    const its = checkScale(plan, this.record, stage, count), ordinal = (): number => givenTo(this.record, stage);
    const { generation, parallelism } = this.record.stages.find(({ name }) => name === stage) as RunRecord["stages"][number];
    const would: Change = { stage, from: { generation, count: parallelism }, to: { generation: generationOf(this.record.token, ordinal() + 1), count }, takenBack: false };
    checkRunning(plan.name, its, factsOf(plan, this.record, would, await ground.views(would, false)).old);
    const free = (now: RunRecord): RunRecord => {
      checkFree(plan.name, stage, now);
      return now;
    };
    // A number that is given out is nobody else's: so are the streams that are made for it, whoever else plans at the same time.
    await ground.change((now) => ({ ...free(now), stages: now.stages.map((one) => (one.name === stage ? { ...one, given: givenTo(now, stage) + 1 } : one)) }));
    const given = ordinal(), next = generationOf(this.record.token, given);
    await createStreams(this.#env.broker, streamsOfStage(plan.name, its, { generation: next, parallelism: count }, this.#env));
    await ground.change((now) => {
      if (givenTo(free(now), stage) !== given) throw new MillraceError("SCALE_UNDER_WAY", `${plan.name}/${stage}`, "Another order to scale it was faster", "Look with --why.");
      return { ...now, change: { stage, generation: next, parallelism: count, takenBack: false } };
    });
    this.#cost = { generation: next, of: new ScaleCost(this.#env.clock.monotonic()) };
    this.#env.log.info(`${plan.name}/${stage}: being scaled from ${parallelism} to ${count}`);
    this.#lead();
  }

  /** Has it taken back, if that can still be. @throws MillraceError NOTHING_TO_DO, SCALE_STANDS, FLOW_TAKEN, UNREACHABLE */
  async takeBack(): Promise<void> {
    const { plan } = this.#ground;
    await this.#ground.refresh();
    await this.#ground.change((now) => {
      const { change } = now;
      if (change === undefined) throw new MillraceError("NOTHING_TO_DO", plan.name, "No stage of it is being scaled", "`millrace tree` shows how many actors each has.");
      if (change.stands === true || change.started === true) throw new MillraceError("SCALE_STANDS", `${plan.name}/${change.stage}`, "Who feeds it sends to the new actors already: it cannot be taken back any more", "Wait for its end, --why tells what it waits for; then scale it back.");
      return { ...now, change: { ...change, takenBack: true } };
    });
    // All who are there hear of it before it is answered: who has not gone over by then does not.
    const change = changeOf(this.record);
    if (change !== undefined) await this.#ground.views(change, false);
    this.#lead();
  }

  /** Nothing more is done; resolves when nothing is under way. */
  close(): Promise<void> {
    this.#closed = true;
    for (const cancel of this.#waiting) cancel();
    this.#waiting.clear();
    this.#poke();
    return this.#leading ?? Promise.resolve();
  }

  #lead(): void {
    this.#leading ??= this.#steps().finally(() => { this.#leading = undefined; });
  }

  async #steps(): Promise<void> {
    const { clock } = this.#env;
    let said = "", movedAt = clock.monotonic();
    for (let change = changeOf(this.record); change !== undefined && !this.#closed; change = changeOf(this.record)) {
      let waitMs = lookMs.soon as number;
      try {
        const step = await this.#step(change), now = clock.monotonic(), its = JSON.stringify(step);
        if (its !== said) [said, movedAt] = [its, now];
        waitMs = Math.max(now - movedAt > lookMs.laterAfter ? lookMs.later : lookMs.soon, lookMs.ofEachNode * this.#nodes);
        this.#trouble = undefined;
      } catch (error) {
        this.#trouble = asError(error).message;
        waitMs = againMs;
        await this.#ground.refresh().catch(() => {});
      }
      if (changeOf(this.record) !== undefined) await this.#pause(waitMs);
    }
  }

  async #step(change: Change): Promise<Step> {
    const ground = this.#ground, views = await ground.views(change, false), { clock } = this.#env;
    this.#nodes = views.length;
    if (this.#cost?.generation !== change.to.generation) this.#cost = { generation: change.to.generation, of: new ScaleCost(clock.monotonic()) };
    this.#cost.of.see(views, clock.monotonic());
    const step = nextStep(change, factsOf(ground.plan, ground.record, change, views));
    this.#waits = step.is === "wait" ? step : undefined;
    if (step.is === "start") await ground.start(change);
    if (step.is === "stand") await ground.change(whileIts(change, (now, its) => ({ ...now, change: { ...its, takenBack: false, stands: true } })));
    if (step.is === "finish") this.#cost.of.see(await ground.views(change, true), clock.monotonic());
    if (step.is === "finish" || step.is === "withdraw") await this.#end(change, step.is === "finish", this.#cost.of);
    return step;
  }

  async #end(change: Change, finished: boolean, cost: ScaleCost): Promise<void> {
    const { stage, from, to } = change, { clock, log } = this.#env, { plan } = this.#ground;
    this.#ending = change;
    await this.#ground.change(whileIts(change, ({ change: its, ...now }) => (!finished && its?.stands === true && change.stands !== true ? { ...now, change: its } : {
      ...now, stages: now.stages.map((one) => (one.name !== stage ? one : finished ? { ...one, generation: to.generation, parallelism: to.count } : { ...one, withdrawn: [...(one.withdrawn ?? []), to.generation] })),
    }))).finally(() => { this.#ending = undefined; });
    // Another leader has found meanwhile that it stands.
    if (this.record.change?.generation === to.generation) return;
    this.#last = { stage, generation: to.generation, is: finished ? "finished" : "withdrawn", takenBack: change.takenBack, receipt: cost.receipt(change, clock.monotonic()) };
    log.info(`${plan.name}/${stage}: ${finished ? `scaled from ${from.count} to ${to.count}` : `stays at ${from.count}, ${change.takenBack ? "that it was to be scaled is taken back" : "it has ended in this run, or a part of it has"}`}`);
    await this.#ground.ended(change, finished);
    this.#tidyLater(() => this.#ground.tidied(stage, finished ? from : to));
  }

  /** What generations that are over leave: not before what they sent is stored for long enough (P32). */
  #tidyLater(then: () => Promise<void> = async () => {}): void {
    this.#after(this.#env.retainMs, () => {
      this.#tidy().then(then).catch((error: unknown) => this.#env.log.warn("what generations that are over have left could not be removed; the next start does it", { reason: asError(error).message }));
    });
  }

  #tidy(): Promise<void> {
    const { record, plan } = this.#ground;
    return removeGenerations(this.#env.broker, plan.name, (name, generation) => isLeft(record, name, generation));
  }

  #followLater(): void {
    this.#after(followMs, () => void this.#follow().finally(() => this.#followLater()));
  }

  async #follow(): Promise<void> {
    const { clock } = this.#env;
    if (this.#ground.obstacle?.() !== undefined) return;
    try {
      const lags = await this.#ground.lags(), decided = this.#following.look(this.record, lags, clock.monotonic(), clock.now());
      if (decided !== undefined && !this.#closed) await this.begin(decided.stage, decided.to).catch((error: unknown) => this.#following.failed(decided.stage, asError(error)));
    } catch (error) {
      this.#env.log.debug("the lag of stages could not be looked at", { reason: asError(error).message });
    }
  }

  #after(ms: number, call: () => void): void {
    if (this.#closed) return;
    const cancel = this.#env.clock.after(ms, () => {
      this.#waiting.delete(cancel);
      call();
    });
    this.#waiting.add(cancel);
  }

  #pause(ms: number): Promise<void> {
    return new Promise((done) => {
      const finish = (): void => { cancel(); this.#poke = () => {}; done(); }, cancel = this.#env.clock.after(ms, finish);
      this.#poke = finish;
      if (this.#closed) finish();
    });
  }
}

/** Where another leader has taken the step meanwhile, all stays as that one made it. */
export function whileIts({ to }: Pick<Change, "to">, then: (now: RunRecord, change: NonNullable<RunRecord["change"]>) => RunRecord): (now: RunRecord) => RunRecord {
  return (now) => (now.change?.generation === to.generation ? then(now, now.change) : now);
}
