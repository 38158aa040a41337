// A node's heartbeat: says that it is there, and hears who else is. Beats are stored (the newest of each node), so that a node that
// comes late knows the others at once; one small write for each node every half second.
import type { Broker, Subscription } from "../broker/broker.ts";
import { untilReachableAtStart } from "../broker/until-reachable.ts";
import type { Clock } from "../event/clock.ts";
import { asError, MillraceError } from "../event/errors.ts";
import type { Logger } from "../flow/context.ts";
import { beatMs, type Change, Membership } from "./membership.ts";
import { decodeNode, encodeNode, nodesPattern, nodesStream, nodeSubject, type NodeRecord } from "./node-record.ts";

export interface HeartbeatOptions {
  readonly broker: Broker;
  readonly clock: Clock;
  readonly log: Logger;
  readonly replicas: 1 | 3;
  /** Of this node; what it hosts is asked for with each beat. */
  readonly self: Omit<NodeRecord, "beat" | "state" | "flows">;
  readonly flows: () => NodeRecord["flows"];
  readonly onChange: (name: string, change: Change) => void;
  /** Another process beats under the name of this one, which started before it. */
  readonly onTwin: (other: NodeRecord) => void;
}

/** A beat whose ack has not come is not waited for longer than the next but one, in ms. */
const ackMs = 2 * beatMs;
const farewellMs = 2_000;

export class Heartbeat {
  readonly membership: Membership;
  readonly #options: HeartbeatOptions;
  #subscription: Subscription | undefined;
  /** Sequence of the newest beat that was heard. */
  #heard = 0;
  #cancel = (): void => {};
  #beat = 0;
  #heardMyself = false;
  #stopped = false;
  /** Why a beat could not be made, as it was told last. */
  #said = "";

  constructor(options: HeartbeatOptions) {
    this.#options = options;
    this.membership = new Membership(options.self);
  }

  /** Resolves when the first beat is stored. @throws MillraceError UNREACHABLE, STREAM_CONFLICT */
  async start(): Promise<void> {
    const { clock } = this.#options;
    await untilReachableAtStart(() => this.#create(), clock);
    this.#follow(1);
    this.#beat = 1;
    await untilReachableAtStart(() => this.#first(), clock);
    this.#next();
  }

  /** Says that this node leaves; never rejects. */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#cancel();
    await this.#append("left", farewellMs);
    await this.#end(this.#subscription);
  }

  /** Something that a beat tells is another: it is told now. */
  tell(): void {
    if (this.#stopped || this.#beat === 0) return;
    void this.#append("here", ackMs);
  }

  async #create(): Promise<void> {
    const { broker, replicas } = this.#options;
    await broker.create({ name: nodesStream, subject: nodesPattern, maxPerSubject: 1, replicas });
  }

  #follow(from: number): void {
    const subscription = this.#options.broker.stream(nodesStream, nodesPattern).follow(from);
    this.#heard = from - 1;
    this.#subscription = subscription;
    subscription.onReady(() => this.#hear(subscription));
  }

  async #first(): Promise<void> {
    if (typeof (await this.#append("here", ackMs)) !== "number") throw new MillraceError("UNREACHABLE", nodesStream, "The first heartbeat of this node was not stored", "See that NATS is there and has room, then start again.");
  }

  #next(): void {
    this.#cancel = this.#options.clock.after(beatMs, () => {
      if (this.#stopped) return;
      this.#beat++;
      this.tell();
      this.#next();
    });
  }

  // Without an expectation: the newest stands, and one that is lost is followed by the next. Never rejects: one that is too large is none, and told.
  async #append(state: NodeRecord["state"], timeoutMs: number): Promise<unknown> {
    const { broker, self, flows, log } = this.#options, before = this.#heard;
    try {
      const record: NodeRecord = { ...self, beat: this.#beat, state, flows: flows() };
      const at = await broker.stream(nodesStream, nodeSubject(self.name)).append(encodeNode(record), undefined, timeoutMs);
      if (typeof at === "number" && at <= before) await this.#again(at, before);
      // The server lost it: the next beat is the first one in it.
      if (at === "missing") await this.#create();
      return at;
    } catch (thrown) {
      const reason = asError(thrown).message;
      log[reason === this.#said ? "debug" : "error"]("this node cannot say that it is there", { reason });
      this.#said = reason;
      return undefined;
    }
  }

  // The server lost beats (P30), and gives their numbers out again: who waits behind them hears nobody, and not itself, until as many have come.
  async #again(at: number, before: number): Promise<void> {
    if (this.#stopped || this.#heard !== before) return;
    this.#options.log.warn(`NATS lost heartbeats that it had acknowledged: this one is ${at}, ${before} was heard`, { code: "BROKER_WENT_BACK" });
    const lost = this.#subscription;
    this.#follow(at);
    await this.#end(lost);
  }

  // Nothing of it is heard any more, closed or not; and that a beat was stored stays so. Never rejects.
  async #end(subscription: Subscription | undefined): Promise<void> {
    try {
      await subscription?.close();
    } catch (thrown) {
      this.#options.log.warn("a subscription to heartbeats that nobody reads any more could not be closed", { reason: asError(thrown).message });
    }
  }

  #hear(subscription: Subscription): void {
    for (let message = subscription.take(); message !== undefined && !this.#stopped && subscription === this.#subscription; message = subscription.take()) {
      this.#heard = message.seq;
      let record: NodeRecord | undefined;
      try {
        record = decodeNode(message.data);
      } catch (thrown) {
        this.#options.log.warn("something under mr.node.> is not read", { reason: asError(thrown).message });
      }
      if (record === undefined) continue;
      const { self } = this.#options;
      if (record.name === self.name) {
        if (record.life === self.life) this.#heardMyself = true;
        // What was stored before the first beat of mine may be of one that is no more; what comes after it is not.
        else if (this.#heardMyself && record.state === "here" && record.startedAt <= self.startedAt) this.#options.onTwin(record);
      }
      for (const [name, change] of this.membership.take(record)) this.#options.onChange(name, change);
    }
  }
}
