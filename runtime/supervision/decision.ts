// What a supervisor decides, as a record: who, about whom, why, and what. And the port to where it is written first (I8).
import type { Exit, ExitClass } from "../actor/exit.ts";
import { MillraceError } from "../event/errors.ts";

/**
 * - `restart`, `dead-letter` (the event that was poison is given up; restart where the child exited by it), `suspend` (try again until it is available),
 *   `leave` (it stays stopped), `yield` (it belongs to another owner), `park`, `escalate`.
 * - `kill`: it did not stop within its deadline. `start`, `stop`: a person's or the node's order.
 */
export type Action = "restart" | "dead-letter" | "suspend" | "leave" | "yield" | "park" | "escalate" | "kill" | "start" | "stop";

export interface Reason {
  readonly class: ExitClass | "deadline" | "order";
  readonly message: string;
  readonly code?: string;
  /** First lines of the stack, and the causes. */
  readonly stack?: readonly string[];
  /** The event that was at hand. */
  readonly event?: string;
}

/** Plain data; journaled as it is. */
export interface Decision {
  /** Wall clock, ms since the epoch. */
  readonly at: number;
  /** Token of the flow's run, where there is one. */
  readonly run?: string;
  readonly supervisor: string;
  /** What was going on: it was being started, it ran, it was being stopped, or somebody ordered it. */
  readonly context: "start" | "run" | "stop" | "order";
  readonly reason: Reason;
  readonly offender: string;
  readonly action: Action;
  /** The action in words: "restart in 230 ms". */
  readonly decision: string;
  /** Of restart, dead-letter and suspend. */
  readonly delayMs?: number;
  /** Siblings that are started again with it, in start order. */
  readonly with?: readonly string[];
  /** Restarts of the offender in this run, this one included. */
  readonly restarts: number;
}

/** Where decisions are written before they are carried out (I8). One for each node; called by all its supervisors. */
export interface DecisionLog {
  /**
   * Durable once it resolves. After a rejection, or when nobody waited for it any longer, it may be stored or not: the same
   * object may be handed in again and is then stored once. While it does not resolve, nothing is done about the offender.
   */
  append(decision: Decision): Promise<void>;
  /** The newest decisions about an offender, at most 200, oldest first. */
  read(offender: string): Promise<readonly Decision[]>;
}

/** So many decisions are kept for each offender. */
export const kept = 200;

const lineLength = 300, stackLines = 5, causes = 4;
const cut = (text: string, length: number): string => (text.length <= length ? text : `${text.slice(0, length - 1)}…`);

/** The reason of an exit, of bounded size. */
export function reasonOf({ class: of, error, event }: Exit): Reason {
  const at = event === undefined ? {} : { event: cut(event, lineLength) };
  if (error === undefined) return { class: of, message: of, ...at };
  const frames = (error.stack ?? "").split("\n").filter((line) => /^\s+at /.test(line)).slice(0, stackLines).map((line) => cut(line.trim(), lineLength));
  let cause: unknown = error.cause;
  for (let depth = 0; depth < causes && cause !== undefined; depth++) {
    frames.push(cut(`caused by ${String(cause)}`, lineLength));
    cause = cause instanceof Error ? cause.cause : undefined;
  }
  const code = error instanceof MillraceError ? error.code : (error as { code?: unknown }).code;
  return {
    class: of,
    message: cut(error instanceof MillraceError ? error.message : `${error.name}: ${error.message}`, 2_000),
    ...(typeof code === "string" ? { code: cut(code, 80) } : {}),
    ...(frames.length === 0 ? {} : { stack: frames }),
    ...at,
  };
}

interface Particulars {
  readonly delayMs?: number | undefined;
  /** Siblings that are started with it. */
  readonly siblings?: readonly string[];
}

/** A decision, put into words. */
export function decisionOf(about: Pick<Decision, "at" | "supervisor" | "context" | "reason" | "offender" | "action" | "restarts">, run: string | undefined, { delayMs, siblings = [] }: Particulars = {}): Decision {
  return {
    ...about,
    ...(run === undefined ? {} : { run }),
    decision: inWords(about.action, delayMs, about.reason.event, siblings),
    ...(delayMs === undefined ? {} : { delayMs }),
    ...(siblings.length === 0 ? {} : { with: siblings }),
  };
}

function inWords(action: Action, delayMs: number | undefined, event: string | undefined, siblings: readonly string[]): string {
  const together = siblings.length === 0 ? "" : `, with ${siblings.length <= 4 ? siblings.join(", ") : `${siblings.length} siblings`}`;
  switch (action) {
    case "restart": return `restart in ${delayMs} ms${together}`;
    case "dead-letter": return `give up ${event ?? "the event"} as a dead letter${delayMs === undefined ? "" : `, restart in ${delayMs} ms${together}`}`;
    case "suspend": return `suspend; try again in ${delayMs} ms, then less often, until it is available`;
    case "leave": return "leave it stopped";
    case "yield": return "leave it to its new owner";
    case "park": return "park it until a person has looked";
    case "escalate": return "escalate";
    case "kill": return "kill it";
    case "start": return "start it";
    case "stop": return "stop it";
  }
}
