// Which events may be what killed the process, after unclean ends in a row (PROTOCOL 9, poison). A process that dies names no
// event; but it can only have been one that was begun: one of the turn under way, of the one ahead, or handled ahead.
//
// After the first unclean end work goes on in small turns until twice a full turn is past. So after a second one only twice a
// small turn is suspect, and only for those the actor works event by event: what was in flight may be a million.
import { cautiousTurn, turnLimit } from "./limits.ts";
import type { Tries } from "./tries.ts";

export class Suspects {
  readonly #tries: Tries;
  readonly #inFlightTo: number;
  #left: number;

  /**
   * @param inFlightTo sequence at which the mailbox ended when this owner began
   * @param ahead events that may be handled ahead of the turn
   */
  constructor(tries: Tries, inFlightTo: number, ahead: number) {
    this.#tries = tries;
    this.#inFlightTo = inFlightTo;
    this.#left = 2 * (tries.k === 1 ? turnLimit.events : cautiousTurn.events) + ahead;
  }

  /** Whether each event is to be tried alone, behind an attempt record. */
  get alone(): boolean {
    return this.#tries.k >= 2;
  }

  /** So many events are past. Says whether none is suspect any more: then the deaths before were no event's fault. */
  past(events: number, position: number, idle: boolean): boolean {
    this.#left -= events;
    if (this.#left > 0 && !(idle && position >= this.#inFlightTo)) return false;
    this.#tries.calm();
    return true;
  }
}
