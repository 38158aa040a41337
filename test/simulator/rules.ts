// Rules of the world and of the engine in it that a variant breaks by doing without.
import type { TargetRules } from "./target.ts";

/** What a broken variant changes of the world. */
export interface Rules extends TargetRules {
  watchdog: boolean;
  /** P30: what a reader has committed can be asked. */
  askReader: boolean;
  /** P30: a sender that is silent can be asked whether it is over. */
  askSender: boolean;
  /** P5: a claim carries a mark of its own. */
  mark: boolean;
  /** 11: new actors start when all old ones are sealed. */
  allSealed: boolean;
}

export const allRules: Rules = { next: true, place: "mark", watchdog: true, askReader: true, askSender: true, mark: true, allSealed: true };
