// A value for each key and window. A window is one entry of the key's state, its start is the entry's part; it has a timer for
// each thing that is to happen to it, named "close:<start>" and the like.
//
// W1. A window [start, end) closes when the watermark reaches end - 1: nothing that belongs into it comes any more, but late.
// W2. It is forgotten `lateness` after that. An event is late for good when the watermark has reached that point.
// W3. All timers of a window are set with its first event: one that was set while timers fire at the end of all inputs would
//     not fire any more (PROTOCOL, section 9).
import type { Key, Scope, Step, StepEnvironment } from "../runtime/index.ts";
import type { Fold } from "./fold.ts";
import type { TimeWindow, WindowShape } from "./window.ts";

export interface Timing {
  /** Results before the close: for each event, or so often, ms of event time; `undefined`: none. */
  readonly early: "each" | number | undefined;
  readonly latenessMs: number;
  readonly hasLateOutput: boolean;
}

type Happening = "early" | "close" | "forget";

export class WindowedFold implements Step {
  readonly #env: StepEnvironment;
  readonly #fold: Fold;
  readonly #shape: WindowShape;
  readonly #timing: Timing;

  constructor(env: StepEnvironment, fold: Fold, shape: WindowShape, timing: Timing) {
    this.#env = env;
    this.#fold = fold;
    this.#shape = shape;
    this.#timing = timing;
  }

  on(data: unknown, scope: Scope): void | Promise<void> {
    const env = this.#env, { early, latenessMs } = this.#timing;
    const start = this.#shape.startOf(scope.time), end = start + this.#shape.size;
    const watermark = env.watermark();
    if (watermark >= end - 1 + latenessMs) return this.#late(data, scope, start, end, watermark);

    const key = scope.key as Key, entry = env.entry(key, start);
    const isNew = entry.value === undefined, isClosed = watermark >= end - 1;
    const value = this.#fold.add(entry.value, data, scope);
    env.set(entry, value);
    if (isNew) {
      if (!isClosed) env.setTimer(key, timerName("close", start), end - 1);
      if (latenessMs > 0) env.setTimer(key, timerName("forget", start), end - 1 + latenessMs);
    }
    if (isClosed) return this.#give(value, key, start, end, true, scope);
    if (early === "each") return this.#give(value, key, start, end, false, scope);
    if (early !== undefined) this.#setEarly(key, start, end, watermark, early);
  }

  onTimer(name: string, scope: Scope): void | Promise<void> {
    const env = this.#env, key = scope.key as Key;
    const colon = name.indexOf(":"), start = Number(name.slice(colon + 1));
    const entry = env.entry(key, start), { value } = entry;
    if (value === undefined) return;
    switch (name.slice(0, colon) as Happening) {
      case "close":
        if (this.#timing.latenessMs === 0) env.set(entry, undefined);
        // Its own end, also where the code that set the timer had windows of another size.
        return this.#give(value, key, start, scope.time + 1, true, scope);
      case "forget":
        return env.set(entry, undefined);
      case "early": {
        const end = start + this.#shape.size;
        // The close is due as well: its result is the better one.
        return env.watermark() >= end - 1 ? undefined : this.#give(value, key, start, end, false, scope);
      }
    }
  }

  /** What a window gives has the time of its last ms, early or corrected, too. */
  #give(value: unknown, key: Key, start: number, end: number, final: boolean, scope: Scope): void | Promise<void> {
    const window: TimeWindow = { start, end };
    return this.#env.next(this.#fold.result(value, key, window, final), scope.time === end - 1 ? scope : scope.at(end - 1));
  }

  /** At the next multiple of `early` that the watermark has not reached. Set again by each event, to the same time: it fires only where there was one. */
  #setEarly(key: Key, start: number, end: number, watermark: number, early: number): void {
    const passed = watermark < start ? 0 : Math.floor((watermark + 1 - start) / early);
    const next = start + (passed + 1) * early;
    if (next < end) this.#env.setTimer(key, timerName("early", start), next - 1);
  }

  #late(data: unknown, scope: Scope, start: number, end: number, watermark: number): void {
    const env = this.#env;
    env.late();
    if (this.#timing.hasLateOutput && env.isRead("late")) return env.output("late", data, scope);
    env.deadLetter("LATE", `at ${shownTime(scope.time)}, in the window from ${shownTime(start)} to ${shownTime(end)}, which takes nothing more: event time has reached ${shownTime(watermark)}`, data, scope);
  }
}

function timerName(what: Happening, start: number): string {
  return `${what}:${start}`;
}

function shownTime(time: number): string {
  return Math.abs(time) <= 8.64e15 ? new Date(time).toISOString() : time === Infinity ? "its end" : String(time);
}
