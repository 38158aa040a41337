// Which node has which actor: pure, and the same from the same input. Sticky: what may stay stays, and no more is moved than the
// balance needs. Advice, not law: a wrong placement costs a restart, never a result (I1).
import type { PlacePlan } from "../flow/plan.ts";

export interface PlacementNode {
  readonly name: string;
  /** How much it takes, against the others. Above 0. */
  readonly weight: number;
  readonly labels: readonly string[];
  /** Most actors that it takes. Default: no limit. */
  readonly capacity?: number;
  /** It takes no actors, and what it has goes elsewhere; what no other node may have stays. */
  readonly cordoned?: boolean;
  /** Which flows it has the code of, as `<flow>@<hash>`. */
  readonly code: readonly string[];
}

export interface PlacementActor {
  /** "quakes/by-region/2". */
  readonly address: string;
  /** "quakes/by-region". */
  readonly stage: string;
  /** `<flow>@<hash>`: its node must have that. */
  readonly code: string;
  readonly place: PlacePlan;
  /** The node that a person chose for it: there it is as long as that node may have it. */
  readonly pin?: string;
}

/** Where an actor is. `node` null: it waits for one. */
export interface Seat {
  readonly node: string | null;
  readonly standby: readonly string[];
}

export interface Move {
  readonly actor: string;
  readonly from: string | null;
  readonly to: string | null;
  readonly why: string;
}

export interface Placed {
  /** Of every actor that was given. */
  readonly seats: ReadonlyMap<string, Seat>;
  /** Only what changes its node. */
  readonly moves: readonly Move[];
  /** Of every actor: why it is where it is. */
  readonly reasons: ReadonlyMap<string, string>;
}

const nobody: Seat = { node: null, standby: [] };
/** What the balance made room for is found by a second look; a bound, should looks ever answer each other. */
const mostLooks = 4;

/** Where `actors` are to be. `previous`: where they are; what is not in it has no node yet. */
export function place(nodes: readonly PlacementNode[], actors: readonly PlacementActor[], previous: ReadonlyMap<string, Seat>): Placed {
  let placed = look(nodes, actors, previous);
  for (let looks = 1; looks < mostLooks; looks++) {
    const next = look(nodes, actors, placed.seats);
    if (next.moves.length === 0) break;
    const reasons = new Map(placed.reasons);
    for (const { actor, why } of next.moves) reasons.set(actor, why);
    placed = { seats: next.seats, reasons, moves: movesBetween(actors, previous, next.seats, reasons) };
  }
  return placed;
}

function movesBetween(actors: readonly PlacementActor[], before: ReadonlyMap<string, Seat>, after: ReadonlyMap<string, Seat>, reasons: ReadonlyMap<string, string>): readonly Move[] {
  return actors.flatMap(({ address }) => {
    const from = before.get(address)?.node ?? null, to = after.get(address)?.node ?? null;
    return from === to ? [] : [{ actor: address, from, to, why: reasons.get(address) ?? "" }];
  });
}

function look(nodes: readonly PlacementNode[], actors: readonly PlacementActor[], previous: ReadonlyMap<string, Seat>): Placed {
  const plan = new Plan(nodes, actors);
  for (const actor of actors) plan.pin(actor);
  for (const actor of actors) if (plan.nodeOf(actor) === undefined) plan.keep(actor, previous.get(actor.address) ?? nobody);
  for (const actor of actors) if (plan.nodeOf(actor) === undefined) plan.seat(actor, previous.get(actor.address) ?? nobody);
  plan.balance();
  const seats = new Map<string, Seat>(), reasons = new Map<string, string>(), standby = plan.standby(previous);
  for (const actor of actors) {
    const { address } = actor, why = plan.why(actor, previous.get(address)?.node ?? null);
    seats.set(address, { node: plan.nodeOf(actor)?.name ?? null, standby: standby.get(address) ?? [] });
    reasons.set(address, why);
  }
  return { seats, moves: movesBetween(actors, previous, seats, reasons), reasons };
}

