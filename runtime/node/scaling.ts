// Scales a stage of a flow while it runs (PROTOCOL 11): this node leads. What is planned stands under the flow's key before anything is done,
// and what is next is found from the facts (scale-step.ts), so a node that is killed in between goes on where it was.
import type { Actor } from "../actor/actor.ts";
import type { Division } from "../actor/environment.ts";
import type { Broker } from "../broker/broker.ts";
import type { Clock } from "../event/clock.ts";
import { asError, MillraceError } from "../event/errors.ts";
import type { Logger } from "../flow/context.ts";
import type { StagePlan } from "../flow/plan.ts";
import type { Stores } from "../journal/store.ts";
import type { Root } from "../supervision/root.ts";
import type { HostedActor } from "./hosted-actor.ts";
import type { HostedFlow } from "./hosted-flow.ts";
import type { FlowRun } from "./run.ts";
import type { RunRecord } from "./run-record.ts";
import { createStreams, removeGenerations, streamsOfStage } from "./run-streams.ts";
import { type Change, type Facts, nextStep, type Step, type Upstream } from "./scale-step.ts";
import { receiptOf, type ScaleReceipt, sentAgain } from "./scale-receipt.ts";
import { changeOf, generationOf, ordinalOf } from "./stage-generations.ts";
import { checkScale, underWay } from "./scale-check.ts";

export interface ScalingEnvironment {
  readonly broker: Broker;
  readonly clock: Clock;
  readonly log: Logger;
  readonly stores: Stores;
  readonly root: Root;
  readonly replicas: 1 | 3;
  readonly retainMs: number;
}

/** What is to be known of it, as plain data. */
export interface ScaleStatus {
  readonly flow: string;
  /** What is being changed now. */
  readonly change: { readonly stage: string; readonly from: number; readonly to: number; readonly takenBack: boolean } | null;
  /** What it waits for: actors, and in which step. */
  readonly waits: { readonly for: readonly string[]; readonly why: "upstream" | "seal" | "start" } | null;
  /** Why a step could not be taken; it is tried again. */
  readonly trouble: string | null;
  /** Of the last one that came to its end on this node. */
  readonly last: { readonly stage: string; readonly is: "finished" | "withdrawn"; readonly receipt: ScaleReceipt } | null;
  readonly counts: Readonly<Record<string, number>>;
}

const lookMs = 50, againMs = 500;

export class FlowScaling {
  readonly #env: ScalingEnvironment;
  readonly #flow: HostedFlow;
  readonly #run: FlowRun;
  #leading: Promise<void> | undefined;
  #waits: Extract<Step, { is: "wait" }> | undefined;
  #trouble: string | undefined;
  #last: ScaleStatus["last"] = null;
  #begunAt = 0;
  #againBefore = 0;
  #closed = false;
  readonly #waiting = new Set<() => void>();
  #poke = (): void => {};

  constructor(env: ScalingEnvironment, flow: HostedFlow, run: FlowRun) {
    this.#env = env;
    this.#flow = flow;
    this.#run = run;
    flow.onSealed = () => this.#poke();
  }

  /** The run, as it stands. */
  get record(): RunRecord {
    return this.#run.record;
  }

