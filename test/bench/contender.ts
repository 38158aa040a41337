// What one measured run is: given to a contender in a process of its own, and what comes back.

/** A nats-server to run against. */
export interface ServerAddress {
  readonly servers: string;
  readonly user: string;
  readonly pass: string;
}

export interface Run {
  readonly server: ServerAddress;
  readonly events: number;
  /** Events a second; infinite: as fast as they are taken. */
  readonly rate: number;
  /** A folder of its own, for journals and results. */
  readonly folder: string;
}

export interface Measured {
  /** From the first event made to the last update written. */
  readonly ms: number;
  /** ms from making an event to its update being written; empty where it was not asked for. */
  readonly latencies: readonly number[];
}

/** Runs once and checks what came out. */
export type Contender = (run: Run) => Promise<Measured>;
