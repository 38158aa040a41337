// A stream of which a test settles each append by hand, in any order.
import type { Appended, BrokerStream, Stored, Subscription } from "../../runtime/broker/broker.ts";
import { decodeMessage, roundOf } from "../../runtime/event/frame.ts";

export interface Attempt {
  readonly seq: number;
  readonly round: string;
  readonly expected: number | undefined;
  /** Settles it. */
  readonly answer: (outcome: Appended) => void;
}

export class ScriptedStream implements BrokerStream {
  readonly subject = "mr.scripted";
  /** All attempts, oldest first. */
  readonly attempts: Attempt[] = [];
  /** What `last` gives; an error: rejects with it. */
  lastIs: Stored | undefined | Error;
  /** Sequence of the first message that is there. */
  firstIs = 1;
  #taken = 0;

  append(data: Uint8Array, expected?: number): Promise<Appended> {
    return new Promise((answer) => {
      this.attempts.push({ seq: decodeMessage(data).seq, round: Buffer.from(roundOf(data) as Uint8Array).toString("hex"), expected, answer });
    });
  }

  /** The attempts since the last call. */
  take(): readonly Attempt[] {
    const fresh = this.attempts.slice(this.#taken);
    this.#taken = this.attempts.length;
    return fresh;
  }

  async last(): Promise<Stored | undefined> {
    if (this.lastIs instanceof Error) throw this.lastIs;
    return this.lastIs;
  }

  async get(): Promise<Stored | undefined> { return undefined; }
  async bounds(): Promise<{ readonly first: number; readonly last: number }> { return { first: this.firstIs, last: 0 }; }
  async *read(): AsyncGenerator<Stored> {}
  follow(): Subscription { throw new Error("nothing is followed here"); }
  async purge(): Promise<void> {}
  async raise(): Promise<void> {}
}
