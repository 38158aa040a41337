// How far readers are behind: frames in a mailbox above what its actor has done. One question to the broker for each mailbox,
// so they are asked a few at a time, not more often than once a second, and not all of very many.
import { streamName, subjectsOf } from "../actor/environment.ts";
import { bounded } from "../node/bounded.ts";
import type { HostedActor } from "../node/hosted-actor.ts";
import type { HostedFlow } from "../node/hosted-flow.ts";

const atOnce = 16;
const freshMs = 1_000;
/** Mailboxes that are asked about in one go; the others keep what they showed before. */
const most = 256;

export class Lags {
  readonly #frames = new Map<string, number>();
  readonly #measuredAt = new Map<string, number>();

  /** Frames that wait for an actor; `undefined`: not known. A source has no mailbox. */
  of(actor: HostedActor): number | undefined {
    return actor.stage.kind === "source" ? undefined : this.#frames.get(actor.address);
  }

  /** Asks again about those of whom it is not known of late. Never rejects: what cannot be asked keeps what it showed. */
  async measure(flow: HostedFlow, actors: readonly HostedActor[], now: number): Promise<void> {
    const due = actors.filter(({ stage, address }) => stage.kind !== "source" && now - (this.#measuredAt.get(address) ?? -Infinity) >= freshMs).slice(0, most);
    for (const { address } of due) this.#measuredAt.set(address, now);
    await bounded(due, atOnce, async (actor) => {
      const running = actor.view;
      if (running === undefined) return;
      let frames = 0;
      for (const [input, at] of running.positions.entries()) {
        const subject = subjectsOf(flow.name, actor.stage.name, running.generation, actor.partition).mailbox(input);
        try {
          frames += Math.max(0, (await flow.broker.stream(streamName(subject), subject).bounds()).last - at);
        } catch {
          // NATS is away, or the mailbox is gone: nothing new is known.
          return;
        }
      }
      this.#frames.set(actor.address, frames);
    });
  }
}
