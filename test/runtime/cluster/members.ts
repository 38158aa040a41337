// Members of a cluster on the broker in memory, with their heartbeat, log and lease; time is moved by hand.
import { Heartbeat } from "../../../runtime/cluster/heartbeat.ts";
import { Lease } from "../../../runtime/cluster/lease.ts";
import { PlacementLog } from "../../../runtime/cluster/placement-log.ts";
import type { Change } from "../../../runtime/cluster/membership.ts";
import type { NodeFlow } from "../../../runtime/cluster/node-record.ts";
import type { PlacementRecord } from "../../../runtime/cluster/placement-record.ts";
import type { Broker } from "../../../runtime/broker/broker.ts";
import type { Clock } from "../../../runtime/event/clock.ts";
import type { Logger } from "../../../runtime/flow/context.ts";
import { SeededRandom } from "../../../runtime/testing/seeded-random.ts";

export const silent = { debug() {}, info() {}, warn() {}, error() {} };

export interface MemberParts {
  readonly broker: Broker;
  readonly clock: Clock;
  readonly life?: string;
  /** For its heartbeat alone. Default: the same. */
  readonly heart?: Broker;
  /** Of its heartbeat. Default: nothing is told. */
  readonly told?: Logger;
}

export class MemberOfTest {
  readonly name: string;
  readonly life: string;
  readonly heartbeat: Heartbeat;
  readonly log: PlacementLog;
  readonly lease: Lease;
  /** What its heartbeat tells of flows. */
  flows: readonly NodeFlow[] = [];
  readonly changes: string[] = [];
  readonly records: PlacementRecord[] = [];
  /** Called after each change and record. */
  onNews = (): void => {};
  onChange: (change: Change) => void = () => {};

  constructor(name: string, { broker, clock, life = "1", heart = broker, told = silent }: MemberParts) {
    this.name = name;
    this.life = life;
    this.heartbeat = new Heartbeat({
      broker: heart, clock, log: told, replicas: 1, flows: () => this.flows, self: { name, life, weight: 1, labels: [], version: "0.1.0", startedAt: 0 },
      onTwin: () => { this.changes.push("twin"); },
      onChange: (of, change) => { this.changes.push(`${of} ${change}`); this.onChange(change); this.onNews(); },
    });
    this.log = new PlacementLog({ broker, clock, random: new SeededRandom([...name].reduce((sum, letter) => sum * 31 + letter.charCodeAt(0), life.charCodeAt(0))), log: silent, replicas: 1, onRecord: (record) => { this.records.push(record); this.onNews(); } });
    this.lease = new Lease(this.log, this.heartbeat.membership, { name, life });
  }

  get sees(): readonly string[] {
    return this.heartbeat.membership.nodes.map(({ name }) => name);
  }

  async start(): Promise<this> {
    await this.log.start();
    await this.heartbeat.start();
    return this;
  }

  async stop(): Promise<void> {
    await this.heartbeat.stop();
    await this.log.stop();
  }
}