class Load {
  readonly node: PlacementNode;
  /** By stage, in the order of all. */
  readonly stages = new Map<string, PlacementActor[]>();
  readonly #order: ReadonlyMap<PlacementActor, number>;
  count = 0;

  constructor(node: PlacementNode, order: ReadonlyMap<PlacementActor, number>) {
    this.node = node;
    this.#order = order;
  }

  get name(): string {
    return this.node.name;
  }

  get full(): boolean {
    return this.count >= (this.node.capacity ?? Infinity);
  }

  /** By weight: what it has, and would have with one more. */
  get level(): number {
    return this.count / this.node.weight;
  }

  get nextLevel(): number {
    return (this.count + 1) / this.node.weight;
  }

  of(stage: string): number {
    return this.stages.get(stage)?.length ?? 0;
  }

  add(actor: PlacementActor): void {
    const its = this.stages.get(actor.stage) ?? [];
    its.splice(this.#placeIn(its, actor), 0, actor);
    this.stages.set(actor.stage, its);
    this.count++;
  }

  remove(actor: PlacementActor): void {
    const its = this.stages.get(actor.stage) as PlacementActor[];
    its.splice(this.#placeIn(its, actor), 1);
    this.count--;
  }

  #placeIn(its: readonly PlacementActor[], actor: PlacementActor): number {
    const place = (one: PlacementActor | undefined): number => this.#order.get(one as PlacementActor) as number, wanted = place(actor);
    let low = 0;
    for (let high = its.length; low < high; ) {
      const middle = (low + high) >> 1;
      if (place(its[middle]) < wanted) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

class Plan {
  readonly #loads: readonly Load[];
  readonly #at = new Map<PlacementActor, Load>();
  readonly #why = new Map<PlacementActor, string>();
  /** What keeps an actor where it is, other than that nothing asks for a move. */
  readonly #holds = new Map<PlacementActor, string>();
  readonly #order: ReadonlyMap<PlacementActor, number>;
  /** Of a stage that is spread: how many of it are to be on a node, at most and at least. */
  readonly #spread = new Map<string, { readonly most: number; readonly least: number }>();
  readonly #names: ReadonlySet<string>;

  constructor(nodes: readonly PlacementNode[], actors: readonly PlacementActor[]) {
    this.#order = new Map(actors.map((actor, at) => [actor, at]));
    this.#loads = [...nodes].sort((a, b) => (a.name < b.name ? -1 : 1)).map((node) => new Load(node, this.#order));
    this.#names = new Set(nodes.map(({ name }) => name));
    const stages = new Map<string, PlacementActor[]>();
    for (const actor of actors) if (actor.place.spread) stages.set(actor.stage, [...(stages.get(actor.stage) ?? []), actor]);
    for (const [stage, of] of stages) {
      const able = this.#loads.filter(({ node }) => lacks(node, of[0] as PlacementActor) === undefined).length;
      if (able > 0) this.#spread.set(stage, { most: Math.ceil(of.length / able), least: Math.floor(of.length / able) });
    }
  }

  nodeOf(actor: PlacementActor): PlacementNode | undefined {
    return this.#at.get(actor)?.node;
  }

  /** Puts an actor where a person wants it, where that may be: before all others, so that these make room. */
  pin(actor: PlacementActor): void {
    const load = this.#loads.find(({ name }) => name === actor.pin);
    if (load === undefined || !this.#takes(load, actor)) return;
    this.#why.set(actor, `pinned to ${load.name}`);
    this.#holds.set(actor, `pinned to ${load.name}`);
    this.#put(actor, load);
  }

  /** Leaves an actor where it was, where that may be. */
  keep(actor: PlacementActor, { node }: Seat): void {
    const load = this.#loads.find(({ name }) => name === node);
    if (load === undefined || lacks(load.node, actor) !== undefined || load.full || load.of(actor.stage) >= (this.#spread.get(actor.stage)?.most ?? Infinity)) return;
    this.#put(actor, load);
  }

  /** Finds a node for an actor that has none: one that has a warm copy of it, else the one with the most room. */
  seat(actor: PlacementActor, { node, standby }: Seat): void {
    const able = this.#loads.filter((load) => this.#takes(load, actor)), roomy = able.filter((load) => load.of(actor.stage) < (this.#spread.get(actor.stage)?.most ?? Infinity));
    const from = roomy.length > 0 ? roomy : able, warm = from.filter(({ name }) => standby.includes(name));
    const [best] = (warm.length > 0 ? warm : from).toSorted((a, b) => (actor.place.spread ? a.of(actor.stage) - b.of(actor.stage) : 0) || a.nextLevel - b.nextLevel || a.of(actor.stage) - b.of(actor.stage));
    if (best === undefined) return this.#leave(actor, this.#loads.find(({ name }) => name === node));
    this.#why.set(actor, `${warm.includes(best) ? `${best.name} had a warm copy of it` : `${best.name} had the most room: ${has(best)}, of ${several(able.length, "node")} that may have it`}${asked(actor)}${this.#spreadText(actor, best, roomy.length > 0)}`);
    this.#put(actor, best);
  }

  /** No node takes it. On one that is cordoned it goes on: that it should leave is no reason to stop it. */
  #leave(actor: PlacementActor, was: Load | undefined): void {
    const obstacle = this.#obstacle(actor);
    if (was?.node.cordoned !== true || was.full || misses(was.node, actor) !== undefined) return void this.#why.set(actor, `waits: ${obstacle}`);
    this.#holds.set(actor, `stays on ${was.name}: ${obstacle}`);
    this.#put(actor, was);
  }

  /** Moves one at a time from where most is to where least is, as long as that makes the fuller of the two less full: it ends, since each move lowers the sum of what is piled up. */
  balance(): void {
    for (let move = this.#better(); move !== undefined; move = this.#better()) {
      const { actor, from, to } = move, levels = `${from.name} ${has(from)}, ${to.name} ${has(to)}`;
      from.remove(actor);
      this.#put(actor, to);
      this.#why.set(actor, `balance: ${levels}`);
    }
  }

  standby(previous: ReadonlyMap<string, Seat>): ReadonlyMap<string, readonly string[]> {
    const copies = new Map<Load, number>(), chosen = new Map<string, readonly string[]>();
    for (const [actor, at] of this.#at) {
      const { standby: wanted } = actor.place, before = previous.get(actor.address)?.standby ?? [];
      if (wanted === 0) continue;
      const able = this.#loads.filter((load) => load !== at && lacks(load.node, actor) === undefined);
      const level = (load: Load): number => ((copies.get(load) ?? 0) + 1) / load.node.weight;
      const best = able.toSorted((a, b) => Number(before.includes(b.name)) - Number(before.includes(a.name)) || level(a) - level(b)).slice(0, wanted);
      for (const load of best) copies.set(load, (copies.get(load) ?? 0) + 1);
      chosen.set(actor.address, best.map(({ name }) => name));
    }
    return chosen;
  }

  /** `from`: where it was. */
  why(actor: PlacementActor, from: string | null): string {
    const to = this.nodeOf(actor)?.name ?? null, told = this.#why.get(actor);
    if (to === from && to !== null) return this.#holds.get(actor) ?? `it is there, and nothing asks for a move`;
    const left = from === null ? "" : this.#names.has(from) ? (this.#lack(from, actor) ?? "") : `${from} has gone`;
    return [left, told ?? ""].filter((part) => part !== "").join("; ");
  }

  #lack(node: string, actor: PlacementActor): string | undefined {
    const load = this.#loads.find(({ name }) => name === node), lack = load && lacks(load.node, actor);
    return lack === undefined ? undefined : `${node} ${lack}`;
  }

  #better(): { readonly actor: PlacementActor; readonly from: Load; readonly to: Load } | undefined {
    const full = this.#loads.toSorted((a, b) => b.level - a.level), empty = this.#loads.toSorted((a, b) => a.nextLevel - b.nextLevel);
    for (const from of full) {
      for (const to of empty) {
        if (to.nextLevel >= from.level - epsilon) break;
        const actor = this.#movable(from, to);
        if (actor !== undefined) return { actor, from, to };
      }
    }
    return undefined;
  }

  /** Of those that may go, one of the stage of which most is here and least there; of these the last. */
  #movable(from: Load, to: Load): PlacementActor | undefined {
    let best: PlacementActor | undefined, most = -Infinity;
    if (to.full) return undefined;
    for (const [stage, its] of from.stages) {
      const spread = this.#spread.get(stage), uneven = from.of(stage) - to.of(stage);
      if (uneven < most || (spread !== undefined && (to.of(stage) >= spread.most || from.of(stage) <= spread.least))) continue;
      const actor = its.findLast((one) => one.pin !== from.name && lacks(to.node, one) === undefined);
      if (actor !== undefined && (uneven > most || this.#place(actor) > this.#place(best as PlacementActor))) [best, most] = [actor, uneven];
    }
    return best;
  }

  /** How its anti-affinity counted. */
  #spreadText({ place, stage }: PlacementActor, on: Load, isApart: boolean): string {
    if (!place.spread) return "";
    const others = on.of(stage);
    return others === 0 ? "; spread: no other of its stage is there" : `; spread: ${several(others, "other")} of its stage ${others === 1 ? "is" : "are"} there, ${isApart ? "as on each node that may have it" : "no other node has room"}`;
  }

  #place(actor: PlacementActor): number {
    return this.#order.get(actor) as number;
  }

  #takes(load: Load, actor: PlacementActor): boolean {
    return !load.full && lacks(load.node, actor) === undefined;
  }

  #put(actor: PlacementActor, load: Load): void {
    load.add(actor);
    this.#at.set(actor, load);
  }

  #obstacle(actor: PlacementActor): string {
    if (this.#loads.length === 0) return "there is no node";
    const lacking = this.#loads.map(({ name, node }) => [name, lacks(node, actor)] as const).filter(([, lack]) => lack !== undefined);
    if (lacking.length < this.#loads.length) return `${several(this.#loads.length - lacking.length, "node")} may have it, and each has as many actors as it takes`;
    const told = lacking.slice(0, mostTold).map(([name, lack]) => `${name} ${lack}`).join(", ");
    return `no node may have it: ${told}${lacking.length > mostTold ? ` and ${lacking.length - mostTold} more` : ""}`;
  }
}

/** Levels are quotients: equal ones may differ in the last bit. */
const epsilon = 1e-9;
const mostTold = 3;

/** Why a node takes no such actor, whatever room it has; `undefined`: it does. */
export function lacks(node: PlacementNode, actor: PlacementActor): string | undefined {
  return node.cordoned === true ? "is drained" : misses(node, actor);
}

/** What a node misses that an actor needs; `undefined`: nothing. */
function misses(node: PlacementNode, { code, place: { labels } }: PlacementActor): string | undefined {
  const missing = labels.find((label) => !node.labels.includes(label));
  if (missing !== undefined) return `does not offer label ${missing}`;
  return node.code.includes(code) ? undefined : `does not have the code of ${code.split("@")[0]} that runs`;
}

/** What its stage asks of a node. */
const asked = ({ place: { labels } }: PlacementActor): string => (labels.length === 0 ? "" : `, offering ${labels.join(" and ")}`);
const several = (count: number, what: string): string => `${count} ${what}${count === 1 ? "" : "s"}`;
const has = ({ count, node: { weight } }: Load): string => `${several(count, "actor")}${weight === 1 ? "" : ` at weight ${weight}`}`;
