// How old the oldest frame is that an actor has not taken yet: by looks at the end of its mailbox, on this node's monotonic clock, so no
// clock of another machine is trusted. What was there before the first look counts from that one on.
import { streamName, subjectsOf } from "../actor/environment.ts";
import { bounded } from "./bounded.ts";
import type { HostedActor } from "./hosted-actor.ts";
import type { HostedFlow } from "./hosted-flow.ts";

export interface StageLag {
  readonly stage: string;
  /** Of the actor that is furthest behind. */
  readonly lagMs: number;
  /** Frames that wait, of all of them. */
  readonly frames: number;
  /** A mailbox that is full and holds that actor up. */
  readonly heldUpBy?: string;
}

/** Where a mailbox ended at looks since its reader's position; the oldest first. */
type Ends = { readonly at: number; readonly last: number }[];

const atOnce = 16;
/** More than that are thinned out: the lag is then told more coarsely. */
const mostEnds = 256;

export class LagWatch {
  readonly #flow: HostedFlow;
  readonly #ends = new Map<string, Ends>();

  constructor(flow: HostedFlow) {
    this.#flow = flow;
  }

  /** Of the stages that follow their lag, as far as their actors are here. Never rejects: where NATS is away nothing is known. */
  async look(now: number): Promise<readonly StageLag[]> {
    const { plan, actors } = this.#flow, stages = plan.stages.filter((stage) => stage.kind === "processor" && stage.follows !== undefined).map(({ name }) => name);
    const looks = [...actors.values()].filter(({ stage, recovered, hasEnded }) => stages.includes(stage.name) && recovered !== undefined && !hasEnded), lags = new Map<string, StageLag>(), seen = new Set<string>();
    await bounded(looks, atOnce, async (hosted) => {
      const lag = await this.#lagOf(hosted, now, seen);
      if (lag !== undefined) lags.set(lag.stage, together(lags.get(lag.stage), lag));
    });
    for (const subject of this.#ends.keys()) if (!seen.has(subject)) this.#ends.delete(subject);
    return [...lags.values()];
  }

  async #lagOf({ stage, partition, view }: HostedActor, now: number, seen: Set<string>): Promise<StageLag | undefined> {
    if (view === undefined) return undefined;
    let lagMs = 0, frames = 0;
    for (const [input, position] of view.positions.entries()) {
      const subject = subjectsOf(this.#flow.name, stage.name, view.generation, partition).mailbox(input);
      seen.add(subject);
      try {
        const { last } = await this.#flow.broker.stream(streamName(subject), subject).bounds(), ends = this.#ends.get(subject) ?? [];
        this.#ends.set(subject, ends);
        lagMs = Math.max(lagMs, ageOf(ends, position, last, now));
        frames += Math.max(0, last - position);
      } catch {
        return undefined;
      }
    }
    const [full] = view.full;
    return { stage: stage.name, lagMs, frames, ...(full === undefined ? {} : { heldUpBy: full }) };
  }
}

/** Of a stage, what two have seen: the worse of them, and the frames of both. */
export function together(before: StageLag | undefined, lag: StageLag): StageLag {
  const worse = before === undefined || lag.lagMs > before.lagMs ? lag : before;
  return { ...worse, frames: lag.frames + (before?.frames ?? 0) };
}

/** Age of the message after `position`, where the mailbox ends at `last` now. Keeps what it needs in `ends`. */
export function ageOf(ends: Ends, position: number, last: number, now: number): number {
  while (ends.length > 0 && (ends[0]?.last as number) <= position) ends.shift();
  if (last > position && (ends.at(-1)?.last ?? -1) < last) ends.push({ at: now, last });
  if (ends.length > mostEnds) for (let at = ends.length - 2; at > 0; at -= 2) ends.splice(at, 1);
  return last <= position ? 0 : now - (ends[0]?.at ?? now);
}
