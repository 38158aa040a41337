// The cluster's log: who leads, and where the actors of all flows are. Every node follows it; only the newest leader can write to it,
// since each record expects the one that it was computed from (as P1, P2 and P5 for an actor's log): no clock is asked.
import type { Broker, BrokerStream, Stored, Subscription } from "../broker/broker.ts";
import { untilReachableAtStart } from "../broker/until-reachable.ts";
import type { Clock, Random } from "../event/clock.ts";
import { asError, MillraceError } from "../event/errors.ts";
import type { Logger } from "../flow/context.ts";
import { after, type ClusterState, type Decision, decodePlacement, emptyState, encodePlacement, type PlacementRecord } from "./placement-record.ts";

export const clusterStream = "mr_cluster";
export const clusterSubject = "mr.cluster.log";

/** Decisions after a `lead` before the leader writes another, with all that was decided, and purges what is before the one before. */
export const decisionsBetween = 256;
const tries = 4;

export interface PlacementLogOptions {
  readonly broker: Broker;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly replicas: 1 | 3;
  /** After each record, one's own too. */
  readonly onRecord: (record: PlacementRecord) => void;
}

export class PlacementLog {
  readonly #options: PlacementLogOptions;
  readonly #stream: BrokerStream;
  #subscription: Subscription | undefined;
  #state: ClusterState = emptyState;
  /** Sequence of the newest record, and those of the newest `lead` and the one before it. */
  #at = 0;
  #leads: readonly [newest: number, before: number] = [0, 0];
  #sinceLead = 0;
  #mark = "";
  #broken: MillraceError | undefined;

  constructor(options: PlacementLogOptions) {
    this.#options = options;
    this.#stream = options.broker.stream(clusterStream, clusterSubject);
  }

  get state(): ClusterState {
    return this.#state;
  }

  /** So many records were written since the newest `lead`. */
  get sinceLead(): number {
    return this.#sinceLead;
  }

  /** Reads what is there, and follows what comes. @throws MillraceError UNREACHABLE, STREAM_CONFLICT, PLACEMENT_NEWER, BYTES_REFUSED */
  async start(): Promise<void> {
    const { broker, clock, replicas } = this.#options;
    await untilReachableAtStart(() => broker.create({ name: clusterStream, subject: clusterSubject, replicas }), clock);
    await untilReachableAtStart(() => this.#catchUp(), clock);
    const subscription = this.#stream.follow(this.#at + 1);
    this.#subscription = subscription;
    subscription.onReady(() => {
      for (let message = subscription.take(); message !== undefined; message = subscription.take()) this.#take(message);
    });
  }

  async stop(): Promise<void> {
    await this.#subscription?.close();
  }

  /**
   * Writes a decision that was computed from `state` in a term; `true` when it stands. `false`: the log has moved on, and so has `state`, or
   * the term is over; nothing was written. @throws MillraceError UNREACHABLE where it cannot be told, TOO_LARGE, PLACEMENT_NEWER
   */
  async append(decision: Decision, term: number): Promise<boolean> {
    if (this.#broken !== undefined) throw this.#broken;
    const { clock, random } = this.#options, { n, term: newest } = this.#state, expected = this.#at;
    // Whose term it is no longer decides nothing, however much it has read.
    if (decision.kind !== "lead" ? term !== newest : term < newest) return false;
    const record: PlacementRecord = { ...decision, n: n + 1, term, mark: Buffer.from(random.bytes(8)).toString("hex"), before: this.#mark, at: clock.now() }, bytes = encodePlacement(record);
    for (let attempt = 0; attempt < tries; attempt++) {
      const outcome = await this.#stream.append(bytes, expected);
      if (typeof outcome === "number") {
        this.#accept(outcome, record);
        return true;
      }
      // Refused is treated like unknown (P3): an attempt whose ack was lost may have been stored.
      await this.#catchUp();
      if (this.#at !== expected) return this.#mark === record.mark;
    }
    throw new MillraceError("UNREACHABLE", clusterSubject, "NATS took no decision about the cluster", "It is tried again; see that NATS is there and has room.");
  }

  /** Purges what is before the `lead` before the newest: what it holds is in that. */
  async purge(): Promise<void> {
    const [, before] = this.#leads;
    if (before > 1) await this.#stream.purge(before);
  }

  async #catchUp(): Promise<void> {
    const { first, last } = await this.#stream.bounds();
    if (last < this.#at) throw (this.#broken ??= wentBack(`the cluster's log ends at ${last}, this node has read up to ${this.#at}`));
    for await (const message of this.#stream.read(Math.max(first, this.#at + 1), last)) this.#take(message);
  }

  #take({ seq, data }: Stored): void {
    if (seq <= this.#at || this.#broken !== undefined) return;
    try {
      const record = decodePlacement(data);
      if (this.#at > 0 && !this.#follows(record) && !this.#isBehindPurge(seq, record)) throw wentBack(`record ${record.n} of the cluster's log was not written after the record ${this.#state.n} that is before it`);
      this.#accept(seq, record);
    } catch (thrown) {
      const error = asError(thrown);
      // What cannot be read must not be passed over: a later record builds on it.
      this.#broken = error instanceof MillraceError ? error : new MillraceError("BYTES_REFUSED", clusterSubject, error.message, "Look at who publishes there.", { cause: error });
      this.#options.log.error("the cluster's log cannot be read any further: this node keeps what it hosts and takes nothing new", { reason: error.message });
    }
  }

  #follows({ n, before, kind, term }: PlacementRecord): boolean {
    return n === this.#state.n + 1 && before === this.#mark && (kind === "lead" || term === this.#state.term);
  }

  /** This node was away for so long that what it would read next is purged: a `lead` holds all that was decided. */
  #isBehindPurge(seq: number, { n, kind, term }: PlacementRecord): boolean {
    return kind === "lead" && seq > this.#at + 1 && n - this.#state.n === seq - this.#at && term >= this.#state.term;
  }

  #accept(seq: number, record: PlacementRecord): void {
    if (seq <= this.#at) return;
    this.#at = seq;
    this.#mark = record.mark;
    this.#state = after(this.#state, record);
    this.#sinceLead = record.kind === "lead" ? 0 : this.#sinceLead + 1;
    if (record.kind === "lead") this.#leads = [seq, this.#leads[0]];
    try {
      this.#options.onRecord(record);
    } catch (thrown) {
      // The log can be read all the same.
      this.#options.log.error("what a record of the cluster asks for could not be begun here", { record: record.n, reason: asError(thrown).message });
    }
  }
}

function wentBack(what: string): MillraceError {
  return new MillraceError("BROKER_WENT_BACK", clusterSubject, `NATS lost what it had acknowledged: ${what}`, "Start the nodes again: the placement is made anew, what the actors have done is in their own logs.");
}
