// What the node that leads does: sees to it that each flow that is wanted has a run, each actor a node, and each flow that has ended its end on
// record. All of it from the cluster's log and the heartbeats, so whoever leads next goes on where this one was.
import type { Clock } from "../event/clock.ts";
import { asError, MillraceError } from "../event/errors.ts";
import type { Logger } from "../flow/context.ts";
import type { PlacePlan } from "../flow/plan.ts";
import { Beginnings } from "./beginnings.ts";
import type { Lease } from "./lease.ts";
import { beatMs, type Change, type Membership } from "./membership.ts";
import type { NodeRecord } from "./node-record.ts";
import { type Placed, place, type PlacementNode, type Seat } from "./placement.ts";
import { decisionsBetween, type PlacementLog } from "./placement-log.ts";
import { decide, offered, type PlacementOrder } from "./placement-order.ts";
import { actorsOf, type FlowSeats, seatsOf, type StageSeats } from "./placement-record.ts";
import { mostMoves } from "./placement-room.ts";
import { reseated } from "./seat-count.ts";
import { Upgrading } from "./upgrading.ts";

/** A flow that this node has the code of, and that is to run. */
export interface WantedFlow {
  readonly name: string;
  /** Hash of its code. */
  readonly code: string;
  /** Its first placement waits for so many nodes that have its code, for a while. */
  readonly nodes: number;
}

/** What the leader needs of the rest of its node. */
export interface FlowDirectory {
  /** Without those of which the end was seen. */
  wanted(): readonly WantedFlow[];
  /** The run of a flow as its key has it now. @throws MillraceError UNREACHABLE */
  run(flow: string): Promise<{ readonly token: string; readonly code: string; readonly finished: boolean } | undefined>;
  /** Begins a run, or resumes the interrupted one; seats without a node. @throws MillraceError what FlowRun.begin throws */
  begin(flow: string): Promise<{ readonly token: string; readonly stages: readonly StageSeats[] }>;
  /** Whether the logs of all its actors say that they have ended; marks the run as finished then. @throws MillraceError UNREACHABLE */
  finish(flow: FlowSeats): Promise<boolean>;
  /** Whether it is to stop before its end: it was undeployed. */
  stops(flow: FlowSeats): boolean;
  /** Of one that was stopped so: its run is marked as stopped, once all its actors have let go of their logs. @throws MillraceError UNREACHABLE */
  settle(flow: FlowSeats): Promise<void>;
  /** All its actors have the code of its upgrade, or are back on the one before: that is put on record. Where its stages may be from now on, as far as this node knows; `undefined`: it is not on record yet. @throws MillraceError UNREACHABLE */
  upgraded(flow: FlowSeats): Promise<ReadonlyMap<string, PlacePlan> | undefined>;
  /** How many actors each of its stages has by its run's record. @throws MillraceError UNREACHABLE */
  counts(flow: FlowSeats): Promise<ReadonlyMap<string, number>>;
  /** It cannot be begun. */
  refused(flow: string, error: Error): void;
}

export interface LeaderOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly lease: Lease;
  readonly placements: PlacementLog;
  readonly membership: Membership;
  readonly directory: FlowDirectory;
}

/** Nodes that come are let settle for so long before anything is moved to them: several come at the same time. In ms. */
const settleMs = 1_000;
/** After this node's start one that had actors and has not been seen yet may still be starting, too. In ms. */
const returnMs = 5_000;
/** What is wrong with a flow is told again after so long. In ms. */
const toldAgainMs = 60_000;
/** Orders that wait; more are refused. */
const mostOrders = 64;

interface WaitingOrder {
  readonly order: PlacementOrder;
  readonly resolve: (since: number) => void;
  readonly reject: (error: Error) => void;
}

