// What planned moves of actors to and from this node cost, counted and not estimated. Kept for the newest only, and asked for by who ordered them.
import type { Done, PlannedMove } from "../cluster/hosting.ts";
import type { Clock } from "../event/clock.ts";
import type { HostedActor } from "./hosted-actor.ts";

/** An actor came here, and has its state back. */
export interface Arrival {
  readonly actor: string;
  readonly from: string;
  /** Number of the record that placed it here. */
  readonly since: number;
  /** From when this node asked the old one to stop it, which had worked until then, to when it took events here. By this node's clock, in ms. */
  readonly pauseMs: number;
  /** `null`: NATS could not be asked. */
  readonly frames: {
    /** That were stored in its mailboxes, and that it had not taken. */
    readonly inFlight: number;
    /** That it had sent and that were not known to be stored: sent again from here. */
    readonly sentAgain: number;
    /** That it had taken or sent where it was, and knows nothing of here; and that are gone from its mailboxes before it took them. */
    readonly lost: number;
  } | null;
  /** Whether what it had done where it was could be compared: it stopped there in order, and that was told. Else only its mailboxes were looked at. */
  readonly compared: boolean;
}

/** An actor has stopped here, since it was placed elsewhere. */
export interface Departure extends Done {
  readonly actor: string;
  readonly since: number;
}

/** So many are kept of each. */
const most = 2_048;

export class MoveLedger {
  readonly #clock: Clock;
  readonly #arrivals = new Map<string, Arrival>();
  readonly #departures = new Map<string, Departure>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Those by records after `since`. */
  arrivals(since: number): readonly Arrival[] {
    return [...this.#arrivals.values()].filter((one) => one.since > since);
  }

  /** What an actor had done when it had stopped here by that record. */
  departure(actor: string, since: number): Departure | undefined {
    const departure = this.#departures.get(actor);
    return departure?.since === since ? departure : undefined;
  }

  /** It is about to be started here; to be called again when that was tried. */
  arriving(hosted: HostedActor, move: PlannedMove): () => void {
    const { askedAt, before, from, since } = move, told = { actor: hosted.address, from, since, compared: before != null };
    const pauseMs = (): number => Math.max(0, Math.round(this.#clock.monotonic() - askedAt));
    let isNoted = false;
    hosted.onRecovered = ({ done, unsettled: sentAgain, mailboxes }) => {
      hosted.onRecovered = undefined;
      isNoted = true;
      const ms = pauseMs();
      const undone = before == null ? 0 : Math.max(0, before.taken - done.taken) + Math.max(0, before.sent - done.sent);
      void mailboxes.then(({ waiting, missing }) => this.#note({ ...told, pauseMs: ms, frames: { inFlight: waiting, sentAgain, lost: undone + missing } }), () => this.#note({ ...told, pauseMs: ms, compared: false, frames: null }));
    };
    return () => {
      if (!isNoted && hosted.recovered === undefined && hosted.generation !== undefined) this.#note({ ...told, pauseMs: pauseMs(), compared: false, frames: null });
    };
  }

  /** It has stopped here. */
  departed({ address, done }: HostedActor, since: number): void {
    if (done !== undefined) keep(this.#departures, { actor: address, since, ...done });
  }

  #note(arrival: Arrival): void {
    keep(this.#arrivals, arrival);
  }
}

function keep<T extends { readonly actor: string }>(all: Map<string, T>, one: T): void {
  all.delete(one.actor);
  all.set(one.actor, one);
  for (const oldest of all.keys()) {
    if (all.size <= most) break;
    all.delete(oldest);
  }
}
