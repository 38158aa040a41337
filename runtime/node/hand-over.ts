// A planned move as the node does that the actor comes to: all that can be done while the other node runs it is done first, then it is asked for.
import { releaseMs } from "../cluster/host.ts";
import type { Done } from "../cluster/hosting.ts";
import { pause } from "../event/clock.ts";
import { asError, MillraceError } from "../event/errors.ts";
import type { HostedActor } from "./hosted-actor.ts";
import type { HostEnvironment } from "./hosted-flow.ts";
import type { Departure } from "./move-ledger.ts";
import { ask, operateSubject } from "./questions.ts";

/** What it has recorded is read for no longer than that. In ms. */
const warmMs = 30_000;
/** A node that is asked by many is asked again after so long. In ms. */
const againMs = 50;

/** Makes an actor ready that is to come here. Never rejects. */
export async function warmHere(hosted: HostedActor, { clock }: HostEnvironment): Promise<void> {
  const bound = new AbortController(), cancel = clock.after(warmMs, () => bound.abort());
  await hosted.warm(bound.signal);
  cancel();
}

/** Asks the node that runs an actor to stop it; resolves when it has, with what the actor had done where that is known. `undefined`: it could not be asked. Never rejects. */
export async function askFor(actor: string, from: string, since: number, { broker, clock, log }: HostEnvironment): Promise<Done | null | undefined> {
  const bound = new AbortController(), cancel = clock.after(releaseMs, () => bound.abort());
  try {
    while (!bound.signal.aborted) {
      try {
        return (await ask(broker, from, { what: "hand over", actor, since }, releaseMs, operateSubject(from))) as Departure | null;
      } catch (thrown) {
        const error = asError(thrown);
        if (!(error instanceof MillraceError) || error.code !== "REQUEST_FAILED" || !error.message.includes("BUSY")) {
          log.debug("an actor that is to come could not be asked for", { actor, from, reason: error.message });
          return undefined;
        }
      }
      await pause(againMs, { clock, signal: bound.signal });
    }
    return undefined;
  } finally {
    cancel();
  }
}
