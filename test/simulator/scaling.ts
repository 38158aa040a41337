// Live scaling in a world: a leader that plans, starts, retires and takes back by the engine's own steps (scale-step.ts), at random moments,
// and nodes that learn of it late, each at its own time.
import { type Division, type Generations, streamName, subjectsOf } from "../../runtime/actor/environment.ts";
import { exitOf } from "../../runtime/actor/exit.ts";
import type { StagePlan } from "../../runtime/flow/plan.ts";
import { Assembler, type Body } from "../../runtime/journal/record.ts";
import { sealedInVain } from "../../runtime/journal/seal.ts";
import { type Change, type Facts, nextStep, type Upstream } from "../../runtime/node/scale-step.ts";
import { feedsOf } from "../../runtime/node/scale-view.ts";
import type { SimulatedNode } from "./node.ts";
import type { Slot } from "./slot.ts";
import type { World } from "./world.ts";

/** What the flow's key says, one after the other. */
interface Plan {
  readonly divisions: ReadonlyMap<string, Division>;
  readonly change: Change | undefined;
  /** Generations that are over, or were never to be: "count sim00000-2". */
  readonly retired: ReadonlySet<string>;
}

export const token = "sim00000";
/** Most actors of a stage that is scaled. */
export const mostParallel = 3;

export class SimulatedScaling {
  readonly #world: World;
  readonly #stages: readonly string[];
  readonly #plans: Plan[];
  readonly #views = new Map<SimulatedNode, number>();
  readonly #first: ReadonlyMap<string, Division>;
  #left: number;
  #given = 1;
  /** So many changes were carried out, and taken back. */
  readonly done = { finished: 0, withdrawn: 0, stood: 0 };

  constructor(world: World, stages: readonly string[], changes: number) {
    this.#world = world;
    this.#stages = stages;
    this.#left = stages.length > 0 ? changes : 0;
    this.#first = new Map(world.flow.stages.map(({ name, parallelism }): [string, Division] => [name, { generation: `${token}-1`, count: parallelism }]));
    this.#plans = [{ divisions: this.#first, change: undefined, retired: new Set() }];
    if (this.#left > 0) this.#later(() => this.#plan());
  }

  get #plan_(): Plan {
    return this.#plans[this.#plans.length - 1] as Plan;
  }

  /** As it is in force. */
  division(stage: string): Division {
    return this.#plan_.divisions.get(stage) as Division;
  }

  first(stage: string): Division {
    return this.#first.get(stage) as Division;
  }

  isRetired(stage: string, generation: string): boolean {
    return this.#plan_.retired.has(`${stage} ${generation}`);
  }

  get busy(): boolean {
    return this.#plan_.change !== undefined;
  }

  /** What a node knows: at its start something of late, then more as it hears of it. */
  viewOf(node: () => SimulatedNode | undefined): { readonly division: (stage: string) => Division; readonly generations: Generations } {
    const view = (): Plan => {
      const its = node();
      if (its === undefined) return this.#plan_;
      let seen = this.#views.get(its);
      if (seen === undefined) {
        this.#views.set(its, (seen = Math.max(0, this.#plans.length - 1 - this.#world.scheduler.chance.below(this.#plans.length > 1 ? 2 : 1))));
        if (seen < this.#plans.length - 1) this.#tell(its);
      }
      return this.#plans[seen] as Plan;
    };
    return {
      division: (stage) => view().divisions.get(stage) as Division,
      generations: {
        first: (stage) => this.first(stage),
        next: (stage) => { const { change } = view(); return change?.stage === stage ? { ...change.to, takenBack: change.takenBack, stands: change.stands } : undefined; },
        retired: (stage, generation) => view().retired.has(`${stage} ${generation}`),
      },
    };
  }

  /** One is sealed: where no plan says what comes after it, it has to say so. */
  sealed(slot: Slot): void {
    const { change } = this.#plan_;
    if (change?.stage === slot.stage.name || slot.generation !== this.division(slot.stage.name).generation) return;
    slot.done = false;
    this.#world.park(slot, exitOf(sealedInVain(slot.address)));
  }

  #tell(node: SimulatedNode): void {
    const { scheduler } = this.#world;
    scheduler.add(scheduler.lane(`${node.name} hears of the plan`, node), () => {
      const seen = this.#views.get(node) ?? 0;
      if (seen >= this.#plans.length - 1) return;
      this.#views.set(node, seen + 1);
      for (const slot of this.#world.everySlot) for (const life of slot.lives) if (life.node === node) life.actor.planChanged();
      this.#tell(node);
    });
  }

  #write(plan: Plan): void {
    this.#plans.push(plan);
    this.#world.scheduler.trace?.(`== plan: ${plan.change === undefined ? "none" : `${plan.change.stage} ${JSON.stringify(plan.change.to)}${plan.change.takenBack ? " taken back" : ""}`}`);
    for (const node of this.#world.alive) this.#tell(node);
  }

  #later(step: () => void): void {
    const { scheduler } = this.#world, { chance } = scheduler;
    if (chance.hits(0.5)) scheduler.after(chance.between(1, 400), "leader", undefined, step);
    else scheduler.afterSteps(chance.between(1, 60), "leader", step);
  }

  #plan(): void {
    const { scheduler: { chance }, flow, faults: { quiet } } = this.#world, name = chance.of(this.#stages), stage = flow.stages.find((one) => one.name === name) as StagePlan, from = this.division(name);
    if (quiet && this.#given > 1) return;
    const counts = Array.from({ length: mostParallel }, (_, i) => i + 1).filter((count) => count !== from.count), to: Division = { generation: `${token}-${this.#given + 1}`, count: chance.of(counts) };
    // It starts only if all old actors run.
    const old = this.#world.slots.filter((slot) => slot.stage.name === name);
    if (old.some(({ lives, done }) => done || lives.size === 0)) return old.every(({ done }) => done) ? undefined : this.#later(() => this.#plan());
    this.#given++;
    for (let p = 0; p < to.count; p++) this.#world.createStreams(stage, to.generation, p);
    this.#write({ ...this.#plan_, change: { stage: name, from, to, takenBack: false } });
    if (chance.hits(0.25)) this.#later(() => this.#takeBack());
    this.#later(() => this.#lead());
  }

  #takeBack(): void {
    const { change } = this.#plan_;
    if (change !== undefined && !change.takenBack) this.#write({ ...this.#plan_, change: { ...change, takenBack: true } });
  }

