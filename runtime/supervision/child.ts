// The port to what is supervised. An actor is a Child, and so is a supervisor: that makes the tree.
import type { Exit } from "../actor/exit.ts";
import type { Lifecycle, LifecycleEvent } from "../actor/lifecycle.ts";

/** What a child says of itself while it runs. The other events of the lifecycle are its supervisor's. */
export type Progress = Extract<LifecycleEvent, { type: "claimed" | "recovered" | "unavailable" | "available" | "pause" | "resume" }>;

/**
 * One life of a child, from a call of `start` to its exit. Each start gets a new one; what an older one still says (a handler
 * that hung and was killed) is not heard. Not to be kept after `exit`.
 */
export interface Run {
  /** Where the child is in its lifecycle now. `paused`: it is to take nothing until it is resumed, from the start. */
  readonly lifecycle: Lifecycle;
  /**
   * Moves the lifecycle on. Need not be called: a start that resolves stands for "available", "claimed" and "recovered". `unavailable` is
   * for a child that waits in place, keeping what it has; it says `available` when it goes on.
   * @throws MillraceError LIFECYCLE_REFUSED where the event has no place in the state.
   */
  report(progress: Progress): void;
  /** An event was given up because it crashed the child too often: what its crashes had cost of the budget is given back. The child goes on. */
  poisoned(event: string, error: Error): void;
  /** The child is over, by itself: nothing of it runs any more, all that it held is closed. The first call counts. May come within `start`. */
  exit(exit: Exit): void;
}

/** What is supervised. One object for all its lives; calls come from its supervisor only, never two starts at a time. */
export interface Child {
  /** Its address: "quakes/by-region/2" for an actor, "quakes/by-region" for a stage's supervisor, "quakes" for a flow's. */
  readonly id: string;
  /**
   * Begins a life; resolves when it runs. A rejection is an exit (`exitOf` says of which class) and leaves nothing behind.
   * Called after an exit, a stop or a kill; after a kill the former life may not be quite dead, and must not disturb this one.
   */
  start(run: Run): Promise<void>;
  /**
   * Stops in order: takes nothing new, commits, sends what it owes. Resolves when nothing of it runs any more. At the deadline
   * (ms from now; Infinity: its own) it is killed instead. May come while `start` is under way; then that is given up. A
   * supervisor's may be called again, to bring the deadline forward.
   */
  stop(deadlineMs: number): Promise<void>;
  /** Ends it at once: aborts handlers, closes what can be closed at once. Never waits, never throws; may be called twice. */
  kill(): void;
}