  get status(): ScaleStatus {
    const change = changeOf(this.#run.record);
    return {
      flow: this.#flow.name, last: this.#last, trouble: this.#trouble ?? null,
      change: change === undefined ? null : { stage: change.stage, from: change.from.count, to: change.to.count, takenBack: change.takenBack },
      waits: this.#waits === undefined ? null : { for: this.#waits.for, why: this.#waits.why },
      counts: Object.fromEntries(this.#run.record.stages.map(({ name, parallelism }) => [name, parallelism])),
    };
  }

  /** Goes on with what an earlier life of the node had begun. */
  resume(): void {
    if (this.#run.resumed) this.#tidyLater();
    if (this.#run.record.change !== undefined) this.#lead();
  }

  /** Plans it; it is then under way. @throws MillraceError as checkScale does, FLOW_TAKEN, UNREACHABLE */
  async begin(stage: string, count: number): Promise<void> {
    const { record } = this.#run, its = checkScale(this.#flow, record, stage, count), kept = record.stages.find(({ name }) => name === stage) as RunRecord["stages"][number];
    const ordinal = (kept.given ?? ordinalOf(kept.generation)) + 1, generation = generationOf(record.token, ordinal);
    // Of a plan that was never written: nobody has heard of it.
    await removeGenerations(this.#env.broker, this.#flow.name, (of, left) => of === stage && ordinalOf(left) >= ordinal);
    await createStreams(this.#env.broker, streamsOfStage(this.#flow.name, its, { generation, parallelism: count }, this.#env));
    await this.#run.change((now) => {
      if (now.change !== undefined) throw underWay(this.#flow.name, now);
      return { ...now, change: { stage, generation, parallelism: count, takenBack: false }, stages: now.stages.map((one) => (one.name === stage ? { ...one, given: ordinal } : one)) };
    });
    this.#begunAt = this.#env.clock.monotonic();
    this.#againBefore = sentAgain(this.#flow, stage);
    this.#flow.adopt();
    this.#lead();
  }

  /** Has it taken back, if that can still be. @throws MillraceError NOTHING_TO_DO, FLOW_TAKEN, UNREACHABLE */
  async takeBack(): Promise<void> {
    await this.#run.change((now) => {
      if (now.change === undefined) throw new MillraceError("NOTHING_TO_DO", this.#flow.name, "No stage of it is being scaled", "`millrace tree` shows how many actors each has.");
      return { ...now, change: { ...now.change, takenBack: true } };
    });
    this.#flow.adopt();
    this.#lead();
  }

  close(): void {
    this.#closed = true;
    for (const cancel of this.#waiting) cancel();
    this.#poke();
  }

  #lead(): void {
    this.#leading ??= this.#steps().finally(() => { this.#leading = undefined; });
  }

  async #steps(): Promise<void> {
    for (let change = changeOf(this.#run.record); change !== undefined && !this.#closed; change = changeOf(this.#run.record)) {
      let waitMs = lookMs;
      try {
        const step = nextStep(change, await this.#facts(change));
        this.#waits = step.is === "wait" ? step : undefined;
        if (step.is !== "wait") await this.#take(step.is, change);
        this.#trouble = undefined;
      } catch (error) {
        this.#trouble = asError(error).message;
        waitMs = againMs;
      }
      if (changeOf(this.#run.record) !== undefined) await this.#pause(waitMs);
    }
  }

  async #take(step: Exclude<Step["is"], "wait">, change: Change): Promise<void> {
    if (step === "start") return this.#start(change);
    if (step === "stand") {
      await this.#run.change((now) => (now.change === undefined ? now : { ...now, change: { ...now.change, takenBack: false } }));
      return this.#flow.adopt();
    }
    await this.#end(change, step === "finish");
  }

  /** †All old ones are sealed. */
  #start({ stage: name, from, to }: Change): void {
    const { clock, root, log } = this.#env, stage = this.#stage(name);
    this.#flow.succession?.switchOver(clock.monotonic());
    for (let p = from.count; p < to.count; p++) {
      const address = `${this.#flow.name}/${name}/${p}`;
      if (this.#flow.actors.has(address)) continue;
      const { child } = this.#flow.addActor(stage, p);
      root.add(`${this.#flow.name}/${name}`, { kind: "actor", child }).catch((error: unknown) => log.warn("an actor of a new generation could not be added", { actor: address, reason: asError(error).message }));
    }
  }

  async #end(change: Change, finished: boolean): Promise<void> {
    const { stage, from, to } = change, gone = finished ? from : to, { root, stores, clock, log } = this.#env;
    const receipt = receiptOf(this.#flow, change, { ms: clock.monotonic() - this.#begunAt, again: sentAgain(this.#flow, stage) - this.#againBefore });
    this.#last = { stage, is: finished ? "finished" : "withdrawn", receipt };
    await this.#run.change(({ change: _, ...now }) => ({ ...now, stages: now.stages.map((one) => (one.name !== stage ? one : finished ? { ...one, generation: to.generation, parallelism: to.count } : { ...one, withdrawn: [...(one.withdrawn ?? []), to.generation] })) }));
    this.#flow.adopt();
    for (let p = to.count; finished && p < from.count; p++) {
      const address = `${this.#flow.name}/${stage}/${p}`;
      await root.remove(address).catch((error: unknown) => log.debug("an actor of an old generation could not be removed", { actor: address, reason: asError(error).message }));
      this.#flow.removeActor(address);
    }
    for (const actor of this.#flow.actors.values()) actor.sealed = undefined;
    this.#tidyLater(async () => { for (let p = 0; p < gone.count; p++) await stores.remove(`${this.#flow.name}/${stage}/${gone.generation}/${p}`); });
  }

  /** What generations that are over leave: not before what they sent is stored for long enough (P32). */
  #tidyLater(then: () => Promise<void> = async () => {}): void {
    const { clock, retainMs, log } = this.#env, cancel = clock.after(retainMs, () => {
      this.#waiting.delete(cancel);
      this.#tidy().then(then).catch((error: unknown) => log.warn("what generations that are over have left could not be removed; the next start does it", { reason: asError(error).message }));
    });
    this.#waiting.add(cancel);
  }

  #tidy(): Promise<void> {
    const { stages, change, token } = this.#run.record;
    return removeGenerations(this.#env.broker, this.#flow.name, (name, generation) => {
      const kept = stages.find((one) => one.name === name);
      return kept !== undefined && generation.startsWith(`${token}-`) && generation !== kept.generation && !(change?.stage === name && change.generation === generation);
    });
  }

  async #facts({ stage: name, from, to }: Change): Promise<Facts> {
    const feeds = new Set(this.#stage(name).inputs.map((edge) => edge.from)), { succession } = this.#flow;
    const upstream = await Promise.all([...this.#flow.actors.values()].filter(({ stage }) => feeds.has(stage.name)).map(async (hosted): Promise<Upstream> => ({ actor: hosted.address, stance: await stanceOf(hosted, name, to.generation) })));
    const at = (p: number): HostedActor | undefined => this.#flow.actors.get(`${this.#flow.name}/${name}/${p}`), addresses = (of: Division) => Array.from({ length: of.count }, (_, p) => p);
    return {
      upstream,
      old: addresses(from).map((p) => ({ actor: `${name}/${p}`, state: succession?.sealed.has(p) === true ? "sealed" : at(p)?.hasEnded === true ? "ended" : "runs" })),
      new: addresses(to).map((p) => ({ actor: `${name}/${p}`, state: at(p)?.recovered?.generation === to.generation ? (at(p)?.hasEnded === true ? "ended" : "runs") : "away" })),
    };
  }

  #stage(name: string): StagePlan {
    return this.#flow.plan.stages.find((stage) => stage.name === name) as StagePlan;
  }

  #pause(ms: number): Promise<void> {
    return new Promise((done) => {
      const finish = (): void => { cancel(); this.#poke = () => {}; done(); }, cancel = this.#env.clock.after(ms, finish);
      this.#poke = finish;
      if (this.#closed) finish();
    });
  }
}

/** What its log says: what only its memory says may be taken back by a crash. */
async function stanceOf({ recovered, hasEnded }: HostedActor, stage: string, generation: string): Promise<Upstream["stance"]> {
  if (recovered === undefined) return "away";
  const stance = (actor: Actor): Upstream["stance"] => {
    const decided = actor.emitter.routing.stance(stage, generation);
    return decided === "open" && actor.hasEnded ? "ended" : decided;
  };
  const said = stance(recovered);
  if (recovered.signal.aborted) return hasEnded ? said : "away";
  if (said === "open") return said;
  return (await recovered.whenCommitted()) ? said : "away";
}