export class Leader {
  readonly #options: LeaderOptions;
  readonly #beginnings: Beginnings;
  /** What is wrong with flows, and when it was told. Monotonic ms. */
  readonly #troubles = new Map<string, number>();
  #orders: WaitingOrder[] = [];
  #lingering: ReadonlyMap<string, string> = new Map();
  readonly #upgrading: Upgrading;
  #term = 0;
  #busy = false;
  #again = false;
  #stopped = false;
  #joinedAt = -Infinity;
  readonly #begunAt: number;
  #cancel = (): void => {};

  constructor(options: LeaderOptions) {
    this.#options = options;
    const apart = (flow: string, work: () => Promise<void>): Promise<void> => this.#apart(flow, work);
    this.#beginnings = new Beginnings({ ...options, apart, onBegun: () => this.poke() });
    this.#upgrading = new Upgrading({ ...options, apart, upgraded: (flow) => options.directory.upgraded(flow) });
    this.#begunAt = options.clock.monotonic();
  }

  start(): void {
    this.#tick();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel();
    this.#refuseOrders(this.#notLeading());
  }

  /** Actors that are on a node that takes none, or on no node, and why; known where this node leads. */
  get lingering(): ReadonlyMap<string, string> {
    return this.#options.lease.held ? this.#lingering : new Map();
  }

  /** By flow: what its upgrade waits for; known where this node leads. */
  get upgradeWaits(): ReadonlyMap<string, string> {
    return this.#upgrading.waits;
  }

  /** Gives the number of the record by which it stands. Between two steps: what the leader itself decides is never computed from what an order has changed. @throws MillraceError as decide does, NOT_LEADER, BUSY, UNREACHABLE */
  order(order: PlacementOrder): Promise<number> {
    if (this.#stopped || !this.#options.lease.held) return Promise.reject(this.#notLeading());
    if (this.#orders.length >= mostOrders) return Promise.reject(new MillraceError("BUSY", "mr.cluster.log", `${mostOrders} orders are being carried out already`, "Ask again in a moment."));
    const carried = new Promise<number>((resolve, reject) => { this.#orders.push({ order, resolve, reject }); });
    this.poke();
    return carried;
  }

  /** A node came, left, or told something else. */
  changed(change: Change): void {
    if (change === "joined") this.#joinedAt = this.#options.clock.monotonic();
    this.poke();
  }

  /** There may be something to do. */
  poke(): void {
    this.#again = true;
    if (!this.#busy && !this.#stopped) void this.#work();
  }

  #tick(): void {
    this.poke();
    this.#cancel = this.#options.clock.after(beatMs, () => {
      if (!this.#stopped) this.#tick();
    });
  }

  async #work(): Promise<void> {
    this.#busy = true;
    try {
      while (this.#again && !this.#stopped) {
        this.#again = false;
        await this.#carryOut();
        await this.#step();
      }
    } catch (thrown) {
      const error = asError(thrown);
      this.#refuseOrders(error);
      // Tried again with the next beat.
      this.#tell("the leader could not do its work", error);
    } finally {
      this.#busy = false;
    }
  }

  async #carryOut(): Promise<void> {
    for (let waiting = this.#orders.shift(); waiting !== undefined; waiting = this.#orders.shift()) {
      const { lease, placements, membership, log } = this.#options, { order, resolve, reject } = waiting;
      try {
        if (!lease.held) throw this.#notLeading();
        const ordered = decide(order, placements.state, membership.nodes), { n } = placements.state;
        if ("decision" in ordered && !(await placements.append(ordered.decision, lease.term))) throw this.#notLeading();
        log.info(`ordered: ${order.action} ${"flow" in order ? order.flow : "actor" in order ? order.actor : order.node}`, "actor" in order && "node" in order ? { node: order.node } : {});
        resolve("since" in ordered ? ordered.since : n + 1);
      } catch (thrown) {
        reject(asError(thrown));
      }
    }
  }

  /** Of starts of nodes that are over: they left in order, or another start of the node is there. One that is not heard may come back. */
  async #endCordons(): Promise<void> {
    const { placements, lease, membership } = this.#options;
    for (const { node, life } of placements.state.cordons) {
      if (!lease.held) return;
      const here = membership.node(node), was = membership.former(node);
      const isOver = here === undefined ? was !== undefined && (was.life !== life || was.state === "left") : here.life !== life;
      if (isOver) await placements.append({ kind: "cordon", node, life, on: false }, lease.term);
    }
  }

