// The cluster's log: who leads, and where the actors of all flows are. Every node follows it; only the newest leader can write to it,
// since each record expects the one that it was computed from (as P1, P2 and P5 for an actor's log): no clock is asked.
import type { Broker, BrokerStream, Stored, Subscription } from "../broker/broker.ts";
import { boundsOrMade, untilReachableAtStart } from "../broker/until-reachable.ts";
import type { Clock, Random } from "../event/clock.ts";
import { asError, MillraceError } from "../event/errors.ts";
import type { Logger } from "../flow/context.ts";
import { LossWatch } from "./loss-watch.ts";
import { emptyChain, extended, isAsNew, type PlacementChain } from "./placement-chain.ts";
import { type ClusterState, type Decision, decodePlacement, encodePlacement, type PlacementRecord } from "./placement-record.ts";

export const clusterStream = "mr_cluster";
export const clusterSubject = "mr.cluster.log";

/** Decisions after a `lead` before the leader writes another, with all that was decided, and purges what is before the one before. */
export const decisionsBetween = 256;
const tries = 4;
/** Who leads and goes on writing for so long without writing again what is lost knows of no loss: the log is right. In ms. */
const keptMs = 15_000;

export interface PlacementLogOptions {
  readonly broker: Broker;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly replicas: 1 | 3;
  /** After each record, one's own too; where several are read at once, after the newest. */
  readonly onRecord: (record: PlacementRecord) => void;
}

export class PlacementLog {
  readonly #options: PlacementLogOptions;
  readonly #stream: BrokerStream;
  readonly #watch: LossWatch;
  #subscription: Subscription | undefined;
  #chain: PlacementChain = emptyChain;
  /** What stands at `#chain.at`. */
  #newest: Stored | undefined;
  /** What this node knows and NATS has lost, until a record says more. */
  #kept: ClusterState | undefined;
  #keptSince = 0;
  /** A record was not written after what is known here: no more is taken before all of it was read anew. */
  #isInDoubt = false;
  #reading: Promise<void> | undefined;
  #broken: MillraceError | undefined;
  #isStopped = false;

  constructor(options: PlacementLogOptions) {
    const { broker, clock, log } = options;
    this.#options = options;
    this.#stream = broker.stream(clusterStream, clusterSubject);
    this.#watch = new LossWatch({ broker, clock, log, stream: this.#stream, newest: () => this.#newest, anew: (why) => this.#readAnew(why) });
  }

  /** What was decided. Where NATS has lost some of it that is no reason to move anything: it stands until somebody leads who has written a later record. */
  get state(): ClusterState {
    return this.#kept ?? this.#chain.state;
  }

  /** NATS has lost some of `state`: who leads, or else takes the lease, writes it again, with the next term. */
  get isLost(): boolean {
    return this.#kept !== undefined;
  }

  /** Of a record, in bytes. */
  get maxPayload(): number {
    return this.#options.broker.maxPayload;
  }

  /** So many records were written since the newest `lead`. */
  get sinceLead(): number {
    return this.#chain.sinceLead;
  }

