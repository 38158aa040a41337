// What a test hands to `send` beside plain data: an event at a time, and what happens between two events.
import { MillraceError } from "../event/errors.ts";
import { type Duration, instant, millis, type Time } from "../event/event.ts";
import { shown } from "../flow/display.ts";

declare const token: unique symbol;
declare const sent: unique symbol;

/** Something that happens between two events of a test's input. */
export interface Token {
  readonly [token]: string;
}

/** An event with what is known beside its data. */
export interface Sent<T> {
  readonly [sent]: T;
}

/**
 * Where in a turn: before the handler is called for what was taken; with all handled and nothing committed; the record in the
 * log, not in the journal; in both, nothing sent; some of it sent; all sent, and no record that says so. Of a sink what is sent is its batch.
 */
export type CrashPoint = "before-handler" | "before-commit" | "after-commit" | "after-journal" | "while-sending" | "after-sending";

export const crashPoints: readonly CrashPoint[] = ["before-handler", "before-commit", "after-commit", "after-journal", "while-sending", "after-sending"];

/** One thing that a test sends. */
export type Item =
  | { readonly kind: "event"; readonly data: unknown; readonly time?: number; readonly id?: string }
  | { readonly kind: "advance"; readonly ms: number }
  | { readonly kind: "crash"; readonly stage: string; readonly point: CrashPoint }
  | { readonly kind: "end" };

export type Crash = Extract<Item, { kind: "crash" }>;

const item = Symbol.for("millrace.testing.item");
const mark = (of: Item): object => Object.freeze({ [item]: of });

/** The item that a test sent: data stand for an event. */
export function itemOf(value: unknown): Item {
  const found = typeof value === "object" && value !== null ? (value as { [item]?: Item })[item] : undefined;
  return found ?? { kind: "event", data: value };
}

/**
 * An event at a time of its own, whatever the source's `time` would say, and with an id of its own.
 * @throws MillraceError TIME_INVALID
 */
export function at<T>(time: Time, data: T, { id }: { readonly id?: string } = {}): Sent<T> {
  const ms = instant(time);
  if (ms === undefined) throw new MillraceError("TIME_INVALID", "at", `${shown(time)} is no time`, "Give ms since the epoch, a Date or ISO 8601 with a zone.");
  return mark({ kind: "event", data, time: ms, ...(id === undefined ? {} : { id }) }) as Sent<T>;
}

/** Ends the source. */
export const end = mark({ kind: "end" }) as Token;

/**
 * Moves the clock, and event time as far from where it stands: at the newest event that any source was sent, before the first
 * one at the clock.
 * @throws MillraceError OPTION_INVALID
 */
export function advance(by: Duration): Token {
  return mark({ kind: "advance", ms: lengthOf(by) }) as Token;
}

/**
 * Ends each of the stage's actors where it comes to that point of a turn, as a SIGKILL would, and starts it again from its
 * journal. It is the turn of what was sent just before, at the beginning of a `send` of what is sent next. An actor that does not
 * come there is ended when there is nothing more to do.
 * @param point default "before-commit"
 * @throws MillraceError OPTION_INVALID
 */
export function crash(stage: string, point: CrashPoint = "before-commit"): Token {
  return mark({ kind: "crash", stage, point: pointOf(point) }) as Token;
}

export function pointOf(point: CrashPoint): CrashPoint {
  if (crashPoints.includes(point)) return point;
  throw new MillraceError("OPTION_INVALID", "crash", `${shown(point)} is no point of a turn`, `Give one of ${crashPoints.join(", ")}.`);
}

export function lengthOf(by: Duration): number {
  const ms = millis(by);
  if (ms === undefined) throw new MillraceError("OPTION_INVALID", "advance", `${shown(by)} is no length of time`, 'Give ms, or a number with its unit such as "10m".');
  return ms;
}