  // Each step may be taken by another leader than the one before: it looks at what there is.
  #lead(): void {
    const plan = this.#plan_, { change } = plan;
    if (change === undefined) return;
    const { is } = nextStep(change, this.#facts(change));
    const isOneSealed = !this.#world.rules.allSealed && this.#world.slots.some(({ stage, sealed }) => stage.name === change.stage && sealed);
    if (is === "start" || isOneSealed) this.#world.startGeneration(change);
    if (is === "stand") { this.done.stood++; this.#write({ ...plan, change: { ...change, takenBack: false, stands: true } }); }
    if (is === "withdraw" || is === "finish") return this.#end(plan, change, is === "finish");
    this.#later(() => this.#lead());
  }

  #end({ divisions, retired }: Plan, { stage, from, to }: Change, finished: boolean): void {
    const gone = finished ? from : to;
    this.done[finished ? "finished" : "withdrawn"]++;
    this.#write({ divisions: finished ? new Map([...divisions, [stage, to]]) : divisions, change: undefined, retired: new Set([...retired, `${stage} ${gone.generation}`]) });
    if (!finished) for (const slot of this.#world.slots) if (slot.stage.name === stage && slot.sealed) this.sealed(slot);
    this.#later(() => this.#world.removeGeneration(stage, gone));
    if (--this.#left > 0) this.#later(() => this.#plan());
  }

  #facts({ stage: name, from, to }: Change): Facts {
    const { flow, slots } = this.#world, feeds = feedsOf(flow, name);
    return {
      isSource: flow.stages.find((stage) => stage.name === name)?.kind === "source",
      upstream: slots.filter(({ stage }) => feeds.has(stage.name)).map((slot): Upstream => ({ actor: slot.address, stance: this.#stance(slot, name, to.generation) })),
      old: slots.filter(({ stage, generation }) => stage.name === name && generation === from.generation).map((slot) => ({ actor: slot.address, state: slot.sealed ? "sealed" : slot.done ? "ended" : "runs" })),
      new: Array.from({ length: to.count }, (_, p) => {
        const slot = slots.find(({ stage, generation, partition }) => stage.name === name && generation === to.generation && partition === p);
        return { actor: `${name}/${p}`, state: slot?.done === true ? "ended" : slot?.ran === true ? "runs" : "away" };
      }),
    };
  }

  /** What its log says. */
  #stance(slot: Slot, stage: string, generation: string): Upstream["stance"] {
    const assembler = new Assembler();
    let stance: Upstream["stance"] = "open";
    const apply = ({ routing, refused, own }: Body): void => {
      if (own?.ended === true && stance !== "barrier") stance = "ended";
      if (refused?.some(([of, its]) => of === stage && its === generation) === true) stance = "refused";
      if (routing?.some(([of, its]) => of === stage && its === generation) === true) stance = "barrier";
    };
    for (const { record } of this.#world.logOf(slot)) {
      const whole = assembler.take(record);
      if (whole !== undefined && whole.kind !== "snapshot") apply(whole.body);
    }
    return stance;
  }
}

/** Names of the streams of an actor of a generation. */
export function streamsOf(flow: string, stage: StagePlan, generation: string, partition: number): { readonly log: string; readonly mailbox: string; readonly chunks: string } {
  const { log, mailbox, chunks } = subjectsOf(flow, stage.name, generation, partition);
  return { log: streamName(log), mailbox: streamName(mailbox(0)), chunks: streamName(chunks) };
}