  /** Reads what is there, and follows what comes. @throws MillraceError UNREACHABLE, STREAM_CONFLICT, PLACEMENT_NEWER, BYTES_REFUSED */
  async start(): Promise<void> {
    const { clock } = this.#options;
    await untilReachableAtStart(() => this.#create(), clock);
    await untilReachableAtStart(() => this.#readAnew(), clock);
    this.#watch.start();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#watch.stop();
    await this.#subscription?.close();
  }

  /**
   * Writes a decision that was computed from `state` in a term; `true` when it stands. `false`: the log has moved on, and so has `state`, or
   * the term is over, or what it was computed from is lost; nothing was written that counts. @throws MillraceError UNREACHABLE where it cannot be told, TOO_LARGE, PLACEMENT_NEWER
   */
  async append(decision: Decision, term: number): Promise<boolean> {
    await this.#reading;
    if (this.#broken !== undefined) throw this.#broken;
    const { clock, random } = this.#options, chain = this.#chain, { n, term: newest } = this.state, { at, state, newest: last } = chain;
    // Whose term it is no longer decides nothing, however much it has read. And what is lost is written again by a new lease alone.
    if (decision.kind !== "lead" ? term !== newest || this.isLost : term < newest || (this.isLost && term === newest)) return false;
    const record: PlacementRecord = { ...decision, n: Math.max(n, state.n) + 1, term, mark: Buffer.from(random.bytes(8)).toString("hex"), before: last?.mark ?? "", at: clock.now() }, bytes = encodePlacement(record);
    for (let attempt = 0; attempt < tries; attempt++) {
      const outcome = await this.#stream.append(bytes, at);
      if (typeof outcome === "number") {
        const stands = await this.#written({ seq: outcome, data: bytes }, record);
        if (stands) void this.#verify(at, record.before);
        return stands;
      }
      // Refused is treated like unknown (P3): an attempt whose ack was lost may have been stored.
      await this.#catchUp();
      if (this.#chain !== chain) return this.#chain.newest?.mark === record.mark;
    }
    throw new MillraceError("UNREACHABLE", clusterSubject, "NATS took no decision about the cluster", "It is tried again; see that NATS is there and has room.");
  }

  /** Purges what is before the `lead` before the newest: what it holds is in that. */
  async purge(): Promise<void> {
    const [, before] = this.#chain.leads;
    if (before > 1) await this.#stream.purge(before);
  }

  async #create(): Promise<void> {
    const { broker, replicas } = this.#options;
    await broker.create({ name: clusterStream, subject: clusterSubject, replicas });
  }

  async #written(message: Stored, record: PlacementRecord): Promise<boolean> {
    await this.#reading;
    if (message.seq > this.#chain.at && !this.#take(message, record)) await this.#readAnew("what was read is not what a record of this node was written after");
    return this.#chain.newest?.mark === record.mark || this.#chain.at > message.seq;
  }

  /** That a number fitted says nothing of what stands under it: after a loss that was not noticed yet it may be another's. */
  async #verify(at: number, mark: string): Promise<void> {
    try {
      const there = at === 0 ? undefined : await this.#stream.get(at);
      if (at > 0 && (there === undefined || decodePlacement(there.data).mark !== mark)) this.#watch.suspect(`another record stands at ${at} than this node has written after`);
    } catch (thrown) {
      this.#options.log.debug("what a record of the cluster was written after could not be looked at", { reason: asError(thrown).message });
    }
  }

  async #catchUp(): Promise<void> {
    const { at } = this.#chain, { first, last } = await boundsOrMade(this.#stream, () => this.#create());
    // What looks like a loss is looked at twice before it is one.
    if (last < at || (last === at && !(await this.#isThere(at)))) return this.#watch.look();
    if (first > at + 1) return await this.#readAnew();
    for await (const message of this.#stream.read(at + 1, last)) if (!this.#take(message)) return await this.#readAnew(`record ${message.seq} was not written after the one before it`);
  }

  async #isThere(seq: number): Promise<boolean> {
    return seq === 0 || (await this.#stream.get(seq)) !== undefined;
  }

  /** `why`: what is not as it was. Once at a time. @throws MillraceError UNREACHABLE, STREAM_CONFLICT */
  #readAnew(why?: string): Promise<void> {
    this.#reading ??= this.#readAll(why).finally(() => { this.#reading = undefined; });
    return this.#reading;
  }

  async #readAll(why: string | undefined): Promise<void> {
    const { first, last } = await boundsOrMade(this.#stream, () => this.#create()), known = this.state, before = this.#chain.newest;
    let chain = emptyChain, newest: Stored | undefined, broken: MillraceError | undefined, holds = before === undefined, strays = 0;
    for await (const message of this.#stream.read(first, last)) {
      try {
        const record = decodePlacement(message.data), next = extended(chain, message.seq, record);
        if (next === undefined) strays++;
        chain = next ?? { ...chain, at: message.seq };
        newest = message;
        holds ||= record.mark === before?.mark;
      } catch (thrown) {
        broken = unreadable(thrown);
        break;
      }
    }
    // What was purged meanwhile is no loss: what comes then is newer.
    const isNew = isAsNew(chain.state, known), isLost = why !== undefined && !holds && !(isNew && first > this.#chain.at);
    this.#chain = chain;
    this.#newest = newest;
    if (!isNew && this.#kept === undefined) this.#keptSince = this.#options.clock.monotonic();
    this.#kept = isNew ? undefined : known;
    this.#isInDoubt = false;
    this.#broken = undefined;
    if (broken !== undefined) this.#break(broken);
    if (isLost) this.#tell(why, known);
    if (strays > 0) this.#options.log.warn(`records of the cluster's log are passed over: who wrote them had not noticed that NATS lost some before`, { code: "BROKER_WENT_BACK", records: strays });
    await this.#follow(chain.at + 1);
    if (isNew && chain.newest !== undefined && chain.newest.mark !== before?.mark) this.#told(chain.newest);
  }

  #tell(why: string, { n, term }: ClusterState): void {
    const { state } = this.#chain, what = this.#kept === undefined ? "what is there by now is newer, and goes on" : "what was decided stands, and who leads writes it again";
    this.#options.log.error(`NATS lost what it had acknowledged of the cluster's log (${clusterStream}): ${why}; it was read anew: ${what}`, { code: "BROKER_WENT_BACK", known: `record ${n}, term ${term}`, there: `record ${state.n}, term ${state.term}` });
  }

  async #follow(from: number): Promise<void> {
    if (this.#isStopped) return;
    const before = this.#subscription, subscription = this.#stream.follow(from);
    this.#subscription = subscription;
    subscription.onReady(() => {
      for (let message = subscription.take(); message !== undefined && subscription === this.#subscription; message = subscription.take()) {
        if (!this.#take(message)) this.#watch.suspect(`record ${message.seq} was not written after the one that is known here`);
      }
    });
    await before?.close();
  }

  /** `false`: it was not written after what is known here. */
  #take({ seq, data }: Stored, known?: PlacementRecord): boolean {
    if (seq <= this.#chain.at || this.#broken !== undefined || this.#isInDoubt) return true;
    let record: PlacementRecord;
    try {
      record = known ?? decodePlacement(data);
    } catch (thrown) {
      this.#break(unreadable(thrown));
      return true;
    }
    const next = extended(this.#chain, seq, record);
    this.#isInDoubt = next === undefined;
    if (next === undefined) return false;
    this.#chain = next;
    this.#newest = { seq, data };
    if (this.#kept !== undefined && (isAsNew(next.state, this.#kept) || this.#options.clock.monotonic() - this.#keptSince >= keptMs)) {
      this.#kept = undefined;
      this.#options.log.info("the cluster's log is whole again", { record: next.state.n, term: next.state.term });
    }
    this.#told(record);
    return true;
  }

  /** What cannot be read must not be passed over: a later record builds on it. */
  #break(error: MillraceError): void {
    this.#broken = error;
    this.#options.log.error("the cluster's log cannot be read any further: this node keeps what it hosts and takes nothing new", { reason: error.message });
  }

  #told(record: PlacementRecord): void {
    try {
      this.#options.onRecord(record);
    } catch (thrown) {
      // The log can be read all the same.
      this.#options.log.error("what a record of the cluster asks for could not be begun here", { record: record.n, reason: asError(thrown).message });
    }
  }
}

function unreadable(thrown: unknown): MillraceError {
  const error = asError(thrown);
  return error instanceof MillraceError ? error : new MillraceError("BYTES_REFUSED", clusterSubject, error.message, "Look at who publishes there.", { cause: error });
}
