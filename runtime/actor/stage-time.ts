// Event time inside a stage: what it lets go (held events, timers), what operators see of it, and what may be promised on.
import type { Actor } from "./actor.ts";
import type { Item } from "./item.ts";

export class StageTime {
  readonly #actor: Actor;
  /** As operators see it: while held events and timers are let go it follows them, so that none of them is late. Only rises. */
  now = -Infinity;

  constructor(actor: Actor) {
    this.#actor = actor;
  }

  /** After replay. */
  restore(): void {
    this.now = Math.min(this.#reached, this.#actor.memory.held.next - 1);
  }

  /**
   * What event time, or the wall clock, lets go next: held events and timers in the order of time, then events that wait for a
   * later try; timers wait for those.
   */
  released(): Item | undefined {
    const { env } = this.#actor, { timers, held, waiting } = this.#actor.memory, now = env.clock.now(), watermark = this.#reached;
    const entry = held.due(watermark), timer = timers.due(watermark, now);
    if (entry !== undefined && (timer === undefined || entry.time <= timer.time)) {
      this.now = Math.max(this.now, entry.time - 1);
      return { kind: "held", entry };
    }
    if (timer !== undefined) {
      if (timer.time <= watermark) this.now = Math.max(this.now, timer.time);
      return { kind: "timer", timer };
    }
    if (waiting.size > 0) {
      const first = waiting.due(now);
      if (first !== undefined) return { kind: "waiting", entry: first };
    }
    this.now = Math.max(this.now, watermark);
    return undefined;
  }

  /** Event time that is reached: not past an event that waits for a try. */
  get #reached(): number {
    const { inbound, waiting } = this.#actor.memory;
    return waiting.size > 0 ? Math.min(inbound.watermark, waiting.earliest - 1) : inbound.watermark;
  }

  /** Below everything that may still be emitted: timers and held events that are due, events that wait. */
  get promise(): number {
    const { timers, held } = this.#actor.memory;
    let watermark = this.#reached;
    if (timers.nextEvent <= watermark) watermark = timers.nextEvent - 1;
    if (held.next <= watermark) watermark = held.next - 1;
    return watermark;
  }
}
