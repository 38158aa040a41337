// What one measured run is: given to a contender in a process of its own, and what comes back.

/** A nats-server to run against. */
export interface ServerAddress {
  readonly servers: string;
  readonly user: string;
  readonly pass: string;
  /** When it syncs. */
  readonly fsync: "always" | "relaxed";
}

export interface Run {
  readonly server: ServerAddress;
  readonly events: number;
  /** Events a second; 0: as fast as they are taken. */
  readonly rate: number;
  /** A folder of its own, for journals and results. */
  readonly folder: string;
}

export interface Took {
  /** From the first event made to the last update written. */
  readonly ms: number;
  /** Of this process, all its threads, in that time. */
  readonly cpuMs: number;
  /** The most memory that this process had until then. */
  readonly peakRssMb: number;
}

export interface Latency {
  readonly p50: number;
  readonly p99: number;
}

export interface Measured extends Took {
  /** ms from making an event to its update being written; of runs at a rate. */
  readonly latency?: Latency;
}

/** Runs once and checks what came out. */
export type Contender = (run: Run) => Promise<Measured>;

export class Stopwatch {
  #begun = Number.NaN;
  #cpu = process.cpuUsage();
  #took: Took | undefined;

  start(): void {
    this.#begun = performance.now();
    this.#cpu = process.cpuUsage();
  }

  stop(): Took {
    const { user, system } = process.cpuUsage(this.#cpu);
    this.#took = { ms: performance.now() - this.#begun, cpuMs: (user + system) / 1000, peakRssMb: Math.round(process.resourceUsage().maxRSS / 1024) };
    return this.#took;
  }

  /** @throws Error where it was not stopped */
  get took(): Took {
    if (this.#took === undefined) throw new Error("it ended before the last update was written");
    return this.#took;
  }
}
