// Whether a stream that is followed still holds what was read of it (P24's compare, by sequence and by what stands there). A server that lost
// what it had acknowledged (P30: a power loss, an older copy of its store, a stream made anew) gives its numbers out again: who waits behind
// them hears nothing until as many have come.
import type { Broker, BrokerStream, Stored } from "../broker/broker.ts";
import { type Clock, pause } from "../event/clock.ts";
import { asError, MillraceError } from "../event/errors.ts";
import type { Logger } from "../flow/context.ts";

export interface LossWatchOptions {
  readonly broker: Broker;
  readonly stream: BrokerStream;
  readonly clock: Clock;
  readonly log: Logger;
  /** The newest message that was read; `undefined`: there was none. */
  readonly newest: () => Stored | undefined;
  /** It is to be read anew. What rejects is tried again. `why`: what is not as it was, in words. */
  readonly anew: (why: string) => Promise<void>;
  /** After each reconnect it is read anew, be it as it was or not. Default: it is only looked at. */
  readonly always?: boolean;
}

/** Its end is looked at so often, in ms; what stands at the newest with every so manieth look, and after each reconnect. */
export const lookMs = 3_000;
const thoroughly = 10;
/** What is not as it was is looked at again after so long: who has just come to lead a stream of three replicas may not have all of it at hand yet. In ms. */
const againMs = 500;

/** What of a stream is not as it was read; `undefined`: nothing. `thorough`: also what stands there. @throws MillraceError UNREACHABLE */
export async function lossOf(stream: BrokerStream, newest: Stored | undefined, thorough: boolean): Promise<string | undefined> {
  let last: number;
  try {
    ({ last } = await stream.bounds());
  } catch (error) {
    if (error instanceof MillraceError && error.code === "STREAM_MISSING") return "it is not there any more";
    throw error;
  }
  if (newest === undefined) return undefined;
  const { seq, data } = newest;
  if (last < seq) return `it ends at ${last}, and was read up to ${seq}`;
  if (!thorough) return undefined;
  const there = await stream.get(seq);
  // A newer one of its subject may stand in its place.
  if (there === undefined) return last === seq ? `nothing stands at ${seq} any more, where it ends` : undefined;
  return Buffer.compare(there.data, data) === 0 ? undefined : `another message stands at ${seq} than was read`;
}

export class LossWatch {
  readonly #options: LossWatchOptions;
  #cancel = (): void => {};
  #unlisten = (): void => {};
  #looks = 0;
  /** Why it is to be read anew, until that was done; and how often that was said. */
  #why: string | undefined;
  #said = 0;
  #isBusy = false;
  readonly #stopped = new AbortController();

  constructor(options: LossWatchOptions) {
    this.#options = options;
  }

  start(): void {
    const { broker, always } = this.#options;
    this.#unlisten = broker.onConnection((isConnected) => {
      if (!isConnected) return;
      if (always === true) this.suspect("");
      else this.look();
    });
    this.#next();
  }

  stop(): void {
    this.#stopped.abort();
    this.#cancel();
    this.#unlisten();
  }

  /** It is looked at now, thoroughly. */
  look(): void {
    this.#looks = 0;
    void this.#look();
  }

  /** It is read anew as soon as may be. */
  suspect(why: string): void {
    this.#why ??= why;
    this.#said++;
    void this.#look();
  }

  #next(): void {
    this.#cancel = this.#options.clock.after(lookMs, () => {
      if (this.#stopped.signal.aborted) return;
      void this.#look();
      this.#next();
    });
  }

  /** Never rejects. */
  async #look(): Promise<void> {
    const { broker, stream, anew, log } = this.#options, { signal } = this.#stopped;
    if (this.#isBusy || signal.aborted || !broker.connected) return;
    this.#isBusy = true;
    try {
      if (this.#why === undefined) {
        const why = await this.#lost(this.#looks++ % thoroughly === 0);
        this.#why ??= why;
      }
      while (this.#why !== undefined && !signal.aborted) {
        const said = this.#said;
        await anew(this.#why);
        // What was suspected meanwhile is not answered by what was read before.
        if (this.#said === said) this.#why = undefined;
      }
    } catch (thrown) {
      log.debug(`${stream.subject} could not be looked at; it is tried again`, { reason: asError(thrown).message });
    } finally {
      this.#isBusy = false;
    }
  }

  async #lost(thorough: boolean): Promise<string | undefined> {
    const { clock, stream, newest } = this.#options, { signal } = this.#stopped;
    if ((await lossOf(stream, newest(), thorough)) === undefined) return undefined;
    await pause(againMs, { clock, signal });
    return signal.aborted ? undefined : await lossOf(stream, newest(), true);
  }
}
