// What is deployed, as NATS tells it: the newest of each flow, as they are and as they come. Where NATS lost some of it (P30) it is read anew:
// what is there counts, and who hears it is told what is not there any more.
import type { Broker, BrokerStream, Stored, Subscription } from "../broker/broker.ts";
import { boundsOrMade, untilReachableAtStart } from "../broker/until-reachable.ts";
import { LossWatch, lossOf } from "../cluster/loss-watch.ts";
import type { Clock } from "../event/clock.ts";
import type { Logger } from "../flow/context.ts";
import { createDeployments, deploymentsPattern, deploymentsStream } from "./deployments.ts";

export interface DeploymentFeedOptions {
  readonly broker: Broker;
  readonly clock: Clock;
  readonly log: Logger;
  readonly replicas: 1 | 3;
  /** The same may come again. */
  readonly hear: (message: Stored) => void;
  /** All that is there was heard. `there`: the sequences of that. What rejects is tried again, from the start. */
  readonly heardAll: (there: ReadonlySet<number>) => Promise<void>;
}

export class DeploymentFeed {
  readonly #options: DeploymentFeedOptions;
  readonly #stream: BrokerStream;
  readonly #watch: LossWatch;
  #subscription: Subscription | undefined;
  #newest: Stored | undefined;
  #isStopped = false;

  constructor(options: DeploymentFeedOptions) {
    const { broker, clock, log } = options;
    this.#options = options;
    this.#stream = broker.stream(deploymentsStream, deploymentsPattern);
    this.#watch = new LossWatch({ broker, clock, log, stream: this.#stream, newest: () => this.#newest, anew: (why) => this.#readAnew(why), always: true });
  }

  /** @throws MillraceError UNREACHABLE, STREAM_CONFLICT */
  async start(): Promise<void> {
    const { broker, clock, replicas } = this.#options;
    await untilReachableAtStart(() => createDeployments(broker, replicas), clock);
    this.#follow(1);
    this.#watch.start();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#watch.stop();
    await this.#subscription?.close();
  }

  #follow(from: number): void {
    const subscription = this.#stream.follow(from);
    this.#subscription = subscription;
    subscription.onReady(() => {
      for (let message = subscription.take(); message !== undefined && subscription === this.#subscription; message = subscription.take()) this.#hear(message);
    });
  }

  #hear(message: Stored): void {
    this.#newest = message;
    this.#options.hear(message);
  }

  async #readAnew(why: string): Promise<void> {
    const { log, heardAll } = this.#options, lost = why !== "" ? why : await lossOf(this.#stream, this.#newest, true), { first, last } = await boundsOrMade(this.#stream, () => createDeployments(this.#options.broker, this.#options.replicas)), found: Stored[] = [];
    for await (const message of this.#stream.read(first, last)) found.push(message);
    if (this.#isStopped) return;
    if (lost !== undefined) log.error(`NATS lost what it had acknowledged of what is deployed (${deploymentsStream}): ${lost}; it was read anew: what is there counts`, { code: "BROKER_WENT_BACK", flows: found.length });
    const before = this.#subscription;
    this.#follow(last + 1);
    await before?.close();
    this.#newest = undefined;
    for (const message of found) this.#hear(message);
    await heardAll(new Set(found.map(({ seq }) => seq)));
  }
}
