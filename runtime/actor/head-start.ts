// What can be done of taking an actor over while another owner goes on with it: its journal is brought up to the log and replayed. Who begins with
// that has only the last few records to read and replay after its claim. Claims nothing (I1), performs nothing (I7), and judges nothing: what it has
// is a prefix of the log (I4), which recovery compares with the log as it does with any journal (P24).
import type { BrokerStream } from "../broker/broker.ts";
import type { Head, Journal } from "../journal/journal.ts";
import { logBatches } from "../journal/log-batches.ts";
import { decodeRecord } from "../journal/record.ts";
import { inSteps } from "../journal/in-steps.ts";
import { foldedOf, type ReadingOptions } from "../journal/recovery.ts";
import { RecordReader } from "../journal/record-reader.ts";
import { catchUp, openWarm } from "../journal/warm-up.ts";
import type { Actor } from "./actor.ts";
import { readingOf } from "./environment.ts";
import { declareSenders, hasBegun, isFirst } from "./inheritance.ts";
import { RecordKeeper } from "./record-keeper.ts";
import { Replay } from "./replay.ts";

export class HeadStart {
  readonly journal: Journal;
  readonly reader: RecordReader;
  readonly keeper: RecordKeeper;
  readonly replay: Replay;
  /** As of `Recovered`. */
  readonly fellBack: boolean;
  readonly #log: BrokerStream;

  private constructor(actor: Actor, reading: ReadingOptions, journal: Journal, fellBack: boolean) {
    this.#log = reading.log;
    this.journal = journal;
    this.reader = new RecordReader(actor.address, journal);
    this.keeper = new RecordKeeper(reading.log, journal, reading.clock, actor.env.retainMs);
    this.replay = new Replay(actor, this.keeper);
    this.fellBack = fellBack;
  }

  /** Of a life that has not begun. `undefined` where there is nothing to go ahead with. @throws MillraceError as `warmUp`, and where the journal is broken; then nothing is left open, and that life is not to be begun */
  static async of(actor: Actor): Promise<HeadStart | undefined> {
    const { env, stage, generation, partition, signal } = actor, calm = (): Promise<void> | undefined => env.shares?.calm, reading = { ...readingOf(env, env.flow.name, stage.name, generation, partition), signal, calm };
    const { journal, fellBack } = (await openWarm(reading)) ?? {};
    if (journal === undefined) return undefined;
    try {
      const folded = foldedOf(actor.address, journal);
      // What it begins with of an earlier generation is not there yet, or is in no journal: that takes the whole way.
      if (!isFirst(actor) && (folded === undefined || !(await hasBegun(journal)))) return void (await journal.store.close());
      const start = new HeadStart(actor, reading, journal, fellBack ?? false);
      if (isFirst(actor)) declareSenders(actor);
      await start.replay.load(journal, folded);
      await start.replay.take(inSteps(start.reader.rest(), calm));
      // Meanwhile much may have come, of which reading and replaying takes much less time.
      await catchUp(reading, journal);
      await start.replay.take(inSteps(start.reader.rest(), calm));
      return start;
    } catch (error) {
      await journal.store.close();
      throw error;
    }
  }

  /** Follows the log and replays what comes, until `signal`. Throws as `of` does; then that life is not to be begun. */
  async keepUp(signal: AbortSignal): Promise<void> {
    for await (const batch of logBatches(this.#log, (this.journal.head as Head).seq + 1, signal)) {
      if (batch.length === 0) continue;
      await this.journal.write(batch.map(({ seq, data }) => ({ n: decodeRecord(data).n, seq, bytes: data })));
      await this.replay.take(this.reader.rest());
    }
  }

  close(): Promise<void> {
    return this.journal.store.close();
  }
}