  #refuseOrders(error: Error): void {
    for (const { reject } of this.#orders.splice(0)) reject(error);
  }

  #notLeading(): MillraceError {
    return new MillraceError("NOT_LEADER", "mr.cluster.log", "This node does not lead the cluster", "Ask the one that does; `millrace placement` names it.");
  }

  async #step(): Promise<void> {
    const { lease, placements, log } = this.#options, led = lease.held;
    if (!(await lease.seek())) return;
    if (!led) log.info("this node leads the cluster", { term: lease.term });
    if (this.#term !== lease.term) {
      this.#term = lease.term;
      this.#beginnings.renew();
    }
    if (placements.sinceLead >= decisionsBetween && (await lease.refresh())) await placements.purge();
    await this.#endCordons();
    for (const flow of this.#beginnings.take(lease.term)) await this.#apart(flow.name, async () => void (await this.#write(flow, [])));
    await this.#beginnings.look(lease.term);
    for (const { name } of [...placements.state.flows.values()]) await this.#apart(name, () => this.#tend(name));
    if (await this.#upgrading.step()) this.#again = true;
    for (const { name } of [...placements.state.flows.values()]) await this.#apart(name, () => this.#reseat(name));
    await this.#place();
  }

  /** What is wrong with one flow, such as a log that cannot be read, keeps no actor of another from a node. Never rejects. */
  async #apart(flow: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (thrown) {
      this.#tell(`${flow}: the leader could not see to it`, asError(thrown));
    }
  }

  /** The same is told again after a while only. */
  #tell(what: string, error: Error): void {
    const trouble = `${what}: ${error.message}`, code = error instanceof MillraceError ? error.code : undefined, now = this.#options.clock.monotonic();
    for (const [told, at] of this.#troubles) if (now - at >= toldAgainMs) this.#troubles.delete(told);
    if (code === "UNREACHABLE" || this.#troubles.has(trouble)) return this.#options.log.debug(trouble);
    this.#troubles.set(trouble, now);
    this.#options.log.warn(trouble, code === undefined ? {} : { code });
  }

  /** Its end, and that it is to stop before it. */
  async #tend(name: string): Promise<void> {
    const flow = this.#options.placements.state.flows.get(name);
    if (flow === undefined || this.#beginnings.has(name)) return;
    if (this.#options.directory.stops(flow)) await this.#undeploy(flow);
    else if (!flow.ended) await this.#end(flow);
  }

  /** A stage that was scaled has as many seats as its run says. */
  async #reseat(name: string): Promise<void> {
    const flow = this.#options.placements.state.flows.get(name);
    if (flow === undefined || flow.ended) return;
    const its = reseated(flow, await this.#options.directory.counts(flow));
    if (its !== undefined && this.#options.placements.state.flows.get(name) === flow) await this.#write(its, []);
  }

  /** Hosts close as a whole what has ended: in order, as they do when they leave. */
  async #undeploy(flow: FlowSeats): Promise<void> {
    if (flow.ended) return await this.#options.directory.settle(flow);
    if (await this.#write({ ...flow, ended: true }, [])) this.#options.log.info(`${flow.name}: undeployed, its actors stop`, { run: flow.run });
  }

  /** The nodes say that all its actors have ended: then the logs are asked. */
  async #end(flow: FlowSeats): Promise<void> {
    const { membership, directory, log } = this.#options, total = [...seatsOf(flow)].length;
    const ended = membership.nodes.flatMap(({ flows }) => flows).reduce((sum, { name, ended: its }) => sum + (name === flow.name ? its : 0), 0);
    if (ended < total || !(await directory.finish(flow))) return;
    if (await this.#write({ ...flow, ended: true }, [])) log.info(`${flow.name}: finished`, { run: flow.run });
  }

  async #place(): Promise<void> {
    const { membership, placements, clock, log } = this.#options, flows = [...placements.state.flows.values()].filter(({ ended }) => !ended);
    if (flows.length === 0) return;
    const actors = flows.flatMap(actorsOf), before = new Map<string, Seat>(flows.flatMap((flow) => [...seatsOf(flow)])), nodes = membership.nodes.map((node) => this.#offered(node, before));
    const now = clock.monotonic(), settled = now - this.#joinedAt >= settleMs, there = new Set(nodes.map(({ name }) => name));
    const unseen = [...before.values()].some(({ node }) => node !== null && !there.has(node) && membership.former(node) === undefined);
    if (unseen && now - this.#begunAt < returnMs) return;
    const homeless = [...before.values()].some(({ node }) => node === null || !there.has(node));
    // What has no node does not wait for nodes that come; what has one does.
    if (!settled && !homeless) return;
    const placed = place(nodes, actors, before), cordoned = new Set(nodes.flatMap((node) => (node.cordoned === true ? [node.name] : [])));
    this.#lingering = new Map([...placed.seats].flatMap(([actor, { node }]) => (node === null || cordoned.has(node) ? [[actor, placed.reasons.get(actor) ?? ""]] : [])));
    for (const flow of flows) {
      const moves = placed.moves.filter(({ actor }) => actor.startsWith(`${flow.name}/`)), { n } = placements.state;
      const stages = flow.stages.map((stage) => ({ ...stage, seats: stage.seats.map((seat, partition) => seatAfter(seat, placed, `${flow.name}/${stage.name}/${partition}`, n + 1)) }));
      if (stages.every((stage, at) => stage.seats.every((seat, partition) => seat === flow.stages[at]?.seats[partition]))) continue;
      if (!(await this.#write({ ...flow, stages }, moves))) return;
      for (const { actor, from, to, why } of moves) log.info(`${actor}: ${from ?? "nowhere"} -> ${to ?? "nowhere"}`, { why });
    }
  }

  /** One that is not heard yet keeps what it has, and takes no more: it may have died long ago. */
  #offered(node: NodeRecord, seats: ReadonlyMap<string, Seat>): PlacementNode {
    const { membership, placements } = this.#options, its = offered(node, placements.state);
    if (membership.isHeard(node.name)) return its;
    const has = [...seats.values()].filter((seat) => seat.node === node.name).length;
    return { ...its, capacity: Math.min(its.capacity ?? Infinity, has) };
  }

  /** `false`: the log has moved on; looked at again, if this node still leads. */
  async #write(flow: FlowSeats, moves: Placed["moves"]): Promise<boolean> {
    if (!this.#options.lease.held) return false;
    const stands = await this.#options.placements.append({ kind: "place", flow, moves: moves.slice(0, mostMoves) }, this.#options.lease.term);
    if (!stands) this.#again = true;
    return stands;
  }
}

/** As it was, where nothing about it changes. */
function seatAfter(seat: StageSeats["seats"][number], { seats }: Placed, address: string, n: number): StageSeats["seats"][number] {
  const { node, standby } = seats.get(address) as Seat;
  // Where it cannot be on the node that was chosen for it, that choice is over.
  const { pin, ...its } = seat, pinned = pin?.node === node ? { pin } : {}, coded = seat.code === undefined ? {} : { code: seat.code };
  if (node === seat.node) return standby.join() === seat.standby.join() && pin === pinned.pin ? seat : { ...its, standby, ...pinned };
  return { node, since: n, from: seat.node ?? seat.from, standby, ...pinned, ...coded };
}
