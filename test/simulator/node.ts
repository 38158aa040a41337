// A simulated process: a connection to the broker, a disk, a clock that may be wrong by seconds. It can be killed at any step: every
// handle in memory is dead then, the disk stays. It can be paused, and go on as a zombie.
import type { ActorEnvironment } from "../../runtime/actor/environment.ts";
import { Turnstile } from "../../runtime/actor/environment.ts";
import type { Clock } from "../../runtime/event/clock.ts";
import type { Logger } from "../../runtime/flow/context.ts";
import type { StreamSpec } from "../../runtime/broker/broker.ts";
import { MemoryBroker } from "../../runtime/testing/memory-broker.ts";
import type { MemoryServer } from "../../runtime/testing/memory-server.ts";
import { type MemoryDisk, MemoryStores } from "../../runtime/testing/memory-store.ts";
import type { Leg } from "../../runtime/testing/network.ts";
import { type Fate, SimulatedNetwork } from "./network.ts";
import type { Lane, Owner, Scheduler } from "./scheduler.ts";

const watchdogMs = 2_000;

export interface NodeHost {
  readonly scheduler: Scheduler;
  readonly server: MemoryServer;
  readonly fate: (leg: Leg, subject: string) => Fate;
  /** Lanes that lead to the server. */
  readonly sent: Set<Lane>;
  /** Whether the next write to a disk fails. */
  readonly diskFails: () => boolean;
  /** P18: what a lost tail is found by. */
  readonly watchdog: boolean;
  readonly environment: (node: SimulatedNode) => Omit<ActorEnvironment, "node" | "broker" | "stores" | "clock" | "random" | "log" | "soon" | "oneByOne">;
}

/** One life of a process. Another life of the same node gets the same name and disk. */
export class SimulatedNode implements Owner {
  readonly name: string;
  readonly disk: MemoryDisk;
  readonly broker: MemoryBroker;
  readonly stores: MemoryStores;
  readonly clock: Clock;
  readonly log: Logger;
  readonly env: ActorEnvironment;
  paused = false;
  dead = false;
  connected = true;
  readonly #host: NodeHost;
  readonly #network: SimulatedNetwork;
  readonly #disks = new Map<string, Lane>();
  readonly #connection: Lane;

  constructor(host: NodeHost, name: string, disk: MemoryDisk) {
    const { scheduler, server } = host, { clock, chance } = scheduler, skew = chance.between(-2_000, 2_000);
    this.#host = host;
    this.name = name;
    this.disk = disk;
    const after = (ms: number, call: () => void) => (this.dead ? () => {} : scheduler.after(ms, `${name} timer`, this, call));
    this.clock = { now: () => clock.now() + skew, monotonic: () => clock.monotonic(), after };
    const timeouts: Clock = { ...this.clock, after: (ms, call) => (ms === watchdogMs && !host.watchdog ? () => {} : after(ms, call)) };
    this.#connection = scheduler.lane(`${name} connection`, this);
    this.#network = new SimulatedNetwork(scheduler, this, host.fate, host.sent);
    this.broker = new MemoryBroker(serverOf(server, timeouts), this.#network);
    this.stores = new MemoryStores(disk, (store, run) => this.#write(store, run));
    const line = (message: string, fields?: object) => scheduler.trace?.(`    ${name} says: ${message} ${JSON.stringify(fields ?? {})}`);
    this.log = { debug: line, info: line, warn: line, error: line };
    this.env = {
      ...host.environment(this), node: name, broker: this.broker, stores: this.stores, clock: this.clock, random: chance, log: this.log, oneByOne: new Turnstile(),
      soon: (call) => scheduler.alone(`${name} soon`, this, call),
    };
  }

  #write(store: string, run: (failure?: Error) => void): void {
    const { scheduler, diskFails } = this.#host;
    let lane = this.#disks.get(store);
    if (lane === undefined) this.#disks.set(store, (lane = scheduler.lane(`${this.name} disk ${store}`, this)));
    scheduler.add(lane, () => run(diskFails() ? new Error("the disk is full") : undefined));
  }

  pause(): void {
    this.paused = true;
    this.#host.scheduler.changed(this);
  }

  resume(): void {
    this.paused = false;
    this.#host.scheduler.changed(this);
  }

  /** The connection is lost; the process learns of it when it runs. */
  cut(): void {
    this.connected = false;
    this.#network.cut();
    this.#host.scheduler.add(this.#connection, () => this.broker.disconnect());
  }

  mend(): void {
    this.connected = true;
    this.#host.scheduler.add(this.#connection, () => {
      this.#network.mend();
      this.broker.reconnect();
    });
  }

  kill(): void {
    this.dead = true;
    this.#network.cut();
    this.stores.kill();
    this.#host.scheduler.changed(this);
  }
}

/** The server as a connection sees it: on the clock of its node. */
function serverOf(server: MemoryServer, clock: Clock): MemoryServer {
  const { maxPayload, version, streams } = server;
  return {
    clock, maxPayload, version, streams,
    create: (spec: StreamSpec) => server.create(spec), remove: server.remove.bind(server), rollback: server.rollback.bind(server), serve: server.serve.bind(server), responders: server.responders.bind(server),
  } as unknown as MemoryServer;
}
