// What comes into a mailbox while its flow is copied, in a file beside the backup: each message as it is stored, before its reader can
// have it trimmed. Holds an unbroken run of messages up to the newest: what was overtaken by a trim is forgotten with all before it.
import type { Broker, StreamSpec, Subscription } from "../broker/broker.ts";
import { asError, MillraceError } from "../event/errors.ts";
import type { Clock } from "../event/clock.ts";
import { StreamFileWriter } from "./stream-file.ts";

/** Nothing at all comes for so long, though more is there, in ms. */
const patienceMs = 30_000;
const lookMs = 2_000;

export class MailboxSpool {
  readonly spec: StreamSpec;
  readonly path: string;
  readonly #broker: Broker;
  readonly #clock: Clock;
  readonly #writer: StreamFileWriter;
  readonly #subscription: Subscription;
  #first: number;
  #last: number;
  #busy = false;
  #failure: Error | undefined;
  #waits: (() => void) | undefined;

  private constructor(broker: Broker, clock: Clock, spec: StreamSpec, path: string, writer: StreamFileWriter, first: number) {
    this.#broker = broker;
    this.#clock = clock;
    this.spec = spec;
    this.path = path;
    this.#writer = writer;
    this.#first = first;
    this.#last = first - 1;
    this.#subscription = broker.stream(spec.name, spec.subject).follow(first);
    this.#subscription.onReady(() => void this.#take());
  }

  /** Begins, and resolves when all that is there at the call has been taken. @throws MillraceError UNREACHABLE, STREAM_MISSING */
  static async open(broker: Broker, clock: Clock, spec: StreamSpec, path: string): Promise<MailboxSpool> {
    const { first } = await broker.stream(spec.name, spec.subject).bounds(), spool = new MailboxSpool(broker, clock, spec, path, await StreamFileWriter.create(path), first);
    try {
      await spool.reachEnd();
      return spool;
    } catch (error) {
      await spool.close();
      throw error;
    }
  }

  /** Sequences of what it holds; of nothing `first` = `last` + 1. */
  get held(): { readonly first: number; readonly last: number } {
    return { first: this.#first, last: this.#last };
  }

  /** Resolves when all that is in the mailbox at the call has been taken. @throws MillraceError UNREACHABLE, STREAM_MISSING, or what writing fails with */
  async reachEnd(): Promise<void> {
    const stream = this.#broker.stream(this.spec.name, this.spec.subject), { last } = await stream.bounds();
    for (let seen = this.#last, since = this.#clock.monotonic(); this.#last < last && this.#failure === undefined; ) {
      await this.#change();
      if (this.#last !== seen) {
        seen = this.#last;
        since = this.#clock.monotonic();
      } else if (this.#clock.monotonic() - since > lookMs) {
        // All of it may have been trimmed away.
        const bounds = await stream.bounds();
        if (bounds.first > bounds.last && bounds.last >= last) break;
        if (this.#clock.monotonic() - since > patienceMs) throw new MillraceError("UNREACHABLE", this.spec.name, `The mailbox ${this.spec.name} gave nothing for ${patienceMs / 1000} s`, "See that the server is well (millrace doctor), then ask again.");
      }
    }
    if (this.#failure !== undefined) throw this.#failure;
  }

  #change(): Promise<void> {
    return new Promise((done) => {
      const cancel = this.#clock.after(lookMs / 4, done);
      this.#waits = () => { cancel(); done(); };
    });
  }

  async #take(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    try {
      for (let stored = this.#subscription.take(); stored !== undefined; stored = this.#subscription.take()) {
        if (stored.seq !== this.#last + 1) {
          await this.#writer.restart();
          this.#first = stored.seq;
        }
        await this.#writer.add(stored);
        this.#last = stored.seq;
      }
    } catch (error) {
      this.#failure = asError(error);
    }
    this.#busy = this.#failure !== undefined;
    this.#waits?.();
  }

  /** Takes no more; what it holds can be read. */
  async close(): Promise<void> {
    await this.#subscription.close();
    // A message may be on its way into the file.
    while (this.#busy && this.#failure === undefined) await this.#change();
    await this.#writer.close().catch(() => {});
  }
}
