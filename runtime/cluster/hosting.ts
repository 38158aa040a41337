// The port between the host, which knows where actors are to be, and the node that has them run: what the host has it do, and what is told of a move.
import type { FlowSeats } from "./placement-record.ts";

/** What the host needs of the rest of its node. */
export interface Hosting {
  /** Makes ready what the actors of a flow's run need, none of which is started yet. @throws MillraceError where this node cannot host it */
  open(flow: FlowSeats): Promise<void>;
  /** Stops what is left of a flow here and forgets it; one that is not open is no error. */
  close(flow: string): Promise<void>;
  /** Starts an actor of an open flow, or starts it again where it was fenced; resolves when that was tried. `code`: hash of the one that it is to have. `move`: it comes from another node. */
  start(actor: string, move: PlannedMove | undefined, code: string): Promise<void>;
  /**
   * Has an actor that runs here go over to another code, in order; one that does not go on is tried again. Resolves when that was tried: what has come of it is told by the heartbeat.
   * `since`: number of the record that gave it the code. @throws MillraceError where the code could not be begun with: it works on as it did
   */
  exchange(actor: string, code: string, since: number): Promise<void>;
  /** Stops an actor in order, and forgets it; none is no error. `movedBy`: number of the record that placed it elsewhere. */
  stop(actor: string, movedBy?: number): Promise<void>;
  /** Does what can be done of an actor's start here while another node runs it. Claims nothing; never rejects. */
  warm(actor: string): Promise<void>;
  /** Lets go of that, where it does not start here; none is no error. */
  cool(actor: string): Promise<void>;
  /** An actor is to go from here: what else works on this node does so in short rounds, until what it gives is called. */
  hurry(): () => void;
  /** An actor stands still, here or on its way here: the same, and what is made ready for later waits. */
  standsStill(): () => void;
  /**
   * Asks the node that runs an actor to stop it now; resolves when it does not run there any more, with what it had done where that is known.
   * `undefined`: it cannot be asked. Never rejects. `since`: number of the record that placed it here.
   */
  handOver(actor: string, from: string, since: number): Promise<Done | null | undefined>;
  /** Whether the last record of the actor's log says that nobody runs it: there is none, or it stopped in order. @throws MillraceError UNREACHABLE */
  released(actor: string): Promise<boolean>;
}

/** How an actor came from a node that is there. */
export interface PlannedMove {
  readonly from: string;
  /** Number of the record that placed it here. */
  readonly since: number;
  /** When the other node was asked to stop it: until then it works there. Monotonic ms. */
  readonly askedAt: number;
  /** What it had done there when it had stopped in order, where that is known. */
  readonly before: Done | null | undefined;
}

/** What an actor's log says that it has done, in frames: the same before and after a move. */
export interface Done {
  readonly taken: number;
  readonly sent: number;
}
